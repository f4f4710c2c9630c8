"""Program: a stranger's recording on stdin, a mono WAV file on stdout, or a refusal.

    python -m broadcast_core.audio.decode_child --rate 22050 --longest 600 --cpu 10 --memory 536870912

ffmpeg reads hundreds of formats, some of which open other files and addresses. Here we look at the first bytes
ourselves, open only that demuxer, refuse every further file, allow only audio codecs, and live under limits of the
kernel on memory, CPU time, and files written (none).
"""

from __future__ import annotations

import argparse
import io
import itertools
import resource
import sys
from collections.abc import Iterator
from typing import Final, NoReturn

import av
from av.container import InputContainer

from broadcast_core.audio.exits import Exit
from broadcast_core.audio.filters import samples_of
from broadcast_core.audio.pcm import SAMPLE_BYTES, Pcm

# What a file begins with (offset, bytes), and the one demuxer that may then read it.
_CONTAINERS: Final = (
    (0, b"RIFF", "wav"),
    (0, b"ID3", "mp3"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (4, b"ftyp", "mov"),
)
_MPEG_SYNC: Final = (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa")  # MP3 without a tag: MPEG-1 and 2, layer III
_CODECS: Final = (
    *("mp3", "mp3float", "aac", "alac", "flac", "vorbis", "opus", "libopus"),
    *("pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_u8", "pcm_f32le", "pcm_alaw", "pcm_mulaw"),
)
_WAV_UNKNOWN: Final = (0, 0xFFFFFFFF)  # sizes of recorders that wrote to a pipe
_OGG_LAST: Final = 0x04  # a page's flag: the last of its stream
_SHORT_S, _SHORT_SHARE = 0.5, 0.02  # how much shorter than announced a whole file may be: codecs pad and trim


# What the parent puts into a sentence, and translates: whole phrases without values.
_CUT_OFF: Final = "its end is missing"
_TOO_LONG: Final = "it is longer than allowed"


class Refused(Exception):
    """Not a recording that we take; the text says why."""


def main() -> int:
    parser = argparse.ArgumentParser(description="A recording on stdin, mono WAV on stdout.")
    parser.add_argument("--rate", type=int, required=True, help="Hz")
    parser.add_argument("--longest", type=float, required=True, help="seconds of sound")
    parser.add_argument("--cpu", type=int, required=True, help="seconds")
    parser.add_argument("--memory", type=int, required=True, help="bytes of address space")
    options = parser.parse_args()
    _confine(options.cpu, options.memory)
    try:
        sound = decoded(sys.stdin.buffer.read(), options.rate, options.longest)
    except Refused as error:
        reason = str(error)
    except MemoryError:
        reason = "it needs too much memory"
    except (av.FFmpegError, ValueError):  # ValueError: its frames change their layout midway
        reason = "it is damaged"
    else:
        sys.stdout.buffer.write(sound.to_wav())
        return Exit.OK
    sys.stderr.write(reason)
    return Exit.REFUSED


def decoded(data: bytes, rate: int, longest_s: float) -> Pcm:
    """The first audio stream of `data`. Raises Refused or av.FFmpegError."""
    demuxer = _demuxer(data)
    if _cut_off(data, demuxer):
        raise Refused(_CUT_OFF)
    with _opened(data, demuxer) as container:
        if not container.streams.audio:
            raise Refused("it holds no sound")
        announced = _announced_s(container)
        if announced > longest_s:
            raise Refused(_TOO_LONG)
        samples = bytearray()
        for piece in _samples(container, rate):
            samples += piece
            if len(samples) > longest_s * rate * SAMPLE_BYTES:
                raise Refused(_TOO_LONG)
    sound = Pcm(rate=rate, samples=bytes(samples))
    if sound.seconds < announced - max(_SHORT_S, announced * _SHORT_SHARE):
        raise Refused(_CUT_OFF)
    if sound.silent:
        raise Refused("it is silent")
    return sound


def _opened(data: bytes, demuxer: str) -> InputContainer:
    options = {
        "format_whitelist": demuxer,
        "codec_whitelist": ",".join(_CODECS),
        "protocol_whitelist": "none",
        "max_streams": "16",
    }
    return av.open(io.BytesIO(data), "r", format=demuxer, container_options=options, io_open=_no_other_file)


def _demuxer(data: bytes) -> str:
    for at, magic, name in _CONTAINERS:
        if data.startswith(magic, at):
            return name
    if data.startswith(_MPEG_SYNC):
        return "mp3"
    raise Refused("it is not WAV, MP3, Ogg, FLAC or M4A")


def _cut_off(data: bytes, demuxer: str) -> bool:
    """Whether a container says itself that its end is missing, where ffmpeg would make do with what is there."""
    if demuxer == "wav":
        size = int.from_bytes(data[4:8], "little")
        return size not in _WAV_UNKNOWN and size + 8 > len(data)
    if demuxer == "ogg":
        last_page = data.rfind(b"OggS")
        return not data[last_page + 5 : last_page + 6] or not data[last_page + 5] & _OGG_LAST
    return False


def _no_other_file(_url: str, _flags: int, _options: dict[str, str]) -> NoReturn:
    raise Refused("it refers to another file")


def _announced_s(container: InputContainer) -> float:
    """How long the file says its sound is; 0 where it does not."""
    stream = container.streams.audio[0]
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def _samples(container: InputContainer, rate: int) -> Iterator[bytes]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    stream = container.streams.audio[0]
    for frame in itertools.chain(container.decode(stream), (None,)):
        for ready in resampler.resample(frame):
            yield samples_of(ready)


def _confine(cpu_s: int, memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main())
