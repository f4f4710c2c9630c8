"""The media listener as a process of its own, so that a thousand fetches at once cost the core's loop nothing."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Final, Self

import structlog

from broadcast_core.audio.child import module_command

log = structlog.get_logger(__name__)

_READY_S: Final = 10.0
_AGAIN_S: Final = 0.5  # between its death and its next start


class MediaProcess:
    """Runs the listener while it is entered, and starts it again when it dies.

    `port` is where it listens: the one asked for, or the system's choice where that was 0. The process ends when
    this one does, however that happens: it watches a pipe.
    """

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self.port = port
        self._folder, self._host = folder, host
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Starts it and waits until it listens. Raises OSError when it cannot."""
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        self._keeper = asyncio.create_task(self._keep(), name="media process")
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._keeper is not None
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        await self._stop()

    @property
    def pid(self) -> int | None:
        """The process that serves now; None while there is none."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and alive else None

    async def _start(self) -> None:
        where = ("--dir", str(self._folder), "--host", self._host, "--port", str(self.port))
        command = module_command("broadcast_core.audio.server", *where, "--until-stdin-closes")
        # Its own session: Ctrl-C at the terminal is for the core, which then ends it in order.
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, start_new_session=True)
        self._process = process
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_READY_S):
                self.port = int(await process.stdout.readline())
        except (TimeoutError, ValueError) as error:
            raise OSError(f"the media listener does not start on {self._host}:{self.port}") from error

    async def _keep(self) -> None:
        assert self._process is not None
        while True:
            code = await self._process.wait()
            log.error("media listener died, starting it again", code=code)
            await asyncio.sleep(_AGAIN_S)
            with contextlib.suppress(OSError):  # tried again, and said again, until it works
                await self._start()

    async def _stop(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(_READY_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
