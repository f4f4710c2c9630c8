"""The guard: a process that does nothing but watch the worker, so that no horn sounds past its time.

It starts the worker and listens to its heartbeat. When the worker is silent, leaves a coil closed too long, or dies
without having opened everything, the guard ends it for certain (SIGKILL; the kernel frees its exclusive ports), opens
all coils itself, reads them back, tells the core and exits: only the core starts a new pair, because only the core
knows what is live. When the core is gone the worker opens the coils and the guard makes sure of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from typing import Final

from drivers.serial_relay import wire
from drivers.serial_relay.kin import command, wake_when_parent_dies
from drivers.serial_relay.lines import lines, next_line
from drivers.serial_relay.sweep import open_all
from drivers.serial_relay.watch import Watch
from drivers.serial_relay.worker import CLOSE_S

CORE_GONE: Final = "core gone"
WORKER_DEAD: Final = "worker died"


class Guard:
    """One worker's guard."""

    def __init__(self, settings: wire.Configure, worker: asyncio.subprocess.Process) -> None:
        self._settings = settings
        self._worker = worker
        self._watch = Watch(settings.watchdog_s, time.monotonic())
        self._bye: wire.Bye | None = None
        self._cause: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def run(self, core: asyncio.StreamReader, beats: socket.socket) -> None:
        """Watch until there is a cause to end; then see to it that worker and coils are where they belong."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._because, CORE_GONE)
        heart, to_worker = await asyncio.open_unix_connection(sock=beats, limit=wire.MAX_LINE)
        listening = asyncio.create_task(self._listen(heart), name="beats")
        tasks = [
            asyncio.create_task(self._tick(), name="tick"),
            asyncio.create_task(self._follow_core(core), name="core"),
            asyncio.create_task(self._follow_worker(), name="worker"),
        ]
        cause = await self._cause
        if cause == CORE_GONE:
            with contextlib.suppress(OSError):  # it may have died of the same cause
                to_worker.write_eof()
            await self._let_go()
        await self._end_worker()
        await asyncio.wait([listening], timeout=1.0)  # its last word may still lie in the socket
        await self._finish(cause)
        for task in (*tasks, listening):
            task.cancel()
        to_worker.close()

    def _because(self, cause: str) -> None:
        if not self._cause.done():
            self._cause.set_result(cause)

    async def _listen(self, heart: asyncio.StreamReader) -> None:
        async for data in lines(heart):
            match wire.decode(wire.to_guard, data):
                case wire.Beat() as beat:
                    self._watch.beat(beat)
                case wire.Bye() as bye:
                    self._bye = bye

    async def _tick(self) -> None:
        while True:
            _tell(wire.Alive())
            await asyncio.sleep(self._watch.period_s)
            if (cause := self._watch.tick(time.monotonic())) is not None:
                self._because(cause)

    async def _follow_core(self, core: asyncio.StreamReader) -> None:
        async for _ in lines(core):
            pass
        self._because(CORE_GONE)

    async def _follow_worker(self) -> None:
        await self._worker.wait()
        self._because(WORKER_DEAD)

    async def _let_go(self) -> None:
        """Give the worker the time it needs to open the coils, as long as it shows that it lives."""
        deadline = time.monotonic() + CLOSE_S + self._settings.watchdog_s
        while self._worker.returncode is None and time.monotonic() < deadline:
            if self._watch.tick(time.monotonic()) is not None:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._watch.period_s):
                    await self._worker.wait()

    async def _end_worker(self) -> None:
        if self._worker.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._worker.kill()
            await self._worker.wait()

    async def _finish(self, cause: str) -> None:
        """Open everything, unless the worker has proven all of it open."""
        if self._bye is not None and not self._bye.unproven:
            return
        unproven = await open_all(self._settings.lines, self._settings.reply_timeout_s)
        boards = sum(len(line.boards) for line in self._settings.lines)
        _tell(wire.Opened(cause=cause, boards=boards, unproven=tuple(unproven)))


def _tell(message: wire.FromGuard) -> None:
    """Say it to the core without ever waiting for it; a core that is gone or hangs misses it."""
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), wire.encode(message))


async def _main(control: int) -> None:
    core = asyncio.StreamReader(limit=wire.MAX_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(core), sys.stdin)
    first = await next_line(core)
    if first is None:
        return
    settings = wire.decode(wire.to_guard, first)
    if not isinstance(settings, wire.Configure):
        raise TypeError("the first message has to be Configure")
    ours, theirs = socket.socketpair()
    worker = await asyncio.create_subprocess_exec(
        *command("drivers.serial_relay.worker", str(control), str(theirs.fileno())),
        pass_fds=(control, theirs.fileno()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
    # Ours alone from here on: end of file has to mean that the other one is gone.
    theirs.close()
    os.close(control)
    await Guard(settings, worker).run(core, ours)


if __name__ == "__main__":
    wake_when_parent_dies()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_blocking(sys.stdout.fileno(), False)
    asyncio.run(_main(int(sys.argv[1])))
