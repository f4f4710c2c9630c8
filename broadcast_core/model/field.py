"""The field: zones, endpoints and how they are reached."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from broadcast_core.model.alert import Point


class Channel(StrEnum):
    """A way to reach an endpoint; the code behind it is a `Driver`."""

    SPEAKER = "speaker"
    HORN = "horn"
    SMS = "sms"

    __hash__ = str.__hash__  # Enum's own is Python code, and every receipt is counted by this


class ZoneLevel(StrEnum):
    DISTRICT = "district"
    SUBDISTRICT = "subdistrict"
    COMMUNITY = "community"


@dataclass(frozen=True, kw_only=True, slots=True)
class Zone:
    """A part of the district; the tree hangs together by `parent`.

    `membership_version` rises whenever an endpoint enters or leaves the zone's subtree; commands to the zone name
    it, and a device that knows another one asks instead of playing.
    """

    code: str
    parent: str | None
    level: ZoneLevel
    name_zh: str
    name_en: str
    membership_version: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class CoilAddress:
    """Where a horn hangs: serial line by its configured name, Modbus unit (1-247), coil (0-based)."""

    line: str
    unit: int
    coil: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """One thing that sounds or rings.

    `phone` (E.164, SMS only) and `coil` (horns only) are its address; speakers are addressed by `id`.
    `simulated` endpoints are marked everywhere and never count as proof.
    """

    id: str
    channel: Channel
    zone: str  # code of the zone it belongs to (a community, for the shipped data)
    name: str
    position: Point | None = None
    phone: str | None = None
    coil: CoilAddress | None = None
    language: str | None = None  # preferred language of an SMS recipient
    simulated: bool = False
    enabled: bool = True


class Presence(StrEnum):
    UNKNOWN = "unknown"  # not heard from since the start, and it has not yet had the time to speak
    ONLINE = "online"
    SILENT = "silent"  # owed a heartbeat and did not send it: a fault
    OFFLINE = "offline"  # said goodbye, or its will did


@dataclass(frozen=True, kw_only=True, slots=True)
class Availability:
    """Is it there. Never a substitute for a receipt."""

    endpoint_id: str
    presence: Presence
    at: datetime
    detail: str = ""
