"""Open every coil of every line and read it back: the guard's own hands, when the worker's cannot be trusted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from drivers.serial_relay import rtu, wire
from drivers.serial_relay.port import Port, PortLost

SWEEP_S: Final = 3.0  # boards that have not answered by then are left to their own timers and to the next worker
_PAUSE_S: Final = 0.05


async def open_all(lines: Sequence[wire.LineConfig], reply_timeout_s: float) -> list[tuple[str, int]]:
    """Write OFF to all boards, all lines at once, and read it back. Returns the boards that did not prove it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_open_line(line, reply_timeout_s), name=line.name) for line in lines]
    return [board for task in tasks for board in task.result()]


async def _open_line(line: wire.LineConfig, reply_timeout_s: float) -> list[tuple[str, int]]:
    left = list(line.boards)
    deadline = time.monotonic() + SWEEP_S
    while left and time.monotonic() < deadline:
        try:
            port = await Port.open(line)
        except PortLost:
            await asyncio.sleep(_PAUSE_S)
            continue
        try:
            while left and time.monotonic() < deadline:
                left = [board for board in left if not await _open_board(port, board, reply_timeout_s)]
        except PortLost:
            await asyncio.sleep(_PAUSE_S)
        finally:
            await port.close()
    return [(line.name, board.unit) for board in left]


async def _open_board(port: Port, board: wire.BoardConfig, reply_timeout_s: float) -> bool:
    off = (False,) * board.coils
    answer, _ = await port.exchange(rtu.write_coils(board.unit, off), reply_timeout_s)
    if not isinstance(answer, rtu.Good):
        return False
    answer, _ = await port.exchange(rtu.read_coils(board.unit, board.coils), reply_timeout_s)
    return answer == rtu.Good(off)
