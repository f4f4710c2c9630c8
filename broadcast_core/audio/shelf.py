"""What the media store holds for the installation itself: the tones every speaker keeps, and what tests fetch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from broadcast_core.audio.media import MediaStore
from broadcast_core.audio.pcm import Pcm
from broadcast_core.audio.tone import tones
from broadcast_core.model import AudioRef

_TEST_RATE: Final = 8000


def store_tones(media: MediaStore, public_url: str) -> Mapping[str, AudioRef]:
    """Put every tone into the store, as WAV; blocking. Speakers fetch them once, when they learn of them."""
    return {
        name: media.put(sound.to_wav(), "audio/wav").reference(public_url, sound.duration)
        for name, sound in tones().items()
    }


def store_test_file(media: MediaStore, public_url: str) -> AudioRef:
    """Put the small file into the store that self-tests fetch: a quarter of a second of silence. Blocking."""
    silence = Pcm.of_silence(0.25, _TEST_RATE)
    return media.put(silence.to_wav(), "audio/wav").reference(public_url, silence.duration)
