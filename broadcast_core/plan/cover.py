"""The fewest messages that reach exactly the speakers that are meant.

A zone's topic reaches all speakers of its subtree with one message, which can name some that are not meant; a
speaker can also be reached alone. Over the tree of zones the smallest choice is found from the leaves up: for each
zone either its own topic, or the best of what is below it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple

from broadcast_core.model import Channel, Endpoint
from broadcast_core.registry import Registry

# How many a message may name as exceptions: what fits a small packet, or few in proportion in a large zone.
MOST_EXCLUDED: Final = 16
MOST_EXCLUDED_SHARE: Final = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Cover:
    """One message: to the topic of `zone`, or with zone None to the only one of `speakers` alone.

    `speakers` are those meant, `excluded` the zone's other speakers (ids), `version` its membership version.
    """

    zone: str | None
    version: int
    speakers: tuple[Endpoint, ...]
    excluded: tuple[str, ...] = ()


class _Cost(NamedTuple):
    """Compared in this order: fewer messages, then fewer exceptions, then fewer topics of single speakers."""

    messages: int = 0
    excluded: int = 0
    alone: int = 0

    def __add__(self, other: object) -> _Cost:
        if not isinstance(other, _Cost):
            return NotImplemented
        return _Cost(self.messages + other.messages, self.excluded + other.excluded, self.alone + other.alone)


def cover(
    targets: Collection[Endpoint], registry: Registry, *, most_excluded: int = MOST_EXCLUDED
) -> tuple[Cover, ...]:
    """The smallest set of messages that reaches these speakers and no other.

    A speaker that is in a zone and not a target is excluded there by name, a disabled one too. No message excludes
    more than it reaches, nor more than `most_excluded` or `MOST_EXCLUDED_SHARE` of the zone, whichever is more.
    Where two choices cost the same, the smaller zone is taken: its membership changes less often. A speaker that is
    not in the registry is reached alone.
    """
    # A registry imported since the targets were found may have lost some; they are still meant.
    covers = [Cover(zone=None, version=0, speakers=(e,)) for e in targets if e.id not in registry.endpoints]
    if len(covers) < len(targets):
        _Search(targets, registry, most_excluded).collect(registry.root.code, covers)
    return tuple(covers)


class _Search:
    def __init__(self, targets: Collection[Endpoint], registry: Registry, most_excluded: int) -> None:
        wanted = {endpoint.id for endpoint in targets}
        self._registry = registry
        self._most_excluded = most_excluded
        self._speakers = registry.ordered(Channel.SPEAKER)
        self._wanted = [speaker.id in wanted for speaker in self._speakers]
        self._before = [0, *accumulate(self._wanted)]  # how many targets stand before each place
        self._cost: dict[str, _Cost] = {}
        self._by_topic: set[str] = set()
        for code in reversed(tuple(registry.zones)):  # children before parents
            self._weigh(code)

    def collect(self, code: str, covers: list[Cover]) -> None:
        """Append the messages chosen for the zone's subtree."""
        if not self._cost[code].messages:
            return
        if code in self._by_topic:
            covers.append(self._topic(code))
            return
        for place in self._own(code):
            covers.append(Cover(zone=None, version=0, speakers=(self._speakers[place],)))
        for child in self._registry.children(code):
            self.collect(child.code, covers)

    def _weigh(self, code: str) -> None:
        low, high = self._registry.span(code, Channel.SPEAKER)
        meant = self._before[high] - self._before[low]
        if not meant:
            self._cost[code] = _Cost()
            return
        alone = len(self._own(code))
        below = sum((self._cost[z.code] for z in self._registry.children(code)), _Cost(alone, 0, alone))
        excluded = high - low - meant
        allowed = max(self._most_excluded, int((high - low) * MOST_EXCLUDED_SHARE))
        if excluded <= min(meant, allowed) and _Cost(1, excluded) < below:
            self._by_topic.add(code)
            self._cost[code] = _Cost(1, excluded)
        else:
            self._cost[code] = below

    def _own(self, code: str) -> list[int]:
        """Places of the targets that belong to the zone itself; they stand before those of its children."""
        low, high = self._registry.span(code, Channel.SPEAKER)
        places = []
        for place in range(low, high):
            if self._speakers[place].zone != code:
                break
            if self._wanted[place]:
                places.append(place)
        return places

    def _topic(self, code: str) -> Cover:
        places = range(*self._registry.span(code, Channel.SPEAKER))
        return Cover(
            zone=code,
            version=self._registry.zones[code].membership_version,
            speakers=tuple(self._speakers[i] for i in places if self._wanted[i]),
            excluded=tuple(self._speakers[i].id for i in places if not self._wanted[i]),
        )
