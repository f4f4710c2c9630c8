"""What a message means for those before it, whatever the order in which they come."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.lifecycle import (
    LONGEST_LIFETIME,
    Await,
    Begin,
    Decision,
    End,
    Known,
    Revise,
    Suppress,
    SuppressCause,
    alert_id_of,
    decide,
    expires_of,
    learn,
    notes_of_lifetime,
    standing_of,
)
from broadcast_core.model import (
    Alert,
    Authority,
    Category,
    Certainty,
    Info,
    Level,
    MsgType,
    NamedValue,
    Reference,
    Scope,
    Severity,
    SoundClass,
    Status,
    Urgency,
)

NOW = datetime(2026, 11, 5, 6, 0, tzinfo=UTC)
LIFETIME = timedelta(hours=1)
SENDER = "ops@district.example"


def an_info(**changes: object) -> Info:
    fields: dict[str, object] = {
        "category": (Category.MET,),
        "event": "暴雨",
        "urgency": Urgency.IMMEDIATE,
        "severity": Severity.SEVERE,
        "certainty": Certainty.LIKELY,
        "expires": NOW + timedelta(hours=3),
    }
    return Info(**(fields | changes))  # type: ignore[arg-type]


def message(
    identifier: str, minute: int = 0, *references: Alert, msg_type: MsgType | None = None, **changes: object
) -> Alert:
    """A message sent `minute` minutes before NOW's hour ends; an Update when it refers to others."""
    fields: dict[str, object] = {
        "identifier": identifier,
        "sender": SENDER,
        "sent": NOW - timedelta(hours=1) + timedelta(minutes=minute),
        "status": Status.ACTUAL,
        "msg_type": msg_type or (MsgType.UPDATE if references else MsgType.ALERT),
        "scope": Scope.PUBLIC,
        "references": tuple(r.reference for r in references),
        "infos": (an_info(),),
    }
    return Alert(**(fields | changes))  # type: ignore[arg-type]


def a_cancel(identifier: str, minute: int, *references: Alert, **changes: object) -> Alert:
    return message(identifier, minute, *references, msg_type=MsgType.CANCEL, infos=(), **changes)


@dataclass
class World:
    """Takes messages as they come, remembers as `learn` says, and knows what sounds."""

    known: dict[Reference, Known] = field(default_factory=dict)
    cancelled: dict[Reference, datetime] = field(default_factory=dict)
    sounding: dict[str, tuple[int, Reference]] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)
    begun: list[Reference] = field(default_factory=list)

    def take(self, *alerts: Alert, now: datetime = NOW) -> Decision:
        for alert in alerts:
            known, cancelled = self._recall(alert)
            decision = decide(alert, known, cancelled, now, LIFETIME)
            lesson = learn(alert, decision, known, expires_of(alert, now, LIFETIME))
            self.known.update(lesson.known)
            for reference, sent in lesson.cancelled.items():
                self.cancelled[reference] = max(sent, self.cancelled.get(reference, sent))
            self._act(alert, decision)
        return decision

    def _recall(self, alert: Alert) -> tuple[dict[Reference, Known], dict[Reference, datetime]]:
        """No more than `decide` says it needs."""
        named = {alert.reference, *alert.references}
        chains = {self.known[r].alert_id for r in named if r in self.known}
        known = {r: k for r, k in self.known.items() if k.alert_id in chains}
        return known, {r: sent for r, sent in self.cancelled.items() if r in named or r in known}

    def _act(self, alert: Alert, decision: Decision) -> None:
        for alert_id, revision in getattr(decision, "ends", ()):
            if alert_id in self.sounding and self.sounding[alert_id][0] <= revision:
                del self.sounding[alert_id]
        if isinstance(decision, Begin | Revise):
            assert decision.revision > self.revisions.get(decision.alert_id, 0), "revisions only rise"
            self.revisions[decision.alert_id] = decision.revision
            self.sounding[decision.alert_id] = (decision.revision, alert.reference)
            self.begun.append(alert.reference)

    def stop(self, alert_id: str) -> None:
        """A person's stop."""
        del self.sounding[alert_id]
        self.known.update({r: replace(k, ended=True) for r, k in self.known.items() if k.alert_id == alert_id})

    def heard(self) -> set[str]:
        return {reference.identifier for _, reference in self.sounding.values()}


def refusal(alert: Alert, world: World | None = None) -> AlertRejected:
    with pytest.raises(AlertRejected) as caught:
        (world or World()).take(alert)
    return caught.value


# Identity


def test_an_id_is_short_lower_case_and_follows_from_the_reference_alone() -> None:
    reference = Reference(sender="a@b", identifier="1", sent=NOW)
    assert alert_id_of(reference) == alert_id_of(replace(reference))
    assert len(alert_id_of(reference)) == 16
    assert alert_id_of(reference) == alert_id_of(reference).lower()
    assert alert_id_of(reference).isalnum()
    assert alert_id_of(reference)[0] == "a"


def test_an_id_is_that_of_the_instant_not_of_how_its_offset_was_written() -> None:
    here = NOW.astimezone(timezone(timedelta(hours=8)))
    assert alert_id_of(Reference(sender="a", identifier="1", sent=here)) == alert_id_of(
        Reference(sender="a", identifier="1", sent=NOW)
    )


def test_ids_of_different_messages_differ() -> None:
    base = Reference(sender="a", identifier="1", sent=NOW)
    others = (
        replace(base, sender="b"),
        replace(base, identifier="2"),
        replace(base, sent=NOW + timedelta(seconds=1)),
    )
    assert len({alert_id_of(r) for r in (base, *others)}) == 4


def test_the_id_of_a_known_reference_never_changes_between_releases() -> None:
    sent = datetime.fromisoformat("2026-11-05T14:00:00+08:00")
    assert alert_id_of(Reference(sender="ops@district.example", identifier="R-1", sent=sent)) == "a3lt4yzppuj5lo3w"


# One chain


def test_an_alert_begins_as_revision_1_under_its_own_id() -> None:
    alert = message("A")
    assert World().take(alert) == Begin(alert_id=alert_id_of(alert.reference), revision=1)


def test_an_update_is_the_next_revision_of_what_it_names() -> None:
    a = message("A")
    b = message("B", 1, a)
    c = message("C", 2, b)
    world = World()
    root = alert_id_of(a.reference)
    assert world.take(a, b) == Revise(alert_id=root, revision=2)
    assert world.take(c) == Revise(alert_id=root, revision=3)
    assert world.heard() == {"C"}


def test_an_update_may_name_any_generation_of_its_chain() -> None:
    a = message("A")
    b = message("B", 1, a)
    assert World().take(a, b, message("C", 2, a)) == Revise(alert_id=alert_id_of(a.reference), revision=3)


def test_references_match_by_instant_not_by_offset() -> None:
    a = message("A")
    elsewhere = replace(a.reference, sent=a.sent.astimezone(timezone(-timedelta(hours=5))))
    update = message("B", 1, references=(elsewhere,), msg_type=MsgType.UPDATE)
    assert World().take(a, update) == Revise(alert_id=alert_id_of(a.reference), revision=2)


def test_the_update_of_an_alert_that_never_went_out_goes_out_as_an_alert() -> None:
    update = message("B", 1, message("A"))
    assert World().take(update) == Begin(alert_id=alert_id_of(update.reference), revision=1)


def test_an_alert_that_comes_after_its_update_never_sounds() -> None:
    a = message("A")
    b = message("B", 1, a)
    decision = World().take(b, a)
    assert decision == Suppress(alert_id=alert_id_of(b.reference), cause=SuppressCause.SUPERSEDED)


def test_an_alert_that_another_sender_has_updated_before_it_came_never_sounds() -> None:
    a = message("A", 5)
    world = World()
    world.take(message("B", 1, a, sender="city@example"), a)
    assert world.heard() == {"B"}


def test_an_update_that_comes_after_a_newer_one_never_sounds() -> None:
    a = message("A")
    old, new = message("B", 1, a), message("C", 2, a)
    world = World()
    decision = world.take(a, new, old)
    assert decision == Suppress(alert_id=alert_id_of(a.reference), cause=SuppressCause.SUPERSEDED)
    assert world.heard() == {"C"}


def test_the_missing_link_between_two_chains_ends_the_older_of_them() -> None:
    a = message("A")
    b = message("B", 1, a)
    c = message("C", 2, b)
    world = World()
    decision = world.take(a, c, b)
    assert decision == Suppress(
        alert_id=alert_id_of(c.reference), cause=SuppressCause.SUPERSEDED, ends=((alert_id_of(a.reference), 1),)
    )
    assert world.heard() == {"C"}


def test_an_update_of_several_chains_revises_the_first_and_ends_the_others() -> None:
    a, b = message("A"), message("B", 1)
    world = World()
    world.take(a, b, message("B2", 2, b))
    decision = world.take(message("C", 3, b, a))
    assert decision == Revise(alert_id=alert_id_of(b.reference), revision=3, ends=((alert_id_of(a.reference), 1),))
    assert world.heard() == {"C"}


def test_what_an_alert_refers_to_is_no_link() -> None:
    a = message("A")
    alert = message("B", 1, a, msg_type=MsgType.ALERT)
    world = World()
    assert world.take(a, alert) == Begin(alert_id=alert_id_of(alert.reference))
    assert world.heard() == {"A", "B"}


def test_the_same_message_again_is_refused_here() -> None:
    world = World()
    world.take(message("A"))
    assert refusal(message("A"), world).reason is RejectReason.IDENTIFIER_REUSED


# Chains that were over


def test_an_update_of_an_expired_chain_goes_out_as_its_next_revision() -> None:
    a = message("A", infos=(an_info(expires=NOW - timedelta(minutes=1)),))
    world = World()
    world.take(a, now=NOW - timedelta(minutes=30))
    assert world.take(message("B", 50, a)) == Revise(alert_id=alert_id_of(a.reference), revision=2)


def test_an_update_of_a_stopped_chain_is_a_new_act_and_goes_out() -> None:
    a = message("A")
    world = World()
    world.take(a)
    world.stop(alert_id_of(a.reference))
    assert world.take(message("B", 1, a)) == Revise(alert_id=alert_id_of(a.reference), revision=2)


def test_an_update_sent_after_the_cancel_of_its_chain_is_a_new_act_and_goes_out() -> None:
    a = message("A")
    world = World()
    world.take(a, a_cancel("X", 1, a))
    assert world.take(message("B", 2, a)) == Revise(alert_id=alert_id_of(a.reference), revision=2)


def test_an_expired_alert_is_refused() -> None:
    refused = refusal(message("A", infos=(an_info(expires=NOW),)))
    assert refused.reason is RejectReason.EXPIRED
    assert refused.field == "info[0].expires"


def test_an_alert_is_live_while_one_of_its_infos_is() -> None:
    infos = (an_info(expires=NOW - timedelta(minutes=1)), an_info(expires=NOW + timedelta(minutes=1)))
    assert isinstance(World().take(message("A", infos=infos)), Begin)


def test_an_expired_update_of_nothing_live_is_refused() -> None:
    assert refusal(message("B", 1, message("A"), infos=(an_info(expires=NOW),))).reason is RejectReason.EXPIRED


def test_an_expired_update_never_sounds_but_ends_what_it_replaces() -> None:
    """As tsunami centres end a warning: an Update that expires in the second in which it is sent."""
    a = message("A")
    world = World()
    decision = world.take(a, message("B", 1, a, infos=(an_info(expires=NOW - timedelta(minutes=59)),)))
    root = alert_id_of(a.reference)
    assert decision == Suppress(alert_id=root, cause=SuppressCause.EXPIRED, ends=((root, 1),))
    assert world.heard() == set()


def test_an_alert_without_expires_that_is_replayed_later_has_expired() -> None:
    assert refusal(message("A", -1, infos=(an_info(expires=None),))).reason is RejectReason.EXPIRED


# Cancels


def test_a_cancel_ends_the_chain_up_to_its_newest_revision_also_when_it_names_an_old_one() -> None:
    a = message("A")
    b = message("B", 1, a)
    world = World()
    assert world.take(a, b, a_cancel("X", 2, a)) == End(ends=((alert_id_of(a.reference), 2),))
    assert world.heard() == set()


def test_a_cancel_of_several_chains_ends_each_once() -> None:
    a, b = message("A"), message("B", 1)
    a2 = message("A2", 2, a)
    decision = World().take(a, b, a2, a_cancel("X", 3, a2, b, a))
    assert decision == End(ends=((alert_id_of(a.reference), 2), (alert_id_of(b.reference), 1)))


def test_a_cancel_of_nothing_known_waits() -> None:
    a = message("A")
    assert World().take(a_cancel("X", 1, a)) == Await(references=(a.reference,))


def test_a_cancel_of_known_and_unknown_messages_does_both() -> None:
    a, b = message("A"), message("B", 1)
    world = World()
    decision = world.take(a, a_cancel("X", 2, b, a))
    assert decision == End(ends=((alert_id_of(a.reference), 1),), awaits=(b.reference,))
    assert isinstance(world.take(b), Suppress)


def test_an_alert_that_was_cancelled_before_it_came_never_sounds() -> None:
    a = message("A")
    decision = World().take(a_cancel("X", 1, a), a)
    assert decision == Suppress(alert_id=alert_id_of(a.reference), cause=SuppressCause.CANCELLED)


def test_an_update_whose_chain_was_cancelled_before_it_came_never_sounds() -> None:
    a = message("A")
    b = message("B", 1, a)
    c = message("C", 2, b)
    world = World()
    decisions = [world.take(m) for m in (a_cancel("X", 3, a), b, c, a)]
    assert [d.cause for d in decisions[1:] if isinstance(d, Suppress)] == [SuppressCause.CANCELLED] * 3
    assert world.begun == []


def test_a_cancel_that_names_a_missing_update_ends_the_alert_when_the_update_comes() -> None:
    a = message("A")
    b = message("B", 1, a)
    world = World()
    decision = world.take(a, a_cancel("X", 2, b), b)
    root = alert_id_of(a.reference)
    assert decision == Suppress(alert_id=root, cause=SuppressCause.CANCELLED, ends=((root, 1),))
    assert world.heard() == set()


def test_a_late_cancel_does_not_silence_what_its_sender_issued_after_it() -> None:
    a = message("A")
    world = World()
    decision = world.take(a, message("B", 2, a), a_cancel("X", 1, a))
    assert decision == End()
    assert world.heard() == {"B"}


def test_a_cancel_by_another_sender_ends_the_chain_whatever_the_clocks_say() -> None:
    a = message("A")
    world = World()
    world.take(a, message("B", 2, a), a_cancel("X", 1, a, sender="city@example"))
    assert world.heard() == set()


def test_a_cancel_of_what_is_over_says_so_again() -> None:
    a = message("A")
    decision = World().take(a, a_cancel("X", 1, a), a_cancel("Y", 2, a))
    assert decision == End(ends=((alert_id_of(a.reference), 1),))


def test_a_cancel_without_references_is_refused() -> None:
    assert refusal(a_cancel("X", 0)).reason is RejectReason.MISSING


def test_a_cancel_of_itself_names_nothing() -> None:
    itself = a_cancel("X", 0).reference
    assert refusal(a_cancel("X", 0, references=(itself,))).reason is RejectReason.MISSING


# Refusals


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.ACTUAL])
@pytest.mark.parametrize("msg_type", [MsgType.ALERT, MsgType.CANCEL])
def test_only_actual_goes_out(status: Status, msg_type: MsgType) -> None:
    refused = refusal(message("A", 1, message("B"), status=status, msg_type=msg_type))
    assert (refused.reason, refused.field) == (RejectReason.STATUS_NOT_ALLOWED, "status")
    assert str(status) in str(refused.sentence)


@pytest.mark.parametrize("msg_type", [MsgType.ACK, MsgType.ERROR])
def test_acknowledgements_and_errors_are_refused(msg_type: MsgType) -> None:
    refused = refusal(message("A", 1, message("B"), msg_type=msg_type))
    assert (refused.reason, refused.field) == (RejectReason.MSG_TYPE_NOT_ALLOWED, "msgType")


@pytest.mark.parametrize("scope", [Scope.RESTRICTED, Scope.PRIVATE])
def test_what_is_not_for_everybody_is_refused(scope: Scope) -> None:
    refused = refusal(message("A", scope=scope))
    assert (refused.reason, refused.field) == (RejectReason.SCOPE_NOT_ALLOWED, "scope")


def test_an_alert_from_the_future_is_refused_beyond_what_clocks_differ() -> None:
    assert isinstance(World().take(message("A", 65)), Begin)
    refused = refusal(message("A", 66))
    assert (refused.reason, refused.field) == (RejectReason.INVALID_VALUE, "sent")


def test_an_alert_that_says_nothing_is_refused() -> None:
    refused = refusal(message("A", infos=()))
    assert (refused.reason, refused.field) == (RejectReason.MISSING, "info")


# Worth


def test_an_alert_lasts_as_long_as_its_longest_info() -> None:
    infos = (an_info(expires=NOW + timedelta(hours=1)), an_info(expires=NOW + timedelta(hours=2)))
    assert expires_of(message("A", infos=infos), NOW, LIFETIME) == NOW + timedelta(hours=2)


def test_an_info_without_expires_lasts_from_when_it_was_sent_or_takes_effect() -> None:
    alert = message("A", 10, infos=(an_info(expires=None),))
    assert expires_of(alert, NOW, LIFETIME) == alert.sent + LIFETIME
    later = NOW + timedelta(days=1)
    assert (
        expires_of(message("A", infos=(an_info(expires=None, effective=later),)), NOW, LIFETIME) == later + LIFETIME
    )


@pytest.mark.parametrize("field", ["expires", "effective"])
def test_until_further_notice_is_a_month(field: str) -> None:
    never = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    alert = message("A", infos=(an_info(**({"expires": None} | {field: never})),))
    assert expires_of(alert, NOW, LIFETIME) == NOW + LONGEST_LIFETIME
    assert bool(notes_of_lifetime(alert, NOW)) is (field == "expires")


def test_a_senders_fast_clock_gives_no_longer_life() -> None:
    assert expires_of(message("A", 64, infos=(an_info(expires=None),)), NOW, LIFETIME) == NOW + LIFETIME


@pytest.mark.parametrize(
    ("severity", "level"),
    [
        (Severity.EXTREME, Level.RED),
        (Severity.SEVERE, Level.ORANGE),
        (Severity.MODERATE, Level.YELLOW),
        (Severity.MINOR, Level.BLUE),
        (Severity.UNKNOWN, Level.UNKNOWN),
    ],
)
def test_the_level_follows_the_severity(severity: Severity, level: Level) -> None:
    assert standing_of(message("A", infos=(an_info(severity=severity),)), {}).level is level


def said(name: str, value: str) -> NamedValue:
    return NamedValue(name=name, value=value)


def test_a_level_that_is_said_stands_over_the_severity() -> None:
    info = an_info(severity=Severity.EXTREME, parameter=(said("tocsin:level", "4"),))
    assert standing_of(message("A", infos=(info,)), {}).level is Level.BLUE


def test_the_weightiest_info_counts() -> None:
    infos = (
        an_info(severity=Severity.EXTREME),
        an_info(severity=Severity.MINOR, parameter=(said("tocsin:class", "air-raid"),)),
    )
    standing = standing_of(message("A", infos=infos), {})
    assert (standing.sound_class, standing.level) == (SoundClass.AIR_RAID, Level.BLUE)


def test_the_sender_gives_the_authority() -> None:
    ranks = {SENDER: Authority.PROVINCE}
    assert standing_of(message("A"), ranks).authority is Authority.PROVINCE
    assert standing_of(message("A", sender="x@y"), ranks).authority is Authority.DISTRICT
    assert standing_of(message("A", sender="x@y"), ranks, Authority.SUBDISTRICT).authority is Authority.SUBDISTRICT


@pytest.mark.parametrize(
    "parameter", [said("tocsin:level", "0"), said("tocsin:level", "red"), said("tocsin:class", "")]
)
def test_a_parameter_that_means_nothing_is_refused_by_its_place(parameter: NamedValue) -> None:
    info = an_info(parameter=(said("other", "x"), parameter))
    with pytest.raises(AlertRejected) as caught:
        standing_of(message("A", infos=(an_info(), info)), {})
    assert (caught.value.reason, caught.value.field) == (RejectReason.INVALID_VALUE, "info[1].parameter[1].value")


def test_a_level_said_twice_is_refused() -> None:
    info = an_info(parameter=(said("tocsin:level", "1"), said("tocsin:level", "1")))
    with pytest.raises(AlertRejected) as caught:
        standing_of(message("A", infos=(info,)), {})
    assert caught.value.reason is RejectReason.DUPLICATE_ELEMENT


# Any order


@st.composite
def histories(draw: st.DrawFn) -> list[Alert]:
    """What one sender sends, oldest first: alerts, Updates of anything earlier, Cancels of anything earlier."""
    sent: list[Alert] = []
    for minute in range(draw(st.integers(2, 9))):
        earlier = [m for m in sent if m.msg_type is not MsgType.CANCEL]
        kinds = [MsgType.ALERT] if not earlier else [MsgType.UPDATE, MsgType.UPDATE, MsgType.CANCEL, MsgType.ALERT]
        kind = draw(st.sampled_from(kinds))
        named = () if kind is MsgType.ALERT else draw(st.lists(st.sampled_from(earlier), min_size=1, max_size=3))
        made = a_cancel if kind is MsgType.CANCEL else message
        sent.append(made(f"M{minute}", minute, *named))
    return sent


def what_should_sound(history: list[Alert]) -> set[str]:
    """Of each set of messages linked by references the newest, unless a Cancel of one of them was sent after it."""
    chain_of = {m.reference: {m.reference} for m in history if m.msg_type is not MsgType.CANCEL}
    for update in (m for m in history if m.msg_type is MsgType.UPDATE):
        joined = set().union(chain_of[update.reference], *(chain_of[r] for r in update.references))
        chain_of |= dict.fromkeys(joined, joined)
    sounding = set()
    for chain in chain_of.values():
        newest = max(chain, key=lambda r: r.sent)
        cancels = [m.sent for m in history if m.msg_type is MsgType.CANCEL and chain.intersection(m.references)]
        if not any(sent > newest.sent for sent in cancels):
            sounding.add(newest.identifier)
    return sounding


@settings(deadline=None, max_examples=1000)
@given(st.data(), histories())
def test_the_end_is_the_same_whatever_the_order_of_arrival(data: st.DataObject, history: list[Alert]) -> None:
    arrival = data.draw(st.permutations(history))
    world = World()
    world.take(*arrival)
    assert world.heard() == what_should_sound(history)


@settings(deadline=None, max_examples=500)
@given(st.data(), histories())
def test_what_was_cancelled_or_replaced_by_name_before_it_came_never_begins(
    data: st.DataObject, history: list[Alert]
) -> None:
    world = World()
    named: set[Reference] = set()
    for alert in data.draw(st.permutations(history)):
        begun = len(world.begun)
        world.take(alert)
        assert not (alert.reference in named and len(world.begun) > begun)
        if alert.msg_type is not MsgType.ALERT:
            named.update(alert.references)


@settings(deadline=None, max_examples=300)
@given(st.data(), histories())
def test_a_message_that_comes_twice_sounds_once(data: st.DataObject, history: list[Alert]) -> None:
    """The caller answers repetitions of what went out; the others may come here again."""
    world = World()
    for alert in data.draw(st.permutations(history + history)):
        if alert.reference not in world.begun:
            world.take(alert)
    assert len(world.begun) == len(set(world.begun))
    assert world.heard() == what_should_sound(history)
