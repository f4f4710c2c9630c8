"""Is the emergency's attention tone in a sound? Heard as a person would: by pitch, order and rhythm, not by bytes.

People must never learn that the tone can mean an advertisement. What is looked for is one rise of `tone`: three
single notes 4:5:6 with their durations, and silence or anything else after it. It is found at any gain, at speeds
and pitches up to 4 % off, after any coding, and under music, speech or noise that is quieter than itself
(docs/library.md has the numbers). A sound that only resembles it (other intervals, another rhythm, chords) is left
alone; one that a listener could not tell apart is refused, whoever made it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from broadcast_core.audio.filters import resampled
from broadcast_core.audio.pcm import Pcm
from broadcast_core.audio.tone import RISES, Note

Floats = NDArray[np.float64]

_RATE: Final = 8000  # holds every partial of the tone
_HOP: Final = 80  # 10 ms
_WINDOW: Final = 400  # 50 ms: a third of the shortest note, and 40 Hz, a quarter of the step between two notes
_BINS: Final = 1024
_BLOCK: Final = 6000  # a minute at a time bounds the memory
_PARTIALS: Final = (1, 2, 3)
_HALF_WIDTH_HZ: Final = 30.0
_BAND_HZ: Final = (350.0, 3000.0)  # what else sounds counts here; hum and hiss beside it do not
_SPEEDS: Final = tuple(float(speed) for speed in np.arange(0.96, 1.0401, 0.01))
_QUIETEST: Final = 3.0  # mean square of samples, about -80 dBFS: below it nobody hears a tone
_EDGE_S: Final = 0.025  # half a window: at its edges a note and its neighbour share frames
_MARGIN_S: Final = 0.2  # silence put before and after, for tones at the very edges

# What makes it the tone, and not a tune that passes through D major. Clean, the shares are 1 and the ratios 0 and 1.
_ENOUGH: Final = 0.7  # mean share of the right note in what sounds, less the wrong ones
_WORST_NOTE: Final = 0.6  # the same of each of the three
_STRAY: Final = 0.4  # of its energy that the first note may have just before it begins, the last one after its end
_SUSTAINED: Final = 0.5  # of its energy in the strongest third of the last note that each third must have
_INTERVAL: Final = (
    0.015  # how far the ratio of two notes may be off; a minor third is 5 % off, a piano's major one 0.8
)
_EVEN: Final = 0.15  # of the energy of the loudest note that each must have


@dataclass(frozen=True, slots=True)
class Heard:
    """Where the tone was heard, and how much of what sounded there was the tone (0 to 1)."""

    at_s: float
    share: float


def heard(pcm: Pcm) -> Heard | None:
    """The first attention tone in `pcm`, or None."""
    return min(_candidates(pcm), key=lambda one: one.at_s, default=None)


def _candidates(pcm: Pcm) -> Iterator[Heard]:
    """The first rise of every minute, speed and kind."""
    margin = Pcm.of_silence(_MARGIN_S, _RATE).samples
    samples = np.frombuffer(margin + resampled(pcm, _RATE).samples + margin * 3, dtype="<i2")
    longest = max(round(_length_s(rise) / _SPEEDS[0] * _RATE / _HOP) for rise in RISES) + round(
        _MARGIN_S * _RATE / _HOP
    )
    count = max(0, (len(samples) - _WINDOW) // _HOP + 1)
    for start in range(0, count, _BLOCK):
        cumulated = _cumulated(samples[start * _HOP :], min(count - start, _BLOCK + longest))
        for speed in _SPEEDS:
            voices, shares = _heard_of(cumulated, speed)
            for rise in RISES:
                fit = _fits(_Sums(voices), _Sums(shares), rise, speed)
                for begin in np.flatnonzero(fit >= _ENOUGH):
                    at = (start + int(begin)) * _HOP
                    if _in_tune(samples[at + round(_MARGIN_S / 2 * _RATE) :], rise, speed):
                        yield Heard(at_s=max(0.0, at / _RATE - _MARGIN_S / 2), share=float(fit[begin]))
                        break


def _length_s(rise: tuple[Note, ...]) -> float:
    return sum(note.seconds + note.rest for note in rise)


def _cumulated(samples: NDArray[np.int16], frames: int) -> Floats:
    """Energy below each bin, one row for each frame: the energy of a band is a difference of two columns."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[: frames * _HOP : _HOP][:frames]
    spectrum = np.fft.rfft(windows * np.hanning(_WINDOW), _BINS, axis=1)
    energy = np.abs(spectrum) ** 2 / _WINDOW**2
    return np.concatenate((np.zeros((len(energy), 1)), np.cumsum(energy, axis=1)), axis=1)


def _band(cumulated: Floats, low_hz: float, high_hz: float) -> Floats:
    low, high = (max(0, min(_BINS // 2, round(hz * _BINS / _RATE))) for hz in (low_hz, high_hz))
    found: Floats = cumulated[:, high + 1] - cumulated[:, low]
    return found


def _around(cumulated: Floats, hertz: float) -> Floats:
    return _band(cumulated, hertz - _HALF_WIDTH_HZ, hertz + _HALF_WIDTH_HZ)


def _heard_of(cumulated: Floats, speed: float) -> tuple[Floats, Floats]:
    """For each note and frame its energy, and its share in what sounds less that of the other two."""
    whole = _band(cumulated, *_BAND_HZ)
    hertz = [note.hertz * speed for note in RISES[0]]
    grounds = np.stack([_around(cumulated, hz) for hz in hertz])
    voices = grounds + sum(np.stack([_around(cumulated, hz * n) for hz in hertz]) for n in _PARTIALS[1:])
    wrong = grounds.sum(axis=0) - grounds
    shares: Floats = np.where(whole > _QUIETEST, (voices - wrong) / np.maximum(whole, _QUIETEST), 0.0)
    return voices, shares


class _Sums:
    """Means over stretches of frames, for every possible begin of a rise at once."""

    def __init__(self, values: Floats) -> None:
        self.frames: Final = values.shape[1]
        self._sums: Final = np.concatenate((np.zeros((len(values), 1)), np.cumsum(values, axis=1)), axis=1)

    def mean(self, note: int, begin_s: float, end_s: float, before: int, count: int) -> Floats:
        """Of `note` from `begin_s` to `end_s` after each of `count` begins, the first of them `before` frames in."""
        first = before + round(begin_s * _RATE / _HOP)
        length = max(1, round((end_s - begin_s) * _RATE / _HOP))
        sums = self._sums[note]
        found: Floats = (sums[first + length : first + length + count] - sums[first : first + count]) / length
        return found


def _fits(voices: _Sums, shares: _Sums, rise: tuple[Note, ...], speed: float) -> Floats:
    """How well the rise fits if it begins at each frame, 0 where it does not; the first is `before` frames in."""
    before = round(_MARGIN_S / 2 * _RATE / _HOP)
    count = voices.frames - before - round(_length_s(rise) / speed * _RATE / _HOP) - 1
    if count <= 0:
        return np.zeros(0)
    stretches, at = [], 0.0
    for note in rise:  # a frame begins half a window before its middle
        stretches.append((at / speed, (at + note.seconds) / speed - 2 * _EDGE_S))
        at += note.seconds + note.rest
    notes = np.stack([shares.mean(i, begin, end, before, count) for i, (begin, end) in enumerate(stretches)])
    energies = np.stack([voices.mean(i, begin, end, before, count) for i, (begin, end) in enumerate(stretches)])
    begin, end = stretches[-1]
    third = (end - begin) / 3
    thirds = np.stack([voices.mean(2, begin + n * third, begin + (n + 1) * third, before, count) for n in range(3)])
    earlier = voices.mean(0, -0.10, -2 * _EDGE_S, before, count)
    later = voices.mean(2, end + 2 * _EDGE_S, end + rise[-1].rest / speed, before, count)
    is_it = (
        (notes.min(axis=0) >= _WORST_NOTE)
        & (earlier <= _STRAY * energies[0])
        & (later <= _STRAY * energies[-1])
        & (thirds.min(axis=0) >= _SUSTAINED * thirds.max(axis=0))
        & (energies.min(axis=0) >= _EVEN * energies.max(axis=0))
    )
    fit: Floats = np.where(is_it, notes.mean(axis=0), 0.0)
    return fit


def _in_tune(samples: NDArray[np.int16], rise: tuple[Note, ...], speed: float) -> bool:
    """Whether the three notes that begin here stand as 4:5:6: each measured over its whole length, to 1 Hz."""
    pitches, at = [], 0.0
    for note in rise:
        begin, end = (round(s / speed * _RATE) for s in (at + _EDGE_S / 2, at + note.seconds - _EDGE_S / 2))
        stretch = samples[begin:end]
        spectrum = np.abs(np.fft.rfft(stretch * np.hanning(len(stretch)), _RATE))
        low, high = (round(note.hertz * speed * off) for off in (0.95, 1.05))
        pitches.append(low + int(np.argmax(spectrum[low : high + 1])))
        at += note.seconds + note.rest
    return all(
        abs(pitch / pitches[0] * rise[0].hertz / note.hertz - 1) <= _INTERVAL
        for pitch, note in zip(pitches, rise, strict=True)
    )
