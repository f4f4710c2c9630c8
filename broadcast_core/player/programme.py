"""How the clips of one occurrence go on: by the signed clock, after an interruption each by its own rule.

A clip's place is `starts_at` + its offset + `shift`. Only what comes back later than it was moves the shift; a gap,
a clip left out or a clip without sound does not.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from msgspec import Struct

from broadcast_core.model import LateRule, Progress, Reason, ResumeRule
from broadcast_core.player.items import Clip, End, Instant, Item, Play, Programme, Sound, Track, Voice
from broadcast_core.player.sums import Sums


class Entry(Enum):
    """How an occurrence that has not begun here comes to its turn."""

    FRESH = auto()
    AFTER_RESTART = auto()  # it had begun before the speaker restarted
    IN_PLACE = auto()  # it replaces a revision that had begun


class Checkpoint(Struct, frozen=True):
    """What to keep in the flash of a programme that has begun, so that a restart can take it up again."""

    index: int  # the clip that sounded or came next
    plays: tuple[Play, ...]  # the sums as they stand if the power goes now


class ProgrammeTrack(Track):
    """A programme that was accepted and has not ended. `index` is the clip that sounds or comes next."""

    __slots__ = ("_clips", "_entry", "_grace_ms", "_late", "_shift", "_sums", "audio", "index")

    def __init__(self, item: Item, content: Programme, earlier: Checkpoint | None) -> None:
        """`earlier`: how far it was before a restart, if it had begun then."""
        super().__init__(item)
        self._clips: Final = content.clips
        self._late: Final = content.late
        self._grace_ms: Final = content.grace_ms
        self.audio: dict[str, Sound | Reason] = {}
        self._sums = Sums((clip.item_id for clip in content.clips), () if earlier is None else earlier.plays)
        self._entry = Entry.FRESH if earlier is None else Entry.AFTER_RESTART
        self._shift = 0
        self.index = 0 if earlier is None else min(earlier.index, len(content.clips))
        self.played_ms = self._sums.total_ms

    @property
    def plays(self) -> tuple[Play, ...]:
        return self._sums.plays()

    @property
    def checkpoint(self) -> Checkpoint | None:
        """None if it has never begun, neither before a restart nor in a revision that it replaces."""
        if self.began is None and self._entry is Entry.FRESH:
            return None
        return Checkpoint(self.index, self._sums.plays(None if self.voice is None else self.voice.item_id))

    @property
    def last_moment(self) -> int:
        """The last utc at which it may begin or come back: at `expires` all of it is over."""
        return self.item.expires - 1

    def supply(self, sha256: str, audio: Sound | Reason) -> None:
        if self.lacks(sha256):
            self.audio[sha256] = audio

    def lacks(self, sha256: str) -> bool:
        return sha256 not in self.audio and any(clip.sha256 == sha256 for clip in self._clips[self.index :])

    def heard(self, ms: int) -> None:
        """The clip has sounded for so much longer. In a gap nothing has."""
        if self.voice is not None:
            self.position_ms += ms
            self.played_ms += ms
            self._sums.heard(self.voice.item_id, ms)

    def close(self, reason: Reason | None) -> None:
        """It is over: what has not been played to its end, and why not."""
        self._leave_out(len(self._clips), reason)

    def take(self, at: Instant) -> End | None:
        """It has the turn, for the first time or again."""
        if self.began is None:
            return self._enter(at)
        if at.utc < self._place(self.index) and self.position_ms == 0:
            return self._go_on(at.utc)  # interrupted in a gap that still lasts
        return self._come_back(self._clips[self.index].resume, at.utc)

    def leave(self, at: Instant) -> End | None:
        """It was interrupted. What becomes of the clip is decided when it has the turn again."""
        self.voice = None
        return None

    def boundary(self, since: int, at: Instant) -> int:
        """When (mono) the clip, the gap or the programme's time is over, whichever is first."""
        expiry = at.mono_of(self.item.expires)
        if self.voice is None:
            return max(since, min(at.mono_of(self._place(self.index)), expiry))
        return max(since, min(since + self.voice.sound.ms - self.position_ms, expiry))

    def cross(self, boundary: int, at: Instant) -> End | None:
        """The clip or the gap has ended. A gap that was slept through ends when its sleeper wakes."""
        utc = at.utc if self.voice is None else at.utc_of(boundary)
        complete = self.voice is not None and self.position_ms >= self.voice.sound.ms
        if complete:
            self._sums.complete(self._clips[self.index].item_id)
            self._step()
        if utc >= self.item.expires:
            sounded = self.voice is not None
            self._leave_out(len(self._clips), Reason.EXPIRED)
            return self._over("complete" if complete or not sounded else "cut")
        return self._go_on(utc)

    def in_silence(self, impatient: bool) -> End | None:
        """A silent one ends when it knows that it could have sounded, or could not."""
        got = [self.audio.get(clip.sha256) for clip in self._clips]
        for audio in got:
            if isinstance(audio, Reason):
                return End(Progress.FAILED, audio)
        if None not in got:
            return End(Progress.FINISHED, why="complete")
        return End(Progress.FAILED, Reason.CONTENT_UNAVAILABLE) if impatient else None

    def follow(self, old: ProgrammeTrack, at: Instant) -> bool:
        """Take over from the revision it replaces. True if it goes on in the same clip at the same place."""
        self.audio |= old.audio
        if old.checkpoint is None or self.item.silent or old.item.silent:
            return False
        self._entry = Entry.IN_PLACE
        if old.began is None:
            return False
        clip = old._clips[old.index]
        place = old.item.starts_at + clip.offset_ms
        for index, mine in enumerate(self._clips):
            if (mine.item_id, mine.sha256, self.item.starts_at + mine.offset_ms) == (
                clip.item_id, clip.sha256, place,
            ):  # fmt: skip
                self.began, self.index, self._shift = at.mono, index, old._shift
                self.position_ms, self.voice, self.outranked = old.position_ms, old.voice, old.outranked
                return True
        return False

    def _place(self, index: int) -> int:
        return self.item.starts_at + self._clips[index].offset_ms + self._shift

    def _enter(self, at: Instant) -> End | None:
        late_ms = max(0, at.utc - self.item.starts_at)
        skips = self._late is LateRule.SKIP
        if self._entry is Entry.FRESH and late_ms > self._grace_ms and skips:
            return End(Progress.FAILED, self._missed)
        if self._entry is Entry.AFTER_RESTART and skips:
            self.began = at.mono
            return End(Progress.FAILED, Reason.INTERRUPTED)
        self.began = at.mono
        if self._entry is Entry.FRESH and late_ms <= self._grace_ms:
            self._shift = late_ms
            return self._go_on(at.utc)
        lost = {Entry.FRESH: self._missed, Entry.AFTER_RESTART: Reason.INTERRUPTED, Entry.IN_PLACE: None}
        return self._join(at.utc, lost[self._entry])

    def _come_back(self, rule: ResumeRule, utc: int) -> End | None:
        if rule is ResumeRule.LIVE:
            self._shift = 0
            return self._join(utc, Reason.PREEMPTED)
        if rule is ResumeRule.SKIP:
            to_come = (i for i in range(self.index + 1, len(self._clips)) if self._place(i) >= utc)
            self._leave_out(next(to_come, len(self._clips)), Reason.PREEMPTED)
            return self._go_on(utc)
        position = self.position_ms if rule is ResumeRule.POSITION else 0
        self._shift += utc - position - self._place(self.index)
        return None if self._sounds_from(position) else self._go_on(utc)

    def _join(self, utc: int, lost: Reason | None) -> End | None:
        """Where the clock says it is, never before where it was; what it has passed is `lost`."""
        passed = self.index
        while passed < len(self._clips) and self._place(passed) + self._clips[passed].ms <= utc:
            passed += 1
        self._leave_out(passed, lost)
        if passed < len(self._clips) and self._place(passed) <= utc and self._sounds_from(utc - self._place(passed)):
            return None
        return self._go_on(utc)

    def _go_on(self, utc: int) -> End | None:
        """To the clip at `index`: now if its place has come, else after a gap."""
        while self.index < len(self._clips):
            late_ms = utc - self._place(self.index)
            self.voice, self.position_ms = None, 0
            if late_ms < 0:
                return None
            if late_ms <= self._grace_ms:
                if self._sounds_from(0):
                    return None
            elif self._late is LateRule.SKIP or late_ms >= self._clips[self.index].ms:
                self._leave_out(self.index + 1, Reason.EXPIRED)
            elif self._sounds_from(late_ms):
                return None
        return self._over("complete")

    def _sounds_from(self, position_ms: int) -> bool:
        """Let the clip at `index` sound. Without its sound, its time is silence: False, and the next is to come."""
        clip = self._clips[self.index]
        audio = self.audio.get(clip.sha256, Reason.CONTENT_UNAVAILABLE)
        if isinstance(audio, Sound) and position_ms < audio.ms:
            self.voice, self.position_ms = _voice(clip, audio), position_ms
            return True
        self._leave_out(self.index + 1, audio if isinstance(audio, Reason) else self._missed)
        return False

    def _leave_out(self, until: int, reason: Reason | None) -> None:
        """The clips from `index` to before `until` are not played (on)."""
        for clip in self._clips[self.index : until]:
            self._sums.missed(clip.item_id, reason)
        if until > self.index:
            self.index, self.position_ms = until, 0

    def _step(self) -> None:
        self.index, self.position_ms = self.index + 1, 0

    def _over(self, why: str) -> End:
        if self.played_ms:
            return End(Progress.FINISHED, why=why)
        return End(Progress.FAILED, self._sums.first_reason or self._missed)

    @property
    def _missed(self) -> Reason:
        return Reason.PREEMPTED if self.outranked else Reason.EXPIRED


def _voice(clip: Clip, sound: Sound) -> Voice:
    return Voice("audio", sound, clip.item_id)
