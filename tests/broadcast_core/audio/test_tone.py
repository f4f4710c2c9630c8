from __future__ import annotations

import cmath
import hashlib
import math
from array import array

import pytest

from broadcast_core.audio import tone
from broadcast_core.audio.loudness import measure
from broadcast_core.audio.media import MediaStore
from broadcast_core.audio.pcm import Pcm
from broadcast_core.audio.shelf import store_tones
from broadcast_core.audio.voice import tone_for
from broadcast_core.model import Level

EAS_ATTENTION_HZ = (853.0, 960.0)


def strength(sound: Pcm, hertz: float) -> float:
    """How much of `hertz` is in the sound, 0 to 1 of full scale."""
    samples = array("h", sound.samples)
    turn = -2j * math.pi * hertz / sound.rate
    return 2 * abs(sum(s * cmath.exp(turn * i) for i, s in enumerate(samples))) / len(samples) / 32768


@pytest.mark.parametrize("name", tone.tones())
def test_every_tone_is_as_loud_as_the_speech_that_follows(name: str) -> None:
    found = measure(tone.tone(name))
    assert found.lufs == pytest.approx(tone.LUFS, abs=0.2)
    assert found.true_peak_dbtp < -6


@pytest.mark.parametrize("name", tone.tones())
def test_no_tone_imitates_the_eas_attention_signal(name: str) -> None:
    sound = tone.tone(name)
    own = max(strength(sound, hertz) for hertz in (588, 735, 882))
    assert all(strength(sound, hertz) < own / 4 for hertz in EAS_ATTENTION_HZ)


def test_a_tone_is_the_same_bytes_everywhere() -> None:
    digest = hashlib.sha256(tone.tone("attention-1").samples).hexdigest()
    assert digest == "70942f2c6995ef289d1a058df6814d2143094b159b8249b5632b7c850334a0f7"


def test_the_notes_rise_one_after_the_other() -> None:
    first = tone.tone("attention-1")
    low = Pcm(rate=first.rate, samples=first.samples[: round(0.15 * first.rate) * 2])
    assert strength(low, 588) > 4 * strength(low, 882)


def test_each_level_has_a_tone_that_exists_and_the_unknown_gets_the_strongest() -> None:
    assert {tone_for(level) for level in Level} <= set(tone.tones())
    assert tone_for(Level.UNKNOWN) == tone_for(Level.RED) == "attention-1"
    assert tone_for(Level.BLUE) != "attention-1"


def test_a_tone_begins_and_ends_in_silence() -> None:
    for sound in tone.tones().values():
        samples = array("h", sound.samples)
        assert abs(samples[0]) < 100
        assert samples[-1] == 0


def test_speakers_can_fetch_every_tone(media: MediaStore) -> None:
    shelf = store_tones(media, "http://media.example")
    assert set(shelf) == set(tone.tones())
    for name, reference in shelf.items():
        file = media.find(reference.sha256)
        assert file is not None
        assert Pcm.from_wav(file.path.read_bytes()) == tone.tone(name)
        assert reference.duration == tone.tone(name).duration
