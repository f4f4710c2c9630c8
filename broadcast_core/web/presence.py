"""Who is there, counted over the registry: an endpoint never heard of counts as unknown."""

from __future__ import annotations

from broadcast_core.dispatch import PresenceBoard
from broadcast_core.model import Channel, Presence
from broadcast_core.registry import Registry

PresenceCounts = dict[Channel, dict[Presence, int]]


def presence_counts(registry: Registry, board: PresenceBoard) -> PresenceCounts:
    """By channel, the endpoints in service in each presence; they add up. Phones have none."""
    counts: PresenceCounts = {}
    for channel in (Channel.SPEAKER, Channel.HORN):
        by_presence = dict.fromkeys(Presence, 0)
        for endpoint in registry.ordered(channel):
            if endpoint.enabled:
                by_presence[board.of(endpoint.id)] += 1
        counts[channel] = by_presence
    return counts
