"""The words between the three processes of the serial driver: JSON, one message a line, no I/O here.

    core ══ control (socket pair) ══ worker        Configure, Sound, Silence, Prove, Begin ⇄ Up, Events, Note
    core ── stdin, stdout ────────── guard         Configure ⇄ Alive, Opened
    guard ══ beats (socket pair) ═══ worker        Beat, Bye →

Instants are seconds of the kernel's CLOCK_MONOTONIC, which all processes of one machine share, so a stepped wall
clock moves no edge. Durations are seconds. What the relay boards themselves are told is in `rtu`.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from broadcast_core.model import DeliveryKey, Progress, Reason, ResumeRule, Standing

MAX_LINE: Final = 1 << 20  # bytes; the longest pattern there may be takes 20 kB


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", omit_defaults=True):
    """A line. The field `t` says which."""


class BoardConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One relay board: Modbus unit 1-247, its coils 0..coils-1, and its own switch-off timer if it has one."""

    unit: int
    coils: int
    timer_register: int | None = None
    timer_max_s: int = 0


class LineConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One serial line and its boards."""

    name: str
    port: str
    baudrate: int
    parity: str
    stopbits: int
    boards: tuple[BoardConfig, ...]

    @property
    def char_s(self) -> float:
        """How long one character takes on the line."""
        return (9 + (self.parity != "N") + self.stopbits) / self.baudrate


class Coil(msgspec.Struct, frozen=True, kw_only=True):
    """Where a horn hangs."""

    line: str
    unit: int
    number: int


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What has been read back of a pattern so far; kept by the core, so that a worker's death loses no evidence."""

    anchor: float  # when the pattern began, or would have
    phases: tuple[int, ...]  # see Timeline.phase
    played_s: float
    started: bool = False


class Configure(Message, frozen=True, tag="configure"):
    """First message to worker and guard."""

    lines: tuple[LineConfig, ...]
    reply_timeout_s: float
    max_on_s: float
    watchdog_s: float


class Sound(Message, frozen=True, tag="sound"):
    """Sound a pattern on a coil. `steps` are (on, off); `proof` comes along when a new worker takes over."""

    key: DeliveryKey
    coil: Coil
    standing: Standing
    issued_ms: int
    starts: float
    expires: float
    steps: tuple[tuple[float, float], ...]
    max_on_s: float
    resume: ResumeRule = ResumeRule.START
    silent: bool = False
    proof: Proof | None = None


class Silence(Message, frozen=True, tag="silence"):
    """End the alert's revisions up to the key's on a coil, also those that have not arrived, until `expires`."""

    key: DeliveryKey
    coil: Coil
    expires: float


class Prove(Message, frozen=True, tag="prove"):
    """Read the board of a coil back, coils and timer, when nothing else wants it; closes nothing."""

    key: DeliveryKey
    coil: Coil
    expires: float


class Begin(Message, frozen=True, tag="begin"):
    """All that was live has been said again: boards that have none of it are now switched off."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A receipt on its way to the core."""

    key: DeliveryKey
    progress: Progress
    at: float
    reason: Reason | None = None
    detail: str = ""
    played_s: float | None = None
    retry_after_s: float | None = None


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a board answers; `detail` says how it does not."""

    line: str
    unit: int
    online: bool
    at: float
    detail: str = ""


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """A sounding's proof has grown."""

    key: DeliveryKey
    proof: Proof


class Up(Message, frozen=True, tag="up"):
    """The worker runs."""

    pid: int


class Events(Message, frozen=True, tag="events"):
    """What came up together, in order."""

    evidence: tuple[Evidence, ...] = ()
    presence: tuple[Presence, ...] = ()
    proven: tuple[Proven, ...] = ()


class Note(Message, frozen=True, tag="note"):
    """A line for the core's log."""

    event: str
    level: str = "info"
    fields: dict[str, str] = {}


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """A board with coils that are or may be closed. `until` is when the last has to be open at the latest, and
    `tried` whether opening them has been tried since and the board did not answer."""

    line: str
    unit: int
    until: float
    tried: bool


class Beat(Message, frozen=True, tag="beat"):
    """The worker's heartbeat to the guard: all boards that are not proven open."""

    closed: tuple[Closed, ...] = ()


class Bye(Message, frozen=True, tag="bye"):
    """The worker's last word: it has opened all coils, but for these boards, which did not prove it."""

    unproven: tuple[tuple[str, int], ...] = ()


class Alive(Message, frozen=True, tag="alive"):
    """The guard's heartbeat to the core."""


class Opened(Message, frozen=True, tag="opened"):
    """The guard has ended the worker for `cause`, opened all coils itself and read them back."""

    cause: str
    boards: int
    unproven: tuple[tuple[str, int], ...] = ()


ToWorker = Configure | Sound | Silence | Prove | Begin
FromWorker = Up | Events | Note
ToGuard = Configure | Beat | Bye
FromGuard = Alive | Opened

M = TypeVar("M")

_encoder: Final = msgspec.json.Encoder()
to_worker: Final = msgspec.json.Decoder(ToWorker)
from_worker: Final = msgspec.json.Decoder(FromWorker)
to_guard: Final = msgspec.json.Decoder(ToGuard)
from_guard: Final = msgspec.json.Decoder(FromGuard)


def encode(message: Message) -> bytes:
    """The message as one line, newline included."""
    return _encoder.encode(message) + b"\n"


def decode(decoder: msgspec.json.Decoder[M], line: bytes) -> M:
    """The message in a line, of the kinds `decoder` knows. Raises msgspec.DecodeError."""
    return decoder.decode(line)
