"""What the field says: how far the evidence for each delivery reaches, who is there, who asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from broadcast_core.model.field import Availability, Channel


class Progress(IntEnum):
    """How far the evidence for one delivery reaches. It only rises, so late evidence of having finished wins
    over an earlier failure (decision 0005); both stay in the receipts."""

    QUEUED = 0
    CLAIMED = 1
    SENT = 2
    RECEIVED = 3
    STARTED = 4
    EXPIRED = 5  # ended by its expiry without proof of having finished
    FAILED = 6
    STOPPED = 7  # ended by a stop, cancel or update
    FINISHED = 8
    HEARD = 9

    __hash__ = int.__hash__  # Enum's own is Python code, and every receipt is looked up by this

    @property
    def ended(self) -> bool:
        return self >= Progress.EXPIRED


class Reason(StrEnum):
    """Why an endpoint failed. Closed: also the metric's label."""

    OFFLINE = "offline"
    NO_ANSWER = "no_answer"
    EXPIRED = "expired"
    REFUSED_SIGNATURE = "refused_signature"
    REFUSED_REPLAY = "refused_replay"
    REFUSED_SCOPE = "refused_scope"
    CONTENT_UNAVAILABLE = "content_unavailable"
    CONTENT_MISMATCH = "content_mismatch"  # the fetched bytes have another hash
    CONTENT_UNDECODABLE = "content_undecodable"
    INTERRUPTED = "interrupted"  # rebooted or lost power while it played
    PREEMPTED = "preempted"  # something higher took its whole time
    HARDWARE = "hardware"
    STORAGE_FULL = "storage_full"
    CLOCK_OFF = "clock_off"
    PORT_LOST = "port_lost"
    BOARD_SILENT = "board_silent"
    BOARD_EXCEPTION = "board_exception"
    READBACK_DIFFERS = "readback_differs"
    MAX_ON_REACHED = "max_on_reached"
    GATEWAY_ERROR = "gateway_error"
    GATEWAY_REFUSED = "gateway_refused"
    GATEWAY_TIMEOUT = "gateway_timeout"  # sent, unknown
    NUMBER_INVALID = "number_invalid"
    UNDELIVERED = "undelivered"
    TOO_LONG = "too_long"
    CHANNEL_DOWN = "channel_down"
    DRIVER_CRASHED = "driver_crashed"
    UNSUPPORTED = "unsupported"
    DISABLED = "disabled"  # out of service by the registry; nothing was sent


class DeliveryKind(StrEnum):
    START = "start"
    STOP = "stop"

    __hash__ = str.__hash__  # see Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryKey:
    """Identity of a delivery: derived, never drawn, so that a retry is the same delivery."""

    alert_id: str
    revision: int
    kind: DeliveryKind
    endpoint_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemPlay:
    """A speaker's own sum for one item within one occurrence."""

    item_id: str
    times: int  # how often it was played to its end
    played: timedelta  # altogether, parts included
    reason: Reason | None = None  # why it was not played to its end, where it was not


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """One piece of evidence. Append-only.

    `at` is the endpoint's (or, for sms and horn, the driver's) time of the event. `played` is how long it sounded.
    With `retry_after` set, this attempt failed but may be tried again after that long; dispatch alone decides.
    """

    key: DeliveryKey
    progress: Progress
    at: datetime
    reason: Reason | None = None
    detail: str = ""
    played: timedelta | None = None
    plays: tuple[ItemPlay, ...] = ()  # of publicity, with its final receipt
    retry_after: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hello:
    """An endpoint has (re)connected and asks for its orders. `evidence` is what it still holds."""

    endpoint_id: str
    nonce: str
    at: datetime
    firmware: str = ""
    evidence: tuple[Receipt, ...] = ()
    holds: Mapping[str, int] = field(default_factory=dict)  # publicity it has: occurrence -> revision


FieldEvent = Receipt | Availability | Hello


def _nothing() -> None:
    """Most channels have nobody to tell that evidence is durable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Events that arrived together. `settled` is called once they are durable (MQTT acknowledges only then)."""

    channel: Channel
    events: Sequence[FieldEvent]
    settled: Callable[[], None] = field(default=_nothing)
