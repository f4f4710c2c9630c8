"""Answers to hellos: every endpoint that comes back is told what is true now, and no alert waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import structlog

from broadcast_core.clock import Clock
from broadcast_core.dispatch.line import Line
from broadcast_core.live import Live
from broadcast_core.model import Channel, Delivery, Endpoint, Hello, Mode, Orders

log = structlog.get_logger(__name__)

_BATCH: Final = 32  # small, so that an alert's own work gets the loop between two batches


class OrdersDesk:
    """Answers hellos in the order of arrival; of several from one endpoint only the newest counts."""

    def __init__(
        self,
        live: Live,
        lines: Mapping[Channel, Line],
        endpoint_of: Callable[[str], Endpoint | None],
        clock: Clock,
        mode_of: Callable[[Endpoint], tuple[Mode, int]],
    ) -> None:
        self._live = live
        self._lines = lines
        self._endpoint_of = endpoint_of
        self._clock = clock
        self._mode_of = mode_of
        self._waiting: dict[str, tuple[Channel, Hello | None]] = {}
        self._woken = asyncio.Event()

    def greet(self, channel: Channel, hello: Hello) -> None:
        """An endpoint has said hello: it will be answered."""
        self._waiting[hello.endpoint_id] = (channel, hello)
        self._woken.set()

    def push(self, endpoint: Endpoint) -> None:
        """Tell an endpoint its orders unasked, because something about it has changed."""
        if endpoint.id not in self._waiting:
            self._waiting[endpoint.id] = (endpoint.channel, None)
            self._woken.set()

    async def run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._waiting:
                await self._answer(dict(list(self._waiting.items())[:_BATCH]))
                await asyncio.sleep(0)

    async def _answer(self, hellos: Mapping[str, tuple[Channel, Hello | None]]) -> None:
        now = self._clock.now()
        answers: dict[Channel, list[Delivery]] = {}
        for endpoint_id, (channel, hello) in hellos.items():
            self._waiting.pop(endpoint_id, None)
            endpoint = self._endpoint_of(endpoint_id)
            if endpoint is None or not endpoint.enabled:
                log.warning("hello from an endpoint that is not registered", endpoint=endpoint_id)
                continue
            mode, volume_floor = self._mode_of(endpoint)
            orders = Orders(
                nonce=None if hello is None else hello.nonce,
                live=partial(self._live.starts_for, endpoint, now),
                holds={} if hello is None else hello.holds,
                mode=mode,
                volume_floor=volume_floor,
            )
            answers.setdefault(channel, []).append(Delivery(endpoint=endpoint, order=orders))
        for channel, deliveries in answers.items():
            await self._lines[channel].send_now(deliveries)  # if it is down, they will say hello again
