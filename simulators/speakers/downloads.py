"""Which sound a speaker still has to fetch, and what it makes of what comes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from broadcast_core.model import Reason
from broadcast_core.player import Sound
from drivers.ip_speaker.wire.command import Audio
from simulators.speakers.effects import Fetch
from simulators.speakers.memory import Stored

# 1,099 speakers that are told of the same file in the same millisecond do not all ask for it in that millisecond.
JITTER_MS: Final = 1500
_FIRST_RETRY_MS: Final = 1000
_LONGEST_RETRY_MS: Final = 30_000
_LONGEST_RETRY_AHEAD_MS: Final = 300_000
_HELD: Final = 16
STORE_BYTES: Final = 512 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A body that came: its own SHA-256 and size, and how long it sounds. `ms` is None if it cannot be decoded."""

    sha256: str
    size: int
    ms: int | None


class _Want:
    __slots__ = ("ahead", "audio", "mismatches", "wait_ms")

    def __init__(self, audio: Audio, ahead: bool) -> None:
        self.audio = audio
        self.ahead = ahead
        self.mismatches = 0
        self.wait_ms = _FIRST_RETRY_MS


class Downloads:
    """Fetches under way, by the hash that was promised; the last few sounds that fitted; and in the flash (`store`)
    those that were fetched ahead."""

    def __init__(self, random: Random, store: dict[str, Stored]) -> None:
        self._random = random
        self._store = store
        self._wants: dict[str, _Want] = {}
        self._held: dict[str, Sound] = {}

    def held(self, sha256: str) -> Sound | None:
        """A sound that was fetched, fitted, and is still there."""
        stored = self._store.get(sha256)
        return self._held.get(sha256) if stored is None else Sound(sha256, stored.ms)

    def want(self, audio: Audio) -> list[Fetch]:
        """Fetch it, after a short random delay, unless that is already under way."""
        under_way = self._wants.get(audio.sha256)
        if under_way is not None and not under_way.ahead:
            return []
        self._wants[audio.sha256] = _Want(audio, ahead=False)
        return [Fetch(audio, self._random.randrange(JITTER_MS))]

    def want_ahead(self, audio: Audio, delay_ms: int) -> list[Fetch]:
        """Fetch it in time for what is due later, and keep it in the flash."""
        if audio.sha256 in self._wants:
            return []
        self._wants[audio.sha256] = _Want(audio, ahead=True)
        return [Fetch(audio, delay_ms)]

    def came(self, sha256: str, body: Fetched | None, still_needed: bool) -> Sound | Reason | Fetch | None:
        """Judge what came for `sha256` (None: nothing did).

        The sound; or why there will be none (a second body with a wrong hash, or sound that cannot be decoded); or
        the next try; or None when nobody needs it any more.
        """
        want = self._wants.get(sha256)
        if want is None:
            return None
        if not still_needed:
            del self._wants[sha256]
            return None
        if body is None:
            longest = _LONGEST_RETRY_AHEAD_MS if want.ahead else _LONGEST_RETRY_MS
            delay, want.wait_ms = want.wait_ms, min(2 * want.wait_ms, longest)
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
        sound = Sound(sha256, max(1, body.ms))
        if want.ahead:
            self._keep(sound, body.size)
        else:
            self._hold(sound)
        return sound

    def _hold(self, sound: Sound) -> None:
        self._held[sound.sha256] = sound
        if len(self._held) > _HELD:
            del self._held[next(iter(self._held))]

    def _keep(self, sound: Sound, size: int) -> None:
        """Into the flash; when it is full the oldest goes, and is fetched again if it is still needed."""
        self._store[sound.sha256] = Stored(ms=sound.ms, size=size)
        while sum(stored.size for stored in self._store.values()) > STORE_BYTES:
            del self._store[next(iter(self._store))]
