"""The attention tone is recognised whatever was done to it, and nothing else is taken for it."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from broadcast_core.audio.attention import heard
from broadcast_core.audio.chime import chime
from broadcast_core.audio.filters import frames, resampled, through
from broadcast_core.audio.pcm import Pcm
from broadcast_core.audio.tone import END, tone, tones

RATE = 22050
ATTENTION = sorted(name for name in tones() if name != END)
Floats = np.ndarray[Any, np.dtype[np.float64]]


def samples_of(sound: Pcm) -> Floats:
    return np.frombuffer(sound.samples, dtype="<i2").astype(np.float64)


def pcm(samples: Floats) -> Pcm:
    return Pcm(rate=RATE, samples=np.clip(np.round(samples), -32768, 32767).astype("<i2").tobytes())


def coded(sound: Pcm, form: str, codec: str, bit_rate: int) -> Pcm:
    """`sound` after a coder."""
    out = io.BytesIO()
    rate = 48000 if codec == "libopus" else RATE
    with av.open(out, "w", format=form) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = bit_rate
        resampler = av.AudioResampler(
            format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size or 1024
        )
        for frame in (*frames(sound, 4096), None):
            for ready in resampler.resample(frame):
                ready.time_base = Fraction(1, rate)
                file.mux(stream.encode(ready))
        file.mux(stream.encode(None))
    out.seek(0)
    with av.open(out, format=form) as file:
        back = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        pieces = [
            bytes(ready.planes[0])[: ready.samples * 2]
            for frame in (*file.decode(audio=0), None)
            for ready in back.resample(frame)
        ]
    return Pcm(rate=RATE, samples=b"".join(pieces))


def song(seconds: float, seed: int, *, chords: bool) -> Floats:
    """Notes of D major in random rhythm, some of them those of the tone; with or without chords under them."""
    chance = random.Random(seed)
    out = np.zeros(round((seconds + 3) * RATE))

    def play(at: float, midi: int, length: float, level: float) -> None:
        t = np.arange(round(length * RATE)) / RATE
        hertz = 440 * 2 ** ((midi - 69) / 12)
        decay = chance.choice((0.0, 3.0))
        note = sum(np.sin(2 * math.pi * hertz * k * t) / k**1.5 for k in (1, 2, 3, 4)) * np.exp(-t * decay)
        begin = round(at * RATE)
        out[begin : begin + len(note)] += level * note * np.minimum(1, np.minimum(t, t[-1] - t + 1e-6) / 0.02)

    at = 0.0
    while at < seconds:
        length = chance.choice((0.12, 0.16, 0.2, 0.25, 0.28, 0.3, 0.44, 0.5, 0.7))
        play(at, chance.choice((62, 66, 69, 73, 74, 76, 78, 79, 81, 83, 86)), length, 1.0)
        at += length
    for beat in range(round(seconds) // 2 if chords else 0):
        root = chance.choice((50, 55, 57, 62))
        for third in (0, 4, 7):
            play(beat * 2.0, root + third, 1.9, 0.4)
    whole: Floats = out[: round(seconds * RATE)]
    return whole * 10000 / np.abs(whole).max()


def loudness(samples: Floats) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def variants(name: str, speaks: Callable[[str, str], Pcm]) -> Iterator[tuple[str, Pcm]]:
    """A tone three seconds into silence, and what strangers and coders do to it."""
    clean = samples_of(tone(name))
    placed = np.concatenate((np.zeros(3 * RATE), clean, np.zeros(RATE)))
    for decibels in (-50, -20, 0, 12):
        yield f"{decibels} dB", pcm(placed * 10 ** (decibels / 20))
    for form, codec, rate in (("mp3", "libmp3lame", 16000), ("mp3", "libmp3lame", 64000), ("adts", "aac", 24000),
                              ("ogg", "libopus", 12000)):  # fmt: skip
        yield f"{codec} {rate}", coded(pcm(placed), form, codec, rate)
    for speed in (0.97, 0.985, 1.015, 1.03):
        steps = np.arange(0, len(placed) - 1, speed)
        yield f"speed {speed}", pcm(np.interp(steps, np.arange(len(placed)), placed))
    words = samples_of(resampled(speaks("各位居民请注意，本周六上午举办健康讲座，欢迎大家参加。" * 3, "cmn"), RATE))
    noise = np.random.default_rng(1).standard_normal(len(placed))
    for what, bed in (("song", song(20, 1, chords=True)), ("speech", words), ("noise", noise)):
        under = np.resize(bed, len(placed))
        for below in (6, 10):
            mixed = placed + under / loudness(under) * loudness(clean) / 10 ** (below / 20)
            yield f"{what} {below} dB below", coded(pcm(mixed), "mp3", "libmp3lame", 48000)
    yield "telephone", through(pcm(placed), ("highpass", "f=300"), ("lowpass", "f=3400")).sound


@pytest.mark.parametrize("name", ATTENTION)
def test_the_tone_is_heard_whatever_was_done_to_it(name: str, speaks: Callable[[str, str], Pcm]) -> None:
    missed = [what for what, sound in variants(name, speaks) if heard(sound) is None]
    assert not missed


def test_its_place_is_found_also_at_the_very_edges() -> None:
    clean = samples_of(tone("attention-4"))
    assert (found := heard(pcm(clean))) is not None
    assert found.at_s < 0.1
    late = heard(pcm(np.concatenate((np.zeros(150 * RATE), clean))))
    assert late is not None
    assert late.at_s == pytest.approx(150, abs=0.1)


def test_speech_is_not_taken_for_it(speaks: Callable[[str, str], Pcm]) -> None:
    words = {
        "cmn": "请带好雨具，注意交通安全。垃圾分类，从我做起。" * 8,
        "en": "The library is open on weekdays. " * 12,
    }
    for voice, text in words.items():
        assert heard(speaks(text, voice)) is None


@pytest.mark.parametrize("chords", [True, False])
def test_ten_minutes_of_music_in_its_own_key_are_not_taken_for_it(chords: bool) -> None:
    assert heard(pcm(song(600, 7, chords=chords))) is None


def test_other_signals_are_not_taken_for_it() -> None:
    t = np.arange(30 * RATE) / RATE
    assert heard(tone(END)) is None
    assert heard(chime(RATE)) is None
    assert (
        heard(pcm(9000 * np.sin(2 * math.pi * np.cumsum(700 + 300 * np.sin(2 * math.pi * 0.3 * t)) / RATE))) is None
    )
    assert heard(pcm(np.random.default_rng(2).standard_normal(30 * RATE) * 6000)) is None
    assert heard(pcm(8000 * (np.sin(2 * math.pi * 853 * t) + np.sin(2 * math.pi * 960 * t)))) is None
    assert heard(Pcm.of_silence(5, RATE)) is None
    assert heard(Pcm.of_silence(0, RATE)) is None


@pytest.mark.parametrize("hertz", [(588, 700, 882), (882, 735, 588), (588, 588, 588), (500, 625, 750)])
def test_the_same_rhythm_with_other_notes_is_another_signal(hertz: tuple[int, ...]) -> None:
    pieces = [np.zeros(RATE)]
    for pitch, length, rest in zip(hertz, (0.16, 0.16, 0.44), (0.02, 0.02, 0.2), strict=True):
        pieces += [
            8000 * np.sin(2 * math.pi * pitch * np.arange(round(length * RATE)) / RATE),
            np.zeros(round(rest * RATE)),
        ]
    assert heard(pcm(np.concatenate(pieces))) is None


def test_the_same_notes_in_another_rhythm_are_another_signal() -> None:
    for length in (0.10, 0.2, 0.35, 0.5):
        notes = [
            8000 * np.sin(2 * math.pi * pitch * np.arange(round(length * RATE)) / RATE) for pitch in (588, 735, 882)
        ]
        assert heard(pcm(np.concatenate((np.zeros(RATE), *notes, np.zeros(RATE))))) is None
