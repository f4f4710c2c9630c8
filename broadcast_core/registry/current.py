"""The registry as it is now, for those who must always see the newest one."""

from __future__ import annotations

from collections.abc import Mapping

from broadcast_core.model import Channel, Endpoint
from broadcast_core.registry.change import Change
from broadcast_core.registry.snapshot import Registry


class CurrentRegistry:
    """The registry as it is now; the speakers' driver asks it for memberships."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def __call__(self) -> Registry:
        return self.registry

    def endpoint_of(self, endpoint_id: str) -> Endpoint | None:
        return self.registry.endpoints.get(endpoint_id)

    def path_of(self, endpoint_id: str) -> Mapping[str, int]:
        endpoint = self.endpoint_of(endpoint_id)
        if endpoint is None:
            return {}
        zones = (self.registry.zone(endpoint.zone), *self.registry.ancestors(endpoint.zone))
        return {zone.code: zone.membership_version for zone in zones}

    def speakers_in(self, zone: str) -> int:
        return self.registry.count(zone, Channel.SPEAKER) if zone in self.registry.zones else 0

    def speakers(self) -> list[str]:
        return [endpoint.id for endpoint in self.registry.ordered(Channel.SPEAKER)]

    def affected(self, change: Change) -> list[Endpoint]:
        """Speakers that have to learn of a changed membership."""
        if not change.raised and not change.zones:
            return []
        return list(self.registry.ordered(Channel.SPEAKER))
