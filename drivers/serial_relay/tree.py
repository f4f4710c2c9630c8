"""Guard and worker as seen from the core: started together, spoken to, and gone together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable
from typing import Final, Self

import msgspec
import structlog

from drivers.serial_relay import wire
from drivers.serial_relay.kin import command
from drivers.serial_relay.lines import lines, next_line

# A guard that is silent for this many watchdog times is ended; its worker then opens the coils and ends, too.
_GUARD_SILENT: Final = 5
_START_S: Final = 15.0
# What worker and guard may need between them to open all coils at the end: worker.CLOSE_S, the watchdog, SWEEP_S.
_LEAVE_S: Final = 8.0

log = structlog.get_logger(__name__)


class Tree:
    """One guard with its one worker. Made by `start`; ends by itself or by `end`, and is not used again."""

    def __init__(
        self,
        settings: wire.Configure,
        guard: asyncio.subprocess.Process,
        events: asyncio.StreamReader,
        worker: asyncio.StreamWriter,
    ) -> None:
        self._settings = settings
        self._guard = guard
        self._events = events
        self._worker = worker
        self._worker_pidfd: int | None = None
        self.worker_pid: int | None = None
        self._tasks = [
            asyncio.create_task(self._follow_guard(), name="serial_relay.guard"),
            asyncio.create_task(self._follow_errors(), name="serial_relay.stderr"),
        ]

    @classmethod
    async def start(cls, settings: wire.Configure) -> Self:
        """Start both. The worker may be spoken to at once: what it is told waits in the socket. Raises OSError."""
        ours, theirs = socket.socketpair()
        with contextlib.closing(theirs):
            try:
                guard = await asyncio.create_subprocess_exec(
                    *command("drivers.serial_relay.guard", str(theirs.fileno())),
                    pass_fds=(theirs.fileno(),),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    limit=wire.MAX_LINE,
                    start_new_session=True,  # the terminal's Ctrl-C is the core's to answer
                )
            except OSError:
                ours.close()
                raise
        events, worker = await asyncio.open_unix_connection(sock=ours, limit=wire.MAX_LINE)
        tree = cls(settings, guard, events, worker)
        assert guard.stdin is not None
        guard.stdin.write(wire.encode(settings))
        tree.tell(settings)
        return tree

    @property
    def guard_pid(self) -> int:
        """The guard's process id."""
        return self._guard.pid

    def tell(self, message: wire.ToWorker) -> None:
        """Give the worker a message; never waits."""
        if not self._worker.is_closing():
            self._worker.write(wire.encode(message))

    async def events(self) -> AsyncIterator[wire.Events]:
        """What the worker reports, until it is gone and the guard has opened what it left closed."""
        async for data in lines(self._events):
            match wire.decode(wire.from_worker, data):
                case wire.Up(pid=pid):
                    self._is_up(pid)
                case wire.Events() as events:
                    yield events
                case wire.Note(event=event, level=level, fields=fields):
                    log.log(_LEVELS.get(level, 20), f"serial_relay.{event}", **fields)
        await _within(_LEAVE_S, self._guard.wait())

    async def end(self) -> None:
        """Let the worker open all coils and both go; make certain that both are gone."""
        self._worker.close()
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        if not await _within(_LEAVE_S, self._guard.wait()):
            log.error("serial_relay.guard_stuck", pid=self._guard.pid)
            self._kill_guard()
        await self._bury_worker()
        await _within(_LEAVE_S, self._guard.wait())
        # Both are dead, so both pipes are at their end: read to it, and asyncio closes them.
        await asyncio.wait(self._tasks, timeout=_LEAVE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _is_up(self, pid: int) -> None:
        self.worker_pid = pid
        # The worker is the guard's child, not ours: only a descriptor names it for certain when the guard is gone.
        with contextlib.suppress(OSError):
            self._worker_pidfd = os.pidfd_open(pid)
        log.info("serial_relay.up", guard=self._guard.pid, worker=pid)

    async def _follow_guard(self) -> None:
        """Log what the guard says, and end it when it says nothing."""
        assert self._guard.stdout is not None
        patience = _START_S
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(patience):
                    data = await next_line(self._guard.stdout)
                if data is None:
                    return
                patience = _GUARD_SILENT * self._settings.watchdog_s
                _log_guard(data)
        log.error("serial_relay.guard_hung", pid=self._guard.pid)
        self._kill_guard()

    async def _follow_errors(self) -> None:
        """A traceback of either process belongs into our log."""
        assert self._guard.stderr is not None
        async for data in lines(self._guard.stderr):
            log.error("serial_relay.stderr", line=data.decode(errors="replace").rstrip())

    def _kill_guard(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._guard.kill()

    async def _bury_worker(self) -> None:
        """With its guard dead the worker ends by itself; one that is stuck is killed, and the next one opens."""
        if self._worker_pidfd is None:
            return
        if not await _within(_LEAVE_S / 2, _readable(self._worker_pidfd)):
            log.error("serial_relay.worker_stuck", pid=self.worker_pid)
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._worker_pidfd, signal.SIGKILL)
            await _within(_LEAVE_S / 2, _readable(self._worker_pidfd))
        os.close(self._worker_pidfd)
        self._worker_pidfd = None


_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def _log_guard(data: bytes) -> None:
    with contextlib.suppress(msgspec.DecodeError):
        match wire.decode(wire.from_guard, data):
            case wire.Opened(cause=cause, boards=boards, unproven=unproven):
                log.error("serial_relay.opened_by_guard", cause=cause, boards=boards, unproven=unproven)


async def _readable(descriptor: int) -> None:
    """Wait until a descriptor is readable; a process descriptor is when the process has ended."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)


async def _within(seconds: float, wanted: Awaitable[object]) -> bool:
    """Whether an awaitable came to its end in time."""
    try:
        async with asyncio.timeout(seconds):
            await wanted
    except TimeoutError:
        return False
    return True
