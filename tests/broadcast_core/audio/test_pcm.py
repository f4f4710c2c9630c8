from __future__ import annotations

from datetime import timedelta

import pytest

from broadcast_core.audio.pcm import Pcm


def test_a_wav_file_reads_back_equal() -> None:
    sound = Pcm(rate=8000, samples=bytes(range(200)))
    assert Pcm.from_wav(sound.to_wav()) == sound


def test_its_length_is_in_samples_and_its_duration_in_time() -> None:
    sound = Pcm.of_silence(0.5, 8000)
    assert len(sound) == 4000
    assert sound.duration == timedelta(milliseconds=500)
    assert sound.silent
    assert not Pcm(rate=8000, samples=b"\0\0\1\0").silent


def test_half_a_sample_is_an_error() -> None:
    with pytest.raises(ValueError, match="half a sample"):
        Pcm(rate=8000, samples=b"\0")


@pytest.mark.parametrize("data", [b"", b"RIFF", b"not a wav file at all", Pcm.of_silence(1, 8000).to_wav()[:-100]])
def test_what_is_not_a_whole_wav_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"WAV|shorter"):
        Pcm.from_wav(data)


def test_stereo_is_refused() -> None:
    wav = bytearray(Pcm.of_silence(0.1, 8000).to_wav())
    wav[22] = 2
    wav[32] = 4
    with pytest.raises(ValueError, match="mono"):
        Pcm.from_wav(bytes(wav))
