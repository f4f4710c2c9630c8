"""The simulated boards, asked by a client that this project did not write."""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import asynccontextmanager

import pytest
from pymodbus.client import AsyncModbusSerialClient
from pymodbus.exceptions import ModbusIOException

from broadcast_core.config import Board, BoardTimer, SerialLine
from simulators.relay import Lie, RelayBus, RelayField

LINE = SerialLine(
    name="L1",
    port="replaced",
    baudrate=38400,
    boards=(Board(unit=1), Board(unit=2, coils=16, timer=BoardTimer(register_address=3, max_s=60))),
)


@asynccontextmanager
async def client(bus):
    modbus = AsyncModbusSerialClient(bus.line.port, baudrate=38400, timeout=0.5, retries=0)
    assert await modbus.connect()
    try:
        yield modbus
    finally:
        modbus.close()


@pytest.fixture
async def bus(tmp_path):
    async with RelayBus(LINE, tmp_path, log=tmp_path / "edges.jsonl") as made:
        yield made


async def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_coils_are_written_and_read_and_every_edge_is_logged(bus, tmp_path):
    async with client(bus) as modbus:
        assert not (await modbus.write_coils(0, [True, False, True], device_id=1)).isError()
        assert (await modbus.read_coils(0, count=8, device_id=1)).bits == [True, False, True] + [False] * 5
        assert not (await modbus.write_coil(2, False, device_id=1)).isError()
        assert (await modbus.read_coils(0, count=16, device_id=2)).bits == [False] * 16
    assert [(e.unit, e.coil, e.closed, e.cause) for e in bus.edges] == [
        (1, 0, True, "write"),
        (1, 2, True, "write"),
        (1, 2, False, "write"),
    ]
    rows = [json.loads(row) for row in (tmp_path / "edges.jsonl").read_text().splitlines()]
    assert [(row["coil"], row["closed"]) for row in rows] == [(0, True), (2, True), (2, False)]
    assert rows[0]["utc"].endswith("+00:00")


async def test_a_timer_opens_all_coils_of_its_board(bus):
    async with client(bus) as modbus:
        assert not (await modbus.write_register(3, 1, device_id=2)).isError()
        await modbus.write_coils(0, [True, True], device_id=2)
        await modbus.write_coils(0, [True], device_id=1)
        await until(lambda: not any(bus.board(2).closed))
        assert (await modbus.write_register(3, 61, device_id=2)).isError()
    assert bus.closed() == [(1, 0)]
    assert [e.cause for e in bus.edges if not e.closed] == ["timer", "timer"]


async def test_what_a_board_has_not_is_refused(bus):
    async with client(bus) as modbus:
        assert (await modbus.read_coils(0, count=9, device_id=1)).exception_code == 2
        assert (await modbus.write_coil(8, True, device_id=1)).exception_code == 2
        assert (await modbus.read_input_registers(0, device_id=1)).exception_code == 1


async def test_a_dead_board_is_silent_and_its_neighbour_is_not(bus):
    bus.board(1).dead = True
    async with client(bus) as modbus:
        with pytest.raises(ModbusIOException):
            await modbus.read_coils(0, count=8, device_id=1)
        assert not (await modbus.read_coils(0, count=8, device_id=2)).isError()


async def test_without_power_all_coils_fall_open(bus):
    async with client(bus) as modbus:
        await modbus.write_coils(0, [True], device_id=1)
    bus.board(1).power_off()
    assert bus.closed() == []
    assert bus.edges[-1].cause == "power"


async def test_lies(bus):
    async with client(bus) as modbus:
        bus.board(1).lie = Lie.STALE_REPLY
        await modbus.write_coil(0, True, device_id=1)
        assert not (await modbus.read_coils(0, count=8, device_id=1)).bits[0]
        bus.board(1).lie = Lie.LAGGING_REPLY
        await modbus.write_coil(0, False, device_id=1)
        assert (await modbus.read_coils(0, count=8, device_id=1)).bits[0]
        assert not (await modbus.read_coils(0, count=8, device_id=1)).bits[0]
        bus.board(1).lie = Lie.OTHER_COIL
        assert (await modbus.write_coil(0, True, device_id=1)).address == 1
        assert bus.closed() == []
        bus.board(1).lie = Lie.EXCEPTION
        assert (await modbus.read_coils(0, count=8, device_id=1)).exception_code == 4


async def test_unplugged_it_is_gone_and_replugged_it_is_another_device_of_the_same_name(bus):
    async with client(bus) as modbus:
        await modbus.write_coils(0, [True], device_id=1)
    before = os.open(bus.line.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        bus.unplug()
        assert not bus.path.exists()
        assert os.read(before, 1) == b""  # hung up
        with pytest.raises(OSError, match="Input/output error"):
            os.write(before, b"x")
    finally:
        os.close(before)
    bus.replug()
    async with client(bus) as modbus:
        assert (await modbus.read_coils(0, count=8, device_id=1)).bits[0]  # the board kept its power


async def test_noise_damages_answers_and_never_the_boards(bus):
    bus.noise = 1.0
    async with client(bus) as modbus:
        with pytest.raises(ModbusIOException):
            await modbus.write_coils(0, [True], device_id=1)
    assert bus.closed() == [(1, 0)]


async def test_a_field_has_all_lines_and_gives_their_ports(tmp_path):
    lines = (LINE, LINE.model_copy(update={"name": "L2"}))
    async with RelayField(lines, tmp_path / "field") as field:
        assert [line.name for line in field.lines] == ["L1", "L2"]
        async with client(field.buses["L2"]) as modbus:
            await modbus.write_coils(0, [True], device_id=1)
        assert field.buses["L1"].closed() == []
        assert field.buses["L2"].closed() == [(1, 0)]
    assert (tmp_path / "field" / "L2.edges.jsonl").read_text().count("\n") == 1
