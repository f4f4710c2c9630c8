"""Dispatch: the only one who sends, and the only one who retries.

Each channel has a sender and a listener of its own (`line`), evidence becomes durable in groups (`settler`), hellos
are answered beside it (`orders`), and what is owed is asked for (`chaser`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final, Self

import structlog

from broadcast_core import outbox
from broadcast_core.clock import Clock
from broadcast_core.dispatch.chaser import Chaser
from broadcast_core.dispatch.line import Line
from broadcast_core.dispatch.orders import OrdersDesk
from broadcast_core.dispatch.presence import PresenceBoard
from broadcast_core.dispatch.settler import Settler
from broadcast_core.driver import Driver
from broadcast_core.live import Live, LiveAlert, LiveDelivery
from broadcast_core.model import Channel, Delivery, Endpoint, Hello, Mode
from broadcast_core.store import Store
from broadcast_core.tasks import end, keep_running

log = structlog.get_logger(__name__)

_TAKEN_S: Final = 1.0  # who stops waits no longer for the answer of a channel that hangs
_LAST_WORDS_S: Final = 3.0  # how long leaving drivers are listened to

__all__ = ["Dispatch", "PresenceBoard"]


def peacetime(_endpoint: Endpoint) -> tuple[Mode, int]:
    """The mode of an endpoint and its volume floor where nobody has set any."""
    return Mode.PEACETIME, 0


class Dispatch:
    """`async with Dispatch(...)` enters the drivers and runs every channel until it is left."""

    def __init__(
        self,
        drivers: Iterable[Driver],
        *,
        store: Store,
        live: Live,
        endpoint_of: Callable[[str], Endpoint | None],
        clock: Clock,
        mode_of: Callable[[Endpoint], tuple[Mode, int]] = peacetime,
    ) -> None:
        self._drivers = tuple(drivers)
        self._field = AsyncExitStack()
        self._sending: list[asyncio.Task[None]] = []
        self._listening: list[asyncio.Task[None]] = []
        self._handing: set[asyncio.Task[bool]] = set()
        self.presence = PresenceBoard()
        self.settler = Settler(store, live, clock)
        self._store = store
        self.lines: Mapping[Channel, Line] = {
            driver.channel: Line(
                driver,
                store=store,
                live=live,
                settler=self.settler,
                presence=self.presence,
                clock=clock,
                greet=self._greet,
            )
            for driver in self._drivers
        }
        self.orders = OrdersDesk(live, self.lines, endpoint_of, clock, mode_of)
        self._chaser = Chaser(live, self.lines, self.presence, store, clock)

    def _greet(self, channel: Channel, hello: Hello) -> None:
        self.orders.greet(channel, hello)

    async def __aenter__(self) -> Self:
        await self._store.write(outbox.recover)
        self._settling = asyncio.create_task(keep_running("settler", self.settler.run), name="settler")
        for driver in self._drivers:
            await self._field.enter_async_context(driver)
        for line in self.lines.values():
            self._start(self._listening, f"listen-{line.channel}", line.listen_forever)
            self._start(self._sending, f"send-{line.channel}", line.send_forever)
        self._start(self._sending, "orders", self.orders.run)
        self._start(self._sending, "chaser", self._chaser.run)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop sending, let the drivers end, hear what they say last, and make it durable."""
        await end([*self._sending, *self._handing])
        await self._field.aclose()
        await asyncio.wait(self._listening, timeout=_LAST_WORDS_S)
        await end(self._listening)
        for line in self.lines.values():
            await line.settled()
        await end([self._settling])

    def wake(self, channels: Iterable[Channel]) -> None:
        """There is something new in the outbox for these channels."""
        for channel in channels:
            if channel in self.lines:
                self.lines[channel].wake()

    def hand_over(self, live: LiveAlert, entries: Iterable[LiveDelivery]) -> None:
        """Send deliveries that were claimed when they were stored."""
        by_channel: dict[Channel, list[LiveDelivery]] = {}
        for entry in entries:
            by_channel.setdefault(entry.delivery.endpoint.channel, []).append(entry)
        for channel, claimed in by_channel.items():
            if channel in self.lines:
                self.lines[channel].hand_over(live, claimed)

    async def send_now(self, deliveries: Iterable[Delivery]) -> Mapping[Channel, bool]:
        """Hand deliveries to all their channels at once, past the outbox. Which channels took them within a second;
        with a channel that hangs it goes on, and nobody waits."""
        by_channel: dict[Channel, list[Delivery]] = {}
        for delivery in deliveries:
            by_channel.setdefault(delivery.endpoint.channel, []).append(delivery)
        channels = [c for c in by_channel if c in self.lines]
        if not channels:
            return {}
        sending = {c: asyncio.create_task(self.lines[c].send_now(by_channel[c]), name=f"now-{c}") for c in channels}
        self._handing.update(sending.values())
        for task in sending.values():
            task.add_done_callback(self._handing.discard)
        await asyncio.wait(sending.values(), timeout=_TAKEN_S)
        return {c: task.done() and task.result() for c, task in sending.items()}

    def _start(
        self, tasks: list[asyncio.Task[None]], name: str, work: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        tasks.append(asyncio.create_task(keep_running(name, work), name=name))
