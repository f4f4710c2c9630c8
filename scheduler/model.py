"""Peacetime's types: what may play, where, when and how. Frozen, free of I/O.

Times of day and dates are local to the district's time zone (`config.timezone`); instants are aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

from broadcast_core.model import AudioRef, Authority, LateRule, ResumeRule

DEFAULT_GRACE: Final = timedelta(minutes=1)


class ItemKind(StrEnum):
    AUDIO = "audio"  # uploaded
    TEXT = "text"  # spoken by the alerts' voice
    CHIME = "chime"  # opens a playlist; no repeat of it is a nuisance


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One piece of the media library. `expires_on` is the last local day on which it may play."""

    id: str
    title: str
    audio: AudioRef
    loudness_lufs: float
    resume: ResumeRule = ResumeRule.POSITION
    kind: ItemKind = ItemKind.AUDIO
    expires_on: date | None = None


class PlayOrder(StrEnum):
    IN_ORDER = "in_order"
    SHUFFLED = "shuffled"  # without repeats, another order each day, the same on every machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Playlist:
    """Items by id, with `gap` of silence between two, opened by the item `chime` where there is one."""

    id: str
    name: str
    items: tuple[str, ...]
    order: PlayOrder = PlayOrder.IN_ORDER
    gap: timedelta = timedelta()
    chime: str | None = None


class DayKind(StrEnum):
    WORK = "work"
    REST = "rest"


@dataclass(frozen=True, kw_only=True, slots=True)
class Daily:
    """Every day, or every `every`-th counted from `anchor`."""

    every: int = 1
    anchor: date | None = None  # required when `every` > 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Weekly:
    """On these weekdays (Monday is 0), in every `every`-th week counted from the week of `anchor`."""

    days: tuple[int, ...]
    every: int = 1
    anchor: date | None = None  # required when `every` > 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Yearly:
    """On one day of the year. 29 February happens in leap years only."""

    month: int
    day: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Dates:
    """On these dates and no other."""

    dates: tuple[date, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CalendarDays:
    """On working days or on days of rest by the official calendar, make-up days included (调休)."""

    kind: DayKind
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)  # of those, only these


@dataclass(frozen=True, kw_only=True, slots=True)
class Festivals:
    """On festivals of `festivals.toml`, from `before` days ahead, `days` days long."""

    names: tuple[str, ...]
    before: int = 0
    days: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Cron:
    """By five cron fields (minute hour day month weekday); gives the times of day as well as the dates."""

    expression: str


Rule = Daily | Weekly | Yearly | Dates | CalendarDays | Festivals | Cron


@dataclass(frozen=True, kw_only=True, slots=True)
class Recurrence:
    """A rule between `first` and `last` (both included), less the dates `without`, plus the dates `also`.

    A date in both `without` and `also` is out. `also` may lie outside `first` and `last`; a `Cron` has none.
    """

    rule: Rule
    first: date | None = None
    last: date | None = None
    without: tuple[date, ...] = ()
    also: tuple[date, ...] = ()


class Fill(StrEnum):
    """What a slot does when its playlist is shorter."""

    ONCE = "once"  # silence to the end
    REPEAT = "repeat"  # again from the first item, as long as a whole item fits


class Overrun(StrEnum):
    """What a slot does when its playlist is longer."""

    REFUSE = "refuse"  # not saved; should it have become so since, whole items are left out at the end
    CUT = "cut"  # the last item is cut where the slot ends


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """Zones × time × recurrence × playlist × volume. `start` is None for a `Cron`, which has times of its own."""

    id: str
    name: str
    zones: tuple[str, ...]
    start: time | None
    length: timedelta
    recurrence: Recurrence
    playlist: str
    volume: int  # 0-100
    created_at: datetime
    authority: Authority = Authority.DISTRICT  # town: SUBDISTRICT, county: DISTRICT
    late: LateRule = LateRule.JOIN
    grace: timedelta = DEFAULT_GRACE
    fill: Fill = Fill.ONCE
    overrun: Overrun = Overrun.REFUSE
    enabled: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """All of it: slots, playlists and items, by id."""

    slots: Mapping[str, Slot] = field(default_factory=dict)
    playlists: Mapping[str, Playlist] = field(default_factory=dict)
    items: Mapping[str, Item] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Occurrence:
    """One slot on one day. `key` is unique and never changes: slot and date, for a `Cron` the local time too."""

    key: str
    slot_id: str
    date: date  # local, nominal: also where daylight saving moves the start
    starts_at: datetime
    ends_at: datetime
