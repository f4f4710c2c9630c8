"""A simulated relay board: coils, a switch-off timer if it has one, and the ways it may be broken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ModbusPDU, ReadCoilsRequest, ReadHoldingRegistersRequest
from pymodbus.pdu.bit_message import (
    ReadCoilsResponse,
    WriteMultipleCoilsRequest,
    WriteMultipleCoilsResponse,
    WriteSingleCoilRequest,
    WriteSingleCoilResponse,
)
from pymodbus.pdu.exceptionresponse import ExceptionResponse
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersResponse,
    WriteSingleRegisterRequest,
    WriteSingleRegisterResponse,
)

from broadcast_core.config import Board

Changed = Callable[[int, bool, str], None]  # coil, closed, cause


class Lie(Enum):
    """How a board that answers in time deceives."""

    STALE_REPLY = auto()  # reads give for ever what they gave when the lie began
    LAGGING_REPLY = auto()  # each read gives what the one before should have
    OTHER_COIL = auto()  # a write moves nothing and is echoed for another coil
    EXCEPTION = auto()  # everything is answered with exception 4, device failure


class RelayBoard:
    """One board. Its faults are plain attributes and may be changed at any time."""

    def __init__(self, config: Board, changed: Changed) -> None:
        self.config = config
        self.closed = [False] * config.coils
        self.registers: dict[int, int] = {}
        self.dead = False  # hears and says nothing; its coils stay as they are
        self.delay_s = 0.0  # how much later than it should it answers
        self._lie: Lie | None = None
        self._changed = changed
        self._shown = list(self.closed)
        self._timer: asyncio.TimerHandle | None = None

    @property
    def lie(self) -> Lie | None:
        """How it deceives, if it does."""
        return self._lie

    @lie.setter
    def lie(self, lie: Lie | None) -> None:
        self._lie = lie
        self._shown = list(self.closed)

    def power_off(self) -> None:
        """Out of power: silent, and all coils fall open."""
        self.dead = True
        self._open_all("power")

    def power_on(self) -> None:
        """Back in power, as new."""
        self.registers.clear()
        self.dead = False

    def answer(self, request: ModbusPDU) -> ModbusPDU | None:
        """Do what a request says and return the response; None from a dead board."""
        if self.dead:
            return None
        if self._lie is Lie.EXCEPTION:
            return self._refuse(request, ExcCodes.DEVICE_FAILURE)
        response = self._obey(request)
        response.dev_id = self.config.unit
        return response

    def shut_down(self) -> None:
        """The simulation ends."""
        if self._timer is not None:
            self._timer.cancel()

    def _obey(self, request: ModbusPDU) -> ModbusPDU:
        match request:
            case ReadCoilsRequest(function_code=1):
                return self._read(request)
            case WriteMultipleCoilsRequest():
                bits = list(request.bits[: request.count])
                return self._write(request, bits) or WriteMultipleCoilsResponse(
                    address=self._echoed(request.address), count=request.count
                )
            case WriteSingleCoilRequest():
                return self._write(request, list(request.bits)) or WriteSingleCoilResponse(
                    address=self._echoed(request.address), bits=request.bits
                )
            case WriteSingleRegisterRequest():
                return self._set_register(request)
            case ReadHoldingRegistersRequest(function_code=3):
                values = [self.registers.get(request.address + n, 0) for n in range(request.count)]
                return ReadHoldingRegistersResponse(registers=values)
        return self._refuse(request, ExcCodes.ILLEGAL_FUNCTION)

    def _read(self, request: ReadCoilsRequest) -> ModbusPDU:
        if request.address + request.count > len(self.closed):
            return self._refuse(request, ExcCodes.ILLEGAL_ADDRESS)
        shown = self._shown if self._lie in (Lie.STALE_REPLY, Lie.LAGGING_REPLY) else self.closed
        response = ReadCoilsResponse(bits=shown[request.address : request.address + request.count])
        if self._lie is Lie.LAGGING_REPLY:
            self._shown = list(self.closed)
        return response

    def _write(self, request: ModbusPDU, bits: list[bool]) -> ModbusPDU | None:
        if request.address + len(bits) > len(self.closed):
            return self._refuse(request, ExcCodes.ILLEGAL_ADDRESS)
        if self._lie is not Lie.OTHER_COIL:
            for coil, closed in enumerate(bits, request.address):
                self._set(coil, closed, "write")
        return None

    def _echoed(self, address: int) -> int:
        return address + 1 if self._lie is Lie.OTHER_COIL else address

    def _set_register(self, request: WriteSingleRegisterRequest) -> ModbusPDU:
        value = request.registers[0]
        self.registers[request.address] = value
        timer = self.config.timer
        if timer is not None and request.address == timer.register_address:
            if value > timer.max_s:
                return self._refuse(request, ExcCodes.ILLEGAL_VALUE)
            if self._timer is not None:
                self._timer.cancel()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(value, self._open_all, "timer") if value else None
        return WriteSingleRegisterResponse(address=request.address, registers=[value])

    def _refuse(self, request: ModbusPDU, code: int) -> ModbusPDU:
        return ExceptionResponse(request.function_code, code, device_id=self.config.unit)

    def _open_all(self, cause: str) -> None:
        for coil in range(len(self.closed)):
            self._set(coil, False, cause)

    def _set(self, coil: int, closed: bool, cause: str) -> None:
        if self.closed[coil] != closed:
            self.closed[coil] = closed
            self._changed(coil, closed, cause)
