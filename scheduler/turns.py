"""One occurrence in one zone, among what outranks it: which parts of which clips sound when.

What interrupts is given as blocks of time (a higher or earlier occurrence, an emergency mode). After a block the
clip that was cut goes on by its own rule, as on the speaker: at position, from its start, skipped, or where the clock
says. What follows it comes later by as much, and the occurrence's end cuts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from broadcast_core.model import LateRule, ResumeRule
from scheduler.held import Held
from scheduler.model import ItemKind, Slot

_ZERO: Final = timedelta()


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A time in which something else has the zone; `until` None is for good."""

    since: datetime
    until: datetime | None
    held: Held  # OUTRANKED or EMERGENCY_MODE
    by: str | None = None  # key of the occurrence that has it


@dataclass(frozen=True, kw_only=True, slots=True)
class Cue:
    """A clip of an occurrence in absolute time, as scheduled. `index` is its place in the layout."""

    index: int
    item_id: str
    kind: ItemKind
    resume: ResumeRule
    loudness_lufs: float
    starts_at: datetime
    ends_at: datetime
    head: timedelta = _ZERO  # position within the item at `starts_at`, where its beginning is left out


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What sounds: a cue, from `position` within its item."""

    cue: Cue
    starts_at: datetime
    ends_at: datetime
    position: timedelta = _ZERO


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What does not sound: of a cue, or of the whole occurrence (`cue` None), when it would have, and why."""

    cue: Cue | None
    starts_at: datetime
    ends_at: datetime
    held: Held
    by: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    parts: tuple[Part, ...]
    kept: tuple[Kept, ...] = ()


def turn(cues: Sequence[Cue], blocks: Sequence[Block], slot: Slot, until: datetime) -> Turn:
    """What of the cues sounds before `until`. Cues are in order and do not overlap; blocks may."""
    if not cues:
        return Turn(parts=())
    walk = _Walk(cues, blocks, until)
    start, end = cues[0].starts_at, min(cues[-1].ends_at, until)
    free = walk.free_from(start)
    if free is None or free >= end:
        walk.keep_blocked(None, start, end)
    elif free - start <= slot.grace:
        walk.keep_blocked(None, start, free)
        walk.shift = free - start
        walk.play(list(cues))
    elif slot.late is LateRule.JOIN:
        walk.keep_blocked(None, start, free)
        walk.play(_by_clock(cues, free))
    else:
        walk.keep_blocked(None, start, free)
        walk.kept.append(Kept(cue=None, starts_at=free, ends_at=end, held=Held.LATE))
    return Turn(parts=tuple(walk.parts), kept=tuple(walk.kept))


def _by_clock(cues: Sequence[Cue], at: datetime) -> list[Cue]:
    """The cues from `at` on as scheduled; of the one in progress only the rest."""
    return [
        replace(cue, starts_at=at, head=cue.head + (at - cue.starts_at)) if cue.starts_at < at else cue
        for cue in cues
        if cue.ends_at > at
    ]


class _Walk:
    """The walk over the cues; `shift` is how much later than scheduled it all is by now."""

    def __init__(self, cues: Sequence[Cue], blocks: Sequence[Block], until: datetime) -> None:
        self.cues = cues
        self.blocks = sorted(blocks, key=lambda block: block.since)
        self.until = until
        self.shift = _ZERO
        self.parts: list[Part] = []
        self.kept: list[Kept] = []

    def play(self, pending: list[Cue]) -> None:
        while pending:
            pending = self._play_first(pending)

    def free_from(self, at: datetime) -> datetime | None:
        """The first instant from `at` on that no block holds; None if there is none."""
        while block := self._block_at(at):
            if block.until is None:
                return None
            at = block.until
        return at

    def keep_blocked(self, cue: Cue | None, since: datetime, until: datetime) -> None:
        """Note the blocks between two instants, in order."""
        at = since
        while at < until and (block := self._block_at(at)):
            end = until if block.until is None else min(block.until, until)
            self.kept.append(Kept(cue=cue, starts_at=at, ends_at=end, held=block.held, by=block.by))
            at = end

    def _block_at(self, at: datetime) -> Block | None:
        return next((b for b in self.blocks if b.since <= at and (b.until is None or at < b.until)), None)

    def _first_block_in(self, since: datetime, until: datetime) -> Block | None:
        return next((b for b in self.blocks if since < b.since < until), None)

    def _play_first(self, pending: list[Cue]) -> list[Cue]:
        """Play the first cue up to its end or its interruption; what is to be played then."""
        cue, later = pending[0], pending[1:]
        begins = cue.starts_at + self.shift
        free = self.free_from(begins)
        if begins >= self.until or free is None or free >= self.until:
            self.keep_blocked(cue, begins, self.until)
            return []
        if free > begins:
            self.keep_blocked(cue, begins, free)
            if cue.resume is ResumeRule.LIVE:
                return self._live(free)
            self.shift += free - begins
        ends = min(free + (cue.ends_at - cue.starts_at), self.until)
        block = self._first_block_in(free, ends)
        sounded_until = block.since if block else ends
        self.parts.append(Part(cue=cue, starts_at=free, ends_at=sounded_until, position=cue.head))
        return self._after(cue, later, sounded_until, sounded_until - free) if block else later

    def _after(self, cue: Cue, later: list[Cue], cut_at: datetime, sounded: timedelta) -> list[Cue]:
        """What is to be played after the interruption that cut the cue."""
        back = self.free_from(cut_at)
        self.keep_blocked(cue, cut_at, self.until if back is None else min(back, self.until))
        if back is None or back >= self.until:
            return []
        match cue.resume:
            case ResumeRule.POSITION:
                rest = replace(cue, starts_at=cue.starts_at + sounded, head=cue.head + sounded)
                self.shift = back - rest.starts_at
                return [rest, *later]
            case ResumeRule.START:
                whole = replace(cue, starts_at=cue.starts_at - cue.head, head=_ZERO)
                self.shift = back - whole.starts_at
                return [whole, *later]
            case ResumeRule.SKIP:
                self._note_lost(cue, back, cue.ends_at + self.shift)
                if later:
                    self.shift = max(self.shift, back - later[0].starts_at)
                return later
            case ResumeRule.LIVE:
                return self._live(back)

    def _live(self, at: datetime) -> list[Cue]:
        """Join what the clock says; nothing is late any more."""
        self.shift = _ZERO
        return _by_clock(self.cues, at)

    def _note_lost(self, cue: Cue, since: datetime, until: datetime) -> None:
        if since < until:
            self.kept.append(Kept(cue=cue, starts_at=since, ends_at=until, held=Held.INTERRUPTED))
