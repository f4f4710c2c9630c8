"""Who is there: what endpoints said last, and who has fallen silent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from broadcast_core.model import Availability, Presence


class PresenceBoard:
    """The newest availability of each endpoint. Evidence of being there, never of having played."""

    def __init__(self) -> None:
        self._newest: dict[str, Availability] = {}

    def note(self, availability: Availability) -> bool:
        """Take in news; True if the endpoint's presence changed."""
        before = self._newest.get(availability.endpoint_id)
        self._newest[availability.endpoint_id] = availability
        return before is None or before.presence is not availability.presence

    def of(self, endpoint_id: str) -> Presence:
        known = self._newest.get(endpoint_id)
        return Presence.UNKNOWN if known is None else known.presence

    def newest(self, endpoint_id: str) -> Availability | None:
        return self._newest.get(endpoint_id)

    def seen_at(self, endpoint_id: str) -> datetime | None:
        known = self._newest.get(endpoint_id)
        return None if known is None else known.at

    def counts(self) -> Mapping[Presence, int]:
        """How many endpoints were last heard of in which presence."""
        return Counter(a.presence for a in self._newest.values())
