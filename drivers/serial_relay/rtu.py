"""Modbus RTU as a master needs it to believe nothing: requests as bytes, and what an answer proves. No I/O.

pymodbus makes the PDUs and the CRC. Its own client is not used, because it takes a stale read reply or an echo for
another coil as success and gives no hold on draining and time-outs. Byte-exact examples, which the tests replay,
are in docs/protocols/serial-relay.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pymodbus.framer import FramerRTU
from pymodbus.pdu import ModbusPDU, ReadCoilsRequest
from pymodbus.pdu.bit_message import WriteMultipleCoilsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, WriteSingleRegisterRequest

Bits = tuple[bool, ...]

_READ_COILS: Final = 0x01
_READ_REGISTERS: Final = 0x03
_WRITE_COILS: Final = 0x0F
_EXCEPTION: Final = 0x80
_EXCEPTION_SIZE: Final = 5
_ECHO_SIZE: Final = 8
_ECHOES: Final = frozenset({0x05, 0x06, 0x0F, 0x10})


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One frame to send. `echo` is the whole answer where it can be known beforehand (all writes)."""

    unit: int
    function: int
    frame: bytes
    echo: bytes | None
    coils: int = 0
    registers: int = 0


@dataclass(frozen=True, slots=True)
class Good:
    """The board did it, or these are its coils or registers."""

    bits: Bits = ()
    values: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """An exception answer with its code."""

    code: int


@dataclass(frozen=True, slots=True)
class Wrong:
    """A sound frame of this board that answers something else: a lie, or late."""

    detail: str


@dataclass(frozen=True, slots=True)
class Silent:
    """No sound frame of this board in time; `noise` bytes came instead."""

    noise: int


Answer = Good | Refused | Wrong | Silent


def write_coils(unit: int, bits: Sequence[bool]) -> Request:
    """FC0F: set coils 0..n-1, all of the board at once, as a state."""
    frame = _frame(WriteMultipleCoilsRequest(address=0, bits=list(bits), dev_id=unit))
    head = frame[:6]  # unit, function, first coil, count: that is what the board has to say again
    return Request(unit=unit, function=_WRITE_COILS, frame=frame, echo=head + _crc(head))


def read_coils(unit: int, count: int) -> Request:
    """FC01: read coils 0..count-1."""
    frame = _frame(ReadCoilsRequest(address=0, count=count, dev_id=unit))
    return Request(unit=unit, function=_READ_COILS, frame=frame, echo=None, coils=count)


def read_registers(unit: int, address: int, count: int = 1) -> Request:
    """FC03: read holding registers (the board's switch-off timer)."""
    frame = _frame(ReadHoldingRegistersRequest(address=address, count=count, dev_id=unit))
    return Request(unit=unit, function=_READ_REGISTERS, frame=frame, echo=None, registers=count)


def write_register(unit: int, address: int, value: int) -> Request:
    """FC06: set one holding register (the board's switch-off timer)."""
    frame = _frame(WriteSingleRegisterRequest(address=address, registers=[value], dev_id=unit))
    return Request(unit=unit, function=0x06, frame=frame, echo=frame)


def find_answer(request: Request, received: bytes) -> Good | Refused | Wrong | None:
    """The first sound frame of the asked board in `received`; None while there is none.

    Noise before it and late frames of other boards are passed over. A sound frame of this board that is not the
    answer is Wrong, never waited past: after it nothing that follows can be trusted to be ours.
    """
    for start in range(len(received) - _EXCEPTION_SIZE + 1):
        if received[start] == request.unit and (frame := _sound_frame(received[start:])) is not None:
            return _judge(request, frame)
    return None


def _judge(request: Request, frame: bytes) -> Good | Refused | Wrong:
    function = frame[1]
    if function == request.function | _EXCEPTION:
        return Refused(frame[2])
    if function != request.function:
        return Wrong(f"answered function {function:#04x} to {request.function:#04x}")
    if request.echo is not None:
        return Good() if frame == request.echo else Wrong(f"echoed {frame[2:-2].hex()}")
    if request.registers:
        if frame[2] != 2 * request.registers:
            return Wrong(f"sent {frame[2]} bytes for {request.registers} registers")
        return Good(
            values=tuple(int.from_bytes(frame[3 + 2 * n : 5 + 2 * n], "big") for n in range(request.registers))
        )
    if frame[2] != (request.coils + 7) // 8:
        return Wrong(f"sent {frame[2]} bytes for {request.coils} coils")
    return Good(tuple(bool(frame[3 + n // 8] >> n % 8 & 1) for n in range(request.coils)))


def _sound_frame(data: bytes) -> bytes | None:
    """The frame at the start of `data` if it is whole and its CRC fits."""
    function = data[1]
    if function & _EXCEPTION:
        size = _EXCEPTION_SIZE
    elif function in _ECHOES:
        size = _ECHO_SIZE
    else:
        size = 5 + data[2]
    frame = data[:size]
    return frame if len(frame) == size and _crc(frame[:-2]) == frame[-2:] else None


def _frame(pdu: ModbusPDU) -> bytes:
    body = bytes((pdu.dev_id, pdu.function_code)) + pdu.encode()
    return body + _crc(body)


def _crc(body: bytes) -> bytes:
    return FramerRTU.compute_CRC(body).to_bytes(2, "big")  # pymodbus returns it already swapped for the wire
