"""The embedded broker: rumqttd in a child process, for an installation that has no mosquitto.

It may die at any time and come back without memory: nothing audible depends on what it remembers (P11, P12).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import iotcore
import structlog

log = structlog.get_logger(__name__)

_WATCH_S: Final = 0.5
_START_TRIES: Final = 20  # the port of a core that was just killed is released within moments

# MQTT 5 needs a listener of this form; options by keyword would give 3.1.1 only.
_CONFIGURATION: Final = """\
id = 0
[router]
id = 0
max_connections = 20000
max_outgoing_packet_count = 5000
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "tocsin"
listen = "{host}:{port}"
next_connection_delay_ms = 0
    [v5.1.connections]
    connection_timeout_ms = 60000
    max_payload_size = 1048576
    max_inflight_count = 5000
"""


class EmbeddedBroker:
    """`async with EmbeddedBroker(...)`: listening, and started again whenever it dies."""

    def __init__(self, host: str, port: int, directory: Path) -> None:
        self._host = host
        self._port = port
        self._file = directory / "broker.toml"
        self._broker: Any = None
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> EmbeddedBroker:
        self._file.write_text(_CONFIGURATION.format(host=self._host, port=self._port))
        await self._start()
        self._watch = asyncio.create_task(self._keep_running(), name="embedded-broker")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await asyncio.to_thread(self._broker.stop)

    async def _start(self) -> None:
        for attempt in range(_START_TRIES):
            try:
                self._broker = iotcore.Broker(config_path=str(self._file))
                await asyncio.to_thread(self._broker.start)
                return
            except (OSError, RuntimeError):
                if attempt == _START_TRIES - 1:
                    raise
                await asyncio.sleep(_WATCH_S)

    async def _keep_running(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_S)
            if not self._broker.is_running:
                log.error("the embedded broker died and is started again")
                try:
                    await self._start()
                except (OSError, RuntimeError) as error:
                    log.error("the embedded broker does not start", detail=str(error))  # noqa: TRY400
