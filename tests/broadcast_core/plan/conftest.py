"""A district of two subdistricts and three communities, with every kind of endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from broadcast_core.model import (
    Approval,
    Authority,
    Certainty,
    Channel,
    CoilAddress,
    Domain,
    Endpoint,
    Level,
    Point,
    SoundClass,
    Standing,
    Start,
    Texted,
    Urgency,
    Zone,
    ZoneLevel,
)
from broadcast_core.registry import Registry

TREE = (
    ("D", None, ZoneLevel.DISTRICT),
    ("N", "D", ZoneLevel.SUBDISTRICT),
    ("S", "D", ZoneLevel.SUBDISTRICT),
    ("N1", "N", ZoneLevel.COMMUNITY),
    ("N2", "N", ZoneLevel.COMMUNITY),
    ("S1", "S", ZoneLevel.COMMUNITY),
)
SPEAKERS = (
    ("SPK-1", "N1", 28.20, True),
    ("SPK-2", "N1", 28.19, True),
    ("SPK-3", "N2", 28.15, True),
    ("SPK-4", "S1", 28.00, True),
    ("SPK-5", "S1", 27.99, False),
)


@pytest.fixture
def registry() -> Registry:
    zones = (
        Zone(code=code, parent=parent, level=level, name_zh=code, name_en=code, membership_version=7)
        for code, parent, level in TREE
    )
    speakers = (
        Endpoint(
            id=identifier, channel=Channel.SPEAKER, zone=zone, name=identifier, enabled=enabled,
            position=Point(lat=lat, lon=112.9),
        )
        for identifier, zone, lat, enabled in SPEAKERS
    )  # fmt: skip
    horn = Endpoint(
        id="HRN-1", channel=Channel.HORN, zone="N2", name="HRN-1", coil=CoilAddress(line="line-1", unit=1, coil=0)
    )
    phones = (
        Endpoint(id="SMS-1", channel=Channel.SMS, zone="N1", name="SMS-1", phone="+9990000000001"),
        Endpoint(id="SMS-2", channel=Channel.SMS, zone="S1", name="SMS-2", phone="+9990000000002", enabled=False),
    )
    return Registry(zones, [*speakers, horn, *phones])


@pytest.fixture
def starts() -> Mapping[Channel, Start]:
    """A start for each channel."""
    now = datetime(2026, 11, 23, 8, tzinfo=UTC)
    standing = Standing(
        sound_class=SoundClass.EMERGENCY,
        authority=Authority.DISTRICT,
        level=Level.RED,
        urgency=Urgency.IMMEDIATE,
        certainty=Certainty.OBSERVED,
    )
    return {
        channel: Start(
            alert_id="a",
            revision=1,
            domain=Domain.LIVE,
            standing=standing,
            issued_at=now,
            starts_at=now,
            expires=now + timedelta(hours=1),
            content=Texted(text=(("en", channel.value),)),
            approval=Approval(kind="one-person", actors=("li",)),
        )
        for channel in Channel
    }
