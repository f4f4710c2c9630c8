"""What a day is made of: the circumstances that decide it, and what sounds, is held, and conflicts in one zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from broadcast_core.model import Clip, Mode, Zone
from scheduler.calendar import Calendar
from scheduler.cues import Cue
from scheduler.held import Held
from scheduler.kindness import Kindness, Rules, Span
from scheduler.layout import Laid, LeftOut
from scheduler.model import Occurrence, Schedule, Slot


@dataclass(frozen=True, kw_only=True, slots=True)
class ModeSpan:
    """A zone's own mode for a time. `until` None is until somebody changes it."""

    zone: str
    mode: Mode
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """Everything that decides what plays."""

    schedule: Schedule
    zones: Mapping[str, Zone]
    tz: ZoneInfo
    calendar: Calendar = field(default_factory=Calendar)
    kindness: Kindness = field(default_factory=Kindness)
    modes: tuple[ModeSpan, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """Something sounds: an item of an occurrence, from `position` in it, at `volume`."""

    occurrence: str
    slot_id: str
    item_id: str
    starts_at: datetime
    ends_at: datetime
    volume: int
    position: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldSegment:
    """Something scheduled does not sound: an item, or (`item_id` None) an occurrence for that time."""

    occurrence: str
    slot_id: str
    item_id: str | None
    starts_at: datetime
    ends_at: datetime
    held: Held
    by: str | None = None  # the occurrence that has the zone, where one has


class Because(StrEnum):
    """Why the winner of a conflict wins."""

    AUTHORITY = "authority"
    BEGAN_FIRST = "began_first"
    IDENTIFIER = "identifier"


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """Two occurrences want the zone at the same time."""

    winner: str
    loser: str
    starts_at: datetime
    ends_at: datetime
    because: Because


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What is sent to a zone of an occurrence: its clips less what is held, and when it ends at the latest.

    Who interrupts whom is left to the speaker, which knows what is live; so `clips` has also what is outranked now.
    """

    occurrence: Occurrence
    slot: Slot
    clips: tuple[Clip, ...]
    expires: datetime
    volume: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ZoneDay:
    """One local date in one zone."""

    date: date
    segments: tuple[Segment, ...]  # by time, never overlapping
    held: tuple[HeldSegment, ...]  # by time
    conflicts: tuple[Conflict, ...]
    sent: tuple[Sent, ...]  # of the occurrences that begin on this date; those without clips are not sent
    spent: float  # of the nuisance budget, by the occurrences that begin on this date

    def at(self, instant: datetime) -> Segment | None:
        """What sounds at an instant."""
        return next((s for s in self.segments if s.starts_at <= instant < s.ends_at), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class ZonesDay:
    """The zones that share one day."""

    zones: tuple[str, ...]
    day: ZoneDay


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What these zones are to be sent of one occurrence."""

    sent: Sent
    zones: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """An occurrence that may meet the day, laid out; the same in every zone."""

    occurrence: Occurrence
    slot: Slot
    clips: tuple[Laid, ...]
    cues: tuple[Cue, ...]  # the clips in absolute time
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that makes one zone's day differ from another's. Equal inputs, equal days."""

    slots: frozenset[str]
    rules: Rules
    emergency: tuple[Span, ...]
