"""What an import changes, and the membership versions that follow from it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from broadcast_core.model import Channel, Endpoint, Zone
from broadcast_core.registry.snapshot import Registry

T = TypeVar("T", Zone, Endpoint)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Codes or ids, in the order of the registry."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """From one registry to the next. `raised` are the zones that were there before and whose version rose."""

    zones: Difference = field(default_factory=Difference)
    endpoints: Difference = field(default_factory=Difference)
    raised: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.zones or self.endpoints or self.raised)


def succession(current: Registry, target: Registry) -> tuple[Registry, Change]:
    """`target` with the membership versions it must have after `current`, and what changes.

    The version of every zone on the path, old and new, of a speaker that is added, removed or moved rises by one,
    so the district's is never below another's. A zone that is new starts at the district's version: also a code
    that once belonged to a removed zone never shows an old version with other members.
    """
    touched = _touched(current, target)
    fresh = _first_version(current, target, touched)
    zones = [
        replace(zone, membership_version=_version(current.zones.get(zone.code), touched, fresh))
        for zone in target.zones.values()
    ]
    change = Change(
        zones=_difference(_unversioned(current), _unversioned(target)),
        endpoints=_difference(current.endpoints, target.endpoints),
        raised=tuple(code for code in target.zones if code in touched and code in current.zones),
    )
    return Registry(zones, target.endpoints.values()), change


def _touched(current: Registry, target: Registry) -> set[str]:
    old, new = _paths(current), _paths(target)
    touched: set[str] = set()
    for speaker in old.keys() | new.keys():
        before, after = old.get(speaker, ()), new.get(speaker, ())
        if before != after:
            touched.update(before, after)
    return touched


def _paths(registry: Registry) -> dict[str, tuple[str, ...]]:
    """Each speaker's zones, its own first."""
    above = {code: (code, *(z.code for z in registry.ancestors(code))) for code in registry.zones}
    return {speaker.id: above[speaker.zone] for speaker in registry.ordered(Channel.SPEAKER)}


def _first_version(current: Registry, target: Registry, touched: set[str]) -> int:
    if not current.zones:
        return 1
    before = current.root.membership_version
    return before if target.root.code in current.zones and target.root.code not in touched else before + 1


def _version(before: Zone | None, touched: set[str], fresh: int) -> int:
    return fresh if before is None else before.membership_version + (before.code in touched)


def _unversioned(registry: Registry) -> dict[str, Zone]:
    return {code: replace(zone, membership_version=0) for code, zone in registry.zones.items()}


def _difference(current: Mapping[str, T], target: Mapping[str, T]) -> Difference:
    return Difference(
        added=tuple(key for key in target if key not in current),
        changed=tuple(key for key, item in target.items() if key in current and current[key] != item),
        removed=tuple(key for key in current if key not in target),
    )
