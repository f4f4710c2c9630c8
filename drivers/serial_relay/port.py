"""One open serial port and one exchange at a time on it.

pyserial opens and sets up the port (exclusively: a second process is refused). Reading and writing go straight to
its descriptor, because pyserial's read needs select(), which fails for descriptors above 1,023, and its write spins
for ever where a non-blocking descriptor is full.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
import time
from typing import Final, Self

import serial

from drivers.serial_relay import rtu, wire

# The longest a line is listened to after a bad exchange until nothing more comes.
_SETTLE_MAX_S: Final = 0.1
_QUIET_S: Final = 0.01
_MIN_GAP_S: Final = 0.00175  # Modbus over serial line 1.02, 2.5.1.1: above 19,200 baud the gap is fixed


class PortLost(Exception):
    """The port could not be opened, or it went away."""


class Port:
    """A port in use. Made by `open`; after PortLost only `close` makes sense."""

    def __init__(self, device: serial.Serial, line: wire.LineConfig) -> None:
        self._device = device
        self._fd: int = device.fileno()
        self._char_s = line.char_s
        self._gap_s = max(_MIN_GAP_S, 3.5 * line.char_s)
        self._received = bytearray()
        self._arrived = asyncio.Event()
        self._lost = ""
        self._echoes = False  # an RS-485 adapter that hears itself: each request comes back before its answer
        self._last_byte_at = 0.0
        asyncio.get_running_loop().add_reader(self._fd, self._on_readable)

    @classmethod
    async def open(cls, line: wire.LineConfig) -> Self:
        """Open the line's port, in a thread: a driver in the kernel may take its time. Raises PortLost."""
        try:
            device = await asyncio.to_thread(_open, line)
        except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
            raise PortLost(str(error)) from error
        return cls(device, line)

    async def close(self) -> None:
        """Close it, in a thread, and with its output thrown away: otherwise the kernel may wait for it to drain."""
        asyncio.get_running_loop().remove_reader(self._fd)
        await asyncio.to_thread(_close, self._device)

    async def exchange(self, request: rtu.Request, patience_s: float) -> tuple[rtu.Answer, float]:
        """Send a request and wait for its answer, at most `patience_s` beyond the time the bytes need on the line.

        Returns the answer and how long it took. What came before the request was sent is thrown away, and after a
        time-out or a wrong answer the line is listened to until it is quiet. Raises PortLost.
        """
        await self._gap()
        self._received.clear()
        sent_at = self._send(request.frame)
        on_line_s = self._char_s * 2 * len(request.frame)  # no answer that we ask for is longer than its request
        answer = await self._answer(request, sent_at + on_line_s + patience_s)
        took = time.monotonic() - sent_at
        if isinstance(answer, rtu.Good) and request.frame != request.echo:
            self._echoes = self._received.startswith(request.frame)
        if isinstance(answer, rtu.Silent | rtu.Wrong):
            await self._settle()
        return answer, took

    async def _answer(self, request: rtu.Request, deadline: float) -> rtu.Answer:
        while (answer := rtu.find_answer(request, self._answered(request))) is None:
            if not await self._more(deadline):
                return rtu.Silent(len(self._received))
        return answer

    def _answered(self, request: rtu.Request) -> bytes:
        """What came after our own echo. The answer to a register's write looks just like its request: on such a line
        a board that never answered would be believed to have armed its timer."""
        own = self._echoes and self._received.startswith(request.frame)
        return bytes(self._received[len(request.frame) if own else 0 :])

    def _send(self, frame: bytes) -> float:
        try:
            written = os.write(self._fd, frame)
        except OSError as error:
            raise PortLost(f"write: {error.strerror}") from error
        if written != len(frame):
            raise PortLost(f"write: {written} of {len(frame)} bytes taken")
        return time.monotonic()

    async def _gap(self) -> None:
        """Keep the 3.5 characters of silence that part two frames."""
        self._check()
        wait = self._last_byte_at + self._gap_s - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)

    async def _settle(self) -> None:
        deadline = time.monotonic() + _SETTLE_MAX_S
        while await self._more(min(deadline, time.monotonic() + max(_QUIET_S, self._gap_s))):
            if time.monotonic() >= deadline:
                return

    async def _more(self, deadline: float) -> bool:
        """Wait for bytes until `deadline`; whether some came."""
        self._check()
        self._arrived.clear()
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await self._arrived.wait()
        except TimeoutError:
            return False
        self._check()
        return True

    def _check(self) -> None:
        if self._lost:
            raise PortLost(self._lost)

    def _on_readable(self) -> None:
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError as error:
            self._gone(f"read: {error.strerror}")
            return
        if not data:
            self._gone("read: end of file")
            return
        self._last_byte_at = time.monotonic()
        if len(self._received) < 4096:  # a line that babbles must not fill the memory
            self._received += data
        self._arrived.set()

    def _gone(self, why: str) -> None:
        self._lost = why
        asyncio.get_running_loop().remove_reader(self._fd)
        self._arrived.set()


def _open(line: wire.LineConfig) -> serial.Serial:
    return serial.Serial(
        port=line.port,
        baudrate=line.baudrate,
        parity=line.parity,
        stopbits=line.stopbits,
        timeout=0,
        write_timeout=0,
        exclusive=True,
    )


def _close(device: serial.Serial) -> None:
    with contextlib.suppress(OSError, termios.error):  # a port that is gone has no buffer
        device.reset_output_buffer()
    with contextlib.suppress(OSError):
        device.close()
