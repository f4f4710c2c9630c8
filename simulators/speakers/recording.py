"""A WAV file of what one speaker played, as somebody standing under it would have heard it."""

from __future__ import annotations

import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from simulators.speakers import sound
from simulators.speakers.played import Played

log = structlog.get_logger(__name__)

# A longer silence between two sounds is cut to this.
_LONGEST_SILENCE_S: Final = 5.0


class Recording:
    """Appends each stretch of sound when it has ended; the file is whole after each of them."""

    def __init__(self, file: Path, pcm: Mapping[str, bytes], built_in: bytes) -> None:
        """`pcm` finds sound by its SHA-256; `built_in` is the speaker's own tone."""
        self._pcm = pcm
        self._built_in = built_in
        self._heard_until: float | None = None
        self._wave = wave.open(str(file), "wb")  # noqa: SIM115, closed by close()
        self._wave.setnchannels(1)
        self._wave.setsampwidth(sound.BYTES_PER_SAMPLE)
        self._wave.setframerate(sound.RATE)

    def add(self, played: Played) -> None:
        """Write a stretch that has ended, after the silence before it."""
        pcm = self._built_in if played.sha256 == "" else self._pcm.get(played.sha256)
        if pcm is None:
            log.warning("sound_not_recorded", endpoint=played.endpoint, sha256=played.sha256)
            pcm = bytes(sound.RATE * sound.BYTES_PER_SAMPLE)
        if self._heard_until is not None:
            silence = min(max(played.began - self._heard_until, 0.0), _LONGEST_SILENCE_S)
            self._wave.writeframes(bytes(round(silence * sound.RATE) * sound.BYTES_PER_SAMPLE))
        self._heard_until = played.ended
        self._wave.writeframes(
            sound.at_volume(sound.excerpt(pcm, played.position_ms, played.played_ms), played.volume)
        )

    def close(self) -> None:
        self._wave.close()
