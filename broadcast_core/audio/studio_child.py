"""Program: sounds on stdin, the finished programme on stdout (see `job`).

    python -m broadcast_core.audio.studio_child '{"tone":"attention-1",…}'

A process of its own because ffmpeg's filters hold Python's lock, and so that the core never loads ffmpeg.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial, reduce
from operator import add

from broadcast_core.audio import encode, mix, tone
from broadcast_core.audio.exits import Exit
from broadcast_core.audio.filters import resampled
from broadcast_core.audio.job import Job, Loudness, Programme, read_job, read_parts, write_programme
from broadcast_core.audio.loudness import level
from broadcast_core.audio.pcm import Pcm

_CORES = 2  # one part is encoded (ffmpeg lets go of Python's lock there) while the next is levelled
_CPU_S = 120  # backstop, for when the parent is gone and cannot kill it


def main() -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    job = read_job(sys.argv[1])
    attention, end = (prepared(name, job) for name in (job.tone, tone.END))
    try:
        parts = read_parts(sys.stdin.buffer.read())
    except ValueError as error:
        sys.stderr.write(str(error))
        return Exit.REFUSED
    sys.stdout.buffer.write(write_programme(produced(job, attention, parts, end)))
    return Exit.OK


def prepared(name: str, job: Job) -> encode.Mp3:
    """A tone at the job's loudness, encoded."""
    sound = resampled(mix.amplified(tone.tone(name), job.loudness_lufs - tone.LUFS), job.sample_rate)
    return encode.mp3(mix.piece(sound, mix.GAP_S), job.bitrate_kbps)


def produced(job: Job, attention: encode.Mp3, parts: Sequence[Pcm], end: encode.Mp3) -> Programme:
    """The parts and a pause, the tone and the same again as often as the job says, and the end chime.

    It begins with words: a speaker sounds the tone from its own store while it fetches this. Each
    part is levelled by itself, so that every language and every recording comes out equally loud.
    """
    silences = [mix.GAP_S] * (len(parts) - 1) + [job.pause_s]
    with ThreadPoolExecutor(_CORES) as pool:
        finished = list(pool.map(partial(_finished, job), parts, silences))
    words = reduce(add, (encoded for encoded, _loudness in finished))
    whole = words
    for _again in range(job.repeats - 1):
        whole = whole + attention + words
    whole = whole + end
    return Programme(mp3=whole.data, seconds=whole.seconds, parts=tuple(loudness for _encoded, loudness in finished))


def _finished(job: Job, part: Pcm, silence_s: float) -> tuple[encode.Mp3, Loudness]:
    levelled = level(resampled(part, job.sample_rate), job.loudness_lufs, job.true_peak_dbtp)
    return encode.mp3(mix.piece(levelled.sound, silence_s), job.bitrate_kbps), levelled.loudness


if __name__ == "__main__":
    sys.exit(main())
