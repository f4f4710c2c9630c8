"""Who pre-empts whom: one pure total order, used unchanged by the core, the simulated speaker and real devices.

Rule (docs/protocols/ip-speaker.md, "Precedence"): class, then authority, then level, then urgency, then certainty.
Only these interrupt, and an equal standing never does. Among those that wait the older goes first, then the
smaller identifier.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Protocol, TypeVar

from broadcast_core.model import Certainty, Level, Standing, Urgency

# More severe = larger. Unknown sorts below every colour, test below unknown.
_LEVEL: Final = {
    Level.RED: 5,
    Level.ORANGE: 4,
    Level.YELLOW: 3,
    Level.BLUE: 2,
    Level.UNKNOWN: 1,
    Level.TEST: 0,
}
_URGENCY: Final = {
    Urgency.IMMEDIATE: 4,
    Urgency.EXPECTED: 3,
    Urgency.FUTURE: 2,
    Urgency.PAST: 1,
    Urgency.UNKNOWN: 0,
}
_CERTAINTY: Final = {
    Certainty.OBSERVED: 4,
    Certainty.LIKELY: 3,
    Certainty.POSSIBLE: 2,
    Certainty.UNLIKELY: 1,
    Certainty.UNKNOWN: 0,
}

Weight = tuple[int, int, int, int, int]


class Item(Protocol):
    """Anything that can sound and waits its turn."""

    @property
    def standing(self) -> Standing: ...
    @property
    def issued_at(self) -> datetime: ...
    @property
    def identifier(self) -> str: ...


T = TypeVar("T", bound=Item)


def weight(standing: Standing) -> Weight:
    """The comparable weight of a standing; the larger pre-empts the smaller."""
    return (
        int(standing.sound_class),
        int(standing.authority),
        _LEVEL[standing.level],
        _URGENCY[standing.urgency],
        _CERTAINTY[standing.certainty],
    )


def interrupts(arriving: Standing, sounding: Standing) -> bool:
    """Whether `arriving` may interrupt what sounds now. Equal never does."""
    return weight(arriving) > weight(sounding)


def queue_key(item: Item) -> tuple[tuple[int, ...], datetime, str]:
    """Sort key of those that wait: heaviest first, then the older, then the smaller identifier."""
    return tuple(-w for w in weight(item.standing)), item.issued_at, item.identifier


def what_sounds(live: Iterable[T], sounding: T | None) -> T | None:
    """What should sound now among the live items, given what sounds. None when nothing is live."""
    ranked = sorted(live, key=queue_key)
    if not ranked:
        return None
    first = ranked[0]
    if sounding is not None and any(i.identifier == sounding.identifier for i in ranked):
        return first if interrupts(first.standing, sounding.standing) else sounding
    return first
