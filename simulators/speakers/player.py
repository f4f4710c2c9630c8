"""What a speaker sounds, moment by moment: tone, audio, who interrupts whom, who comes back and how. Pure.

Times are whole milliseconds: `now` monotonic of the device, `utc` its signed clock. Sound that runs is followed to
the millisecond (a tone ends when it ends, however late the timer that tells of it); sound that starts, starts when
`advance` is called, so that a device that slept past an expiry does not claim to have begun in time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from msgspec import Struct

from broadcast_core.model import Progress, Reason, ResumeRule, Standing
from broadcast_core.precedence import what_sounds
from drivers.ip_speaker.wire.command import StartCommand
from simulators.speakers.effects import SoundBegan, SoundEnded
from simulators.speakers.memory import Clip
from simulators.speakers.signed_time import DeviceClock

LEAVE_VOLUME: Final = 255


class Item:
    """A start that was accepted and has not ended. `standing`, `issued_at`, `identifier` are precedence's."""

    __slots__ = (
        "audio",
        "began",
        "identifier",
        "in_audio",
        "interrupted_at",
        "issued_at",
        "outranked",
        "played_ms",
        "position_ms",
        "standing",
        "start",
        "tone",
    )

    def __init__(self, start: StartCommand, standing: Standing, issued_at: datetime) -> None:
        self.start: Final = start
        self.standing: Final = standing
        self.issued_at: Final = issued_at
        self.identifier: Final = start.alert
        self.audio: Clip | Reason | None = None  # None while it is still to come
        self.tone = Clip("", 1)
        self.began: int | None = None
        self.in_audio = False
        self.position_ms = 0  # within tone or audio, where it sounds from `Player.since` on
        self.played_ms = 0
        self.interrupted_at = 0
        self.outranked = False

    @property
    def wants_audio(self) -> bool:
        return self.start.content.audio is not None


class Started(Struct, frozen=True):
    """Its sound (or, silent, its silence) has begun for the first time."""

    item: Item
    at: int


class Ended(Struct, frozen=True):
    """It is over, for good."""

    item: Item
    at: int
    progress: Progress
    reason: Reason | None = None
    detail: str = ""


Change = SoundBegan | SoundEnded | Started | Ended


class Player:
    """The items of one speaker and its one loudspeaker."""

    def __init__(self, tone: Callable[[str], Clip], patience_ms: int, volume: int = 100) -> None:
        """`tone` finds a tone in the local store and never fails; `volume` is the speaker's own setting."""
        self._tone = tone
        self._patience_ms = patience_ms
        self._volume = volume
        self._items: dict[str, Item] = {}
        self._since = 0
        self.sounding: Item | None = None
        self.hung = False  # a fault: accepts, and never sounds

    @property
    def items(self) -> tuple[Item, ...]:
        return tuple(self._items.values())

    def holds(self, alert: str, rev: int) -> bool:
        """Whether this very revision sounds or waits."""
        item = self._items.get(alert)
        return item is not None and item.start.rev == rev

    def played_ms(self, now: int) -> int:
        """How long the sounding item has sounded altogether."""
        return 0 if self.sounding is None else self.sounding.played_ms + now - self._since

    def add(self, item: Item) -> None:
        """One revision of an alert at a time: end the older before adding the newer."""
        self._items[item.identifier] = item

    def supply(self, sha256: str, audio: Clip | Reason) -> None:
        """Audio has come, or never will."""
        for item in self._items.values():
            wanted = item.start.content.audio
            if item.audio is None and wanted is not None and wanted.sha256 == sha256:
                item.audio = audio

    def lacks(self, sha256: str) -> bool:
        """Whether some item still waits for this audio."""
        return any(
            item.audio is None and (wanted := item.start.content.audio) is not None and wanted.sha256 == sha256
            for item in self._items.values()
        )

    def stop(self, alert: str, rev: int, now: int, detail: str) -> list[Change]:
        """End the alert if its revision is at most `rev`. Call `advance` afterwards: something else may sound."""
        changes: list[Change] = []
        self._run_on(now, changes)
        item = self._items.get(alert)
        if item is not None and item.start.rev <= rev:
            self._end(item, now, changes, Progress.STOPPED, None, detail)
        return changes

    def advance(self, now: int, utc: int) -> list[Change]:
        """Everything that has happened by `now`."""
        changes: list[Change] = []
        if self._items and not self.hung:
            self._run_on(now, changes)
            self._expire(now, utc, changes)
            self._silent(now, utc, changes)
            while not self._choose(now, utc, changes):
                pass
        return changes

    def next_wake(self, clock: DeviceClock, now: int) -> int | None:
        """The monotonic time at which `advance` has to be called again, if nothing else happens."""
        if not self._items or self.hung:
            return None
        return min(self._wake_of(item, clock, clock.now(now)) for item in self._items.values())

    def _wake_of(self, item: Item, clock: DeviceClock, utc: int) -> int:
        if item is self.sounding:
            return self._boundary(item)
        if item.start.silent and item.began is not None:
            return item.began + self._patience_ms
        expiry = clock.mono_of(item.start.exp) + 1
        return min(clock.mono_of(item.start.start_at), expiry) if item.start.start_at > utc else expiry

    def _run_on(self, now: int, changes: list[Change]) -> None:
        while (item := self.sounding) is not None and (boundary := self._boundary(item)) <= now:
            self._bank(item, boundary)
            self._cross(item, boundary, changes)

    def _boundary(self, item: Item) -> int:
        """When what sounds now ends: one whole tone, or the audio."""
        if item.in_audio:
            assert isinstance(item.audio, Clip)
            return self._since + item.audio.ms - item.position_ms
        return self._since + item.tone.ms - item.position_ms % item.tone.ms

    def _bank(self, item: Item, at: int) -> None:
        heard = at - self._since
        item.position_ms += heard
        item.played_ms += heard
        self._since = at

    def _cross(self, item: Item, at: int, changes: list[Change]) -> None:
        """A whole tone or the audio has ended at `at`: go on to the audio, repeat the tone, or end."""
        if item.in_audio or not item.wants_audio:
            self._end(item, at, changes, Progress.FINISHED)
        elif isinstance(item.audio, Clip):
            changes.append(SoundEnded(at, "complete"))
            item.in_audio, item.position_ms = True, 0
            changes.append(self._began(item, at))
        elif item.audio is not None:
            self._end(item, at, changes, Progress.FAILED, item.audio)
        elif item.position_ms >= self._patience_ms:
            self._end(item, at, changes, Progress.FAILED, Reason.CONTENT_UNAVAILABLE)

    def _expire(self, now: int, utc: int, changes: list[Change]) -> None:
        """Nothing starts, and nothing comes back, after its expiry."""
        for item in self.items:
            begun_silence = item.start.silent and item.began is not None
            if item is not self.sounding and utc > item.start.exp and not begun_silence:
                reason = Reason.PREEMPTED if item.outranked else Reason.EXPIRED
                self._end(item, now, changes, Progress.FAILED, reason)

    def _silent(self, now: int, utc: int, changes: list[Change]) -> None:
        """Silent items do everything but sound, and so are in nobody's way."""
        for item in self.items:
            if not item.start.silent or item.start.start_at > utc:
                continue
            if item.began is None:
                item.began = now
                changes.append(Started(item, now))
            if not item.wants_audio or isinstance(item.audio, Clip):
                self._end(item, now, changes, Progress.FINISHED)
            elif item.audio is not None:
                self._end(item, now, changes, Progress.FAILED, item.audio)
            elif now - item.began >= self._patience_ms:
                self._end(item, now, changes, Progress.FAILED, Reason.CONTENT_UNAVAILABLE)

    def _choose(self, now: int, utc: int, changes: list[Change]) -> bool:
        """Let sound what should. False if that ended something, so that the choice is open again."""
        due = [
            item
            for item in self._items.values()
            if not item.start.silent and (item.began is not None or item.start.start_at <= utc)
        ]
        chosen = what_sounds(due, self.sounding)
        for item in due:
            if item is not chosen:
                item.outranked = True
        if chosen is None or chosen is self.sounding:
            return True
        if self.sounding is not None:
            self._interrupt(self.sounding, now, changes)
        if chosen.began is None:
            chosen.began = now
            chosen.tone = self._tone(chosen.start.content.tone)
            changes.append(Started(chosen, now))
        elif self._is_over(chosen, now):
            self._end(chosen, now, changes, Progress.FAILED, Reason.PREEMPTED)
            return False
        self.sounding, self._since = chosen, now
        changes.append(self._began(chosen, now))
        return True

    def _interrupt(self, item: Item, now: int, changes: list[Change]) -> None:
        self._bank(item, now)
        self.sounding = None
        item.interrupted_at = now
        changes.append(SoundEnded(now, "interrupted"))
        if item.start.resume == ResumeRule.SKIP:
            self._end(item, now, changes, Progress.FAILED, Reason.PREEMPTED)
        elif item.start.resume == ResumeRule.START:
            item.in_audio, item.position_ms = False, 0

    def _is_over(self, item: Item, now: int) -> bool:
        """Move an item that follows a live schedule to where that is by now; True if the schedule has passed it."""
        if item.start.resume != ResumeRule.LIVE:
            return False
        item.position_ms += now - item.interrupted_at
        if not item.in_audio and item.position_ms >= item.tone.ms:
            if not item.wants_audio:
                return True
            if isinstance(item.audio, Clip):
                item.in_audio, item.position_ms = True, item.position_ms - item.tone.ms
        return item.in_audio and isinstance(item.audio, Clip) and item.position_ms >= item.audio.ms

    def _began(self, item: Item, at: int) -> SoundBegan:
        volume = self._volume if item.start.volume == LEAVE_VOLUME else item.start.volume
        if item.in_audio:
            assert isinstance(item.audio, Clip)
            return SoundBegan(
                at, item.identifier, item.start.rev, "audio", item.audio.sha256, item.position_ms, volume
            )
        return SoundBegan(at, item.identifier, item.start.rev, "tone", item.tone.sha256, item.position_ms, volume)

    def _end(
        self,
        item: Item,
        at: int,
        changes: list[Change],
        progress: Progress,
        reason: Reason | None = None,
        detail: str = "",
    ) -> None:
        if item is self.sounding:
            self._bank(item, at)
            self.sounding = None
            words = {Progress.FINISHED: "complete", Progress.STOPPED: "stopped"}
            changes.append(SoundEnded(at, words.get(progress, "failed")))
        del self._items[item.identifier]
        changes.append(Ended(item, at, progress, reason, detail))
