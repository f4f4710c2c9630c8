"""The hello of a speaker: its nonce, its repetitions, and when to ask again. Pure; times are monotonic ms."""

from __future__ import annotations

import secrets
from random import Random
from typing import Final

from broadcast_core.signing import b64url

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
        self._sent: dict[str, int] = {}  # each nonce that may be answered, and when it went out
        self.greeted = False
        self.missed: Order | None = None  # the newest command that has to be in the next orders

    @property
    def open(self) -> bool:
        """A hello waits for its answer."""
        return bool(self._sent)

    def reset(self) -> None:
        """The connection ended: nothing that was asked on it counts any more."""
        self._sent.clear()
        self._repeat_at = self._ask_at = self.missed = None
        self.greeted = False

    def fresh(self, now: int) -> str:
        """A new nonce, being sent now; what was asked before counts no more."""
        self._sent.clear()
        self._ask_at = None
        self._wait_ms = FIRST_REPEAT_MS
        return self._send(now)

    def sent_at(self, nonce: str) -> int | None:
        """When the hello with this nonce went out; None if its answer does not count."""
        return self._sent.get(nonce)

    def ask(self, now: int, delay_ms: int = 0) -> None:
        """Say hello once more, not sooner than five seconds after having asked the last time."""
        due = max(now + delay_ms, self._asked_at + ASK_AGAIN_MS)
        self._ask_at = due if self._ask_at is None else min(self._ask_at, due)

    def miss(self, order: Order, now: int) -> None:
        """A command passed by that could not be obeyed: orders at least as new have to tell of it."""
        self.missed = order if self.missed is None else max(self.missed, order)
        if not self._sent:
            self.ask(now)

    def answered(self, order: Order, now: int) -> None:
        """Orders with our nonce have come, true as of `order`."""
        self._sent.clear()
        self._repeat_at = None
        self.greeted = True
        if self.missed is not None:
            if self.missed > order:
                self.ask(now)
            else:
                self.missed = None

    def due(self, now: int) -> str | None:
        """The nonce to send now; None if it is not time."""
        if self._ask_at is not None and self._ask_at <= now and not self._sent:
            self._asked_at = now
            return self.fresh(now)
        if self._sent and self._repeat_at is not None and self._repeat_at <= now:
            self._wait_ms = min(2 * self._wait_ms, LONGEST_REPEAT_MS)
            return self._send(now)
        return None

    def next_wake(self) -> int | None:
        return self._repeat_at if self._sent else self._ask_at

    def _send(self, now: int) -> str:
        # A nonce for each sending: only so does the answer tell which one it answers, and how old it can be. Never
        # from a seeded source: a nonce that comes twice lets old orders in.
        nonce = b64url(secrets.token_bytes(_NONCE_BYTES)).decode()
        self._sent[nonce] = now
        self._repeat_at = now + self._wait_ms + self._random.randrange(self._wait_ms // 2)
        return nonce
