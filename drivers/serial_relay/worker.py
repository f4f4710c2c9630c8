"""The bus worker: the one process that holds the serial ports. Started by the guard, fed by the core.

It ends, coils opened and read back first, as soon as either of them is gone (end of file), and on SIGTERM. If one of
its lines fails by a bug it dies without a word, and the guard opens the coils.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from drivers.serial_relay import wire
from drivers.serial_relay.kin import wake_when_parent_dies
from drivers.serial_relay.line import Line
from drivers.serial_relay.lines import lines, next_line

CLOSE_S: Final = 2.0  # how long opening all coils may take at the end; then the guard goes on trying


class Worker:
    """All lines and the two channels of the process."""

    def __init__(self, settings: wire.Configure, core: asyncio.StreamWriter, guard: asyncio.StreamWriter) -> None:
        self._settings = settings
        self._core = core
        self._guard = guard
        self._waiting: list[wire.Evidence | wire.Proven | wire.Presence] = []
        self._lines = {line.name: Line(line, settings, self._report, self._note) for line in settings.lines}

    async def run(self, orders: asyncio.StreamReader, guard: asyncio.StreamReader) -> None:
        """Work until core or guard are gone or SIGTERM came, then open all coils and say goodbye to the guard."""
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, over.set)
        # A thread for each line: ports that hang in the kernel while they are opened must not keep another one shut.
        loop.set_default_executor(ThreadPoolExecutor(len(self._lines) + 1))
        async with asyncio.TaskGroup() as group:
            side = [
                group.create_task(self._beat(), name="beat"),
                group.create_task(_until_end(guard, over), name="guard"),
            ]
            if await self._begin(orders):
                buses = [group.create_task(line.run(), name=line.config.name) for line in self._lines.values()]
                side.append(group.create_task(self._obey(orders, over), name="orders"))
                await over.wait()
                await self._open_all(buses)
            for task in side:
                task.cancel()
        unproven = [board for line in self._lines.values() for board in line.unproven()]
        self._guard.write(wire.encode(wire.Bye(unproven=tuple(unproven))))
        with contextlib.suppress(ConnectionError):  # it may be the guard that is gone
            await self._guard.drain()

    async def _begin(self, orders: asyncio.StreamReader) -> bool:
        """Take everything that is live before anything is written. False if the core is gone already."""
        self._tell(wire.Up(pid=os.getpid()))
        async for data in lines(orders):
            message = wire.decode(wire.to_worker, data)
            if isinstance(message, wire.Begin):
                return True
            self._take(message)
        return False

    async def _obey(self, orders: asyncio.StreamReader, over: asyncio.Event) -> None:
        async for data in lines(orders):
            self._take(wire.decode(wire.to_worker, data))
        over.set()

    def _take(self, message: wire.ToWorker) -> None:
        if not isinstance(message, wire.Sound | wire.Silence | wire.Prove):
            return
        line = self._lines.get(message.coil.line)
        coil = line.coil(message.coil.unit, message.coil.number) if line is not None else None
        board = line.board(message.coil.unit) if line is not None else None
        if line is None or board is None or coil is None:
            self._note("unknown_coil", {"coil": str(message.coil)})  # the driver has refused it already
            return
        now = time.monotonic()
        if isinstance(message, wire.Sound):
            coil.sound(message, now)
        elif isinstance(message, wire.Prove):
            board.proving.take(message, now)
        else:
            coil.silence(message, now)
        line.wake()

    async def _open_all(self, buses: list[asyncio.Task[None]]) -> None:
        for line in self._lines.values():
            line.end()
        if buses:
            _, late = await asyncio.wait(buses, timeout=CLOSE_S)
            for task in late:
                task.cancel()

    async def _beat(self) -> None:
        while True:
            boards = [board.closed() for line in self._lines.values() for board in line.boards]
            self._guard.write(wire.encode(wire.Beat(closed=tuple(c for c in boards if c is not None))))
            await asyncio.sleep(self._settings.watchdog_s / 4)

    def _report(self, event: wire.Evidence | wire.Proven | wire.Presence) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append(event)

    def _flush(self) -> None:
        events, self._waiting = self._waiting, []
        self._tell(
            wire.Events(
                evidence=tuple(e for e in events if isinstance(e, wire.Evidence)),
                presence=tuple(e for e in events if isinstance(e, wire.Presence)),
                proven=tuple(e for e in events if isinstance(e, wire.Proven)),
            )
        )

    def _note(self, event: str, fields: Mapping[str, str]) -> None:
        self._tell(wire.Note(event=event, level="warning", fields=dict(fields)))

    def _tell(self, message: wire.FromWorker) -> None:
        """Never waits: a core that hangs must not hold up the horns."""
        if not self._core.is_closing():
            self._core.write(wire.encode(message))


async def _until_end(stream: asyncio.StreamReader, over: asyncio.Event) -> None:
    async for _ in lines(stream):
        pass
    over.set()


async def _main(control: int, beats: int) -> None:
    orders, core = await _stream(control)
    guard_in, guard_out = await _stream(beats)
    first = await next_line(orders)
    if first is None:
        return
    settings = wire.decode(wire.to_worker, first)
    if not isinstance(settings, wire.Configure):
        raise TypeError("the first message has to be Configure")
    await Worker(settings, core, guard_out).run(orders, guard_in)
    os._exit(0)  # a thread that hangs in the kernel over a lost port must not keep the process


async def _stream(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(sock=socket.socket(fileno=descriptor), limit=wire.MAX_LINE)


if __name__ == "__main__":
    wake_when_parent_dies()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is the core's to answer
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
