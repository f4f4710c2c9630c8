"""One zone's day from the day's plan: each occurrence takes its turn by precedence, within the kind hours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final, TypeVar

from scheduler.cues import Cue, Kept, Part
from scheduler.day import (
    Because,
    Circumstances,
    Conflict,
    HeldSegment,
    Inputs,
    Planned,
    Segment,
    Sent,
    ZoneDay,
)
from scheduler.held import Held
from scheduler.kindness import Span, cost, quiet_spans, volume_between
from scheduler.local_time import day_bounds
from scheduler.model import ItemKind
from scheduler.turns import Entry, Turns

_MINUTE: Final = timedelta(minutes=1)
T = TypeVar("T", Segment, HeldSegment)


def zone_day(
    circumstances: Circumstances, when: date, planned: Sequence[Planned], inputs: Inputs, turns: Turns
) -> ZoneDay:
    """What sounds on a local date in a zone with these inputs. `planned` is in order of precedence."""
    zone = _Zone(circumstances, inputs, turns)
    here = [plan for plan in planned if plan.slot.id in inputs.slots]
    for plan in here:
        zone.take_turn(plan)
    begins, ends = day_bounds(when, circumstances.tz)
    return ZoneDay(
        date=when,
        segments=tuple(sorted(_meeting(zone.segments, begins, ends), key=lambda s: s.starts_at)),
        held=tuple(sorted(_meeting(zone.held, begins, ends), key=lambda h: (h.starts_at, h.occurrence))),
        conflicts=_conflicts(_meeting(zone.held, begins, ends), here),
        sent=tuple(sent for sent in zone.sent if sent.occurrence.date == when),
        spent=zone.spent.get(when, 0.0),
    )


class _Zone:
    """The turns taken so far in one zone: what is occupied, played and spent."""

    def __init__(self, circumstances: Circumstances, inputs: Inputs, turns: Turns) -> None:
        self._circumstances = circumstances
        self._rules = inputs.rules
        self._emergency = inputs.emergency
        self._turns = turns
        self._entries: list[Entry] = []  # what is sent of those that had their turn
        self._played: dict[tuple[date, str], list[Span]] = {}  # by day and item
        self.spent: dict[date, float] = {}
        self.segments: list[Segment] = []
        self.held: list[HeldSegment] = []
        self.sent: list[Sent] = []

    def take_turn(self, plan: Planned) -> None:
        self._note_left_out(plan)
        begin, until = self._kind_window(plan)
        kind = _within(plan.cues, begin, until)
        sounding_kindly = {cue.index for cue in kind}
        self._hold(plan, (_kept(cue, Held.QUIET_HOURS) for cue in plan.cues if cue.index not in sounding_kindly))
        volume = self._volume(plan, begin, until)
        refused: dict[int, Held] = {}
        while True:  # what is left without a refused clip may come at another time; each round refuses more
            left = [cue for cue in kind if cue.index not in refused]
            sent = self._sent(plan, left, until, volume)
            entry = self._turns.entry(sent, left) if left else None
            more = self._spend(plan, entry, volume)
            if not more:
                break
            refused |= more
        self._hold(plan, (_kept(cue, refused[cue.index]) for cue in kind if cue.index in refused))
        self.sent.append(sent)
        if entry is not None:
            turn = self._turns.turn(entry, self._entries, self._emergency)
            self._hold(plan, turn.kept)
            self._sound(plan, turn.parts, volume)
            self._entries.append(entry)
        elif kind:  # what it would have had to wait for is worth knowing all the same
            whole = self._turns.entry(self._sent(plan, kind, until, volume), kind)
            self._hold(plan, self._turns.turn(whole, self._entries, self._emergency).kept)

    def _sent(self, plan: Planned, cues: Sequence[Cue], until: datetime, volume: int) -> Sent:
        clips = tuple(plan.clips[cue.index].clip for cue in cues)
        return Sent(occurrence=plan.occurrence, slot=plan.slot, clips=clips, expires=until, volume=volume)

    def _kind_window(self, plan: Planned) -> Span:
        """The occurrence's first stretch outside quiet hours; empty at its end if there is none.

        Only one stretch: what is interrupted plays on later, and must not play on into quiet hours in between.
        """
        begin, end = plan.occurrence.starts_at, plan.occurrence.ends_at
        known = self._circumstances
        for since, until in quiet_spans(self._rules, begin, end, known.calendar, known.tz):
            if since <= begin:
                begin = min(max(begin, until), end)
            else:
                return begin, since
        return begin, end

    def _volume(self, plan: Planned, begin: datetime, until: datetime) -> int:
        known = self._circumstances
        return volume_between(self._rules, plan.slot.volume, begin, until, known.calendar, known.tz)

    def _spend(self, plan: Planned, entry: Entry | None, volume: int) -> dict[int, Held]:
        """The cues (by index) that kindness holds, whole, and why; if none, the others are on its books.

        As if there were no emergency: so it is sent, long before anybody knows of one.
        """
        if entry is None:
            return {}
        day, parts = plan.occurrence.date, self._turns.turn(entry, self._entries, ()).parts
        spent, refused = self._refused(day, parts, volume)
        if not refused and parts:
            self.spent[day] = spent
            for part in parts:
                self._played.setdefault((day, part.cue.item_id), []).append((part.starts_at, part.ends_at))
        return refused

    def _refused(self, day: date, parts: Sequence[Part], volume: int) -> tuple[float, dict[int, Held]]:
        """What is spent with these parts, and the cues that do not fit."""
        refused: dict[int, Held] = {}
        spent = self.spent.get(day, 0.0)
        by_cue: dict[int, list[Part]] = {}
        for part in parts:
            by_cue.setdefault(part.cue.index, []).append(part)
        for index, sounding in by_cue.items():
            price = sum(self._price(part, volume) for part in sounding)
            if sounding[0].cue.kind is not ItemKind.CHIME and any(self._repeats(day, part) for part in sounding):
                refused[index] = Held.NO_REPEAT
            elif spent + price > self._rules.budget:
                refused[index] = Held.BUDGET
            else:
                spent += price
        # A chime with nothing to announce is held for the same reason as what it would have announced.
        left = [part.cue for part in parts if part.cue.index not in refused]
        if refused and all(cue.kind is ItemKind.CHIME for cue in left):
            why = next(iter(refused.values()))
            refused |= {cue.index: why for cue in left}
        return spent, refused

    def _price(self, part: Part, volume: int) -> float:
        minutes = (part.ends_at - part.starts_at) / _MINUTE
        return cost(minutes, volume, part.cue.loudness_lufs, self._circumstances.kindness.reference_lufs)

    def _repeats(self, day: date, part: Part) -> bool:
        """Whether the item sounds in another occurrence of the day within the window, before or after."""
        window = self._rules.no_repeat
        return any(
            part.starts_at < end + window and start < part.ends_at + window
            for start, end in self._played.get((day, part.cue.item_id), ())
        )

    def _sound(self, plan: Planned, parts: Sequence[Part], volume: int) -> None:
        self.segments.extend(
            Segment(
                occurrence=plan.occurrence.key,
                slot_id=plan.slot.id,
                item_id=part.cue.item_id,
                starts_at=part.starts_at,
                ends_at=part.ends_at,
                volume=volume,
                position=part.position,
            )
            for part in parts
        )

    def _note_left_out(self, plan: Planned) -> None:
        at, until = plan.occurrence.starts_at, plan.occurrence.ends_at
        for left in plan.left_out:
            self._note(plan, left.item_id, at, until, left.held)
        if not plan.cues:
            self._note(plan, None, at, until, Held.PLAYLIST_EMPTY)

    def _hold(self, plan: Planned, kept: Iterable[Kept]) -> None:
        for piece in kept:
            item = piece.cue.item_id if piece.cue else None
            self._note(plan, item, piece.starts_at, piece.ends_at, piece.held, piece.by)

    def _note(
        self, plan: Planned, item: str | None, since: datetime, until: datetime, held: Held, by: str | None = None
    ) -> None:
        self.held.append(
            HeldSegment(
                occurrence=plan.occurrence.key,
                slot_id=plan.slot.id,
                item_id=item,
                starts_at=since,
                ends_at=until,
                held=held,
                by=by,
            )
        )


def _within(cues: Sequence[Cue], begin: datetime, until: datetime) -> list[Cue]:
    """The cues that sound whole within a window; no chime alone."""
    found = [cue for cue in cues if begin <= cue.starts_at and cue.ends_at <= until]
    return [] if all(cue.kind is ItemKind.CHIME for cue in found) else found


def _kept(cue: Cue, held: Held) -> Kept:
    return Kept(cue=cue, starts_at=cue.starts_at, ends_at=cue.ends_at, held=held)


def _meeting(pieces: Sequence[T], begins: datetime, ends: datetime) -> list[T]:
    return [piece for piece in pieces if piece.starts_at < ends and piece.ends_at > begins]


def _conflicts(held: Sequence[HeldSegment], planned: Sequence[Planned]) -> tuple[Conflict, ...]:
    """Who had to wait for whom: the pieces of one pair from the first to the last."""
    plans = {plan.occurrence.key: plan for plan in planned}
    spans: dict[tuple[str, str], Span] = {}
    for piece in held:
        if piece.by is not None:
            pair = piece.by, piece.occurrence
            since, until = spans.get(pair, (piece.starts_at, piece.ends_at))
            spans[pair] = min(since, piece.starts_at), max(until, piece.ends_at)
    found = (
        Conflict(
            winner=winner,
            loser=loser,
            starts_at=since,
            ends_at=until,
            because=_because(plans[winner], plans[loser]),
        )
        for (winner, loser), (since, until) in spans.items()
    )
    return tuple(sorted(found, key=lambda c: (c.starts_at, c.winner, c.loser)))


def _because(winner: Planned, loser: Planned) -> Because:
    if winner.slot.authority != loser.slot.authority:
        return Because.AUTHORITY
    if winner.occurrence.starts_at != loser.occurrence.starts_at:
        return Because.BEGAN_FIRST
    return Because.IDENTIFIER
