"""How a tone with audio goes on: the tone repeats until the audio is there, within patience; then the audio."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from broadcast_core.model import Progress, Reason, ResumeRule
from broadcast_core.player.items import Announcement, End, Instant, Item, Play, Sound, Track, Voice

_PREEMPTED: Final = End(Progress.FAILED, Reason.PREEMPTED)


class AnnouncementTrack(Track):
    """An announcement that was accepted and has not ended."""

    __slots__ = ("_audio", "_left_at", "_patience_ms", "_stage", "_tone_of", "_wants")

    def __init__(self, item: Item, content: Announcement, tone_of: Callable[[str], Sound], patience_ms: int) -> None:
        super().__init__(item)
        self._tone_of: Final = partial(tone_of, content.tone)
        self._patience_ms = patience_ms
        self._wants: Final = content.audio
        self._audio: Sound | Reason | None = None  # None while it is still to come
        self._stage: Voice | None = None  # what sounds while it has the turn
        self._left_at = 0

    @property
    def audio(self) -> dict[str, Sound | Reason]:
        """What has come, by its SHA-256."""
        return {} if self._audio is None or self._wants is None else {self._wants: self._audio}

    @property
    def plays(self) -> tuple[Play, ...]:
        return ()

    @property
    def last_moment(self) -> int:
        """The last utc at which it may begin or come back; what sounds then plays to its end."""
        return self.item.expires

    def supply(self, sha256: str, audio: Sound | Reason) -> None:
        if self.lacks(sha256):
            self._audio = audio

    def lacks(self, sha256: str) -> bool:
        return self._audio is None and self._wants == sha256

    def heard(self, ms: int) -> None:
        """It has sounded for so much longer."""
        self.position_ms += ms
        self.played_ms += ms

    def close(self, reason: Reason | None) -> None:
        """It is over; a programme would now sum up."""

    def take(self, at: Instant) -> End | None:
        """It has the turn, for the first time or again."""
        if self.began is None:
            self.began = at.mono
            self._stage = Voice("tone", self._tone_of())
        elif self.item.resume is ResumeRule.LIVE and self._passed(at.mono - self._left_at):
            return _PREEMPTED
        self.voice = self._stage
        return None

    def leave(self, at: Instant) -> End | None:
        """It was interrupted."""
        self._left_at = at.mono
        self.voice = None
        if self.item.resume is ResumeRule.SKIP:
            return _PREEMPTED
        if self.item.resume is ResumeRule.START:
            self._stage, self.position_ms = Voice("tone", self._tone_of()), 0
        return None

    def boundary(self, since: int, at: Instant) -> int:
        """When (mono) one whole tone, or the audio, will have sounded."""
        assert self.voice is not None
        ms = self.voice.sound.ms
        if self.voice.what == "audio":
            return since + ms - self.position_ms
        return since + ms - self.position_ms % ms

    def cross(self, boundary: int, at: Instant) -> End | None:
        """A whole tone or the audio has ended: go on to the audio, repeat the tone, or end."""
        assert self.voice is not None
        if self.voice.what == "audio" or self._wants is None:
            return End(Progress.FINISHED, why="complete")
        if isinstance(self._audio, Sound):
            self.voice = self._stage = Voice("audio", self._audio)
            self.position_ms = 0
        elif self._audio is not None:
            return End(Progress.FAILED, self._audio)
        elif self.position_ms >= self._patience_ms:
            return End(Progress.FAILED, Reason.CONTENT_UNAVAILABLE)
        return None

    def in_silence(self, impatient: bool) -> End | None:
        """A silent one ends when it knows that it could have sounded, or could not."""
        if self._wants is None or isinstance(self._audio, Sound):
            return End(Progress.FINISHED, why="complete")
        if self._audio is not None:
            return End(Progress.FAILED, self._audio)
        return End(Progress.FAILED, Reason.CONTENT_UNAVAILABLE) if impatient else None

    def _passed(self, away_ms: int) -> bool:
        """Move to where a live schedule is by now; True if it has passed this announcement altogether."""
        assert self._stage is not None
        self.position_ms += away_ms
        if self._stage.what == "tone" and self.position_ms >= self._stage.sound.ms:
            if self._wants is None:
                return True
            if isinstance(self._audio, Sound):
                self.position_ms -= self._stage.sound.ms
                self._stage = Voice("audio", self._audio)
        return self._stage.what == "audio" and self.position_ms >= self._stage.sound.ms
