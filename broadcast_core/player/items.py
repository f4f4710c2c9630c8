"""What a player is given and what it tells. Whole milliseconds: `mono` of the device, `utc` by its signed clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from broadcast_core import model
from broadcast_core.clock import to_ms
from broadcast_core.errors import TocsinError
from broadcast_core.model import LateRule, Progress, Reason, ResumeRule, Standing

LEAVE_VOLUME: Final = 255
_MS: Final = timedelta(milliseconds=1)


class NotForSpeakers(TocsinError):
    """A start whose content no speaker plays."""


class Instant(Struct, frozen=True):
    """Now, by both clocks of a speaker."""

    mono: int
    utc: int

    @property
    def offset(self) -> int:
        return self.utc - self.mono

    def mono_of(self, utc: int) -> int:
        """When the monotonic clock will show that the signed clock shows `utc`, if nothing sets it in between."""
        return utc - self.utc + self.mono

    def utc_of(self, mono: int) -> int:
        return mono - self.mono + self.utc


class Sound(Struct, frozen=True):
    """Sound in the local store, by the SHA-256 of its file (`""`: the tone built into the firmware)."""

    sha256: str
    ms: int  # > 0


class Announcement(Struct, frozen=True):
    """A tone that repeats until the audio is there, then the audio. Without audio the tone alone is all."""

    tone: str
    audio: str | None = None  # SHA-256


class Clip(Struct, frozen=True, kw_only=True):
    """One item of a programme. `ms` is its declared length: its time, whether or not its sound is there."""

    item_id: str
    sha256: str
    ms: int
    offset_ms: int
    resume: ResumeRule


class Programme(Struct, frozen=True, kw_only=True):
    """Clips at their places, in order, never overlapping; the gaps are its silence."""

    clips: tuple[Clip, ...]
    late: LateRule = LateRule.JOIN
    grace_ms: int = 0


class Item(Struct, frozen=True, kw_only=True):
    """One revision of what is to sound. `standing`, `issued_at`, `identifier` are what precedence compares."""

    identifier: str
    revision: int
    standing: Standing
    issued_at: datetime
    starts_at: int  # utc
    expires: int  # utc
    content: Announcement | Programme
    volume: int = LEAVE_VOLUME
    resume: ResumeRule = ResumeRule.START  # of an announcement; a programme's clips have their own
    silent: bool = False

    @property
    def wanted(self) -> tuple[str, ...]:
        """The SHA-256 of every sound that has to be fetched, each once, in the order of need."""
        if isinstance(self.content, Programme):
            return tuple(dict.fromkeys(clip.sha256 for clip in self.content.clips))
        return () if self.content.audio is None else (self.content.audio,)


class Play(Struct, frozen=True):
    """The sum for one item of a programme: model.ItemPlay in whole milliseconds."""

    item_id: str
    times: int = 0
    ms: int = 0
    reason: Reason | None = None


class Voice(Struct, frozen=True):
    """What comes out of the loudspeaker."""

    what: str  # tone, audio
    sound: Sound
    item_id: str = ""


class SoundBegan(Struct, frozen=True, kw_only=True):
    """From `at` (mono) the loudspeaker plays `what` (tone, audio) from `position_ms` on."""

    at: int
    identifier: str
    revision: int
    what: str
    sha256: str
    position_ms: int
    volume: int
    item_id: str = ""


class SoundEnded(Struct, frozen=True):
    """At `at` what began last fell silent, or (`replaced`, `volume`) goes on under the next `SoundBegan`.

    `why`: complete, interrupted, stopped, failed, cut (at the end of its time), replaced, volume.
    """

    at: int
    why: str


class Started(Struct, frozen=True):
    """Its turn has come for the first time."""

    item: Item
    at: int


class Ended(Struct, frozen=True, kw_only=True):
    """It is over, for good. `plays` are a programme's sums, one for each of its items."""

    item: Item
    at: int
    progress: Progress
    reason: Reason | None = None
    detail: str = ""
    played_ms: int = 0
    plays: tuple[Play, ...] = ()


Change = SoundBegan | SoundEnded | Started | Ended


class End(Struct, frozen=True):
    """How a track's item is over; `why` is the word for the sound that it cuts off."""

    progress: Progress
    reason: Reason | None = None
    detail: str = ""
    why: str = "failed"


class Track:
    """State of one item that was accepted and has not ended: `AnnouncementTrack` or `ProgrammeTrack`."""

    __slots__ = (
        "began", "identifier", "issued_at", "item", "outranked", "played_ms", "position_ms", "standing", "voice",
    )  # fmt: skip

    def __init__(self, item: Item) -> None:
        self.item: Final = item
        self.identifier: Final = item.identifier
        self.standing: Final = item.standing
        self.issued_at: Final = item.issued_at
        self.began: int | None = None  # mono
        self.outranked = False  # something else took its time, at least for a while
        self.played_ms = 0
        self.voice: Voice | None = None  # None: it has not the turn, or is in a gap
        self.position_ms = 0  # within tone or audio; of what sounds, as of `Player.since`


def item_of(start: model.Start) -> Item:
    """The core's start as a speaker will play it. Raises NotForSpeakers."""
    content: Announcement | Programme
    match start.content:
        case model.Spoken(tone=tone, audio=audio):
            content = Announcement(tone, None if audio is None else audio.sha256)
        case model.Programme():
            content = programme_of(start.content)
        case _:
            raise NotForSpeakers(f"not for speakers: {type(start.content).__name__}")
    return Item(
        identifier=start.alert_id,
        revision=start.revision,
        standing=start.standing,
        issued_at=start.issued_at,
        starts_at=to_ms(start.starts_at),
        expires=to_ms(start.expires),
        content=content,
        volume=start.volume,
        resume=start.resume,
        silent=start.silent,
    )


def programme_of(programme: model.Programme) -> Programme:
    """The model's programme in whole milliseconds."""
    clips = tuple(
        Clip(
            item_id=clip.item_id,
            sha256=clip.audio.sha256,
            ms=clip.audio.duration // _MS,
            offset_ms=clip.offset // _MS,
            resume=clip.resume,
        )
        for clip in programme.clips
    )
    return Programme(clips=clips, late=programme.late, grace_ms=programme.grace // _MS)
