"""The chime before an announcement of peacetime: two falling notes of a bell, unlike anything that warns.

The attention tones rise in steps of steady notes (`tone`); this falls, rings out, and takes its time. Made here, so
that no installation needs a recording.
"""

from __future__ import annotations

import math
import struct
from functools import cache
from typing import Final

from broadcast_core.audio.pcm import Pcm

_NOTES: Final = ((659.26, 0.0), (523.25, 0.55))  # (Hz, begins at): E5, C5
_PARTIALS: Final = ((1.0, 1.0, 2.2), (2.0, 0.45, 3.5), (3.01, 0.2, 5.0))  # (multiple, share, decay per second)
_SECONDS: Final = 2.2
_PEAK: Final = 0.5
_ATTACK_S: Final = 0.006


@cache
def chime(rate: int) -> Pcm:
    """The chime at `rate` Hz, its peak at half of full scale."""
    wave = [0.0] * round(_SECONDS * rate)
    for hertz, begin in _NOTES:
        for i in range(round(begin * rate), len(wave)):
            t = i / rate - begin
            wave[i] += min(1.0, t / _ATTACK_S) * sum(
                share * math.exp(-decay * t) * math.sin(2 * math.pi * hertz * multiple * t)
                for multiple, share, decay in _PARTIALS
            )
    scale = 32767 * _PEAK / max(map(abs, wave))
    fade = round(0.2 * rate)  # what still rings at the end
    for i in range(fade):
        wave[-1 - i] *= i / fade
    return Pcm(rate=rate, samples=struct.pack(f"<{len(wave)}h", *(round(scale * value) for value in wave)))
