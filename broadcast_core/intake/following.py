"""An alert of a level that the policy names switches its zones to emergency mode by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Final

import structlog

from broadcast_core.clock import Clock
from broadcast_core.config import Policy
from broadcast_core.errors import StorageFailed, TocsinError
from broadcast_core.intake.modes import ModeDesk
from broadcast_core.live import LiveAlert
from broadcast_core.model import Channel, Level, MessageKind, Mode, SoundClass, Start
from broadcast_core.registry import Registry

log = structlog.get_logger(__name__)

# The alert has silenced publicity already, by its precedence; its own receipts come first.
_AFTER_S: Final = 2.0
_RETRY_S: Final = 2.0
_ACTOR: Final = "policy"
_SHORTEST: Final = timedelta(minutes=1)


class Following:
    """Watches alerts begin. One task for each, so that none waits for another."""

    def __init__(self, desk: ModeDesk, registry: Callable[[], Registry], policy: Policy, clock: Clock) -> None:
        self._desk = desk
        self._registry = registry
        self._levels = frozenset(Level[name] for name in policy.emergency_levels)
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def began(self, live: LiveAlert) -> None:
        """An alert is on its way (or was found to be, at a start)."""
        if self._switches(live) and not live.ended and live.expires > self._clock.now():
            task = asyncio.create_task(self._follow(live), name=f"mode-of-{live.alert_id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _switches(self, live: LiveAlert) -> bool:
        start = live.starts.get(Channel.SPEAKER)
        return (
            live.kind is MessageKind.ALERT
            and isinstance(start, Start)
            and start.standing.sound_class >= SoundClass.EMERGENCY
            and start.standing.level in self._levels
        )

    async def _follow(self, live: LiveAlert) -> None:
        await asyncio.sleep(_AFTER_S)
        while not live.ended:
            registry = self._registry()
            meant = {e.delivery.endpoint.id for e in live.deliveries.values()}
            zones = [z for z in zones_of(meant, registry) if self._desk.modes.of(z, registry) is Mode.PEACETIME]
            if not zones:
                return
            try:
                await self._desk.set(
                    zones,
                    Mode.EMERGENCY,
                    actor=_ACTOR,
                    reason=f"alert {live.alert_id}",
                    remind_after=max(live.expires - self._clock.now(), _SHORTEST),
                    cause=live.alert_id,
                )
            except StorageFailed as error:
                log.error("the mode has not followed the alert yet", alert=live.alert_id, detail=error.detail)  # noqa: TRY400
                await asyncio.sleep(_RETRY_S)
            except TocsinError as error:
                log.error("the mode does not follow the alert", alert=live.alert_id, detail=str(error))  # noqa: TRY400
                return
            else:
                return


def zones_of(speakers: Collection[str], registry: Registry) -> list[str]:
    """The fewest zones whose speakers are all meant; and every other zone that has one meant of its own. Pure."""
    found: list[str] = []
    waiting = [registry.root.code] if registry.zones else []
    while waiting:
        code = waiting.pop()
        members = registry.members(code, Channel.SPEAKER)
        meant = [e for e in members if e.id in speakers]
        if not meant:
            continue
        if len(meant) == len(members) or any(e.zone == code for e in meant):
            found.append(code)
        else:
            waiting += [child.code for child in registry.children(code)]
    return found
