"""The player run over time: what a speaker would sound, and why the others do not. For previews and explanations.

This is `Player` itself, woken exactly when it asks to be: not a second opinion on what it does.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from broadcast_core.model import Mode, Progress, Reason
from broadcast_core.player.choosing import AnyTrack, Player
from broadcast_core.player.explaining import Other, others
from broadcast_core.player.items import Change, Ended, Instant, Item, Sound, SoundBegan, SoundEnded
from broadcast_core.player.programme import ProgrammeTrack


class Arrived(Struct, frozen=True, tag="arrived"):
    at: int
    item: Item


class Stopped(Struct, frozen=True, tag="stopped"):
    at: int
    identifier: str
    revision: int


class ModeSet(Struct, frozen=True, tag="mode"):
    at: int
    mode: Mode
    volume_floor: int = 0


class Supplied(Struct, frozen=True, tag="supplied"):
    """Audio has come, or never will."""

    at: int
    sha256: str
    audio: Sound | Reason


class ClockSet(Struct, frozen=True, tag="clock"):
    """The signed clock steps by so much: forwards, or (negative) back."""

    at: int
    by_ms: int


class Restarted(Struct, frozen=True, tag="restarted"):
    """The power goes at `at`, and `dark_ms` later the speaker knows again what it knew (and what time it is)."""

    at: int
    dark_ms: int = 0


Event = Arrived | Stopped | ModeSet | Supplied | ClockSet | Restarted


class Stretch(Struct, frozen=True, kw_only=True):
    """A time in which one sound was heard, or (`sound` None) none although something was due. UTC ms.

    `others` holds, for each that was due meanwhile and did not sound, the last reason. A silence lasts as long as
    they and their reasons stay the same.
    """

    began: int
    ended: int
    sound: SoundBegan | None
    why: str  # SoundEnded.why; "" while the range ended first, or for silence
    others: tuple[Other, ...]


class Timeline(Struct, frozen=True):
    stretches: tuple[Stretch, ...]
    ends: tuple[Ended, ...]


class Run:
    """A player and the record of what it does. Its monotonic clock is `at` of the events."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.stretches: list[Stretch] = []
        self.ends: list[Ended] = []
        self._open: Stretch | None = None
        self._offset = 0
        self._now = 0

    def happen(self, event: Event) -> None:
        """Let time pass up to the event, and it happen: before what is due at the same instant.

        In the dark of a restart nothing happens before its end.
        """
        self._to(max(event.at, self._now))
        at = self._at(self._now)
        match event:
            case Arrived(item=item):
                self._note(self.player.add(item, at))
            case Stopped(identifier=identifier, revision=revision):
                self._note(self.player.stop(identifier, revision, at, "stop"))
            case ModeSet(mode=mode, volume_floor=floor):
                self.player.set_mode(mode, floor)
            case Supplied(sha256=sha256, audio=audio):
                self.player.supply(sha256, audio)
            case ClockSet(by_ms=by_ms):
                self._offset += by_ms
            case Restarted(dark_ms=dark_ms):
                self._restart(dark_ms)

    def finish(self, mono: int) -> Timeline:
        """Let time pass up to `mono`; what still sounds then is cut off the record."""
        self._to(mono)
        self._advance()
        self._close(mono, "")
        return Timeline(tuple(self.stretches), tuple(self.ends))

    def _to(self, mono: int) -> None:
        """Let time pass, waking the player exactly when it asks to be woken."""
        if mono <= self._now:
            return
        self._advance()
        while (wake := self.player.next_wake(self._at(self._now))) is not None and wake < mono:
            self._now = max(wake, self._now)
            self._advance()
        self._now = mono

    def _advance(self) -> None:
        self._note(self.player.advance(self._at(self._now)))

    def _note(self, changes: Iterable[Change]) -> None:
        """Put what happened on record, and who is silent now."""
        for change in changes:
            if isinstance(change, SoundBegan):
                self._close(change.at, "")
                self._open = Stretch(began=change.at, ended=change.at, sound=change, why="", others=())
            elif isinstance(change, SoundEnded):
                self._close(change.at, change.why)
            elif isinstance(change, Ended):
                self.ends.append(change)
        waiting = others(self.player, self._at(self._now))
        if self._open is not None and self._open.sound is None and waiting != self._open.others:
            self._close(self._now, "")
        if self._open is None and waiting:
            self._open = Stretch(began=self._now, ended=self._now, sound=None, why="", others=())
        if self._open is not None:
            by_name = {other.identifier: other for other in (*self._open.others, *waiting)}
            self._open = replace(self._open, others=tuple(by_name[name] for name in sorted(by_name)))

    def _at(self, mono: int) -> Instant:
        return Instant(mono, mono + self._offset)

    def _close(self, mono: int, why: str) -> None:
        if self._open is not None and mono > self._open.began:
            self.stretches.append(replace(self._open, ended=mono, why=why))
        self._open = None

    def _restart(self, dark_ms: int) -> None:
        """What the flash brings back: all that waits, a programme that had begun, nothing else that had."""
        self._advance()
        self.player.bank(self._at(self._now))
        before = self.player
        self._close(self._now, "power")
        self._now += dark_ms
        self.player = before.reborn()
        self.player.set_mode(before.mode, before.volume_floor)
        for track in before.tracks:
            if track.began is None or isinstance(track, ProgrammeTrack):
                self._take_up(track)
            else:
                self.ends.append(
                    Ended(
                        item=track.item,
                        at=self._now,
                        progress=Progress.FAILED,
                        reason=Reason.INTERRUPTED,
                        played_ms=track.played_ms,
                    )
                )

    def _take_up(self, track: AnyTrack) -> None:
        earlier = track.checkpoint if isinstance(track, ProgrammeTrack) else None
        self.player.add(track.item, self._at(self._now), earlier)
        for sha256, audio in track.audio.items():
            self.player.supply(sha256, audio)


def timeline(
    events: Iterable[Event],
    *,
    until: int,
    tone_ms: int = 2000,
    patience_ms: int = 15_000,
    volume: int = 100,
) -> Timeline:
    """What sounds up to `until` when these things happen, each at its UTC ms (`at`), in any order.

    Audio that no event supplies is not there: `in_store` makes the events for a preview in which all of it is.
    """
    run = Run(Player(lambda name: Sound(name, tone_ms), patience_ms, volume))
    for event in sorted(events, key=lambda event: event.at):
        run.happen(event)
    return run.finish(until)


def in_store(items: Iterable[Item], lengths: dict[str, int], at: int) -> list[Event]:
    """The events in which every item arrives at `at` and all its audio is there."""
    events: list[Event] = []
    for item in items:
        events.append(Arrived(at, item))
        events += [Supplied(at, sha256, Sound(sha256, lengths[sha256])) for sha256 in item.wanted]
    return events
