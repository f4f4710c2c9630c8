"""Which zones a speaker belongs to, and whether a command means it. Pure."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from drivers.ip_speaker.wire.command import Membership, Target
from simulators.speakers.effects import Effect, Subscribe, Unsubscribe

_WILD: Final = frozenset("+#\0")


class Aim(Enum):
    """Whether a command is meant for a speaker."""

    ME = auto()
    OTHERS = auto()
    ASK = auto()  # it names a zone of ours, at a version of its membership that we do not know


def aim(me: str, target: Target, zones: dict[str, Membership]) -> Aim:
    """An endpoint is meant by its own name, or as a member of a zone at the same version, less the exceptions."""
    if me in target.endpoints:
        return Aim.ME
    if target.zone is None or me in target.excluded:
        return Aim.OTHERS
    zone = zones.get(target.zone)
    if zone is None:
        return Aim.OTHERS
    return Aim.ME if zone.version == target.version else Aim.ASK


def acceptable(zones: dict[str, Membership], root: str) -> dict[str, Membership]:
    """The memberships whose topic lies in our own tree and is not a pattern."""
    return {
        code: zone
        for code, zone in zones.items()
        if zone.topic.startswith(f"{root}/zone/") and not _WILD & set(zone.topic)
    }


def move(before: dict[str, Membership], after: dict[str, Membership]) -> list[Effect]:
    """The subscriptions to give up and to take on."""
    old = {zone.topic for zone in before.values()}
    new = {zone.topic for zone in after.values()}
    effects: list[Effect] = []
    if old - new:
        effects.append(Unsubscribe(tuple(sorted(old - new))))
    if new - old:
        effects.append(Subscribe(tuple(sorted(new - old))))
    return effects
