"""A connection to the broker that comes back by itself, on aiomqtt: commands, hellos, orders.

Receipts have a reader of their own (`collector`); docs/decisions/0004 has the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from drivers.ip_speaker.access import Access

log = structlog.get_logger(__name__)

# aiomqtt warns for every publish past its tenth pending one; a fan-out is meant to have that many.
_QUIET: Final = logging.getLogger("tocsin.mqtt")
_QUIET.setLevel(logging.ERROR)
_RECONNECT_S: Final = 0.5
_PUBLISH_TIMEOUT_S: Final = 5.0
# paho and aiomqtt leave Nagle on: a publish and the receipts' PUBACKs then wait 41 ms for each other.
_NODELAY: Final = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)


class LinkDown(Exception):
    """The broker cannot be reached, or did not acknowledge in time."""


class Link:
    """One aiomqtt connection that comes back by itself.

    `topics` are subscribed with QoS 1 at every connection; what arrives goes to `take(topic, payload)`.
    """

    def __init__(
        self,
        access: Access,
        name: str,
        topics: Sequence[str] = (),
        take: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self._access = access
        self._name = name
        self._topics = topics
        self._take = take
        self._client: aiomqtt.Client | None = None
        self._up = asyncio.Event()

    @property
    def is_up(self) -> bool:
        return self._client is not None

    async def wait_up(self) -> None:
        await self._up.wait()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        said = False
        while True:
            try:
                async with self._connection() as client:
                    said = False
                    log.info("connected to the broker", link=self._name)
                    async for message in client.messages:
                        if self._take is not None and not message.retain:
                            self._take(message.topic.value, bytes(message.payload or b""))
            except (aiomqtt.MqttError, OSError) as error:
                if not said:
                    log.warning("no broker", link=self._name, detail=str(error))
                    said = True
            await asyncio.sleep(_RECONNECT_S)

    async def publish(self, topic: str, payload: bytes, lifetime_s: float) -> None:
        """Publish with QoS 1; return when the broker has it. Raises LinkDown.

        The broker drops it after `lifetime_s`. That the broker has it proves nothing about any endpoint.
        """
        client = self._client
        if client is None:
            raise LinkDown("not connected to the broker")
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.MessageExpiryInterval = max(1, math.ceil(lifetime_s))
        try:
            await client.publish(topic, payload, qos=1, properties=properties, timeout=_PUBLISH_TIMEOUT_S)
        except aiomqtt.MqttError as error:
            raise LinkDown(str(error)) from error

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiomqtt.Client]:
        settings = self._access.settings
        async with aiomqtt.Client(
            settings.host,
            settings.port,
            username=settings.username,
            password=self._access.password,
            identifier=f"tocsin-{self._name}",
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            keepalive=15,
            timeout=_PUBLISH_TIMEOUT_S,
            max_inflight_messages=1000,
            logger=_QUIET,
            tls_context=self._access.tls(),
            socket_options=_NODELAY,
        ) as client:
            client.pending_calls_threshold = 100_000
            for topic in self._topics:
                await client.subscribe(topic, options=SubscribeOptions(qos=1, retainHandling=2))
            self._client = client
            self._up.set()
            try:
                yield client
            finally:
                self._client = None
                self._up.clear()
