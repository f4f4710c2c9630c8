"""The registry as it stands at one moment: immutable, checked and indexed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from broadcast_core.errors import NotFound, RegistryRejected
from broadcast_core.model import Channel, Circle, Endpoint, Point, Zone
from broadcast_core.registry.check import faults
from broadcast_core.registry.positions import Mask, Positions

Span = tuple[int, int]


class Registry:
    """The tree of zones and the endpoints in them.

    `endpoints` keeps the order of a walk down the tree (siblings by code, endpoints of one zone by id), so that a
    zone's subtree is one slice. Two registries are equal when all their zones and endpoints are. An empty one is
    allowed: a fresh installation before its first import.
    """

    __slots__ = ("_children", "_index", "_order", "_ordered", "_spans", "endpoints", "positions", "zones")

    def __init__(self, zones: Iterable[Zone] = (), endpoints: Iterable[Endpoint] = ()) -> None:
        """Raises RegistryRejected (lines are 0) if the rules of `check` do not hold."""
        zones, endpoints = tuple(zones), tuple(endpoints)
        found = faults([(0, z) for z in zones], [(0, e) for e in endpoints])
        if found:
            raise RegistryRejected(found)
        self._children = _children(zones)
        walk = _walk(self._children)
        self.zones: Mapping[str, Zone] = MappingProxyType({zone.code: zone for zone in walk})
        self._order = _in_walk_order(walk, endpoints)
        self.endpoints: Mapping[str, Endpoint] = MappingProxyType({e.id: e for e in self._order})
        self._index = {endpoint.id: i for i, endpoint in enumerate(self._order)}
        self._ordered = {
            channel: tuple(e for e in self._order if channel is None or e.channel is channel)
            for channel in (None, *Channel)
        }
        self._spans = {c: _spans(walk, self._children, members) for c, members in self._ordered.items()}
        self.positions = self._judged_positions()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Registry):
            return NotImplemented
        return self.zones == other.zones and self.endpoints == other.endpoints

    def __hash__(self) -> int:
        return hash((tuple(self.zones), tuple(self.endpoints)))

    def __repr__(self) -> str:
        return f"<Registry: {len(self.zones)} zones, {len(self.endpoints)} endpoints>"

    @property
    def root(self) -> Zone:
        """The district. Raises NotFound in an empty registry."""
        for zone in self.zones.values():
            return zone
        raise NotFound("zone", "district")

    def zone(self, code: str) -> Zone:
        """Raises NotFound."""
        if code not in self.zones:
            raise NotFound("zone", code)
        return self.zones[code]

    def endpoint(self, identifier: str) -> Endpoint:
        """Raises NotFound."""
        if identifier not in self.endpoints:
            raise NotFound("endpoint", identifier)
        return self.endpoints[identifier]

    def children(self, code: str) -> tuple[Zone, ...]:
        """The zones directly under this one, by code."""
        return tuple(self._children.get(self.zone(code).code, ()))

    def ancestors(self, code: str) -> tuple[Zone, ...]:
        """The zones above this one, nearest first, the district last."""
        above: list[Zone] = []
        parent = self.zone(code).parent
        while parent is not None:
            above.append(self.zones[parent])
            parent = above[-1].parent
        return tuple(above)

    def members(self, code: str, channel: Channel | None = None) -> tuple[Endpoint, ...]:
        """The endpoints of the zone's whole subtree, disabled ones too. Costs one slice."""
        low, high = self.span(code, channel)
        return self._ordered[channel][low:high]

    def count(self, code: str | None = None, channel: Channel | None = None) -> int:
        """How many endpoints the zone's subtree has, or all of them."""
        if code is None:
            return len(self._ordered[channel])
        low, high = self.span(code, channel)
        return high - low

    def ordered(self, channel: Channel | None = None) -> tuple[Endpoint, ...]:
        """All endpoints (of the channel) in the order that `span` counts in."""
        return self._ordered[channel]

    def span(self, code: str, channel: Channel | None = None) -> Span:
        """Where the zone's members begin and end in `ordered(channel)`."""
        return self._spans[channel][self.zone(code).code]

    def index(self, identifier: str) -> int:
        """Where the endpoint stands in `ordered()`. Raises NotFound."""
        return self._index[self.endpoint(identifier).id]

    def within(
        self, polygons: Iterable[Sequence[Point]] = (), circles: Iterable[Circle] = ()
    ) -> tuple[Endpoint, ...]:
        """The endpoints in any of the areas; one without a position is judged by the mean of its zone's."""
        mask: Mask = self.positions.inside(polygons, circles)
        return tuple(self._order[i] for i in np.flatnonzero(mask))

    def _judged_positions(self) -> Positions:
        lat = np.array([np.nan if e.position is None else e.position.lat for e in self._order], dtype=np.float64)
        lon = np.array([np.nan if e.position is None else e.position.lon for e in self._order], dtype=np.float64)
        known = ~np.isnan(lat)
        means: dict[str, tuple[float, float]] = {}
        for i in np.flatnonzero(~known).tolist():
            code = self._order[i].zone
            if code not in means:
                here = slice(*self.span(code))
                among = known[here]
                means[code] = (
                    (float(lat[here][among].mean()), float(lon[here][among].mean()))
                    if among.any()
                    else (np.nan, np.nan)
                )
            lat[i], lon[i] = means[code]
        return Positions(lat, lon)


def _children(zones: Iterable[Zone]) -> dict[str | None, list[Zone]]:
    children: dict[str | None, list[Zone]] = {}
    for zone in sorted(zones, key=lambda z: z.code):
        children.setdefault(zone.parent, []).append(zone)
    return children


def _walk(children: Mapping[str | None, list[Zone]]) -> tuple[Zone, ...]:
    """Every zone before its children (so the root is the first)."""
    walk: list[Zone] = []
    waiting = list(children.get(None, ()))
    while waiting:
        zone = waiting.pop()
        walk.append(zone)
        waiting.extend(reversed(children.get(zone.code, ())))
    return tuple(walk)


def _in_walk_order(walk: Iterable[Zone], endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    place = {zone.code: i for i, zone in enumerate(walk)}
    return tuple(sorted(endpoints, key=lambda e: (place[e.zone], e.id)))


def _spans(
    walk: Sequence[Zone], children: Mapping[str | None, list[Zone]], members: Iterable[Endpoint]
) -> dict[str, Span]:
    own: dict[str, int] = {}
    for endpoint in members:
        own[endpoint.zone] = own.get(endpoint.zone, 0) + 1
    total: dict[str, int] = {}
    for zone in reversed(walk):
        total[zone.code] = own.get(zone.code, 0) + sum(total[c.code] for c in children.get(zone.code, ()))
    spans: dict[str, Span] = {}
    begin = 0
    for zone in walk:
        spans[zone.code] = (begin, begin + total[zone.code])
        begin += own.get(zone.code, 0)
    return spans
