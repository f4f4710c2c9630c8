"""An occurrence's clips in absolute time: as scheduled, as they sound, and as they are held."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from scheduler.held import Held
from scheduler.model import ItemKind

_ZERO: Final = timedelta()


@dataclass(frozen=True, kw_only=True, slots=True)
class Cue:
    """A clip of an occurrence as scheduled. `index` is its place in the layout."""

    index: int
    item_id: str
    kind: ItemKind
    loudness_lufs: float
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What sounds: a cue, from `position` within its item. `cut`: by an interruption."""

    cue: Cue
    starts_at: datetime
    ends_at: datetime
    position: timedelta = _ZERO
    cut: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What does not sound: of a cue, or of the whole occurrence (`cue` None), when it would have, and why."""

    cue: Cue | None
    starts_at: datetime
    ends_at: datetime
    held: Held
    by: str | None = None  # key of the occurrence that has the zone
