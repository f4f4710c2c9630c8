"""What is sent to the field: orders, and the deliveries that carry them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from broadcast_core.model.content import AudioRef, Content
from broadcast_core.model.evidence import Reason
from broadcast_core.model.field import Endpoint
from broadcast_core.model.selftest import Part
from broadcast_core.model.standing import Domain, ResumeRule, Standing


class Mode(StrEnum):
    """The system's stance in a zone. A zone without a mode of its own has its parent's."""

    PEACETIME = "peacetime"
    EMERGENCY = "emergency"


class MessageKind(StrEnum):
    """What a message of ours is. All go the same way; only alerts are CAP."""

    ALERT = "alert"
    SLOT = "slot"  # the occurrence of a peacetime slot
    MODE = "mode"  # a switch of mode
    TEST = "test"  # endpoints prove themselves


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """Who let this start. An emergency start is not signed without one."""

    kind: str  # "one-person", "two-person", "break-glass"
    actors: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Make it sound (or ring): one alert's revision on one channel. Shared by all its deliveries."""

    alert_id: str
    revision: int
    domain: Domain
    standing: Standing
    issued_at: datetime
    starts_at: datetime
    expires: datetime
    content: Content
    approval: Approval
    volume: int = 255  # 0-100; 255 leaves the device as it is
    resume: ResumeRule = ResumeRule.START
    silent: bool = False  # acknowledge everything, sound nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """End the alert's revisions up to and including `revision`, wherever they are on their way."""

    alert_id: str
    revision: int
    domain: Domain
    acted_at: datetime
    expires: datetime  # when the last of what it ends would have expired: retried until then
    actor: str
    cause: str  # "stop", "cancel", "superseded"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModeChange:
    """From now on this is your mode. `alert_id` is the identity of the change, as of any message."""

    alert_id: str
    revision: int
    domain: Domain
    mode: Mode
    issued_at: datetime
    expires: datetime  # retried until then; the hello's orders tell it afterwards
    actor: str
    volume_floor: int = 0  # 0-100: in emergency nothing sounds below it

    @property
    def starts_at(self) -> datetime:
        """It holds as soon as it arrives."""
        return self.issued_at


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfTest:
    """Prove yourself in silence. `alert_id` is the identity of the test, as of any message.

    Each endpoint is told alone, under the key for tests. What its channel does not have of `parts` it leaves out.
    """

    alert_id: str
    revision: int
    domain: Domain
    issued_at: datetime
    expires: datetime  # not begun any more afterwards
    parts: tuple[Part, ...]
    audio: AudioRef | None = None  # the small file to fetch
    clock_limit: timedelta = timedelta(seconds=2)

    @property
    def starts_at(self) -> datetime:
        """It begins as soon as it arrives."""
        return self.issued_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """Ask an endpoint for the evidence it owes."""

    alert_id: str
    revision: int
    domain: Domain
    expires: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Orders:
    """The whole truth for one endpoint: the answer to its hello (nonce) or a push after a change (no nonce).

    `live` gives the starts that are meant for it; the driver calls it at the instant as of which it signs the answer.
    """

    nonce: str | None
    live: Callable[[], tuple[Start, ...]]
    holds: Mapping[str, int] = field(default_factory=dict)  # publicity the endpoint has already
    mode: Mode = Mode.PEACETIME
    volume_floor: int = 0


# What a message opens with on a channel; a stop ends it.
Opening = Start | ModeChange | SelfTest
Order = Start | Stop | ModeChange | SelfTest | Query | Orders


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One order on its way to one endpoint. `via` names the zone whose topic carries it, or None for its own."""

    endpoint: Endpoint
    order: Order
    via: str | None = None
    via_version: int = 0
    excluded: tuple[str, ...] = ()  # endpoints of `via` that are not meant
    attempt: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreachable:
    """An endpoint that was targeted and cannot be reached, and why; it is in the report from the first second."""

    endpoint: Endpoint
    reason: Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The resolved list: exactly what goes to whom. Frozen at acceptance."""

    alert_id: str
    revision: int
    deliveries: tuple[Delivery, ...]
    unreachable: tuple[Unreachable, ...] = ()
