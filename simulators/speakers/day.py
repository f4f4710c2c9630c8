"""The publicity that a speaker knows ahead: kept in its flash, played by its own clock, reported when it is over.

Pure; `now` is the device's monotonic ms.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from random import Random
from typing import Final

from broadcast_core.player import AnyTrack, Checkpoint, Item, ProgrammeTrack
from drivers.ip_speaker.wire.command import StartCommand
from drivers.ip_speaker.wire.report import ReceiptReport
from simulators.speakers.downloads import JITTER_MS
from simulators.speakers.effects import Say
from simulators.speakers.memory import Held, Memory
from simulators.speakers.signed_time import DeviceClock

# Before something is due the time is asked for once more. What two crystals of 100 ppm drift apart until then has to
# stay below the 50 ms that a listener hears: 2 × 100 ppm × 180 s = 36 ms.
ASK_EARLIEST_MS: Final = 180_000
ASK_LATEST_MS: Final = 30_000
PREFETCH_WITHIN_MS: Final = 600_000
_PREFETCH_MARGIN_MS: Final = 30_000
MOST_HELD: Final = 64


class Day:
    """What is to come, what has begun, and the reports that wait for their moment."""

    def __init__(self, memory: Memory, clock: DeviceClock, random: Random, spread_ms: int) -> None:
        self._memory = memory
        self._clock = clock
        self._random = random
        self._spread_ms = spread_ms
        self._ask_at: dict[str, int] = {}  # occurrence -> UTC
        self._reports: dict[tuple[str, int], tuple[int, Say]] = {}  # -> when (mono) to send which

    def holds(self) -> dict[str, int]:
        """What need not be sent again, in a hello."""
        return {alert: held.rev for alert, held in self._memory.day.items()}

    def keep(self, token: bytes, start: StartCommand, now: int) -> Checkpoint | None:
        """Into the flash with it. How far it was before a restart, if it had begun then."""
        held = self._memory.day.get(start.alert)
        self._plan_to_ask(start, now)
        if held is not None and held.rev == start.rev:
            return held.checkpoint
        if held is not None or len(self._memory.day) < MOST_HELD:
            self._memory.day[start.alert] = Held(rev=start.rev, token=token.decode(), exp=start.exp)
        return None

    def began(self, item: Item) -> None:
        """It begins: after a reboot it will not begin again, but join or be left out."""
        held = self._memory.day.get(item.identifier)
        if held is not None and held.rev == item.revision and held.checkpoint is None:
            held.checkpoint = Checkpoint(0, ())

    def note(self, tracks: Iterable[AnyTrack]) -> None:
        """How far they are, in case the power goes."""
        for track in tracks:
            held = self._memory.day.get(track.identifier)
            if isinstance(track, ProgrammeTrack) and held is not None and held.rev == track.item.revision:
                held.checkpoint = track.checkpoint

    def over(self, said: Say, now: int) -> None:
        """It has ended. That it is held stays true; its report goes out at random within a minute."""
        report = said.report
        assert isinstance(report, ReceiptReport)
        held = self._memory.day.get(report.alert)
        if held is not None and held.rev == report.rev:
            held.token, held.checkpoint = "", None
            self._ask_at.pop(report.alert, None)
        self._reports[report.alert, report.rev] = now + self._random.randrange(self._spread_ms + 1), said

    def due(self, truth: dict[str, int], newer: Container[str]) -> list[bytes]:
        """Orders have come: forget what is no longer due, save what is `newer` than they are. The signed starts of
        what is due and has not ended."""
        day = self._memory.day
        for alert in [a for a, held in day.items() if truth.get(a) != held.rev and a not in newer]:
            del day[alert]
            self._ask_at.pop(alert, None)
        return [held.token.encode() for held in day.values() if held.token]

    def forget(self, utc: int) -> None:
        self._memory.day = {alert: held for alert, held in self._memory.day.items() if held.exp > utc}

    def reports(self, now: int) -> list[Say]:
        """The final receipts whose moment has come."""
        ready = [key for key, (at, _) in self._reports.items() if at <= now]
        return [self._reports.pop(key)[1] for key in ready]

    def wants_time(self, now: int) -> bool:
        """Whether it is time to ask for the time once more. Asks once for each occurrence."""
        utc = self._clock.now(now)
        ripe = [alert for alert, at in self._ask_at.items() if at <= utc]
        for alert in ripe:
            del self._ask_at[alert]
        return bool(ripe)

    def next_wake(self) -> int | None:
        wakes = [at for at, _ in self._reports.values()]
        wakes += [self._clock.mono_of(at) for at in self._ask_at.values()]
        return min(wakes, default=None)

    def prefetch_delay(self, place: int, now: int) -> int:
        """How long to wait before fetching what is needed at `place` (UTC), so that a fleet spreads."""
        left = place - self._clock.now(now) - _PREFETCH_MARGIN_MS
        return self._random.randrange(max(JITTER_MS, min(left, PREFETCH_WITHIN_MS)))

    def _plan_to_ask(self, start: StartCommand, now: int) -> None:
        at = start.start_at - self._random.randrange(ASK_LATEST_MS, ASK_EARLIEST_MS)
        if at > self._clock.now(now):
            self._ask_at[start.alert] = at
