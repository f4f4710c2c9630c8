"""The CAP 1.2 alert as frozen types (OASIS CAP-v1.2-os). They know no XML, no JSON, no SQL.

Names are CAP's own in snake case. Every datetime is aware. Order of `infos` and their parts is kept, because a
message must read back equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Status(StrEnum):
    ACTUAL = "Actual"
    EXERCISE = "Exercise"
    SYSTEM = "System"
    TEST = "Test"
    DRAFT = "Draft"


class MsgType(StrEnum):
    ALERT = "Alert"
    UPDATE = "Update"
    CANCEL = "Cancel"
    ACK = "Ack"
    ERROR = "Error"


class Scope(StrEnum):
    PUBLIC = "Public"
    RESTRICTED = "Restricted"
    PRIVATE = "Private"


class Category(StrEnum):
    GEO = "Geo"
    MET = "Met"
    SAFETY = "Safety"
    SECURITY = "Security"
    RESCUE = "Rescue"
    FIRE = "Fire"
    HEALTH = "Health"
    ENV = "Env"
    TRANSPORT = "Transport"
    INFRA = "Infra"
    CBRNE = "CBRNE"
    OTHER = "Other"


class ResponseType(StrEnum):
    SHELTER = "Shelter"
    EVACUATE = "Evacuate"
    PREPARE = "Prepare"
    EXECUTE = "Execute"
    AVOID = "Avoid"
    MONITOR = "Monitor"
    ASSESS = "Assess"
    ALL_CLEAR = "AllClear"
    NONE = "None"


class Urgency(StrEnum):
    IMMEDIATE = "Immediate"
    EXPECTED = "Expected"
    FUTURE = "Future"
    PAST = "Past"
    UNKNOWN = "Unknown"


class Severity(StrEnum):
    EXTREME = "Extreme"
    SEVERE = "Severe"
    MODERATE = "Moderate"
    MINOR = "Minor"
    UNKNOWN = "Unknown"


class Certainty(StrEnum):
    OBSERVED = "Observed"
    LIKELY = "Likely"
    POSSIBLE = "Possible"
    UNLIKELY = "Unlikely"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedValue:
    """CAP's valueName/value pair: eventCode, parameter, geocode."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A WGS-84 position in degrees."""

    lat: float
    lon: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Circle:
    """Everything within `radius_km` kilometres of `centre`."""

    centre: Point
    radius_km: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """An earlier message: CAP's `sender,identifier,sent` triple."""

    sender: str
    identifier: str
    sent: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    resource_desc: str
    mime_type: str
    size: int | None = None
    uri: str | None = None
    deref_uri: str | None = None
    digest: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Area:
    """Where: the union of polygons, circles and geocodes. Polygons are closed (first point = last), >= 4 points."""

    area_desc: str
    polygons: tuple[tuple[Point, ...], ...] = ()
    circles: tuple[Circle, ...] = ()
    geocodes: tuple[NamedValue, ...] = ()
    altitude: float | None = None
    ceiling: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Info:
    """One language or audience of an alert."""

    category: tuple[Category, ...]
    event: str
    urgency: Urgency
    severity: Severity
    certainty: Certainty
    language: str = "en-US"  # CAP's own default when the element is absent
    response_type: tuple[ResponseType, ...] = ()
    audience: str | None = None
    event_code: tuple[NamedValue, ...] = ()
    effective: datetime | None = None
    onset: datetime | None = None
    expires: datetime | None = None
    sender_name: str | None = None
    headline: str | None = None
    description: str | None = None
    instruction: str | None = None
    web: str | None = None
    contact: str | None = None
    parameter: tuple[NamedValue, ...] = ()
    resource: tuple[Resource, ...] = ()
    area: tuple[Area, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """One CAP message. An Update or a Cancel is a new message whose `references` name the earlier ones."""

    identifier: str
    sender: str
    sent: datetime
    status: Status
    msg_type: MsgType
    scope: Scope
    source: str | None = None
    restriction: str | None = None
    addresses: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    note: str | None = None
    references: tuple[Reference, ...] = ()
    incidents: tuple[str, ...] = ()
    infos: tuple[Info, ...] = ()

    @property
    def reference(self) -> Reference:
        """How later messages name this one."""
        return Reference(sender=self.sender, identifier=self.identifier, sent=self.sent)
