from __future__ import annotations

from collections.abc import Callable

import pytest

from broadcast_core.audio.loudness import level, measure
from broadcast_core.audio.pcm import Pcm

Speaks = Callable[[str, str], Pcm]

MANDARIN = "请注意，天心区暴雨红色预警。请远离低洼地带和地下空间，不要涉水通行。"


def test_a_full_scale_sine_measures_what_the_standard_says(sine: Callable[..., Pcm]) -> None:
    # BS.1770: 997 Hz at 0 dBFS in one channel is -3.01 LKFS
    found = measure(sine(5, 997, 1.0, 48000))
    assert found.lufs == pytest.approx(-3.01, abs=0.1)
    assert found.true_peak_dbtp == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("wanted", [-23.0, -16.0, -14.0])
@pytest.mark.parametrize(("voice", "text"), [("cmn", MANDARIN), ("en", "Keep away from low ground and underpasses.")])
def test_speech_comes_out_as_loud_as_asked_and_below_the_ceiling(
    speaks: Speaks, voice: str, text: str, wanted: float
) -> None:
    levelled = level(speaks(text, voice), wanted, -1.5)
    found = measure(levelled.sound)
    assert found == levelled.loudness
    assert found.lufs == pytest.approx(wanted, abs=0.5)
    assert found.true_peak_dbtp <= -1.5


@pytest.mark.parametrize("wanted", [-12.0, -8.0, -3.0])
def test_where_loudness_and_ceiling_cannot_both_be_had_the_ceiling_holds(speaks: Speaks, wanted: float) -> None:
    levelled = level(speaks(MANDARIN, "cmn"), wanted, -1.5)
    assert measure(levelled.sound) == levelled.loudness
    assert levelled.loudness.true_peak_dbtp <= -1.5
    assert levelled.loudness.lufs > -14.5


def test_a_whisper_and_a_shout_come_out_alike(sine: Callable[..., Pcm]) -> None:
    quiet, loud = (level(sine(2, 700, amplitude), -16, -1.5).loudness.lufs for amplitude in (0.01, 0.9))
    assert quiet == pytest.approx(loud, abs=0.3)


def test_levelling_changes_neither_length_nor_rate(sine: Callable[..., Pcm]) -> None:
    sound = sine(1.234)
    out = level(sound, -10, -1.5).sound
    assert (out.rate, len(out)) == (sound.rate, len(sound))


@pytest.mark.parametrize("seconds", [0.0, 0.1, 3.0])
def test_silence_and_what_is_too_short_to_measure_stay_as_they_are(seconds: float, sine: Callable[..., Pcm]) -> None:
    for sound in (Pcm.of_silence(seconds, 22050), sine(min(seconds, 0.1))):
        assert level(sound, -16, -1.5).sound == sound


def test_noise_is_not_lifted_without_end(sine: Callable[..., Pcm]) -> None:
    assert level(sine(2, 700, 0.0005), -16, -1.5).loudness.lufs < -30
