"""What the media store holds for the installation itself: the tones every speaker keeps."""

from __future__ import annotations

from collections.abc import Mapping

from broadcast_core.audio.media import MediaStore
from broadcast_core.audio.tone import tones
from broadcast_core.model import AudioRef


def store_tones(media: MediaStore, public_url: str) -> Mapping[str, AudioRef]:
    """Put every tone into the store, as WAV; blocking. Speakers fetch them once, when they learn of them."""
    return {
        name: media.put(sound.to_wav(), "audio/wav").reference(public_url, sound.duration)
        for name, sound in tones().items()
    }
