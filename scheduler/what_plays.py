"""What plays when: a pure function of schedule, calendar, kindness, mode and date, for any zone.

The runner and the preview call the same function, `day_of`. Zones with the same inputs share one answer, so a day of
734 communities costs about as much as it has different ones.

What wins (`Because`): the higher authority; of equal ones what began first, since an equal never interrupts; of
those that begin together the smaller identifier on the wire. That, and how it goes on afterwards, is the word of the
speakers' own player (`turns`). Quiet hours, emergency modes, expiry, the no-repeat window and the budget hold things
back, each with a reason of `Held`. Repeats and the budget are counted for the day on which an occurrence begins, and
the higher authority takes its share first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from broadcast_core.model import Mode, Zone
from scheduler.cues import Cue
from scheduler.day import Circumstances, Inputs, Message, ModeSpan, Planned, Sent, ZoneDay, ZonesDay
from scheduler.kindness import Rules, Span, merged
from scheduler.layout import Laid, lay_out
from scheduler.local_time import day_bounds
from scheduler.model import Occurrence, Slot
from scheduler.recurrence import on_date
from scheduler.sending import message_id
from scheduler.turns import Turns
from scheduler.zone_day import zone_day

_DAY: Final = timedelta(days=1)
_FOR_GOOD: Final = datetime.max.replace(tzinfo=UTC)


def what_plays(circumstances: Circumstances, zone: str, when: date) -> ZoneDay:
    """One zone's local date: what an endpoint that belongs to this very zone plays. KeyError for an unknown zone."""
    (answer,) = day_of(circumstances, when, (zone,))
    return answer.day


def day_of(circumstances: Circumstances, when: date, zones: Iterable[str] | None = None) -> tuple[ZonesDay, ...]:
    """The local date in these zones (all, without), grouped by what plays there. KeyError for an unknown zone."""
    inputs = _Inputs(circumstances, when)
    groups: dict[Inputs, list[str]] = {}
    for zone in circumstances.zones if zones is None else zones:
        groups.setdefault(inputs.of(zone), []).append(zone)
    planned, turns = plan_day(circumstances, when), Turns()
    return tuple(
        ZonesDay(zones=tuple(codes), day=zone_day(circumstances, when, planned, given, turns))
        for given, codes in groups.items()
    )


def messages(circumstances: Circumstances, when: date) -> tuple[Message, ...]:
    """What is to be sent to which zones, of each occurrence that begins on a local date.

    Mostly one message for an occurrence, more where zones differ in kindness; none to zones in which nothing of it
    may sound. Modes are left out on purpose: a speaker knows its own, and a switch in one community must change
    nothing for another. By occurrence, then by zone.
    """
    found: dict[Sent, list[str]] = {}
    for group in day_of(replace(circumstances, modes=()), when):
        for sent in group.day.sent:
            if sent.clips:
                found.setdefault(sent, []).extend(group.zones)
    all_ = (Message(sent=sent, zones=tuple(sorted(zones))) for sent, zones in found.items())
    return tuple(sorted(all_, key=lambda m: (m.sent.occurrence.starts_at, m.sent.occurrence.key, m.zones)))


def plan_day(circumstances: Circumstances, when: date) -> tuple[Planned, ...]:
    """Every occurrence that may meet the date, laid out, in order of precedence.

    The day before is in it only when something of it reaches over midnight, and then as a whole, since what it holds
    back depends on all of it.
    """
    begins, _ends = day_bounds(when, circumstances.tz)
    found = _begun_on(circumstances, when)
    before = _begun_on(circumstances, when - _DAY)
    if any(occurrence.ends_at > begins for occurrence, _slot in before):
        found += before
    found.sort(key=lambda pair: (-pair[1].authority, pair[0].starts_at, message_id(pair[0].key)))
    return tuple(_planned(occurrence, slot, circumstances) for occurrence, slot in found)


def _begun_on(circumstances: Circumstances, when: date) -> list[tuple[Occurrence, Slot]]:
    return [
        (occurrence, slot)
        for slot in circumstances.schedule.slots.values()
        if slot.enabled
        for occurrence in on_date(slot, when, circumstances.calendar, circumstances.tz)
    ]


def _planned(occurrence: Occurrence, slot: Slot, circumstances: Circumstances) -> Planned:
    layout = lay_out(occurrence, slot, circumstances.schedule)
    cues = tuple(_cue(index, laid, occurrence) for index, laid in enumerate(layout.clips))
    return Planned(occurrence=occurrence, slot=slot, clips=layout.clips, cues=cues, left_out=layout.left_out)


def _cue(index: int, laid: Laid, occurrence: Occurrence) -> Cue:
    return Cue(
        index=index,
        item_id=laid.clip.item_id,
        kind=laid.kind,
        loudness_lufs=laid.loudness_lufs,
        starts_at=occurrence.starts_at + laid.clip.offset,
        ends_at=occurrence.starts_at + laid.ends,
    )


class _Inputs:
    """The inputs of each zone, found from the root down, once."""

    def __init__(self, circumstances: Circumstances, when: date) -> None:
        self._zones: Mapping[str, Zone] = circumstances.zones
        self._kindness = circumstances.kindness
        begins, ends = day_bounds(when, circumstances.tz)
        self._window = (begins - _DAY, ends + _DAY)
        self._slots: dict[str, frozenset[str]] = {}
        for slot in circumstances.schedule.slots.values():
            for zone in slot.zones if slot.enabled else ():
                self._slots[zone] = self._slots.get(zone, frozenset()) | {slot.id}
        self._modes: dict[str, list[ModeSpan]] = {}
        for span in circumstances.modes:
            self._modes.setdefault(span.zone, []).append(span)
        self._known: dict[str | None, Inputs] = {
            None: Inputs(slots=frozenset(), rules=self._kindness.default, emergency=())
        }

    def of(self, zone: str) -> Inputs:
        if zone not in self._known:
            parent = self.of(up) if (up := self._zones[zone].parent) in self._zones and up else self._known[None]
            own = self._slots.get(zone)
            self._known[zone] = Inputs(
                slots=parent.slots | own if own else parent.slots,
                rules=self._rules(parent.rules, zone),
                emergency=_emergency(parent.emergency, self._modes.get(zone, ()), self._window),
            )
        return self._known[zone]

    def _rules(self, parent: Rules, zone: str) -> Rules:
        return self._kindness.below(parent, zone)


def _emergency(parent: tuple[Span, ...], own: Iterable[ModeSpan], window: Span) -> tuple[Span, ...]:
    """When a zone is in emergency mode: its own settings as long as they hold, its parent's otherwise."""
    spans = list(parent)
    for setting in own:
        since, until = setting.since, setting.until or _FOR_GOOD
        spans = [part for span in spans for part in _less(span, since, until)]
        if setting.mode is Mode.EMERGENCY and since < window[1] and until > window[0]:
            spans.append((since, until))
    return merged(spans)


def _less(span: Span, since: datetime, until: datetime) -> list[Span]:
    """A span without the time between two instants."""
    parts = [(span[0], min(span[1], since)), (max(span[0], until), span[1])]
    return [part for part in parts if part[0] < part[1]]
