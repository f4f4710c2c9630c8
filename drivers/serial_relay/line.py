"""One serial line at work: its port, its boards, and one exchange after the other, chosen by `schedule`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeGuard

from drivers.serial_relay import rtu, wire
from drivers.serial_relay.board import Board, Report
from drivers.serial_relay.coil import Coil
from drivers.serial_relay.port import Port, PortLost
from drivers.serial_relay.schedule import choose

REOPEN_FIRST_S: Final = 0.1
REOPEN_MAX_S: Final = 0.5
# A port on which nobody answers may lead nowhere any more (an adapter that was replugged): open it anew.
SILENT_PORT_S: Final = 5.0
GIVE_UP_AFTER: Final = 3  # failures in a row of a board that is to be opened for good

Note = Callable[[str, Mapping[str, str]], None]


class Line:
    """The line's one task is `run`; nothing it holds is shared with another line."""

    def __init__(self, config: wire.LineConfig, settings: wire.Configure, report: Report, note: Note) -> None:
        self.config = config
        self.boards = tuple(Board(config.name, board, settings, report) for board in config.boards)
        self._note = note
        self._wake = asyncio.Event()
        self._ending = False
        self._answered_at = 0.0
        self._lost_for = ""

    def coil(self, unit: int, number: int) -> Coil | None:
        """The coil at an address, or None if the line has none there."""
        for board in self.boards:
            if board.config.unit == unit and 0 <= number < len(board.coils):
                return board.coils[number]
        return None

    def board(self, unit: int) -> Board | None:
        """The board with this address, or None."""
        return next((board for board in self.boards if board.config.unit == unit), None)

    def wake(self) -> None:
        """An order has come: look again now."""
        self._wake.set()

    def end(self) -> None:
        """Forget all orders, open all coils, and let `run` return."""
        self._ending = True
        for board in self.boards:
            board.drop(time.monotonic())
        self.wake()

    def unproven(self) -> list[tuple[str, int]]:
        """The boards whose coils have not been read back open."""
        return [(self.config.name, b.config.unit) for b in self.boards if not b.proven_open]

    async def run(self) -> None:
        """Serve the line until it was told to end and all coils are open, or the boards given up."""
        delay = REOPEN_FIRST_S
        while not self._ended():
            try:
                port = await Port.open(self.config)
            except PortLost as lost:
                self._lost(lost)
                await self._pause(time.monotonic() + delay)
                delay = min(2 * delay, REOPEN_MAX_S)
                continue
            delay = REOPEN_FIRST_S
            try:
                await self._serve(port)
            except PortLost as lost:
                self._lost(lost)
                await self._pause(time.monotonic() + delay)
            finally:
                await port.close()

    async def _serve(self, port: Port) -> None:
        if self._lost_for:
            self._note("port_back", {"line": self.config.name, "port": self.config.port})
            self._lost_for = ""
        self._answered_at = time.monotonic()
        for board in self.boards:
            board.reachable()
        while not self._ended():
            now = time.monotonic()
            chosen, wake_at = choose(self.boards, now)
            if chosen is None:
                await self._pause(wake_at)
            else:
                chosen.served_at = now
                await self._talk(port, chosen, now)
            if self._nobody_answers(time.monotonic()):
                return

    async def _talk(self, port: Port, board: Board, now: float) -> None:
        """One step with one board: arm its timer and write, or read."""
        unit, patience = board.config.unit, board.patience_s
        write = board.plan(now)
        if write is None and board.reads_timer(now):
            await self._read_timer(port, board)
            return
        if write is None:
            answer, took = await port.exchange(rtu.read_coils(unit, board.config.coils), patience)
            if self._accepted(answer, board):
                board.read(answer.bits, time.monotonic(), took)
            return
        board.closing(write)
        if write.timer_s is not None and board.config.timer_register is not None:
            # First the board's own timer: a coil is never closed without it.
            armed, _ = await port.exchange(
                rtu.write_register(unit, board.config.timer_register, write.timer_s), patience
            )
            if not self._accepted(armed, board):
                return
        answer, took = await port.exchange(rtu.write_coils(unit, write.bits), patience)
        if self._accepted(answer, board):
            board.acknowledged(write, time.monotonic(), took)

    async def _read_timer(self, port: Port, board: Board) -> None:
        register = board.config.timer_register
        assert register is not None  # only then it is asked for
        answer, _ = await port.exchange(rtu.read_registers(board.config.unit, register), board.patience_s)
        if isinstance(answer, rtu.Refused):  # a board may keep its register to itself and be sound
            self._answered_at = time.monotonic()
            board.proving.timer(answer, time.monotonic())
        elif self._accepted(answer, board):
            board.proving.timer(answer, time.monotonic())

    def _accepted(self, answer: rtu.Answer, board: Board) -> TypeGuard[rtu.Good]:
        """Whether the board did as it was asked; what it did instead goes on its account."""
        now = time.monotonic()
        if not isinstance(answer, rtu.Silent):
            self._answered_at = now
        if isinstance(answer, rtu.Good):
            return True
        board.answered_badly(answer, now)
        return False

    def _lost(self, lost: PortLost) -> None:
        now, why = time.monotonic(), str(lost)
        if not self._lost_for:
            self._note("port_lost", {"line": self.config.name, "port": self.config.port, "detail": why})
        self._lost_for = why
        for board in self.boards:
            board.unreachable(why, now)
            board.advance(now)

    def _nobody_answers(self, now: float) -> bool:
        return now - self._answered_at > SILENT_PORT_S and all(b.failures > 1 for b in self.boards)

    def _ended(self) -> bool:
        return self._ending and all(b.proven_open or b.failures >= GIVE_UP_AFTER for b in self.boards)

    async def _pause(self, until: float) -> None:
        """Sleep until then or until an order comes."""
        try:
            async with asyncio.timeout(max(0.0, min(until - time.monotonic(), 1.0))):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
