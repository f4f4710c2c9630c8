"""What the studio is asked for and what it answers: pure, on both sides of the pipe.

The job is the child's argument, so that it can prepare the tone while the speech is still being made; the sounds
follow on its stdin, each as a length (4 bytes, big endian) and a WAV file. It answers a line of JSON and the file.
Imports neither the settings nor the model: those take longer to load than the child's whole work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from broadcast_core.audio.pcm import Pcm

_LENGTH = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """How to make a programme of the parts that follow. Fields mean what they mean in `config.Voice`."""

    tone: str
    repeats: int
    pause_s: float
    loudness_lufs: float
    true_peak_dbtp: float
    sample_rate: int
    bitrate_kbps: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Loudness:
    """Integrated loudness in LUFS (-70 or below: silent, or shorter than 0.4 s) and true peak in dBTP."""

    lufs: float
    true_peak_dbtp: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Programme:
    """A finished programme, and how loud each of its parts came out."""

    mp3: bytes
    seconds: float
    parts: tuple[Loudness, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Head:
    seconds: float
    parts: tuple[Loudness, ...]


def write_job(job: Job) -> str:
    return msgspec.json.encode(job).decode()


def read_job(text: str) -> Job:
    """Raises msgspec.ValidationError."""
    return msgspec.json.decode(text, type=Job)


def write_parts(parts: Sequence[Pcm]) -> bytes:
    wavs = [part.to_wav() for part in parts]
    return b"".join(len(wav).to_bytes(_LENGTH) + wav for wav in wavs)


def read_parts(data: bytes) -> list[Pcm]:
    """Raises ValueError when the stream is cut."""
    parts, at = [], 0
    while at < len(data):
        end = at + _LENGTH + int.from_bytes(data[at : at + _LENGTH])
        parts.append(Pcm.from_wav(data[at + _LENGTH : end]))
        at = end
    return parts


def write_programme(programme: Programme) -> bytes:
    head = _Head(seconds=programme.seconds, parts=programme.parts)
    return msgspec.json.encode(head) + b"\n" + programme.mp3


def read_programme(data: bytes) -> Programme:
    """Raises msgspec.MsgspecError when it is not one."""
    line, _newline, mp3 = data.partition(b"\n")
    head = msgspec.json.decode(line, type=_Head)
    return Programme(mp3=mp3, seconds=head.seconds, parts=head.parts)
