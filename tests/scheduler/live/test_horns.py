"""Horns never sound from a publicity schedule: nothing of it is ever addressed to one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from broadcast_core.model import Channel, CoilAddress, Endpoint
from broadcast_core.registry import Registry
from scheduler.runner import desired
from tests.broadcast_core.intake.conftest import ENDPOINTS, ZONES


async def test_a_slot_over_the_whole_district_reaches_no_horn(day: Any, make: Any) -> None:
    horns = tuple(
        Endpoint(id=f"HRN-{z}", channel=Channel.HORN, zone=z, name="x", coil=CoilAddress(line="L", unit=1, coil=n))
        for n, z in enumerate(("D", "N1", "S1"))
    )
    await day.desk.put_slot(make.slot(zones=("D",)), actor="publicity")
    registry = Registry(ZONES, (*ENDPOINTS, *horns))
    wanted = desired(day.desk.circumstances(), registry, day.clock.now() + timedelta(hours=1))
    told = [endpoint for variants in wanted.values() for variant in variants for endpoint in variant.endpoints]
    assert told
    assert {endpoint.channel for endpoint in told} == {Channel.SPEAKER}
    await day.look()
    assert day.sent()
    assert day.horns.sent == []
