"""What mastering is asked for and what it answers: pure, on both sides of the pipe (see `job`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec


@dataclass(frozen=True, kw_only=True, slots=True)
class MasterJob:
    """How to make one item of the library.

    On stdin comes sound: samples of a recording at `sample_rate` (`recording`), or parts as `job.write_parts` has
    them, each levelled by itself; the last of them is a bed of music if `bed`.
    """

    recording: bool
    loudness_lufs: float
    true_peak_dbtp: float
    sample_rate: int
    bitrate_kbps: int
    fade_in_s: float = 0.0
    fade_out_s: float = 0.0
    chime: bool = False  # before the parts
    bed: bool = False
    points: int = 400  # of the waveform


@dataclass(frozen=True, kw_only=True, slots=True)
class Master:
    """An item, ready to be stored; measured on the file itself, decoded again.

    If the attention tone was heard (`attention_at_s`), or nothing at all, there is no file. `waveform` has one byte
    for each of its points: the highest sample there, 255 is full scale. `clipped` counts places where the source
    stood at full scale, `silence_s` is its longest silence.
    """

    seconds: float
    lufs: float
    true_peak_dbtp: float
    waveform: bytes
    clipped: int
    silence_s: float
    silence_at_s: float
    source_lufs: float
    attention_at_s: float | None = None
    mp3: bytes = b""


def write_job(job: MasterJob) -> str:
    return msgspec.json.encode(job).decode()


def read_job(text: str) -> MasterJob:
    """Raises msgspec.ValidationError."""
    return msgspec.json.decode(text, type=MasterJob)


def write_master(master: Master) -> bytes:
    """A line of JSON, then the file."""
    return msgspec.json.encode(replace(master, mp3=b"")) + b"\n" + master.mp3


def read_master(data: bytes) -> Master:
    """Raises msgspec.MsgspecError when it is not one."""
    line, _newline, mp3 = data.partition(b"\n")
    return replace(msgspec.json.decode(line, type=Master), mp3=mp3)
