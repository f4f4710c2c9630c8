"""The attention tones and the end chime, made from notes: the same bytes everywhere, so speakers can hold them.

Single notes that rise, one after the other. They are none of the signals that carry a meaning of their own or that
the law reserves: not the EAS and WEA attention signal (853 and 960 Hz at the same time) nor EAS data bursts, not the
Canadian alternating tone, not the evacuation rhythm of ISO 8201 (three equal pulses and a pause), not the glide of a
siren. The notes lie between 500 and 1,000 Hz, their overtones below 2,700 Hz, which horn loudspeakers carry well.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from broadcast_core.audio.pcm import Pcm

RATE: Final = 22050
LUFS: Final = -16.0  # of every tone, within 0.2
END: Final = "end-1"

# A pure major triad on D (4:5:6). At RATE each of its waves, overtones too, repeats after 150 samples.
_D5, _FS5, _A5 = 588, 735, 882
_PERIOD: Final = 150
_PARTIALS: Final = ((1, 1.0), (2, 0.35), (3, 0.15))  # (multiple of the note, share)
_ATTACK_S, _RELEASE_S = 0.012, 0.040  # long enough not to click


@dataclass(frozen=True, slots=True)
class Note:
    hertz: int
    seconds: float
    rest: float  # seconds of silence after it


@dataclass(frozen=True, slots=True)
class Score:
    """Notes, and the share of full scale that their peak reaches: what brings them to LUFS (the tests measure it)."""

    peak: float
    notes: tuple[Note, ...]


_RISE: Final = (Note(_D5, 0.16, 0.02), Note(_FS5, 0.16, 0.02), Note(_A5, 0.44, 0.20))
_SLOW: Final = (Note(_D5, 0.28, 0.04), Note(_FS5, 0.28, 0.04), Note(_A5, 0.70, 0.30))
RISES: Final = (_RISE, _SLOW)  # every attention tone is one of these, once or more: what `attention` listens for
_SCORES: Final[Mapping[str, Score]] = {
    "attention-1": Score(0.380, _RISE * 4),
    "attention-2": Score(0.378, _RISE * 3),
    "attention-3": Score(0.361, _SLOW * 2),
    "attention-4": Score(0.351, _SLOW),
    END: Score(0.345, (Note(_A5, 0.35, 0.05), Note(_D5, 0.80, 0.20))),
}


def tones() -> Mapping[str, Pcm]:
    """Every tone by name: what each speaker holds in its own store."""
    return MappingProxyType({name: tone(name) for name in _SCORES})


@cache
def tone(name: str) -> Pcm:
    """The tone of that name. Raises KeyError."""
    score = _SCORES[name]
    return Pcm(rate=RATE, samples=b"".join(_played(note, score.peak) for note in score.notes))


@cache
def _played(note: Note, peak: float) -> bytes:
    sounding = round(note.seconds * RATE)
    scale = 32767 * peak / sum(share for _multiple, share in _PARTIALS)
    period = [scale * _wave(note.hertz, i) for i in range(_PERIOD)]
    samples = (period * (sounding // _PERIOD + 1))[:sounding]
    for i in range(round(_ATTACK_S * RATE)):
        samples[i] *= _rise(i / (_ATTACK_S * RATE))
    for i in range(round(_RELEASE_S * RATE)):
        samples[-1 - i] *= _rise(i / (_RELEASE_S * RATE))
    return struct.pack(f"<{sounding}h", *map(round, samples)) + Pcm.of_silence(note.rest, RATE).samples


def _wave(hertz: int, index: int) -> float:
    phase = 2 * math.pi * hertz * index / RATE
    return sum(share * math.sin(multiple * phase) for multiple, share in _PARTIALS)


def _rise(share: float) -> float:
    """Half a cosine from 0 to 1."""
    return 0.5 - 0.5 * math.cos(math.pi * share)
