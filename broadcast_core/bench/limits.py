"""What ours is compared with: the raw limit, and the naive way."""

from __future__ import annotations

import asyncio
import logging
import time

import aiomqtt

from broadcast_core.bench.bare import ACK_TOPIC, ALERT, ALERT_TOPIC, Bare, connect, own_topic

_QUIET = logging.getLogger("tocsin.bench.naive")
_QUIET.setLevel(logging.ERROR)


class RawLimit:
    """One publish to one topic, everybody answers, one collector counts. Nothing is signed, checked or stored."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._count = count
        self._left = 0
        self._done: asyncio.Future[None] | None = None

    async def start(self) -> None:
        self._publisher = await connect(self._port, "raw-publisher", (), lambda *_: None)
        self._collector = await connect(self._port, "raw-collector", (ACK_TOPIC,), self._count_one)

    async def once(self) -> float:
        """Seconds from before the write to the last acknowledgement."""
        self._left = self._count
        self._done = asyncio.get_running_loop().create_future()
        start = time.perf_counter()
        self._publisher.write(self._publisher.publish(ALERT_TOPIC.encode(), ALERT))
        await self._done
        return time.perf_counter() - start

    def _count_one(self, _client: Bare, _at: int) -> None:
        self._left -= 1
        if self._left == 0 and self._done is not None and not self._done.done():
            self._done.set_result(None)


class NaiveWay:
    """aiomqtt, one awaited QoS 1 publish for each speaker, another connection collecting. Stores nothing."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._count = count

    async def once(self) -> tuple[float, float]:
        """Seconds to send all, and to the last acknowledgement."""
        async with (
            aiomqtt.Client("127.0.0.1", self._port, protocol=aiomqtt.ProtocolVersion.V5, logger=_QUIET) as sender,
            aiomqtt.Client("127.0.0.1", self._port, protocol=aiomqtt.ProtocolVersion.V5, logger=_QUIET) as collector,
        ):
            await collector.subscribe(ACK_TOPIC, qos=1)
            start = time.perf_counter()
            counting = asyncio.create_task(self._collect(collector))
            for number in range(self._count):
                await sender.publish(own_topic(number), ALERT, qos=1)
            sent = time.perf_counter() - start
            await counting
            return sent, time.perf_counter() - start

    async def _collect(self, collector: aiomqtt.Client) -> None:
        left = self._count
        async for _ in collector.messages:
            left -= 1
            if left == 0:
                return
