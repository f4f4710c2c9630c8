"""One loudspeaker and its items: who has the turn, moment by moment. Pure.

Sound that runs is followed to the millisecond (a clip ends when it ends, however late the timer that tells of it);
sound that starts, starts when `advance` is called, so that a speaker that slept past an expiry does not claim to
have begun in time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from broadcast_core.model import Mode, Progress, Reason, SoundClass
from broadcast_core.player.announcement import AnnouncementTrack
from broadcast_core.player.items import (
    LEAVE_VOLUME,
    Change,
    End,
    Ended,
    Instant,
    Item,
    Programme,
    Sound,
    SoundBegan,
    SoundEnded,
    Started,
)
from broadcast_core.player.programme import Checkpoint, ProgrammeTrack
from broadcast_core.precedence import what_sounds

AnyTrack = AnnouncementTrack | ProgrammeTrack


class Player:
    """The items of one speaker, its mode, and what sounds."""

    def __init__(self, tone: Callable[[str], Sound], patience_ms: int, volume: int = 100) -> None:
        """`tone` finds a tone in the local store and never fails; `volume` is the speaker's own setting."""
        self._tone = tone
        self._patience_ms = patience_ms
        self._volume = volume
        self._tracks: dict[str, AnyTrack] = {}
        self._offset: int | None = None  # of the clock, as far as what sounds has been followed
        self._loudness = 0  # of what sounds
        self.mode = Mode.PEACETIME
        self.volume_floor = 0
        self.since = 0  # mono: what sounds is at its track's position as of then
        self.sounding: AnyTrack | None = None  # who has the turn; its voice is None in a gap
        self.hung = False  # a fault: accepts, and never sounds

    def reborn(self) -> Self:
        """The same speaker with nothing in it, as after a restart."""
        return type(self)(self._tone, self._patience_ms, self._volume)

    @property
    def tracks(self) -> tuple[AnyTrack, ...]:
        return tuple(self._tracks.values())

    def track(self, identifier: str) -> AnyTrack | None:
        return self._tracks.get(identifier)

    def holds(self, identifier: str, revision: int) -> bool:
        """Whether this very revision sounds or waits."""
        track = self._tracks.get(identifier)
        return track is not None and track.item.revision == revision

    def bank(self, at: Instant) -> None:
        """Count what sounds up to `at`, so that its track's sums are complete. Call `advance` before."""
        self._bank(at.mono)

    def allowed(self, track: AnyTrack) -> bool:
        """In emergency mode no publicity sounds."""
        return self.mode is not Mode.EMERGENCY or track.standing.sound_class is not SoundClass.PUBLICITY

    def add(self, item: Item, at: Instant, earlier: Checkpoint | None = None) -> list[Change]:
        """Accept an item; it replaces an older revision of the same identifier. Call `advance` afterwards.

        `earlier` is of a programme that had begun before the speaker restarted.
        """
        changes: list[Change] = []
        self._run_on(at, changes)
        track: AnyTrack
        if isinstance(item.content, Programme):
            track = ProgrammeTrack(item, item.content, earlier)
        else:
            track = AnnouncementTrack(item, item.content, self._tone, self._patience_ms)
        old = self._tracks.get(item.identifier)
        if old is None:
            self._tracks[item.identifier] = track
        else:
            self._replace(old, track, at, changes)
        return changes

    def supply(self, sha256: str, audio: Sound | Reason) -> None:
        """Audio has come, or never will. Call `advance` before, up to now it was not there, and afterwards."""
        for track in self._tracks.values():
            track.supply(sha256, audio)

    def lacks(self, sha256: str) -> bool:
        """Whether some item still waits for this audio."""
        return any(track.lacks(sha256) for track in self._tracks.values())

    def stop(self, identifier: str, revision: int, at: Instant, detail: str) -> list[Change]:
        """End the item if its revision is at most `revision`. Call `advance` afterwards: another may sound."""
        changes: list[Change] = []
        self._run_on(at, changes)
        track = self._tracks.get(identifier)
        if track is not None and track.item.revision <= revision:
            self._end(track, at.mono, changes, End(Progress.STOPPED, None, detail, "stopped"))
        return changes

    def set_mode(self, mode: Mode, volume_floor: int) -> None:
        """From now on this is the mode. Call `advance` before and afterwards."""
        self.mode = mode
        self.volume_floor = volume_floor

    def advance(self, at: Instant) -> list[Change]:
        """Everything that has happened by `at`."""
        changes: list[Change] = []
        if self._tracks and not self.hung:
            self._run_on(at, changes)
            self._expire(at, changes)
            self._silent(at, changes)
            while not self._choose(at, changes):
                pass
            self._level(at, changes)
        return changes

    def next_wake(self, at: Instant) -> int | None:
        """The monotonic time at which `advance` has to be called again, if nothing else happens."""
        if not self._tracks or self.hung:
            return None
        return min(self._wake_of(track, at) for track in self._tracks.values())

    def due(self, at: Instant) -> list[AnyTrack]:
        """What would sound now if nothing stood in its way, not even the mode."""
        return [
            track
            for track in self._tracks.values()
            if not track.item.silent and (track.began is not None or track.item.starts_at <= at.utc)
        ]

    def _wake_of(self, track: AnyTrack, at: Instant) -> int:
        if track is self.sounding:
            return track.boundary(self.since, at)
        if track.item.silent and track.began is not None:
            return track.began + self._patience_ms
        over = at.mono_of(track.last_moment) + 1
        # Also one whose start has passed since `advance` was last called: it has not been considered yet.
        unseen = track.began is None and not track.outranked
        return min(at.mono_of(track.item.starts_at), over) if unseen or track.item.starts_at > at.utc else over

    def _run_on(self, at: Instant, changes: list[Change]) -> None:
        """Follow what sounds up to `at`; if the clock was set since, by the clock as it was before."""
        if self._offset is not None and self._offset != at.offset:
            self._cross(Instant(at.mono, at.mono + self._offset), changes)
            self._bank(at.mono)
        self._offset = at.offset
        self._cross(at, changes)

    def _cross(self, at: Instant, changes: list[Change]) -> None:
        while (track := self.sounding) is not None and (boundary := track.boundary(self.since, at)) <= at.mono:
            self._bank(boundary)
            before, position = track.voice, track.position_ms
            end = track.cross(boundary, at)
            if end is not None:
                self._end(track, boundary, changes, end, before is not None)
                return
            if before is None:
                self.since = at.mono  # it woke too late, or just in time
            elif track.voice is before and track.position_ms == position:
                continue  # a tone repeats
            else:
                changes.append(SoundEnded(boundary, "complete"))
            if track.voice is not None:
                self._begin(track, self.since, changes)

    def _bank(self, mono: int) -> None:
        if self.sounding is not None:
            self.sounding.heard(mono - self.since)
            self.since = mono

    def _expire(self, at: Instant, changes: list[Change]) -> None:
        """Nothing starts, and nothing comes back, after its expiry."""
        for track in self.tracks:
            in_silence = track.item.silent and track.began is not None
            if track is not self.sounding and at.utc > track.last_moment and not in_silence:
                reason = Reason.PREEMPTED if track.outranked else Reason.EXPIRED
                self._end(track, at.mono, changes, End(Progress.FAILED, reason))

    def _silent(self, at: Instant, changes: list[Change]) -> None:
        """Silent items do everything but sound, and so are in nobody's way."""
        for track in self.tracks:
            if not track.item.silent or track.item.starts_at > at.utc:
                continue
            if track.began is None:
                track.began = at.mono
                changes.append(Started(track.item, at.mono))
            end = track.in_silence(at.mono - track.began >= self._patience_ms)
            if end is not None:
                self._end(track, at.mono, changes, end)

    def _choose(self, at: Instant, changes: list[Change]) -> bool:
        """Give the turn to whom it belongs. False if that ended something, so that the choice is open again."""
        due = self.due(at)
        chosen = what_sounds([track for track in due if self.allowed(track)], self.sounding)
        if chosen is not None and chosen is not self.sounding:
            fresh = chosen.began is None
            end = chosen.take(at)  # before anything is interrupted for it
            if fresh and chosen.began is not None:
                changes.append(Started(chosen.item, at.mono))
            if end is not None:
                self._end(chosen, at.mono, changes, end)
                return False
        for track in due:
            if track is not chosen:
                track.outranked = True
        if chosen is not self.sounding:
            self._hand_over(chosen, at, changes)
        return True

    def _hand_over(self, chosen: AnyTrack | None, at: Instant, changes: list[Change]) -> None:
        if self.sounding is not None:
            self._interrupt(self.sounding, at, changes)
        if chosen is not None:
            self.sounding, self.since = chosen, at.mono
            if chosen.voice is not None:
                self._begin(chosen, at.mono, changes)

    def _interrupt(self, track: AnyTrack, at: Instant, changes: list[Change]) -> None:
        self._bank(at.mono)
        self.sounding = None
        if track.voice is not None:
            changes.append(SoundEnded(at.mono, "interrupted"))
        end = track.leave(at)
        if end is None and at.utc > track.last_moment:
            end = End(Progress.FAILED, Reason.PREEMPTED)
        if end is not None:
            self._end(track, at.mono, changes, end)

    def _replace(self, old: AnyTrack, new: AnyTrack, at: Instant, changes: list[Change]) -> None:
        """A higher revision. A programme whose clip stays where it is goes on in it without a gap."""
        had_turn = old is self.sounding
        if had_turn:
            self._bank(at.mono)
        went_on = isinstance(old, ProgrammeTrack) and isinstance(new, ProgrammeTrack) and new.follow(old, at)
        why = "replaced" if went_on else "stopped"
        self._end(old, at.mono, changes, End(Progress.STOPPED, None, "superseded", why))
        self._tracks[new.identifier] = new
        if not went_on:
            return
        changes.append(Started(new.item, at.mono))
        if had_turn:
            self.sounding, self.since = new, at.mono
            if new.voice is not None:
                self._begin(new, at.mono, changes)

    def _level(self, at: Instant, changes: list[Change]) -> None:
        """What sounds follows the mode's floor at once."""
        track = self.sounding
        if track is not None and track.voice is not None and self._loudness != self._volume_of(track):
            self._bank(at.mono)
            changes.append(SoundEnded(at.mono, "volume"))
            self._begin(track, at.mono, changes)

    def _volume_of(self, track: AnyTrack) -> int:
        volume = self._volume if track.item.volume == LEAVE_VOLUME else track.item.volume
        return max(volume, self.volume_floor) if self.mode is Mode.EMERGENCY else volume

    def _begin(self, track: AnyTrack, mono: int, changes: list[Change]) -> None:
        assert track.voice is not None
        self._loudness = self._volume_of(track)
        changes.append(
            SoundBegan(
                at=mono,
                identifier=track.identifier,
                revision=track.item.revision,
                what=track.voice.what,
                sha256=track.voice.sound.sha256,
                position_ms=track.position_ms,
                volume=self._loudness,
                item_id=track.voice.item_id,
            )
        )

    def _end(self, track: AnyTrack, mono: int, changes: list[Change], end: End, sounded: bool | None = None) -> None:
        """`sounded`: whether it did up to now, where its track knows no more."""
        if track is self.sounding:
            self._bank(mono)
            self.sounding = None
            if track.voice is not None if sounded is None else sounded:
                changes.append(SoundEnded(mono, end.why))
        track.close(end.reason)
        del self._tracks[track.identifier]
        changes.append(
            Ended(
                item=track.item,
                at=mono,
                progress=end.progress,
                reason=end.reason,
                detail=end.detail,
                played_ms=track.played_ms,
                plays=track.plays,
            )
        )
