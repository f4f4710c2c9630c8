from __future__ import annotations

from array import array
from collections.abc import Callable

import pytest

from broadcast_core.audio.decode_child import decoded
from broadcast_core.audio.encode import Mp3, mp3
from broadcast_core.audio.loudness import measure
from broadcast_core.audio.mix import piece
from broadcast_core.audio.pcm import Pcm


def heard(encoded: Mp3, rate: int) -> Pcm:
    return Pcm(rate=rate, samples=b"".join(decoded(memoryview(encoded.data), rate, 0, 60)))


@pytest.mark.parametrize("rate", [16000, 22050, 44100])
@pytest.mark.parametrize("bitrate", [32, 64])
def test_an_mp3_is_as_long_and_as_loud_as_what_went_in(sine: Callable[..., Pcm], rate: int, bitrate: int) -> None:
    sound = sine(3, 700, 0.3, rate)
    encoded = mp3(sound, bitrate)
    back = heard(encoded, rate)
    assert back.seconds == pytest.approx(encoded.seconds, abs=0.001)
    assert encoded.seconds == pytest.approx(sound.seconds, abs=0.15)
    assert measure(back).lufs == pytest.approx(measure(sound).lufs, abs=0.3)


def test_the_same_sound_gives_the_same_bytes(sine: Callable[..., Pcm]) -> None:
    assert mp3(sine(), 64) == mp3(sine(), 64)


def test_pieces_follow_each_other_in_any_number_without_a_click(sine: Callable[..., Pcm]) -> None:
    one, other = (mp3(piece(sine(0.7, hertz), 0.3), 64) for hertz in (500, 900))
    whole = (one + other) * 3 + one
    back = heard(whole, 22050)
    assert back.seconds == pytest.approx(whole.seconds, abs=0.001)
    ends = [one.seconds, one.seconds + other.seconds, 2 * one.seconds + other.seconds]
    samples = array("h", back.samples)
    for end in ends:
        around = samples[round((end - 0.1) * 22050) : round((end + 0.01) * 22050)]
        assert max(map(abs, around)) < 200  # -44 dB below full scale, where a piece meets the next


def test_a_piece_has_soft_edges_and_silence_after_it(sine: Callable[..., Pcm]) -> None:
    samples = array("h", piece(sine(0.5, 300), 0.25).samples)
    assert abs(samples[0]) == 0
    assert len(samples) == pytest.approx(0.75 * 22050, abs=30)
    assert not any(samples[-5000:])
