"""The audio listener as the core runs it: a process of its own, started again whenever it dies.

A thousand speakers that fetch at the same moment must not stand before the next alert (measured in docs/voice.md).
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final, Self

import structlog

from broadcast_core.config import Listener

log = structlog.get_logger(__name__)

_RESTART_S: Final = 0.5
_START_TRIES: Final = 20  # the port of a core that was just killed is free again within moments


class MediaListener:
    """`async with MediaListener(...)`: serving, until it is left. Raises OSError if it does not come up."""

    def __init__(self, listener: Listener, folder: Path) -> None:
        self._listener = listener
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        for _ in range(_START_TRIES):
            if await self._start():
                self._watch = asyncio.create_task(self._keep_running(), name="media-listener")
                return self
            await asyncio.sleep(_RESTART_S)
        raise OSError(f"the audio listener does not start on {self._listener.host}:{self._listener.port}")

    async def __aexit__(self, *exc: object) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    async def _start(self) -> bool:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "broadcast_core.audio.server",
            "--dir", str(self._folder), "--host", self._listener.host, "--port", str(self._listener.port),
            "--until-stdin-closes",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        return bool(await self._process.stdout.readline())

    async def _keep_running(self) -> None:
        while True:
            assert self._process is not None
            await self._process.wait()
            log.error("the audio listener died and is started again")
            await asyncio.sleep(_RESTART_S)
            await self._start()
