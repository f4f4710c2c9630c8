"""Why what is due does not sound."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from broadcast_core.player.choosing import Player
from broadcast_core.player.items import Instant
from broadcast_core.precedence import interrupts


class Why(StrEnum):
    """Closed: what stands in the way of something that is due."""

    LOWER = "lower"  # what sounds stands above it
    EQUAL = "equal"  # what has the turn is worth as much, and an equal never interrupts
    MODE = "mode"  # publicity, in emergency mode
    GAP = "gap"  # it has the turn, and is between two clips or has no sound for this one
    SILENT = "silent"  # it is meant to sound nothing


class Other(Struct, frozen=True):
    """One that is due and does not sound, and (LOWER, EQUAL) because of whom."""

    identifier: str
    revision: int
    why: Why
    than: str = ""


def others(player: Player, at: Instant) -> tuple[Other, ...]:
    """Everything that is due at `at` and does not sound, as of the last `advance`, by identifier."""
    turn = player.sounding
    found = [
        Other(track.identifier, track.item.revision, Why.SILENT)
        for track in player.tracks
        if track.item.silent and track.item.starts_at <= at.utc
    ]
    for track in player.due(at):
        name, revision = track.identifier, track.item.revision
        if track is turn:
            if track.voice is None:
                found.append(Other(name, revision, Why.GAP))
        elif not player.allowed(track):
            found.append(Other(name, revision, Why.MODE))
        elif turn is not None:
            above = interrupts(turn.standing, track.standing)
            found.append(Other(name, revision, Why.LOWER if above else Why.EQUAL, turn.identifier))
    return tuple(sorted(found, key=lambda other: other.identifier))
