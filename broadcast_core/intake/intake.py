"""submit: refuse, compose, decide, plan, make durable, hand over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import structlog

from broadcast_core import audit, lifecycle, outbox
from broadcast_core.clock import Clock
from broadcast_core.config import Settings
from broadcast_core.dispatch import Dispatch
from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.intake import ledger, memory
from broadcast_core.intake.compose import Composed, Speak, compose, starts_of
from broadcast_core.intake.ledger import Entry
from broadcast_core.intake.wishes import wishes_of
from broadcast_core.lifecycle import Await, Begin, Decision, End, Ends, Known, Revise, Suppress, SuppressCause
from broadcast_core.live import Live, LiveAlert
from broadcast_core.model import (
    Alert,
    Approval,
    Authority,
    Channel,
    Domain,
    Endpoint,
    Plan,
    Reference,
    SirenPattern,
    Stop,
)
from broadcast_core.plan import (
    Expression,
    areas_of,
    expression_of,
    format_area,
    make_plan,
    notes_of,
    on_their_own,
    resolve,
)
from broadcast_core.registry import Change, ImportMode, Registry, Sheet
from broadcast_core.registry import rows as registry_rows
from broadcast_core.services import Accepted, Idempotency
from broadcast_core.store import Store

log = structlog.get_logger(__name__)


def _nobody_follows(_live: LiveAlert) -> None:
    """Nothing else depends on an alert."""


class Intake:
    """See `services.IntakePort`."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        live: Live,
        dispatch: Dispatch,
        current: Registry,
        patterns: Mapping[str, SirenPattern],
        speak: Speak,
        clock: Clock,
        registry_changed: Callable[[Registry, Change], Awaitable[None]],
        began: Callable[[LiveAlert], None] = _nobody_follows,
    ) -> None:
        self._settings = settings
        self._store = store
        self._live = live
        self._dispatch = dispatch
        self._patterns = patterns
        self._speak = speak
        self._clock = clock
        self._registry_changed = registry_changed
        self._began = began
        self._one_at_a_time = asyncio.Lock()  # decisions build on each other; composing does not wait for it
        self._one_import = asyncio.Lock()
        self.registry = current

    async def submit(
        self, alert: Alert, *, actor: str, area: Expression | None = None, idempotency: Idempotency | None = None
    ) -> Accepted:
        stops_seen = self._live.stops
        alert = alert if area is None else _aimed(alert, area)
        repeated = await self._answered_before(alert, actor, idempotency)
        if repeated is not None:
            return repeated
        try:
            first, _known = await self._decide(alert)  # refuses what may not go out, before any work is done for it
        except AlertRejected:
            # The same request may have been accepted since we looked: then that is the answer.
            if (repeated := await self._answered_before(alert, actor, idempotency)) is not None:
                return repeated
            raise
        composed: Composed | None = None
        targets: tuple[Endpoint, ...] = ()
        expression: Expression | None = None
        registry = self.registry
        if isinstance(first, (Begin, Revise)):
            wishes = wishes_of(alert, self._settings.policy, self._patterns)
            expression = expression_of(alert)
            targets = resolve(expression, registry, wishes.channels)
            standing = lifecycle.standing_of(alert, self._authorities())
            composed = await compose(alert, wishes, standing, settings=self._settings, speak=self._speak)
            lifetime = lifecycle.notes_of_lifetime(alert, self._clock.now())
            composed = replace(composed, notes=(*composed.notes, *notes_of(expression), *lifetime))
        async with self._one_at_a_time:
            repeated = await self._answered_before(alert, actor, idempotency)
            if repeated is not None:
                return repeated
            decision, known = await self._decide(alert)
            if isinstance(decision, (Begin, Revise)) and composed is None:
                raise AlertRejected(RejectReason.BUSY, _("What it refers to has just changed: send it again."))
            if composed is not None and expression is not None and self.registry is not registry:
                targets = resolve(expression, self.registry, composed.contents)  # an import has come in between
            entry = self._entry(alert, actor, decision, known, composed, targets, expression, idempotency)
            self._refuse_stopped(entry, stops_seen)
            with self._live.held((stop.alert_id, stop.revision) for stop, _plan in entry.stops):
                await self._store.write(lambda connection: ledger.enter(connection, entry))
                self._hand_over(entry)
            await self._end_if_stopped(entry, stops_seen)
        log.info("accepted", alert=entry.accepted.alert_id, revision=entry.accepted.revision, outcome=entry.outcome)
        return entry.accepted

    async def import_registry(self, new: Registry | Sheet, *, actor: str, mode: ImportMode) -> Change:
        # Not under the lock that a submit takes: an alert that comes meanwhile goes to the registry as it still is.
        async with self._one_import:
            now = self._clock.now()
            registry, change = await registry_rows.apply(
                self._store, new, actor=actor, now=now, record=audit.record, mode=mode
            )
            await self._registry_changed(registry, change)
            self.registry = registry
        return change

    async def _answered_before(self, alert: Alert, actor: str, idempotency: Idempotency | None) -> Accepted | None:
        async with self._store.read() as connection:
            if idempotency is not None:
                answer = await ledger.earlier_answer(connection, actor, idempotency)
                if answer is not None:
                    return answer
            return await ledger.same_message(connection, alert)

    async def _decide(self, alert: Alert) -> tuple[Decision, Mapping[Reference, Known]]:
        async with self._store.read() as connection:
            known, cancelled = await memory.recall(connection, alert)
        now, lifetime = self._clock.now(), self._settings.policy.default_lifetime
        return lifecycle.decide(alert, known, cancelled, now, lifetime), known

    def _entry(
        self,
        alert: Alert,
        actor: str,
        decision: Decision,
        known: Mapping[Reference, Known],
        composed: Composed | None,
        targets: tuple[Endpoint, ...],
        expression: Expression | None,
        idempotency: Idempotency | None,
    ) -> Entry:
        now = self._clock.now()
        expires = lifecycle.expires_of(alert, now, self._settings.policy.default_lifetime)
        plan, starts = None, {}
        if isinstance(decision, (Begin, Revise)) and composed is not None:
            approval = Approval(kind="one-person", actors=(actor,))
            starts = starts_of(
                composed,
                alert_id=decision.alert_id,
                revision=decision.revision,
                domain=Domain.LIVE,
                now=now,
                starts_at=now + self._settings.policy.start_lead,
                expires=expires,
                approval=approval,
            )
            plan = make_plan(decision.alert_id, decision.revision, starts, targets, self.registry)
        stops = self._stops(alert, actor, decision, plan)
        meant = () if plan is None else ledger.targets_of(plan)
        accepted = Accepted(
            alert_id=_identity(alert, decision)[0],
            revision=_identity(alert, decision)[1],
            msg_type=alert.msg_type,
            accepted_at=now,
            targets=Counter(endpoint.channel for endpoint in meant),
            simulated=sum(endpoint.simulated for endpoint in meant),
            unreachable=0 if plan is None else len(plan.unreachable),
            notes=() if composed is None else composed.notes,
            ended=tuple((stop.alert_id, stop.revision) for stop, _ in stops),
        )
        return Entry(
            alert=alert,
            actor=actor,
            accepted=accepted,
            outcome=type(decision).__name__.lower(),
            lesson=lifecycle.learn(alert, decision, known, expires),
            plan=plan,
            starts=starts,
            expression=expression,
            expires=expires,
            stops=stops,
            idempotency=idempotency,
        )

    def _stops(self, alert: Alert, actor: str, decision: Decision, plan: Plan | None) -> list[tuple[Stop, Plan]]:
        """What the message ends, and whom to tell."""
        ends: Ends = () if isinstance(decision, (Begin, Await)) else decision.ends
        taken_back = isinstance(decision, End) or (
            isinstance(decision, Suppress) and decision.cause is SuppressCause.CANCELLED
        )
        cause = "cancel" if taken_back else "superseded"
        stops = [self._stop(alert_id, revision, actor, cause, ()) for alert_id, revision in ends]
        if isinstance(decision, Revise) and plan is not None:
            # A speaker or horn that gets the new revision replaces the old one by itself; everyone else is told.
            replaced = tuple(d.endpoint.id for d in plan.deliveries if d.endpoint.channel is not Channel.SMS)
            stops.append(self._stop(decision.alert_id, decision.revision - 1, actor, "superseded", replaced))
        return [(stop, p) for stop, p in stops if stop.revision > 0]

    def _stop(
        self, alert_id: str, revision: int, actor: str, cause: str, told_otherwise: tuple[str, ...]
    ) -> tuple[Stop, Plan]:
        now = self._clock.now()
        live = [a for a in self._live.revisions(alert_id) if a.revision <= revision]
        stop = self._live.stop_of(alert_id, revision, actor=actor, cause=cause, now=now, domain=Domain.LIVE)
        spared = frozenset(told_otherwise)
        reached = [(a, e) for a in live for e in a.possibly_sounding() if e.key.endpoint_id not in spared]
        plan = self._live.stopping(stop, reached)
        if spared:  # a zone's topic would also reach those that replace it by themselves
            plan = on_their_own(plan)
        return stop, plan

    def _hand_over(self, entry: Entry) -> None:
        for stop, plan in entry.stops:
            self._live.end(stop)
            revisions = [a for a in self._live.revisions(stop.alert_id) if a.revision <= stop.revision]
            if revisions:
                self._dispatch.hand_over(revisions[-1], self._live.add(revisions[-1], plan.deliveries))
        if entry.plan is not None:
            live = self._live.begin(
                entry.plan,
                starts=entry.starts,
                expires=entry.expires,
                accepted_at=entry.accepted.accepted_at,
            )
            self._dispatch.hand_over(live, live.deliveries.values())
            self._began(live)

    def _refuse_stopped(self, entry: Entry, stops_seen: int) -> None:
        """Who stopped the alert while this was being composed meant this too; only a person may say it again."""
        if entry.plan is not None and self._live.stopped_since(entry.accepted.alert_id, stops_seen):
            raise AlertRejected(
                RejectReason.NOT_LIVE,
                _("Alert {alert} was stopped while this was under way: send it again if it is still meant.",
                  alert=entry.accepted.alert_id),
            )  # fmt: skip

    async def _end_if_stopped(self, entry: Entry, stops_seen: int) -> None:
        """The same, where the stop came while it was being made durable: it is there, and has ended."""
        if entry.plan is not None and self._live.stopped_since(entry.accepted.alert_id, stops_seen):
            stop, _nobody = self._stop(entry.accepted.alert_id, entry.accepted.revision, entry.actor, "stop", ())
            self._live.end(stop)
            await self._store.write(lambda connection: outbox.end(connection, stop))
            log.warning("stopped before anything was sent", alert=stop.alert_id, revision=stop.revision)

    def _authorities(self) -> dict[str, Authority]:
        return {sender: Authority[name] for sender, name in self._settings.policy.authority_by_sender.items()}


def _aimed(alert: Alert, area: Expression) -> Alert:
    """The alert at another area: what a foreign message said of where is replaced in every info."""
    areas = areas_of(area, format_area(area))
    return replace(alert, infos=tuple(replace(info, area=areas) for info in alert.infos))


def _identity(alert: Alert, decision: Decision) -> tuple[str, int]:
    match decision:
        case Begin() | Revise():
            return decision.alert_id, decision.revision
        case Suppress():
            return decision.alert_id, 0
        case End(ends=((alert_id, revision), *_)):
            return alert_id, revision
        case _:
            return lifecycle.alert_id_of(alert.references[0] if alert.references else alert.reference), 0
