"""How a speaker proves itself in silence (docs/protocols/ip-speaker.md, "Self-test"). No I/O; nothing sounds.

It answers as its hardware is: what `Health` says is broken shows, and a part that it does not know is left out.
"""

from __future__ import annotations

from random import Random
from typing import Final

from msgspec import Struct

from broadcast_core.model import Part, PartResult, Reason, say_parts
from drivers.ip_speaker.wire import Up
from drivers.ip_speaker.wire.command import SelfTestCommand
from simulators.speakers.downloads import JITTER_MS, Fetched
from simulators.speakers.effects import Effect, Fetch, Say
from simulators.speakers.ledger import Ledger
from simulators.speakers.signed_time import DeviceClock


class Health(Struct, frozen=True, kw_only=True):
    """What works in this speaker."""

    amplifier: bool = True
    storage: bool = True


class _Running(Struct):
    test: SelfTestCommand
    ahead_ms: int
    asked_at: int  # monotonic ms


# The reason of a failed test is that of the first of these parts: what hinders an alert most.
_ORDER: Final = (Part.AMPLIFIER, Part.STORAGE, Part.FETCH, Part.CLOCK)


class SelfTests:
    """The tests of one speaker: those under way are forgotten in a reboot, their evidence is not."""

    def __init__(self, ledger: Ledger, clock: DeviceClock, random: Random) -> None:
        self.health = Health()
        self._ledger = ledger
        self._clock = clock
        self._random = random
        self._running: dict[str, list[_Running]] = {}  # by the hash of the file that is being fetched

    def knows(self, test: SelfTestCommand) -> bool:
        """Whether there is evidence of this test."""
        return self._ledger.of_start(test.alert, test.rev) is not None

    def take(self, test: SelfTestCommand, ahead_ms: int, now: int) -> list[Effect]:
        """A test has come. `ahead_ms` is how far our clock was before its signature's time."""
        known = self._ledger.of_start(test.alert, test.rev)
        under_way = any(r.test.alert == test.alert for tests in self._running.values() for r in tests)
        if known is not None and (known.progress != "received" or under_way):
            return [Say(Up.RECEIPT, known)]
        if test.exp < self._clock.now(now):
            return [self._ledger.wrote(test, "failed", now, reason=Reason.EXPIRED)]
        received = self._ledger.wrote(test, "received", now)
        running = _Running(test, ahead_ms, now)
        if Part.FETCH not in test.parts or test.audio is None:
            return [received, self._conclude(running, None, now)]
        self._running.setdefault(test.audio.sha256, []).append(running)
        return [received, Fetch(test.audio, self._random.randrange(JITTER_MS))]

    def fetched(self, sha256: str, body: Fetched | None, now: int) -> list[Effect]:
        """A body has come, or (None) has not: every test that waits for it is over."""
        return [self._conclude(running, body, now) for running in self._running.pop(sha256, ())]

    def _conclude(self, running: _Running, body: Fetched | None, now: int) -> Say:
        results: dict[Part, tuple[PartResult, Reason]] = {}
        for part in Part:
            if part in running.test.parts and (seen := self._look(part, running, body, now)) is not None:
                results[part] = seen
        failed = [results[part][1] for part in _ORDER if part in results and not results[part][0].ok]
        return self._ledger.wrote(
            running.test,
            "failed" if failed else "finished",
            now,
            reason=failed[0] if failed else None,
            detail=say_parts(result for result, _ in results.values()),
        )

    def _look(
        self, part: Part, running: _Running, body: Fetched | None, now: int
    ) -> tuple[PartResult, Reason] | None:
        """What a part looks like, and the reason if it is not as it should be."""
        if part is Part.FETCH:
            return _fetch(running, body, now)
        if part is Part.AMPLIFIER:
            note = "" if self.health.amplifier else "no loop signal"
            return PartResult(part=part, ok=self.health.amplifier, note=note), Reason.HARDWARE
        if part is Part.STORAGE:
            note = "" if self.health.storage else "full"
            return PartResult(part=part, ok=self.health.storage, note=note), Reason.STORAGE_FULL
        if part is Part.CLOCK:
            close = abs(running.ahead_ms) <= running.test.clock_ms
            return PartResult(part=part, ok=close, note=f"{running.ahead_ms:+d} ms"), Reason.CLOCK_OFF
        return None


def _fetch(running: _Running, body: Fetched | None, now: int) -> tuple[PartResult, Reason] | None:
    audio = running.test.audio
    if audio is None:
        return None
    if body is None:
        return PartResult(part=Part.FETCH, ok=False, note="nothing came"), Reason.CONTENT_UNAVAILABLE
    if body.sha256 != audio.sha256 or body.size != audio.size:
        return PartResult(part=Part.FETCH, ok=False, note="another hash"), Reason.CONTENT_MISMATCH
    return PartResult(part=Part.FETCH, ok=True, note=f"{now - running.asked_at} ms"), Reason.CONTENT_MISMATCH
