"""A small registry to see rules on."""

from __future__ import annotations

import pytest

from broadcast_core.model import Channel, CoilAddress, Endpoint, Point, Zone, ZoneLevel
from broadcast_core.registry import Registry


def zone(code: str, parent: str | None, level: ZoneLevel, version: int = 1) -> Zone:
    return Zone(
        code=code, parent=parent, level=level, name_zh=f"{code}区", name_en=f"Zone {code}", membership_version=version
    )


def speaker(identifier: str, where: str, at: tuple[float, float] | None = None, **more: object) -> Endpoint:
    position = None if at is None else Point(lat=at[0], lon=at[1])
    return Endpoint(
        id=identifier, channel=Channel.SPEAKER, zone=where, name=f"喇叭 {identifier}", position=position, **more
    )


def phone(identifier: str, where: str, number: str, **more: object) -> Endpoint:
    return Endpoint(id=identifier, channel=Channel.SMS, zone=where, name=f"人 {identifier}", phone=number, **more)


def horn(identifier: str, where: str, coil: int, **more: object) -> Endpoint:
    address = CoilAddress(line="line-1", unit=1, coil=coil)
    return Endpoint(
        id=identifier, channel=Channel.HORN, zone=where, name=f"警报器 {identifier}", coil=address, **more
    )


ZONES = (
    zone("D", None, ZoneLevel.DISTRICT),
    zone("N", "D", ZoneLevel.SUBDISTRICT),
    zone("S", "D", ZoneLevel.SUBDISTRICT),
    zone("N1", "N", ZoneLevel.COMMUNITY),
    zone("N2", "N", ZoneLevel.COMMUNITY),
    zone("S1", "S", ZoneLevel.COMMUNITY),
)
ENDPOINTS = (
    speaker("SPK-1", "N1", (28.20, 112.90)),
    speaker("SPK-2", "N1", (28.20, 112.92)),
    speaker("SPK-3", "N2", (28.15, 112.90)),
    speaker("SPK-4", "S1", (28.00, 112.90)),
    horn("HRN-1", "N2", 0, position=Point(lat=28.15, lon=112.91)),
    phone("SMS-1", "N1", "+9990000000001", language="zh-CN"),
    phone("SMS-2", "S1", "+9990000000002", enabled=False),
)


@pytest.fixture
def small() -> Registry:
    return Registry(ZONES, ENDPOINTS)
