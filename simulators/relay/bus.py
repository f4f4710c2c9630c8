"""A simulated serial line: a pty under a stable name, with several relay boards on it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import tty
from pathlib import Path
from typing import Final, Self

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU

from broadcast_core.clock import Clock, SystemClock
from broadcast_core.config import Board, SerialLine
from simulators.relay.board import RelayBoard
from simulators.relay.edges import Edge, EdgeLog

_TURNAROUND_S: Final = 0.003  # from the last byte of a request to the first of the answer
_FORGET_S: Final = 0.05  # a started request that does not go on is thrown away after this


class RelayBus:
    """One line. Entering plugs it in; `line` then says where to find it.

    The boards are reached with `board(unit)` and broken there; `noise` is the share of answers that arrive damaged.
    Answers take the time the line's speed gives them.
    """

    def __init__(
        self, line: SerialLine, directory: Path, *, clock: Clock | None = None, log: Path | None = None
    ) -> None:
        self.path = directory / line.name
        self.line = line.model_copy(update={"port": str(self.path)})
        self.log = EdgeLog(clock or SystemClock(), log)
        self.noise = 0.0
        self.echoes = False  # the adapter hears itself: what the master sends comes back to it
        self.requests = 0  # sound requests seen, for whatever board
        self._char_s = (9 + (line.parity != "N") + line.stopbits) / line.baudrate
        self._random = random.Random(line.name)  # noqa: S311 the same noise every time
        self._framer = FramerRTU(DecodePDU(is_server=True))
        self._boards = {board.unit: self._board(board) for board in line.boards}
        self._plug: tuple[int, int] | None = None
        self._heard = bytearray()
        self._forget: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self.replug()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.unplug()
        for board in self._boards.values():
            board.shut_down()
        self.log.close()

    @property
    def edges(self) -> list[Edge]:
        """Every change of a coil since the start."""
        return self.log.edges

    def board(self, unit: int) -> RelayBoard:
        """The board with this Modbus address."""
        return self._boards[unit]

    def closed(self) -> list[tuple[int, int]]:
        """(unit, coil) of every coil that is closed now."""
        return [(unit, coil) for unit, b in self._boards.items() for coil, closed in enumerate(b.closed) if closed]

    def unplug(self) -> None:
        """Pull the adapter: the device and its name are gone. The boards keep their power and their state."""
        if self._plug is None:
            return
        asyncio.get_running_loop().remove_reader(self._plug[0])
        self.path.unlink(missing_ok=True)
        for descriptor in self._plug:
            os.close(descriptor)
        self._plug = None

    def replug(self) -> None:
        """Plug it in (again): a new device under the old name."""
        if self._plug is not None:
            return
        ours, theirs = os.openpty()  # theirs stays open here too: otherwise the line would end with its first user
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        self._plug = ours, theirs
        self._heard.clear()
        asyncio.get_running_loop().add_reader(ours, self._on_readable, ours)
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(theirs))
        fresh.replace(self.path)

    def _board(self, config: Board) -> RelayBoard:
        def changed(coil: int, closed: bool, cause: str) -> None:
            self.log.note(self.line.name, config.unit, coil, closed=closed, cause=cause)

        return RelayBoard(config, changed)

    def _on_readable(self, descriptor: int) -> None:
        with contextlib.suppress(OSError):
            said = os.read(descriptor, 4096)
            self._heard += said
            if self.echoes:
                self._say(said)
        if self._forget is not None:
            self._forget.cancel()
        try:
            used, request = self._framer.handleFrame(bytes(self._heard), 0, 0)
        except ModbusException:
            used, request = len(self._heard), None
        del self._heard[:used]
        if request is not None:
            self.requests += 1
            self._serve(request)
        elif self._heard:
            self._forget = asyncio.get_running_loop().call_later(_FORGET_S, self._heard.clear)

    def _serve(self, request: ModbusPDU) -> None:
        """Unit 0 is for all boards, and none answers it."""
        if request.dev_id == 0:
            for board in self._boards.values():
                board.answer(request)
            return
        board_asked = self._boards.get(request.dev_id)
        if board_asked is None or (response := board_asked.answer(request)) is None:
            return
        frame = self._framer.buildFrame(response)
        on_line = self._char_s * (len(self._framer.buildFrame(request)) + len(frame))
        delay = on_line + _TURNAROUND_S + board_asked.delay_s
        asyncio.get_running_loop().call_later(delay, self._say, self._damaged(frame))

    def _damaged(self, frame: bytes) -> bytes:
        if self._random.random() >= self.noise:
            return frame
        where = self._random.randrange(len(frame))
        garbage = self._random.randbytes(self._random.randrange(4))
        return garbage + frame[:where] + bytes([frame[where] ^ 0x55]) + frame[where + 1 :]

    def _say(self, frame: bytes) -> None:
        if self._plug is not None:
            with contextlib.suppress(OSError):  # full: nobody reads on the other side, and a line does not wait
                os.write(self._plug[0], frame)
