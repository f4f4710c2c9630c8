"""The player of one speaker, with evidence for all that it does. `now` is the device's monotonic ms."""

from __future__ import annotations

from typing import Final

from broadcast_core.model import Mode, Reason
from broadcast_core.player import Change, Checkpoint, Ended, Instant, Item, Player, Programme, Sound, Started
from simulators.speakers.day import Day
from simulators.speakers.effects import Effect
from simulators.speakers.ledger import Ledger
from simulators.speakers.memory import Memory
from simulators.speakers.signed_time import DeviceClock

_CHECKPOINT_MS: Final = 5_000  # a power cut loses at most this much of "played so far"


class Loudspeaker:
    """Every method returns the sound that began and ended, and what is to be said of it."""

    def __init__(self, player: Player, ledger: Ledger, day: Day, memory: Memory, clock: DeviceClock) -> None:
        self.player: Final = player
        self._ledger = ledger
        self._day = day
        self._memory = memory
        self._clock = clock
        self._checkpoint_at = 0
        player.set_mode(Mode(memory.mode), memory.volume_floor)

    def advance(self, now: int) -> list[Effect]:
        """Everything that has happened by now."""
        return self._prove(self.player.advance(self._at(now)))

    def add(self, item: Item, now: int, earlier: Checkpoint | None) -> list[Effect]:
        """Accept an item. Call `advance` afterwards."""
        return self._prove(self.player.add(item, self._at(now), earlier))

    def stop(self, alert: str, rev: int, now: int, why: str) -> list[Effect]:
        """End it, up to this revision. Call `advance` afterwards."""
        return self._prove(self.player.stop(alert, rev, self._at(now), why))

    def supply(self, sha256: str, audio: Sound | Reason, now: int) -> list[Effect]:
        """Audio has come, or never will."""
        effects = self.advance(now)  # up to now it was not there
        self.player.supply(sha256, audio)
        return effects + self.advance(now)

    def set_mode(self, mode: str, volume_floor: int, order: tuple[int, int], now: int) -> list[Effect]:
        """From now on this is the mode, also after a reboot; `order` is the place of the command that said so."""
        effects = self.advance(now)  # up to now it was the other
        memory = self._memory
        memory.mode, memory.volume_floor, memory.mode_order = mode, volume_floor, order
        self.player.set_mode(Mode(mode), volume_floor)
        return effects + self.advance(now)

    def woken(self, now: int) -> list[Effect]:
        """`next_wake` has come."""
        effects = self.advance(now)
        if self.player.sounding is not None and self._checkpoint_at <= now:
            self._checkpoint_at = now + _CHECKPOINT_MS
            self.player.bank(self._at(now))
            self._day.note(self.player.tracks)
            self._ledger.checkpoint(self.player.sounding)
        return effects

    def next_wake(self, now: int) -> int | None:
        wake = self.player.next_wake(self._at(now))
        if wake is None or self.player.sounding is None:
            return wake
        return min(wake, self._checkpoint_at)

    def _at(self, now: int) -> Instant:
        return Instant(now, self._clock.now(now))

    def _prove(self, changes: list[Change]) -> list[Effect]:
        """Evidence for what the player did, in its order; the sound itself is passed on."""
        effects: list[Effect] = []
        for change in changes:
            if isinstance(change, Started):
                self._checkpoint_at = change.at + _CHECKPOINT_MS
                if isinstance(change.item.content, Programme):
                    self._day.began(change.item)  # before it sounds
                else:
                    effects.append(self._ledger.started(change.item, change.at))
            elif isinstance(change, Ended):
                said = self._ledger.ended(change)
                if isinstance(change.item.content, Programme):
                    self._day.over(said, change.at)
                else:
                    effects.append(said)
            else:
                effects.append(change)
        return effects
