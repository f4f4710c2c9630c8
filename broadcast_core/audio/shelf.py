"""What the media store holds for the installation itself: the tones every speaker keeps."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from datetime import timedelta

from broadcast_core.audio.media import MediaStore
from broadcast_core.audio.pcm import Pcm
from broadcast_core.audio.tone import tones
from broadcast_core.model import AudioRef


def store_tones(media: MediaStore, public_url: str) -> Mapping[str, AudioRef]:
    """Put every tone into the store, as WAV; blocking. Speakers fetch them once, when they learn of them."""
    shelf = {}
    for name, pcm in tones().items():
        file = media.put(_wav(pcm), "audio/wav")
        shelf[name] = file.reference(public_url, timedelta(seconds=len(pcm.samples) / 2 / pcm.rate))
    return shelf


def _wav(pcm: Pcm) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(pcm.rate)
        file.writeframes(pcm.samples)
    return out.getvalue()
