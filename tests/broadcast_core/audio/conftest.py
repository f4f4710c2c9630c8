"""Sounds to work with, and what they look like as files of strangers."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from array import array
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest

from broadcast_core.audio.filters import frames
from broadcast_core.audio.media import MediaStore
from broadcast_core.audio.pcm import Pcm
from broadcast_core.audio.speech import ESPEAK

Encode = Callable[..., bytes]
Program = Callable[[str], tuple[str, ...]]

_CODECS = {"wav": "pcm_s16le", "mp3": "libmp3lame", "flac": "flac", "ogg": "libopus", "ipod": "aac"}


@pytest.fixture
def sine() -> Callable[..., Pcm]:
    """A sine of some seconds, hertz, and amplitude (1.0 is full scale)."""

    def make(seconds: float = 1.0, hertz: float = 440.0, amplitude: float = 0.5, rate: int = 22050) -> Pcm:
        step = 2 * math.pi * hertz / rate
        wave = array("h", (round(32767 * amplitude * math.sin(step * i)) for i in range(round(seconds * rate))))
        return Pcm(rate=rate, samples=wave.tobytes())

    return make


@pytest.fixture
def encoded() -> Encode:
    """A sound as a file: wav, mp3, flac, ogg or ipod (m4a)."""

    def make(sound: Pcm, container: str) -> bytes:
        out = io.BytesIO()
        with av.open(out, "w", format=container) as file:
            rate = 48000 if container == "ogg" else sound.rate
            stream = file.add_stream(_CODECS[container], rate=rate, layout="mono")
            resampler = av.AudioResampler(
                format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size or 1024
            )
            for frame in (*frames(sound, 4096), None):
                for ready in resampler.resample(frame):
                    ready.time_base = Fraction(1, rate)
                    file.mux(stream.encode(ready))
            file.mux(stream.encode(None))
        return out.getvalue()

    return make


@pytest.fixture
def speaks() -> Callable[[str, str], Pcm]:
    """The real program's sound for a text and a voice."""

    def speak(text: str, voice: str) -> Pcm:
        command = (*ESPEAK, "--voice", voice, "--rate", "150")
        return Pcm.from_wav(subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE, check=True).stdout)

    return speak


@pytest.fixture
def media(tmp_path: Path) -> MediaStore:
    return MediaStore(tmp_path / "media")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A speech program of the given Python source, started as the real one is."""

    def make(source: str) -> tuple[str, ...]:
        path = tmp_path / "speaks.py"
        path.write_text(source)
        return (sys.executable, str(path))

    return make
