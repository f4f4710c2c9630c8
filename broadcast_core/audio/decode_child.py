"""Program: a stranger's recording on stdin, its samples (mono, 16 bit, little endian) on stdout, or a refusal.

    python -m broadcast_core.audio.decode_child --rate 22050 --longest 600 --cpu 10 --memory 536870912

Samples go out as they are made, so an hour needs no more memory than a minute; they count only if the exit code is 0.

ffmpeg reads hundreds of formats, some of which open other files and addresses. Here we look at the first bytes
ourselves, open only that demuxer, refuse every further file, allow only audio codecs, and live under limits of the
kernel on memory, CPU time, descriptors, and files written (none).
"""

from __future__ import annotations

import argparse
import io
import itertools
import mmap
import os
import resource
import stat
import sys
from collections.abc import Iterator
from typing import Final, NoReturn

import av
from av.container import InputContainer

from broadcast_core.audio.exits import Exit
from broadcast_core.audio.filters import samples_of
from broadcast_core.audio.pcm import SAMPLE_BYTES

# What a file begins with (offset, bytes), and the one demuxer that may then read it.
_CONTAINERS: Final = (
    (0, b"RIFF", "wav"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (4, b"ftyp", "mov"),
)
_MPEG_SYNC: Final = (  # layer III of MPEG-1, 2 and 2.5
    *(b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"\xff\xe2"),
)
_ADTS_SYNC: Final = (b"\xff\xf1", b"\xff\xf0", b"\xff\xf9", b"\xff\xf8")  # AAC without a container
_ADTS_HEAD: Final = 7
_ID3_HEAD: Final = 10
_CODECS: Final = (
    *("mp3", "mp3float", "aac", "alac", "flac", "vorbis", "opus", "libopus"),
    *("pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_u8", "pcm_f32le", "pcm_alaw", "pcm_mulaw"),
)
_WAV_UNKNOWN: Final = (0, 0xFFFFFFFF)  # sizes of recorders that wrote to a pipe
_OGG_LAST: Final = 0x04  # a page's flag: the last of its stream
_OGG_LONGEST_PAGE: Final = 65307 + 65536  # and what may follow it
_DESCRIPTORS: Final = 32  # the libraries that Python loads as it goes need some
_SHORT_S, _SHORT_SHARE = 0.5, 0.02  # how much shorter than announced a whole file may be: codecs pad and trim


# What the parent puts into a sentence, and translates: whole phrases without values.
_CUT_OFF: Final = "its end is missing"
_TOO_LONG: Final = "it is longer than allowed"


class Refused(Exception):
    """Not a recording that we take; the text says why."""


def main() -> int:
    parser = argparse.ArgumentParser(description="A recording on stdin, mono samples on stdout.")
    parser.add_argument("--rate", type=int, required=True, help="Hz")
    parser.add_argument("--shortest", type=float, default=0.0, help="seconds of sound")
    parser.add_argument("--longest", type=float, required=True, help="seconds of sound")
    parser.add_argument("--cpu", type=int, required=True, help="seconds")
    parser.add_argument("--memory", type=int, required=True, help="bytes of address space")
    parser.add_argument("--nice", type=int, default=0)
    options = parser.parse_args()
    os.nice(options.nice)
    _confine(options.cpu, options.memory)
    try:
        for piece in decoded(_input(), options.rate, options.shortest, options.longest):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    except Refused as error:
        reason = str(error)
    except MemoryError:
        reason = "it needs too much memory"
    except (av.FFmpegError, ValueError):  # ValueError: its frames change their layout midway
        reason = "it is damaged"
    else:
        return Exit.OK
    sys.stderr.write(reason)
    return Exit.REFUSED


def decoded(data: memoryview, rate: int, shortest_s: float, longest_s: float) -> Iterator[bytes]:
    """The samples of the first audio stream of `data`. Raises Refused or av.FFmpegError, also after some of them."""
    data = _without_tag(data)
    demuxer = _demuxer(data)
    if _cut_off(data, demuxer):
        raise Refused(_CUT_OFF)
    given, silent = 0, True
    with _opened(data, demuxer) as container:
        if not container.streams.audio:
            raise Refused("it holds no sound")
        announced = 0.0 if demuxer == "aac" else _announced_s(container)  # ADTS says nothing; ffmpeg would guess
        if announced > longest_s:
            raise Refused(_TOO_LONG)
        for piece in _samples(container, rate):
            given += len(piece)
            silent = silent and not piece.strip(b"\0")
            if given > longest_s * rate * SAMPLE_BYTES:
                raise Refused(_TOO_LONG)
            yield piece
    seconds = given / SAMPLE_BYTES / rate
    if seconds < announced - max(_SHORT_S, announced * _SHORT_SHARE):
        raise Refused(_CUT_OFF)
    if silent:
        raise Refused("it is silent")
    if seconds < shortest_s:
        raise Refused("it is shorter than allowed")


def _input() -> memoryview:
    """What is on stdin; a file is mapped, not read, so that its size costs no memory."""
    descriptor = sys.stdin.fileno()
    if stat.S_ISREG(os.fstat(descriptor).st_mode) and os.fstat(descriptor).st_size:
        return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
    return memoryview(sys.stdin.buffer.read())


class _Source(io.RawIOBase):
    """Bytes as a file that ffmpeg can seek in, without a copy."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._at = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        end = len(self._data) if size is None or size < 0 else self._at + size
        piece = bytes(self._data[self._at : end])
        self._at += len(piece)
        return piece

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._data)}[whence]
        self._at = min(max(0, base + offset), len(self._data))
        return self._at

    def tell(self) -> int:
        return self._at


def _without_tag(data: memoryview) -> memoryview:
    """`data` behind its ID3v2 tags: titles and pictures that ffmpeg need not see. A tag without an end is all."""
    while bytes(data[:3]) == b"ID3" and len(data) >= _ID3_HEAD:
        a, b, c, d = (byte & 0x7F for byte in data[6:_ID3_HEAD])
        footer = _ID3_HEAD if data[5] & 0x10 else 0
        data = data[_ID3_HEAD + (a << 21 | b << 14 | c << 7 | d) + footer :]
    return data


def _opened(data: memoryview, demuxer: str) -> InputContainer:
    options = {
        "format_whitelist": demuxer,
        "codec_whitelist": ",".join(_CODECS),
        "protocol_whitelist": "none",
        "max_streams": "16",
    }
    return av.open(_Source(data), "r", format=demuxer, container_options=options, io_open=_no_other_file)


def _demuxer(data: memoryview) -> str:
    head = bytes(data[:16])
    for at, magic, name in _CONTAINERS:
        if head.startswith(magic, at):
            return name
    if head.startswith(_MPEG_SYNC):
        return "mp3"
    if head.startswith(_ADTS_SYNC):
        return "aac"
    raise Refused("it is not WAV, MP3, AAC, Ogg, FLAC or M4A")


def _cut_off(data: memoryview, demuxer: str) -> bool:
    """Whether a container says itself that its end is missing, where ffmpeg would make do with what is there."""
    match demuxer:
        case "wav":
            return _wav_end(data) > len(data)
        case "ogg":
            end = bytes(data[-_OGG_LONGEST_PAGE:])
            last_page = end.rfind(b"OggS")
            return not end[last_page + 5 : last_page + 6] or not end[last_page + 5] & _OGG_LAST
        case "aac":
            return _adts_end(data) > len(data)
        case _:
            return False


def _wav_end(data: memoryview) -> int:
    """Where the file, or its chunk of sound, says that it ends."""
    whole = int.from_bytes(data[4:8], "little")
    end = 0 if whole in _WAV_UNKNOWN else whole + 8
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if bytes(data[at : at + 4]) == b"data":
            return end if size in _WAV_UNKNOWN else max(end, at + 8 + size)
        at += 8 + size + size % 2
    return end


def _adts_end(data: memoryview) -> int:
    """Where the last frame ends that follows the others without a gap."""
    at = 0
    while at + _ADTS_HEAD <= len(data) and bytes(data[at : at + 2]) in _ADTS_SYNC:
        length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
        at += max(length, _ADTS_HEAD)
    return at


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
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, _DESCRIPTORS))


if __name__ == "__main__":
    sys.exit(main())
