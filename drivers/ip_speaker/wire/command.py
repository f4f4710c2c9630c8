"""Commands, envelope v1: what the core tells a speaker. Pure codec, bytes to types and back.

The bytes here are the payload of a signed JWS (`broadcast_core.signing`). docs/protocols/ip-speaker.md is the
normative text; this module and that page change together.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec
from msgspec import Struct, field

from broadcast_core.clock import to_ms
from broadcast_core.errors import TocsinError
from broadcast_core.model import (
    MOST_CLIPS,
    AudioRef,
    Authority,
    Certainty,
    Domain,
    LateRule,
    Level,
    Mode,
    ModeChange,
    Programme,
    Query,
    ResumeRule,
    SoundClass,
    Spoken,
    Standing,
    Start,
    Stop,
    Urgency,
)

VERSION: Final = 1
_MS: Final = timedelta(milliseconds=1)

CLASSES: Final = {
    SoundClass.PUBLICITY: "publicity",
    SoundClass.TEST: "test",
    SoundClass.DRILL: "drill",
    SoundClass.LIVE_MICROPHONE: "live-microphone",
    SoundClass.EMERGENCY: "emergency",
    SoundClass.AIR_RAID: "air-raid",
}
AUTHORITIES: Final = {a: a.name.lower() for a in Authority}
_CLASS_OF: Final = {v: k for k, v in CLASSES.items()}
_AUTHORITY_OF: Final = {v: k for k, v in AUTHORITIES.items()}


class MalformedMessage(TocsinError):
    """Bytes that are not a message of this protocol."""


class Target(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Who is meant: a zone at a version of its membership, less some; or endpoints by id."""

    zone: str | None = None
    version: int = 0
    excluded: tuple[str, ...] = field(default=(), name="except")
    endpoints: tuple[str, ...] = ()


class Audio(Struct, frozen=True, kw_only=True):
    sha256: str
    url: str
    mime: str
    size: int
    ms: int


class ClipEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One item of a programme, `at_ms` after its start."""

    item: str
    audio: Audio
    at_ms: int
    resume: str = "start"


class SpokenContent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Either `tone` with what belongs to it, or (class publicity only) `programme` with `late` and `grace_ms`."""

    tone: str = ""
    audio: Audio | None = None
    text: tuple[tuple[str, str], ...] = ()
    note: str = ""
    programme: tuple[ClipEntry, ...] = ()
    late: str = "join"
    grace_ms: int = 0


class ApprovalRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    kind: str
    actors: tuple[str, ...] = ()
    reason: str = ""


class Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="act"):
    """What every command carries. Instants are UTC epoch milliseconds."""

    v: int = field(default_factory=lambda: VERSION)  # a factory, so that it is never left out
    domain: str
    epoch: int
    seq: int
    iat: int  # issued at: a device's clock never runs behind it
    exp: int  # not after
    target: Target
    crit: tuple[str, ...] = ()  # names of fields a device has to understand or else refuse the whole command

    @property
    def order(self) -> tuple[int, int]:
        """Position in the one order of all commands of a domain."""
        return self.epoch, self.seq


class StartCommand(Envelope, tag="start", frozen=True, kw_only=True, omit_defaults=True):
    alert: str
    rev: int
    sound_class: str = field(name="class")
    authority: str
    level: int
    urgency: str
    certainty: str
    start_at: int
    issued: int | None = None  # when the message was; `iat` is when it was signed, anew for each who is told again
    content: SpokenContent
    approval: ApprovalRecord | None = None
    resume: str = "start"
    silent: bool = False
    volume: int = 255

    @property
    def standing(self) -> Standing:
        return Standing(
            sound_class=_CLASS_OF[self.sound_class],
            authority=_AUTHORITY_OF[self.authority],
            level=Level(self.level),
            urgency=Urgency(self.urgency),
            certainty=Certainty(self.certainty),
        )


class StopCommand(Envelope, tag="stop", frozen=True, kw_only=True, omit_defaults=True):
    """Ends every revision of `alert` up to `rev`, sounding or waiting."""

    alert: str
    rev: int
    cause: str
    acted_at: int


class ModeCommand(Envelope, tag="mode", frozen=True, kw_only=True, omit_defaults=True):
    """From now on this is your mode. Proven by receipts `received` and `finished` of (`alert`, `rev`)."""

    alert: str
    rev: int
    mode: str
    volume_floor: int = 0


class QueryCommand(Envelope, tag="query", frozen=True, kw_only=True, omit_defaults=True):
    """Say again what you know of this alert's revision."""

    alert: str
    rev: int


class Membership(Struct, frozen=True, kw_only=True):
    """A zone the device belongs to: the version it may believe, and the topic that carries its commands."""

    version: int
    topic: str


class SelfTestCommand(Envelope, tag="selftest", frozen=True, kw_only=True, omit_defaults=True):
    """Prove yourself in silence: `parts` says what, `audio` is the file to fetch. For one endpoint only."""

    alert: str
    rev: int
    parts: tuple[str, ...]
    audio: Audio | None = None
    clock_ms: int = 2000  # a clock further off than this is a failure


class OrdersCommand(Envelope, tag="orders", frozen=True, kw_only=True, omit_defaults=True):
    """The whole truth for one device as of `order`: what is live, and where it belongs."""

    nonce: str | None = None
    live: tuple[str, ...] = ()  # complete signed start commands
    zones: dict[str, Membership] = {}
    heartbeat_s: float = 20.0
    tones: dict[str, Audio] = {}
    mode: str = "peacetime"
    volume_floor: int = 0
    due: dict[str, int] = {}  # the whole truth of its publicity: occurrence -> revision


class BeaconCommand(Envelope, tag="beacon", frozen=True, kw_only=True, omit_defaults=True):
    """Signed time."""


Command = StartCommand | StopCommand | ModeCommand | SelfTestCommand | QueryCommand | OrdersCommand | BeaconCommand

_decoder: Final[msgspec.json.Decoder[Command]] = msgspec.json.Decoder(Command)
_encode: Final = msgspec.json.Encoder().encode
_known: Final = {
    kind.__struct_config__.tag: {f.encode_name for f in msgspec.structs.fields(kind)} | {"act"}
    for kind in (
        StartCommand,
        StopCommand,
        ModeCommand,
        SelfTestCommand,
        QueryCommand,
        OrdersCommand,
        BeaconCommand,
    )
}


def encode(command: Command) -> bytes:
    """The JSON payload to be signed."""
    return _encode(command)


def decode(payload: bytes) -> Command:
    """The command in verified bytes. Raises MalformedMessage, also for a critical field we do not know."""
    try:
        command = _decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise MalformedMessage(str(error)) from None
    if command.v != VERSION:
        raise MalformedMessage(f"version {command.v}")
    unknown = set(command.crit) - _known[command.__struct_config__.tag]
    if unknown:
        raise MalformedMessage(f"critical fields not understood: {sorted(unknown)}")
    try:
        if isinstance(command, StartCommand):
            _ = command.standing, ResumeRule(command.resume), Domain(command.domain)
            _check_content(command)
        elif isinstance(command, (ModeCommand, OrdersCommand)):
            _ = Mode(command.mode)
            if not 0 <= command.volume_floor <= 100:
                raise MalformedMessage("a volume floor is between 0 and 100")
    except (KeyError, ValueError) as error:
        raise MalformedMessage(f"unknown word: {error}") from None
    return command


def _check_content(command: StartCommand) -> None:
    content = command.content
    if not content.programme:
        if not content.tone:
            raise MalformedMessage("a start without a tone and without a programme")
        return
    if command.sound_class != CLASSES[SoundClass.PUBLICITY]:
        raise MalformedMessage("only publicity has a programme")
    if content.tone or content.audio is not None or content.text or content.note:
        raise MalformedMessage("a programme has no tone, audio or text beside it")
    if len(content.programme) > MOST_CLIPS or content.grace_ms < 0:
        raise MalformedMessage("a programme of too many clips, or of negative grace")
    _ = LateRule(content.late)
    free = 0
    for clip in content.programme:
        _ = ResumeRule(clip.resume)
        if clip.at_ms < free or clip.audio.ms <= 0:
            raise MalformedMessage("clips overlap, or are out of order")
        free = clip.at_ms + clip.audio.ms


class Stamp(Struct, frozen=True, kw_only=True):
    """Position and time of a command, given by the one who signs."""

    epoch: int
    seq: int
    iat: int


def start_command(start: Start, target: Target, stamp: Stamp) -> StartCommand:
    """The wire's form of a start for speakers."""
    return StartCommand(
        domain=start.domain,
        epoch=stamp.epoch,
        seq=stamp.seq,
        iat=stamp.iat,
        exp=to_ms(start.expires),
        target=target,
        alert=start.alert_id,
        rev=start.revision,
        sound_class=CLASSES[start.standing.sound_class],
        authority=AUTHORITIES[start.standing.authority],
        level=int(start.standing.level),
        urgency=start.standing.urgency,
        certainty=start.standing.certainty,
        start_at=to_ms(start.starts_at),
        issued=None if to_ms(start.issued_at) == stamp.iat else to_ms(start.issued_at),
        content=_content_of(start),
        approval=ApprovalRecord(kind=start.approval.kind, actors=start.approval.actors, reason=start.approval.reason),
        resume=start.resume,
        silent=start.silent,
        volume=start.volume,
    )


def _content_of(start: Start) -> SpokenContent:
    match start.content:
        case Spoken(tone=tone, audio=audio, text=text, note=note):
            return SpokenContent(tone=tone, audio=None if audio is None else audio_of(audio), text=text, note=note)
        case Programme(clips=clips, late=late, grace=grace):
            entries = tuple(
                ClipEntry(item=c.item_id, audio=audio_of(c.audio), at_ms=c.offset // _MS, resume=c.resume)
                for c in clips
            )
            return SpokenContent(programme=entries, late=late, grace_ms=grace // _MS)
        case _:
            raise TypeError("a speaker is told Spoken or Programme content")


def audio_of(audio: AudioRef) -> Audio:
    """The wire's form of a reference to audio."""
    return Audio(
        sha256=audio.sha256,
        url=audio.url,
        mime=audio.mime_type,
        size=audio.size,
        ms=round(audio.duration.total_seconds() * 1000),
    )


def stop_command(stop: Stop, target: Target, stamp: Stamp) -> StopCommand:
    return StopCommand(
        domain=stop.domain,
        epoch=stamp.epoch,
        seq=stamp.seq,
        iat=stamp.iat,
        exp=to_ms(stop.expires),
        target=target,
        alert=stop.alert_id,
        rev=stop.revision,
        cause=stop.cause,
        acted_at=to_ms(stop.acted_at),
    )


def mode_command(change: ModeChange, target: Target, stamp: Stamp) -> ModeCommand:
    return ModeCommand(
        domain=change.domain,
        epoch=stamp.epoch,
        seq=stamp.seq,
        iat=stamp.iat,
        exp=to_ms(change.expires),
        target=target,
        alert=change.alert_id,
        rev=change.revision,
        mode=change.mode,
        volume_floor=change.volume_floor,
    )


def query_command(query: Query, target: Target, stamp: Stamp) -> QueryCommand:
    return QueryCommand(
        domain=query.domain,
        epoch=stamp.epoch,
        seq=stamp.seq,
        iat=stamp.iat,
        exp=to_ms(query.expires),
        target=target,
        alert=query.alert_id,
        rev=query.revision,
    )


__all__ = [
    "MOST_CLIPS", "VERSION", "Audio", "BeaconCommand", "ClipEntry", "Command", "Envelope", "MalformedMessage",
    "Membership", "ModeCommand", "OrdersCommand", "QueryCommand", "SelfTestCommand", "SpokenContent", "Stamp",
    "StartCommand", "StopCommand", "Target", "audio_of", "decode", "encode", "mode_command", "query_command",
    "start_command", "stop_command",
]  # fmt: skip
