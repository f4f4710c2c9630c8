"""The attention tones of one speaker: fetched when orders name new ones, kept in flash, never missing. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from broadcast_core.player import Sound
from drivers.ip_speaker.wire.command import Audio
from simulators.speakers.memory import Memory

BUILT_IN_TONE: Final = Sound("", 2000)


class Tones:
    """What the flash holds of the tones, and what of them is on its way."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._wanted: dict[str, str] = {}  # name -> hash

    def sound(self, name: str) -> Sound:
        """The tone to play for `name`; the built-in one until it has been fetched."""
        return self._memory.tones.get(name, BUILT_IN_TONE)

    def wants(self, sha256: str) -> bool:
        """Whether a tone waits for these bytes."""
        return sha256 in self._wanted.values()

    def missing(self, tones: Mapping[str, Audio]) -> Iterator[Audio]:
        """What orders name and the flash does not hold; it is waited for from here on."""
        for name, audio in tones.items():
            held = self._memory.tones.get(name)
            if held is None or held.sha256 != audio.sha256:
                self._wanted[name] = audio.sha256
                yield audio

    def came(self, sha256: str, sound: Sound | None) -> None:
        """The bytes came, or (None) will not; nobody waits for them any more."""
        for name in [name for name, wanted in self._wanted.items() if wanted == sha256]:
            del self._wanted[name]
            if sound is not None:
                self._memory.tones[name] = sound
