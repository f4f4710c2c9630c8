"""What each channel is told to say, sound, text or play."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from broadcast_core.model.standing import ResumeRule

MOST_CLIPS: Final = 200  # in one programme: a speaker refuses more, all of it


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


class LateRule(StrEnum):
    """What becomes of an occurrence whose start was missed."""

    JOIN = "join"  # in progress, where the clock says it is
    SKIP = "skip"  # not at all, once the grace time is over


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One item at its place in an occurrence."""

    item_id: str
    audio: AudioRef
    offset: timedelta  # from the occurrence's start
    resume: ResumeRule  # what it does after an interruption


@dataclass(frozen=True, kw_only=True, slots=True)
class Programme:
    """For speakers: the clips of one occurrence in the order of their offsets; they never overlap.
    At most `MOST_CLIPS`.

    It ends at the start's `expires` at the latest, whatever is still to come. Gaps are silence.
    """

    clips: tuple[Clip, ...]
    late: LateRule
    grace: timedelta  # a start missed by no more than this is no lateness


Content = Spoken | Texted | Sounded | Programme
