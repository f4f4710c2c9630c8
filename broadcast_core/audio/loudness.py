"""How loud a sound is (EBU R 128, ITU-R BS.1770), and making it as loud as asked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from av.audio.frame import AudioFrame

from broadcast_core.audio.filters import BLOCK, Step, frames, measured, through
from broadcast_core.audio.job import Loudness
from broadcast_core.audio.pcm import Pcm

NOTHING_LUFS: Final = -70.0  # R 128's absolute gate: quieter than this is not measured
_CLOSE_LU: Final = 0.1  # near enough; nobody hears less
_ROUNDS: Final = 6  # -16 LUFS takes two
_LOUDEST_GAIN_DB: Final = 30.0  # more would lift only the noise of a recording
_OVERSAMPLED: Final = 4  # for the true peak, as BS.1770 annex 2 does
# The limiter sees samples, not the wave between them: it stays this far below the ceiling, and the true peak of the
# result is measured. At four times the sample rate it would need no margin but four times as long.
_MARGIN_DB: Final = 0.5
_R128: Final = ("ebur128", "metadata=1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Levelled:
    sound: Pcm
    loudness: Loudness  # measured on `sound`


def measure(pcm: Pcm) -> Loudness:
    """The loudness of `pcm`."""
    return Loudness(lufs=_lufs(pcm), true_peak_dbtp=_true_peak(pcm))


def measure_frames(sound: Iterable[AudioFrame], rate: int) -> Loudness:
    """The loudness of mono frames as they come out of a decoder, measured in one pass."""
    found = measured(sound, rate, _R128, *_peak_of(rate))
    return Loudness(
        lufs=float(found.get("lavfi.r128.I", NOTHING_LUFS)),
        true_peak_dbtp=float(found.get("lavfi.astats.Overall.Peak_level", -math.inf)),
    )


def level(pcm: Pcm, lufs: float, true_peak_dbtp: float) -> Levelled:
    """`pcm` at `lufs`, its true peak not above the ceiling; where both cannot be had, the ceiling holds.

    Speech comes out within ±0.5 LU up to about 12 LU below the ceiling (-16 to -1.5, the default, is 14.5).
    One gain for the whole sound, never one that breathes; a limiter with 5 ms of look-ahead takes what would exceed
    the ceiling. What it takes is given back by a little more gain and measured again, a few times at most.
    """
    found = _lufs(pcm)
    if found <= NOTHING_LUFS:
        return Levelled(sound=pcm, loudness=measure(pcm))
    sound = _raised(pcm, found, lufs, true_peak_dbtp - _MARGIN_DB)
    excess = _true_peak(sound) - true_peak_dbtp
    if excess > 0:
        sound = through(sound, ("volume", f"{-excess - 0.01:.3f}dB")).sound
    return Levelled(sound=sound, loudness=measure(sound))


def _raised(pcm: Pcm, found: float, wanted: float, ceiling_db: float) -> Pcm:
    """`pcm` raised from `found` towards `wanted` LUFS under the limiter."""
    gain = min(wanted - found, _LOUDEST_GAIN_DB)
    for _round in range(_ROUNDS):
        sound = _louder(pcm, gain, ceiling_db)
        missing = wanted - _lufs(sound)
        if abs(missing) <= _CLOSE_LU or gain + missing > _LOUDEST_GAIN_DB:
            break
        gain += missing
    return sound


def _louder(pcm: Pcm, gain_db: float, ceiling_db: float) -> Pcm:
    limiter = f"limit={10 ** (ceiling_db / 20):.4f}:level=disabled:attack=5:release=50:latency=1"
    return through(pcm, ("volume", f"{gain_db:.3f}dB"), ("alimiter", limiter)).sound


def _lufs(pcm: Pcm) -> float:
    found = measured(frames(pcm, BLOCK), pcm.rate, _R128)
    return float(found.get("lavfi.r128.I", NOTHING_LUFS))


def _true_peak(pcm: Pcm) -> float:
    # ebur128's own true peak goes by way of 192 kHz and takes four times as long; both agree within 0.1 dB.
    found = measured(frames(pcm, BLOCK), pcm.rate, *_peak_of(pcm.rate))
    return float(found.get("lavfi.astats.Overall.Peak_level", -math.inf))


def _peak_of(rate: int) -> tuple[Step, ...]:
    in_float = ("aformat", "sample_fmts=fltp")  # whole numbers would be cut off at full scale, just where it matters
    peak = ("astats", "metadata=1:measure_perchannel=none:measure_overall=Peak_level")
    return in_float, ("aresample", str(rate * _OVERSAMPLED)), peak
