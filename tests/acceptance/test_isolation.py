"""No endpoint and no channel delays another, and a crowd of speakers that come back delays no alert."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytestmark = pytest.mark.slow

_MOST_DELAY_S = 1.0  # P10


async def test_an_alert_beside_the_return_of_the_whole_district_is_delayed_for_nobody(new_site: Any) -> None:
    site = await new_site(speakers=1099)
    there, back = site.speakers[:99], site.speakers[99:]
    for speaker in back:
        site.fleet.disconnect(speaker)
    await site.eventually(lambda: site.fleet.settled == len(site.speakers), 10, "all that are plugged are connected")
    began = time.monotonic()
    for speaker in back:
        site.fleet.reconnect(speaker)
    sending = asyncio.create_task(site.send())
    await site.eventually(lambda: site.fleet.settled == len(site.speakers), 30, "every hello is answered")
    answered_s = time.monotonic() - began
    alert = await sending
    await site.eventually(lambda: all(site.stretches(alert).values()), 30, "everybody sounds")
    there_s, back_s = (
        max(played[0].began for played in site.stretches(alert, who).values()) - began for who in (there, back)
    )
    print(f"sounding: {there_s:.1f} s those there, {back_s:.1f} s all; hellos answered {answered_s:.1f} s")
    assert there_s <= 5
    assert back_s <= 15
    await site.finished(alert, within_s=60)
    assert {len(played) for played in site.stretches(alert).values()} == {1}


@pytest.mark.parametrize("sick", ["gateway", "board", "broker"])
async def test_what_is_sick_delays_nothing_else(new_site: Any, mosquitto: Any, sick: str) -> None:
    """Measured against the same alert with all well: the machine may be slow, the difference may not."""
    site = await new_site(speakers=20, horns=18, recipients=20)
    usual = await _delays(site, "all-well", sick)
    async with _SICK[sick](site, mosquitto):
        beside = await _delays(site, "one-sick", sick)
    print(f"{sick} sick, seconds until the last was reached: usually {usual}, beside it {beside}")
    assert all(beside[peer] <= usual[peer] + _MOST_DELAY_S for peer in usual)


async def test_beside_a_stuck_broker_and_gateway_a_stop_opens_the_horns_in_two_seconds(
    new_site: Any, mosquitto: Any
) -> None:
    site = await new_site(speakers=20, horns=18, recipients=20)
    buses = site.relays.buses.values()
    async with _stuck_broker(site, mosquitto), _hanging_gateway(site, mosquitto):
        alert = await site.send("speaker,horn,sms")
        await site.eventually(lambda: all(bus.edges for bus in buses), 20, "the horns sound")
        asked = time.monotonic()
        stopping = asyncio.create_task(site.stop(alert))
        await site.eventually(lambda: not any(bus.closed() for bus in buses), 10, "the horns are open")
        await asyncio.sleep(2)  # one beat of the pattern: the next would have begun
        assert max(edge.monotonic for bus in buses for edge in bus.edges) - asked <= 2
        await stopping
    # The broker moves again. What it held back was meant for before the stop.
    await site.reached(alert, lambda count: count["states"].get("stopped") == count["targets"], within_s=40)
    assert not site.sounding()


async def _delays(site: Any, name: str, sick: str) -> dict[str, float]:
    """How long after an alert was sent the last peer on each channel had it, but for the sick; it is stopped then."""
    buses = site.relays.buses.values()
    texts = len(site.gateway.log)
    asked = time.monotonic()
    alert = await site.send("speaker,horn,sms", identifier=name)
    delays: dict[str, float] = {}
    if sick != "broker":
        await site.eventually(lambda: all(site.stretches(alert).values()), 20, "all speakers sound")
        delays["speakers"] = max(played[0].began for played in site.stretches(alert).values()) - asked
    if sick != "gateway":
        await site.eventually(lambda: len(site.gateway.log) == texts + len(site.phones), 20, "all phones ring")
        delays["phones"] = site.gateway.log[-1].at - asked
    coils = {e.coil for e in site.stage.registry.endpoints.values() if e.coil is not None}
    coils = {(c.line, c.unit, c.coil) for c in coils if sick != "board" or (c.line, c.unit) != _DEAD}

    def closed() -> dict[tuple[str, int, int], float]:
        edges = [e for bus in buses for e in bus.edges if e.closed and e.monotonic > asked]
        return {(e.line, e.unit, e.coil): e.monotonic for e in reversed(edges)}  # the first of each

    await site.eventually(lambda: coils <= closed().keys(), 20, "all horns sound")
    delays["horns"] = max(at for coil, at in closed().items() if coil in coils) - asked
    await site.stop(alert)
    await site.eventually(
        lambda: not site.sounding() and not any(bus.closed() for bus in buses), 20, "all is silent again"
    )
    return delays


# One of two boards on its line.
_DEAD = ("line-3", 1)


@asynccontextmanager
async def _hanging_gateway(site: Any, _broker: Any) -> AsyncIterator[None]:
    """Connections to it are made, and then nothing comes."""
    port = int(site.gateway.url.split(":")[2].split("/")[0])
    await site.gateway.go_down()
    with socket.create_server(("127.0.0.1", port), backlog=64):
        yield
    await site.gateway.come_back()


@asynccontextmanager
async def _dead_board(site: Any, _broker: Any) -> AsyncIterator[None]:
    line, unit = _DEAD
    board = site.relays.buses[line].board(unit)
    board.dead = True
    yield
    board.dead = False


@asynccontextmanager
async def _stuck_broker(_site: Any, broker: Any) -> AsyncIterator[None]:
    """It keeps its connections and does nothing."""
    os.kill(broker.pid, signal.SIGSTOP)
    yield
    os.kill(broker.pid, signal.SIGCONT)


_SICK = {"gateway": _hanging_gateway, "board": _dead_board, "broker": _stuck_broker}
