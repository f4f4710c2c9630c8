"""The checks of what stands behind the core: boards on ptys, a gateway, speech."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from broadcast_core.config import Board, BoardTimer, Listener, Serial, SerialLine, Sms, SmsGateway, Voice
from broadcast_core.doctor import Grade, field
from broadcast_core.model import Channel, CoilAddress, Endpoint, Zone, ZoneLevel
from broadcast_core.registry import Registry
from simulators.relay import Lie, RelayField

TIMER = BoardTimer(register_address=10)


@pytest.fixture
async def relays(tmp_path: Path) -> AsyncIterator[RelayField]:
    """Two lines; unit 1 of each has a timer."""
    boards = (Board(unit=1, coils=8, timer=TIMER), Board(unit=2, coils=4))
    lines = [SerialLine(name=name, port="", boards=boards) for name in ("line-1", "line-2")]
    async with RelayField(lines, tmp_path / "serial") as relays:
        yield relays


def serial(relays: RelayField) -> Serial:
    return Serial(lines=relays.lines)


async def test_boards_that_answer_are_ok_and_no_coil_moves(scene: Any, relays: RelayField) -> None:
    found = await field.serial_lines(scene(serial=serial(relays)))
    assert found.grade is Grade.OK, [str(detail) for detail in found.details]
    assert found.says.values == {"boards": 4, "lines": 2}
    assert not any(bus.edges for bus in relays.buses.values())


async def test_a_dead_a_refusing_and_an_unplugged_board_are_named(scene: Any, relays: RelayField) -> None:
    settings = serial(relays)
    relays.buses["line-1"].board(1).dead = True
    relays.buses["line-1"].board(2).lie = Lie.EXCEPTION
    relays.buses["line-2"].unplug()
    found = await field.serial_lines(scene(serial=settings))
    assert found.grade is Grade.FAIL
    said = [str(detail) for detail in found.details]
    assert len(said) == 3
    assert "line line-1, unit 1 does not answer" in said[0]
    assert "exception 4" in said[1]
    assert said[2].startswith("line-2:")


async def test_a_coil_that_is_closed_while_no_core_runs_is_a_fault(scene: Any, relays: RelayField) -> None:
    relays.buses["line-2"].board(2).closed[3] = True
    found = await field.serial_lines(scene(serial=serial(relays)))
    assert found.grade is Grade.FAIL
    assert "coils 3 are closed" in str(found.details[0])


async def test_a_running_cores_boards_are_left_alone(scene: Any, relays: RelayField) -> None:
    found = await field.serial_lines(scene(running=True, serial=serial(relays)))
    assert found.grade is Grade.OK
    assert all(bus.requests == 0 for bus in relays.buses.values())


async def test_boards_without_a_timer_are_named(scene: Any, relays: RelayField) -> None:
    found = await field.board_timers(scene(serial=serial(relays)))
    assert found.grade is Grade.WARN
    assert [str(detail) for detail in found.details] == ["line line-1, unit 2", "line line-2, unit 2"]


async def test_a_horn_on_a_coil_that_no_board_has_is_named(scene: Any, relays: RelayField) -> None:
    zone = Zone(code="430103", parent=None, level=ZoneLevel.DISTRICT, name_zh="区", name_en="District")
    horn = Endpoint(
        id="HRN-1", channel=Channel.HORN, zone="430103", name="x", coil=CoilAddress(line="line-1", unit=2, coil=4)
    )
    found = await field.serial_lines(scene(serial=serial(relays), registry=Registry([zone], [horn])))
    assert found.grade is Grade.FAIL
    assert "HRN-1" in str(found.details[0])


async def test_the_gateway_is_asked_and_nothing_is_sent(scene: Any, tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.method, request.path_qs))
        return web.Response(status=404)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/cgi-bin/sendsms?to=1"
    sms = Sms(gateway=SmsGateway(url=url), password_file=tmp_path / "password", reports=Listener(port=0))
    found = await field.gateway(scene(sms=sms))
    await runner.cleanup()
    assert found.grade is Grade.OK, str(found.says)
    assert asked == [("HEAD", "/")]
    assert (await field.gateway(scene(sms=sms))).grade is Grade.FAIL


async def test_chinese_and_english_are_spoken(scene: Any) -> None:
    found = await field.speech(scene())
    assert found.grade is Grade.OK, [str(detail) for detail in found.details]


async def test_speech_that_is_off_is_a_warning_and_no_serial_line_is_no_fault(scene: Any) -> None:
    assert (await field.speech(scene(voice=Voice(engine="none")))).grade is Grade.WARN
    assert (await field.serial_lines(scene())).grade is Grade.SKIPPED
