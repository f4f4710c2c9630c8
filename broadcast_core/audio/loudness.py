"""How loud a sound is (EBU R 128, ITU-R BS.1770), and making it as loud as asked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from broadcast_core.audio.filters import through
from broadcast_core.audio.job import Loudness
from broadcast_core.audio.pcm import Pcm

NOTHING_LUFS: Final = -70.0  # R 128's absolute gate: quieter than this is not measured
_CLOSE_LU: Final = 0.2  # near enough; nobody hears less
_ROUNDS: Final = 3
_LOUDEST_GAIN_DB: Final = 30.0  # more would lift only the noise of a recording
_OVERSAMPLED: Final = 4  # for the true peak, as BS.1770 annex 2 does
# The limiter sees samples, not the wave between them: it stays this far below the ceiling, and the true peak of the
# result is measured. At four times the sample rate it would need no margin but four times as long.
_MARGIN_DB: Final = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Levelled:
    sound: Pcm
    loudness: Loudness  # measured on `sound`


def measure(pcm: Pcm) -> Loudness:
    """The loudness of `pcm`."""
    return Loudness(lufs=_lufs(pcm), true_peak_dbtp=_true_peak(pcm))


def level(pcm: Pcm, lufs: float, true_peak_dbtp: float) -> Levelled:
    """`pcm` at `lufs`, within ±0.5 LU where the sound allows it, its true peak not above the ceiling.

    One gain for the whole sound, never one that breathes; a limiter with 5 ms of look-ahead takes what would exceed
    the ceiling. What it takes is given back by a little more gain and measured again, a few times at most.
    """
    found = _lufs(pcm)
    if found <= NOTHING_LUFS:
        return Levelled(sound=pcm, loudness=measure(pcm))
    ceiling = true_peak_dbtp - _MARGIN_DB
    sound, reached, gain = _raised(pcm, found, lufs, ceiling)
    peak = _true_peak(sound)
    if peak > true_peak_dbtp:
        sound = _louder(pcm, gain, ceiling - (peak - true_peak_dbtp))
        reached, peak = _lufs(sound), _true_peak(sound)
    return Levelled(sound=sound, loudness=Loudness(lufs=reached, true_peak_dbtp=peak))


def _raised(pcm: Pcm, found: float, wanted: float, ceiling_db: float) -> tuple[Pcm, float, float]:
    """`pcm` raised from `found` towards `wanted` LUFS under the limiter; what it reached, and the gain it took."""
    gain = min(wanted - found, _LOUDEST_GAIN_DB)
    for _round in range(_ROUNDS):
        sound = _louder(pcm, gain, ceiling_db)
        reached = _lufs(sound)
        missing = wanted - reached
        if abs(missing) <= _CLOSE_LU or gain + missing > _LOUDEST_GAIN_DB:
            break
        gain += missing
    return sound, reached, gain


def _louder(pcm: Pcm, gain_db: float, ceiling_db: float) -> Pcm:
    limiter = f"limit={10 ** (ceiling_db / 20):.4f}:level=disabled:attack=5:release=50:latency=1"
    return through(pcm, ("volume", f"{gain_db:.3f}dB"), ("alimiter", limiter)).sound


def _lufs(pcm: Pcm) -> float:
    return float(through(pcm, ("ebur128", "metadata=1")).measured.get("lavfi.r128.I", NOTHING_LUFS))


def _true_peak(pcm: Pcm) -> float:
    # ebur128's own true peak goes by way of 192 kHz and takes four times as long; both agree within 0.1 dB.
    peak = ("astats", "metadata=1:measure_perchannel=none:measure_overall=Peak_level")
    measured = through(pcm, ("aresample", str(pcm.rate * _OVERSAMPLED)), peak).measured
    return float(measured.get("lavfi.astats.Overall.Peak_level", -math.inf))
