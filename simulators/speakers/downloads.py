"""Which sound a speaker still has to fetch, and what it makes of what comes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from broadcast_core.model import Reason
from drivers.ip_speaker.wire.command import Audio
from simulators.speakers.effects import Fetch
from simulators.speakers.memory import Clip

# 1,099 speakers that are told of the same file in the same millisecond do not all ask for it in that millisecond.
JITTER_MS: Final = 1500
_FIRST_RETRY_MS: Final = 1000
_LONGEST_RETRY_MS: Final = 30_000
_HELD: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A body that came: its own SHA-256 and size, and how long it sounds. `ms` is None if it cannot be decoded."""

    sha256: str
    size: int
    ms: int | None


class _Want:
    __slots__ = ("audio", "mismatches", "wait_ms")

    def __init__(self, audio: Audio) -> None:
        self.audio = audio
        self.mismatches = 0
        self.wait_ms = _FIRST_RETRY_MS


class Downloads:
    """Fetches under way, by the hash that was promised; and the last few clips that fitted."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._wants: dict[str, _Want] = {}
        self._held: dict[str, Clip] = {}

    def held(self, sha256: str) -> Clip | None:
        """A clip that was fetched, fitted, and is still in memory."""
        return self._held.get(sha256)

    def want(self, audio: Audio) -> list[Fetch]:
        """Fetch it, after a random delay, unless that is already under way."""
        if audio.sha256 in self._wants:
            return []
        self._wants[audio.sha256] = _Want(audio)
        return [Fetch(audio, self._random.randrange(JITTER_MS))]

    def came(self, sha256: str, body: Fetched | None, still_needed: bool) -> Clip | Reason | Fetch | None:
        """Judge what came for `sha256` (None: nothing did).

        The clip; or why there will be none (a second body with a wrong hash, or sound that cannot be decoded); or
        the next try; or None when nobody needs it any more.
        """
        want = self._wants.get(sha256)
        if want is None:
            return None
        if not still_needed:
            del self._wants[sha256]
            return None
        if body is None:
            delay, want.wait_ms = want.wait_ms, min(2 * want.wait_ms, _LONGEST_RETRY_MS)
            return Fetch(want.audio, delay)
        if body.sha256 != sha256 or body.size != want.audio.size:
            want.mismatches += 1
            if want.mismatches == 1:
                return Fetch(want.audio, 0)
            del self._wants[sha256]
            return Reason.CONTENT_MISMATCH
        del self._wants[sha256]
        if body.ms is None:
            return Reason.CONTENT_UNDECODABLE
        return self._hold(Clip(sha256, max(1, body.ms)))

    def _hold(self, clip: Clip) -> Clip:
        self._held[clip.sha256] = clip
        if len(self._held) > _HELD:
            del self._held[next(iter(self._held))]
        return clip
