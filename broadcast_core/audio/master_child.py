"""Program: sound on stdin, an item of the library on stdout (see `master_job`).

    python -m broadcast_core.audio.master_child '{"recording":true,…}'

What a stranger's file holds was decoded by another child; this one sees samples, listens for the attention tone,
levels, encodes, and measures what it made by decoding it again.
"""

from __future__ import annotations

import io
import math
import os
import resource
import sys
from collections.abc import Iterator

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from broadcast_core.audio import attention, chime, encode, mix
from broadcast_core.audio.exits import Exit
from broadcast_core.audio.filters import resampled
from broadcast_core.audio.job import Loudness, read_parts
from broadcast_core.audio.loudness import NOTHING_LUFS, level, measure, measure_frames
from broadcast_core.audio.master_job import Master, MasterJob, read_job, write_master
from broadcast_core.audio.pcm import Pcm

_CPU_S = 900  # backstop for when the parent is gone; an hour of sound takes some 100 s
_MEMORY = 2 * 2**30  # backstop; an hour takes 0.7 GB
_NICE = 15  # an alert's speech goes first
_ROUNDS = 4  # a coder overshoots by up to 2 dB on dense music; the first correction nearly always fits
_SPARE_DB = 0.1
_FULL = 32700  # a sample from here on stands at the rail
_RUN = 3  # so many in a row are no peak but a cut one
_SILENT = 33  # -60 dBFS
_BLOCK_S = 0.1
_FULL_SCALE = 32768


def main() -> int:
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    job = read_job(sys.argv[1])
    data = sys.stdin.buffer.read()
    try:
        sound = Pcm(rate=job.sample_rate, samples=data) if job.recording else _mixed(read_parts(data), job)
    except ValueError as error:
        sys.stderr.write(str(error))
        return Exit.REFUSED
    del data
    sys.stdout.buffer.write(write_master(mastered(sound, job)))
    return Exit.OK


def mastered(sound: Pcm, job: MasterJob) -> Master:
    """The item that `sound` becomes, or where in it the attention tone is."""
    clipped = _clipped(sound)
    silence_s, silence_at_s = _longest_silence(sound)
    before = measure(sound)
    found = attention.heard(sound) if job.recording else None
    if found is not None or before.lufs <= NOTHING_LUFS:
        file, after, waveform = encode.Mp3(data=b"", seconds=sound.seconds), before, b""
    else:
        faded = mix.faded(sound, job.fade_in_s, job.fade_out_s)
        file, after, waveform = _encoded(faded, job)
    return Master(
        seconds=file.seconds,
        lufs=after.lufs,
        true_peak_dbtp=_finite(after.true_peak_dbtp),
        waveform=waveform,
        clipped=clipped,
        silence_s=silence_s,
        silence_at_s=silence_at_s,
        source_lufs=before.lufs,
        attention_at_s=None if found is None else found.at_s,
        mp3=file.data,
    )


def _encoded(sound: Pcm, job: MasterJob) -> tuple[encode.Mp3, Loudness, bytes]:
    """`sound` as a file that keeps to loudness and ceiling after coding; where both cannot be had, to the ceiling."""
    ceiling = job.true_peak_dbtp
    for _round in range(_ROUNDS):
        levelled = level(sound, job.loudness_lufs, ceiling).sound
        file = encode.mp3(levelled, job.bitrate_kbps)
        after = measure_frames(_frames(file.data), job.sample_rate)
        excess = after.true_peak_dbtp - job.true_peak_dbtp
        if excess <= 0:
            break
        ceiling -= excess + _SPARE_DB
    else:
        levelled = mix.amplified(levelled, -excess - _SPARE_DB)
        file = encode.mp3(levelled, job.bitrate_kbps)
        after = measure_frames(_frames(file.data), job.sample_rate)
    return file, after, waveform(levelled, job.points)


def _frames(mp3: bytes) -> Iterator[AudioFrame]:
    with av.open(io.BytesIO(mp3), "r", format="mp3") as container:
        yield from container.decode(audio=0)


def waveform(sound: Pcm, points: int) -> bytes:
    """The highest sample of each of `points` equal stretches, in 255ths of full scale."""
    count = len(sound)
    edges = np.minimum(np.linspace(0, count, points + 1).astype(int)[:-1], count - 1)
    return bytes(np.minimum(255, np.ceil(_highest(sound, edges) * 255 / _FULL_SCALE)).astype(np.uint8))


def _highest(sound: Pcm, edges: NDArray[np.int_]) -> NDArray[np.int32]:
    """The highest absolute sample from each edge to the next; copies nothing, an hour is 80 million samples."""
    samples = np.frombuffer(sound.samples, dtype="<i2")
    above, below = (extreme.reduceat(samples, edges).astype(np.int32) for extreme in (np.maximum, np.minimum))
    return np.maximum(above, -below)


def _mixed(parts: list[Pcm], job: MasterJob) -> Pcm:
    """The parts levelled and joined, the chime before them, the bed under them."""
    sounds = [level(resampled(part, job.sample_rate), job.loudness_lufs, job.true_peak_dbtp).sound for part in parts]
    speech = mix.joined(sounds[:-1] if job.bed else sounds)
    if job.bed:
        speech = mix.ducked(speech, sounds[-1])
    if not job.chime:
        return speech
    ding = level(chime.chime(job.sample_rate), job.loudness_lufs, job.true_peak_dbtp).sound
    return mix.joined((ding, speech))


def _clipped(sound: Pcm) -> int:
    """How often the sound stands at full scale for some samples; looked at minute by minute."""
    samples = np.frombuffer(sound.samples, dtype="<i2")
    count = 0
    for start in range(0, len(samples), 60 * sound.rate):
        part = samples[start : start + 60 * sound.rate]
        full = (part >= _FULL) | (part <= -_FULL)
        runs = np.convolve(full, np.ones(_RUN, dtype=np.int8), "same") == _RUN
        count += int(np.count_nonzero(runs[1:] & ~runs[:-1]))
    return count


def _longest_silence(sound: Pcm) -> tuple[float, float]:
    """How long the longest silence is, and where it begins; in seconds."""
    block = round(_BLOCK_S * sound.rate)
    if len(sound) < block:
        return 0.0, 0.0
    loud = _highest(sound, np.arange(0, len(sound), block)) >= _SILENT
    edges = np.flatnonzero(np.concatenate(([True], loud, [True])))
    lengths = np.diff(edges) - 1
    longest = int(np.argmax(lengths))
    return float(lengths[longest]) * _BLOCK_S, float(edges[longest]) * _BLOCK_S


def _finite(value: float) -> float:
    return value if math.isfinite(value) else -200.0


if __name__ == "__main__":
    sys.exit(main())
