"""The hello of a speaker: its nonce, its repetitions, and when to ask again. Pure; times are monotonic ms."""

from __future__ import annotations

import secrets
from random import Random
from typing import Final

FIRST_REPEAT_MS: Final = 3_000
LONGEST_REPEAT_MS: Final = 60_000
ASK_AGAIN_MS: Final = 5_000
_NONCE_BYTES: Final = 16

Order = tuple[int, int]


class Greeting:
    """One connection's hellos. `greeted` once an answer to a nonce of this connection has come."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._wait_ms = FIRST_REPEAT_MS
        self._repeat_at: int | None = None
        self._ask_at: int | None = None
        self._asked_at = -ASK_AGAIN_MS
        self.nonce: bytes | None = None
        self.sent_at = 0
        self.greeted = False
        self.missed: Order | None = None  # the newest command that has to be in the next orders

    def reset(self) -> None:
        """The connection ended: nothing that was asked on it counts any more."""
        self.nonce = self._repeat_at = self._ask_at = self.missed = None
        self.greeted = False

    def fresh(self, now: int) -> bytes:
        """A new nonce, being sent now."""
        self.nonce = secrets.token_bytes(
            _NONCE_BYTES
        )  # never from a seeded source: a repeated nonce lets old orders in
        self.sent_at = now
        self._ask_at = None
        self._wait_ms = FIRST_REPEAT_MS
        self._schedule_repeat(now)
        return self.nonce

    def ask(self, now: int, delay_ms: int = 0) -> None:
        """Say hello once more, not sooner than five seconds after having asked the last time."""
        due = max(now + delay_ms, self._asked_at + ASK_AGAIN_MS)
        self._ask_at = due if self._ask_at is None else min(self._ask_at, due)

    def miss(self, order: Order, now: int) -> None:
        """A command passed by that could not be obeyed: orders at least as new have to tell of it."""
        self.missed = order if self.missed is None else max(self.missed, order)
        if self.nonce is None:
            self.ask(now)

    def answered(self, order: Order, now: int) -> None:
        """Orders with our nonce have come, true as of `order`."""
        self.nonce = self._repeat_at = None
        self.greeted = True
        if self.missed is not None:
            if self.missed > order:
                self.ask(now)
            else:
                self.missed = None

    def due(self, now: int) -> bytes | None:
        """The nonce to send now, the old one repeated or a new one; None if it is not time."""
        if self._ask_at is not None and self._ask_at <= now and self.nonce is None:
            self._asked_at = now
            return self.fresh(now)
        if self.nonce is not None and self._repeat_at is not None and self._repeat_at <= now:
            self.sent_at = now
            self._wait_ms = min(2 * self._wait_ms, LONGEST_REPEAT_MS)
            self._schedule_repeat(now)
            return self.nonce
        return None

    def next_wake(self) -> int | None:
        return self._repeat_at if self.nonce is not None else self._ask_at

    def _schedule_repeat(self, now: int) -> None:
        self._repeat_at = now + self._wait_ms + self._random.randrange(self._wait_ms // 2)
