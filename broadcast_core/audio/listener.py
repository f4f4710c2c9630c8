"""The audio listener as the core runs it: a process of its own, started again whenever it dies.

A thousand speakers that fetch at the same moment must not stand before the next alert (measured in docs/voice.md).
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Final, Self

import structlog

from broadcast_core.audio.child import module_command
from broadcast_core.config import Listener

log = structlog.get_logger(__name__)

_READY_S: Final = 10.0  # from its start until it listens, and from being told to end until it has
_RESTART_S: Final = 0.5
_START_TRIES: Final = 20  # the port of a core that was just killed is free again within moments


class MediaListener:
    """`async with MediaListener(...)`: serving, until it is left. Raises OSError if it does not come up.

    `port` is where it listens: the one asked for, or the system's choice where that was 0. The process ends when
    this one does, however that happens: it watches a pipe.
    """

    def __init__(self, listener: Listener, folder: Path) -> None:
        self.port = listener.port
        self._host, self._folder = listener.host, folder
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._come_up()
        except BaseException:
            await self._stop()
            raise
        self._keeper = asyncio.create_task(self._keep_running(), name="media-listener")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._stop()

    @property
    def pid(self) -> int | None:
        """The process that serves now; None while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def _come_up(self) -> None:
        for _try in range(_START_TRIES):
            if await self._start():
                return
            await self._stop()
            await asyncio.sleep(_RESTART_S)
        raise OSError(f"the audio listener does not start on {self._host}:{self.port}")

    async def _start(self) -> bool:
        """Start the process; whether it listens."""
        where = ("--dir", str(self._folder), "--host", self._host, "--port", str(self.port))
        command = module_command("broadcast_core.audio.server", *where, "--until-stdin-closes")
        # Its own session: Ctrl-C at the terminal is for the core, which then ends it in order.
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_READY_S):
                self.port = int(await self._process.stdout.readline())
        except (TimeoutError, ValueError):
            return False
        return True

    async def _keep_running(self) -> None:
        assert self._process is not None
        while True:
            code = await self._process.wait()
            log.error("the audio listener died and is started again", code=code)
            await asyncio.sleep(_RESTART_S)
            if not await self._start():
                await self._stop()  # and so tried again, and said again, until it works

    async def _stop(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_READY_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
