"""Sound itself, for the few places that need more than its length: PCM, 16 bit, mono, at `RATE`."""

from __future__ import annotations

import io
import math
from array import array
from typing import Final

import av

RATE: Final = 22050
BYTES_PER_SAMPLE: Final = 2
_TONE_HZ: Final = (960, 770)  # the built-in tone: two pitches in turn, each for half a second
_TONE_LEVEL: Final = 0.5


class Undecodable(Exception):
    """Bytes in which no sound was found."""


def decode(data: bytes) -> bytes:
    """PCM of an audio file in memory. The caller has checked its hash, so its maker is known. Raises Undecodable."""
    pcm = bytearray()
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    try:
        with av.open(io.BytesIO(data), mode="r") as container:
            for frame in container.decode(audio=0):
                for piece in resampler.resample(frame):
                    pcm += piece.to_ndarray().tobytes()
            for piece in resampler.resample(None):
                pcm += piece.to_ndarray().tobytes()
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise Undecodable(str(error)) from None
    if not pcm:
        raise Undecodable("no samples")
    return bytes(pcm)


def length_ms(pcm: bytes) -> int:
    return samples(pcm) * 1000 // RATE


def samples(pcm: bytes) -> int:
    return len(pcm) // BYTES_PER_SAMPLE


def built_in_tone(ms: int) -> bytes:
    """The tone a speaker has in its firmware."""
    wave = array("h")
    for n in range(RATE * ms // 1000):
        hz = _TONE_HZ[n * 2 // RATE % 2]
        wave.append(round(32767 * _TONE_LEVEL * math.sin(2 * math.pi * hz * n / RATE)))
    return wave.tobytes()


def at_volume(pcm: bytes, volume: int) -> bytes:
    """The same, quieter: 100 is as it is, 0 silence."""
    if volume >= 100:
        return pcm
    wave = array("h", pcm)
    return array("h", (sample * volume // 100 for sample in wave)).tobytes()


def excerpt(pcm: bytes, position_ms: int, ms: int) -> bytes:
    """`ms` of sound from `position_ms` on, from the beginning again where it ends (a tone repeats)."""
    total = samples(pcm)
    begin = RATE * position_ms // 1000 % total
    wanted = RATE * ms // 1000
    repeated = pcm[begin * BYTES_PER_SAMPLE :] + pcm * ((wanted - (total - begin)) // total + 1)
    return repeated[: wanted * BYTES_PER_SAMPLE]
