"""Our PCM through ffmpeg's audio filters (PyAV)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import av.filter
from av.audio.frame import AudioFrame

from broadcast_core.audio.pcm import SAMPLE_BYTES, Pcm

BLOCK: Final = 4096  # samples handed over at a time

Step = tuple[str, str]  # filter name, its arguments as ffmpeg writes them


@dataclass(frozen=True, kw_only=True, slots=True)
class Filtered:
    """What came out, and the last value of each measurement that the filters attached."""

    sound: Pcm
    measured: dict[str, str]


def through(pcm: Pcm, *steps: Step, rate: int | None = None) -> Filtered:
    """`pcm` through `steps` in order, coming out at `rate` (its own where None)."""
    rate = rate or pcm.rate
    out, measured = bytearray(), dict[str, str]()
    for done in _filtered(frames(pcm, BLOCK), pcm.rate, steps, rate):
        measured.update(done.metadata)
        out += samples_of(done)
    return Filtered(sound=Pcm(rate=rate, samples=bytes(out)), measured=measured)


def measured(sound: Iterable[AudioFrame], rate: int, *steps: Step) -> dict[str, str]:
    """What `steps` attach to mono frames of one format; the sound itself is not kept."""
    found: dict[str, str] = {}
    for done in _filtered(sound, rate, steps, rate):
        found.update(done.metadata)
    return found


def _filtered(sound: Iterable[AudioFrame], rate_in: int, steps: Sequence[Step], rate: int) -> Iterator[AudioFrame]:
    sound = iter(sound)
    first = next(sound, None)
    if first is None:
        return
    last = ("aformat", f"sample_fmts=s16:channel_layouts=mono:sample_rates={rate}")
    # The graph owns the native filters and the contexts do not keep it alive: hold it until the end.
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        sample_rate=rate_in, format=first.format.name, layout="mono", time_base=Fraction(1, rate_in)
    )
    sink = graph.add("abuffersink")
    graph.link_nodes(source, *(graph.add(name, arguments) for name, arguments in (*steps, last)), sink).configure()
    for frame in itertools.chain((first,), sound, (None,)):
        source.push(frame)
        yield from _ready(sink)


def resampled(pcm: Pcm, rate: int) -> Pcm:
    """The same sound at another sample rate."""
    return pcm if pcm.rate == rate else through(pcm, rate=rate).sound


def frames(pcm: Pcm, block: int) -> Iterator[AudioFrame]:
    """`pcm` as ffmpeg's frames of `block` samples, the last one shorter."""
    for start in range(0, len(pcm), block):
        samples = pcm.samples[start * SAMPLE_BYTES : (start + block) * SAMPLE_BYTES]
        frame = AudioFrame(format="s16", layout="mono", samples=len(samples) // SAMPLE_BYTES)
        plane = frame.planes[0]
        plane.update(samples.ljust(plane.buffer_size, b"\0"))  # ffmpeg pads its buffers
        frame.sample_rate, frame.time_base, frame.pts = pcm.rate, Fraction(1, pcm.rate), start
        yield frame


def samples_of(frame: AudioFrame) -> bytes:
    """The samples of a mono 16-bit frame, without the padding of its buffer."""
    return bytes(frame.planes[0])[: frame.samples * SAMPLE_BYTES]


def _ready(sink: av.filter.context.FilterContext) -> Iterator[AudioFrame]:
    while True:
        try:
            frame = sink.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(frame, AudioFrame)
        yield frame
