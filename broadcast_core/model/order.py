"""What is sent to the field: orders, deliveries, and the evidence that comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from broadcast_core.model.alert import Certainty, Urgency
from broadcast_core.model.field import Availability, Channel, Endpoint


class Domain(StrEnum):
    """Separate keys and topic trees: one can never be taken for another."""

    LIVE = "live"
    DRILL = "drill"
    SIMULATION = "simulation"


class SoundClass(IntEnum):
    """Class of what sounds; the larger pre-empts (domain rule 1 of precedence)."""

    PUBLICITY = 10
    TEST = 20
    DRILL = 30
    LIVE_MICROPHONE = 40
    EMERGENCY = 50
    AIR_RAID = 60


class Authority(IntEnum):
    """上级优先于下级: the larger pre-empts within a class."""

    SUBDISTRICT = 10
    DISTRICT = 20
    CITY = 30
    PROVINCE = 40
    NATIONAL = 50


class Level(IntEnum):
    """Colour of a warning. 1 is the most severe; 0 is unknown and sorts last; 15 is test."""

    UNKNOWN = 0
    RED = 1
    ORANGE = 2
    YELLOW = 3
    BLUE = 4
    TEST = 15


class ResumeRule(StrEnum):
    """What an interrupted item does when the interruption is over."""

    POSITION = "position"
    START = "start"
    SKIP = "skip"
    LIVE = "live"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What an order is worth against others; `precedence` compares these."""

    sound_class: SoundClass
    authority: Authority
    level: Level
    urgency: Urgency
    certainty: Certainty


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioRef:
    """Audio by content: fetched from `url`, believed only when its SHA-256 fits."""

    sha256: str  # lower-case hex
    url: str
    mime_type: str
    size: int  # bytes
    duration: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Spoken:
    """For speakers: the tone every speaker holds, the audio to fetch, and the words for a display.

    `audio` is None when speech failed: then tone and text go out alone, and `note` says so.
    """

    tone: str  # name of a tone in the speaker's local store
    audio: AudioRef | None
    text: tuple[tuple[str, str], ...]  # (language, words)
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Texted:
    """For phones: the message by language (first is the fallback). Never cut."""

    text: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SirenPattern:
    """Exact on/off timing of a horn. `steps` are (on, off) pairs in order; the last off is silence to the end."""

    id: str
    name_zh: str
    name_en: str
    steps: tuple[tuple[timedelta, timedelta], ...]
    enabled: bool = True
    demonstration: bool = False

    @property
    def total(self) -> timedelta:
        return sum((on + off for on, off in self.steps), timedelta())

    @property
    def last_sound_ends(self) -> timedelta:
        return self.total - self.steps[-1][1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sounded:
    """For horns: the pattern, and the longest any coil may stay closed whatever happens."""

    pattern: SirenPattern
    max_on: timedelta


Content = Spoken | Texted | Sounded


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


Order = Start | Stop | Query | Orders


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
class Delivery:
    """One order on its way to one endpoint. `via` names the zone whose topic carries it, or None for its own."""

    endpoint: Endpoint
    order: Order
    via: str | None = None
    via_version: int = 0
    excluded: tuple[str, ...] = ()  # endpoints of `via` that are not meant
    attempt: int = 1


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
    retry_after: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hello:
    """An endpoint has (re)connected and asks for its orders. `evidence` is what it still holds."""

    endpoint_id: str
    nonce: str
    at: datetime
    firmware: str = ""
    evidence: tuple[Receipt, ...] = ()


FieldEvent = Receipt | Availability | Hello


def _nothing() -> None:
    """Most channels have nobody to tell that evidence is durable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Events that arrived together. `settled` is called once they are durable (MQTT acknowledges only then)."""

    channel: Channel
    events: Sequence[FieldEvent]
    settled: Callable[[], None] = field(default=_nothing)


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
