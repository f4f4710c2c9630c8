"""PCM to MP3, the one format that every IP speaker plays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av

from broadcast_core.audio.filters import BLOCK, frames, through
from broadcast_core.audio.pcm import Pcm

# LAME's fast side: half the time of its default. The voice decides the quality here, not the encoder.
_OPTIONS: Final = {"compression_level": "7"}
# LAME multiplies everything by 0.95 on its way in (measured: -0.45 dB at every bit rate). Given back here, so that
# what comes out is as loud as what was levelled; its samples stay below full scale as long as the ceiling is.
_LOWERED_DB: Final = 0.45


@dataclass(frozen=True, kw_only=True, slots=True)
class Mp3:
    """Mono MPEG frames of one constant bit rate, and how long they sound (the encoder's own 50 ms included).

    Every piece starts without a debt to the bits before it, so pieces that begin and end in silence may follow each
    other in any order and number: what is said ten times is encoded once.
    """

    data: bytes
    seconds: float

    def __add__(self, other: Mp3) -> Mp3:
        return Mp3(data=self.data + other.data, seconds=self.seconds + other.seconds)

    def __mul__(self, times: int) -> Mp3:
        return Mp3(data=self.data * times, seconds=self.seconds * times)


def mp3(pcm: Pcm, bitrate_kbps: int) -> Mp3:
    """`pcm` at its own rate and loudness. The same sound gives the same bytes, and no header that names a version."""
    encoder = av.CodecContext.create("libmp3lame", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = pcm.rate, "mono", "s16p"
    encoder.bit_rate, encoder.time_base, encoder.options = bitrate_kbps * 1000, Fraction(1, pcm.rate), _OPTIONS
    packets = list(_packets(encoder, pcm))
    return Mp3(data=b"".join(packets), seconds=len(packets) * encoder.frame_size / pcm.rate)


def _packets(encoder: av.AudioCodecContext, pcm: Pcm) -> Iterator[bytes]:
    for frame in (*frames(through(pcm, ("volume", f"{_LOWERED_DB}dB")).sound, BLOCK), None):
        yield from (bytes(packet) for packet in encoder.encode(frame))
