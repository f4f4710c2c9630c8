"""Recordings of strangers, good and hostile, through the real child."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from broadcast_core.audio import decode_child
from broadcast_core.audio.child import module_command
from broadcast_core.audio.decode import ClipLimits, decode
from broadcast_core.audio.encode import mp3
from broadcast_core.audio.filters import frames
from broadcast_core.audio.pcm import Pcm
from broadcast_core.errors import Rejected, RejectReason

Encode = Callable[[Pcm, str], bytes]
Sine = Callable[..., Pcm]
RATE = 22050


async def refusal(data: bytes, limits: ClipLimits | None = None) -> str:
    with pytest.raises(Rejected) as refused:
        await decode(data, RATE, limits or ClipLimits())
    assert refused.value.reason is RejectReason.MEDIA_REFUSED
    assert refused.value.field == "clip"
    return str(refused.value.sentence)


@pytest.mark.parametrize("container", ["wav", "mp3", "flac", "ogg", "ipod"])
async def test_usual_recordings_are_decoded_whole(sine: Sine, encoded: Encode, container: str) -> None:
    sound = await decode(encoded(sine(3.0, rate=44100), container), RATE)
    assert sound.rate == RATE
    assert sound.seconds == pytest.approx(3.0, abs=0.15)
    assert not sound.silent


async def test_an_mp3_without_any_header_is_decoded(sine: Sine) -> None:
    assert (await decode(mp3(sine(2.0), 64).data, RATE)).seconds == pytest.approx(2.1, abs=0.1)


async def test_ten_minutes_fit_within_the_limits(sine: Sine) -> None:
    minute = mp3(sine(60.0, rate=RATE), 64)
    assert (await decode((minute * 9).data, RATE)).seconds == pytest.approx(540, abs=2)


@pytest.mark.parametrize("container", ["wav", "mp3", "flac", "ogg", "ipod"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
async def test_a_recording_that_was_cut_off_is_refused_not_played_in_part(
    sine: Sine, encoded: Encode, container: str, share: float
) -> None:
    whole = encoded(sine(20.0), container)
    assert await refusal(whole[: round(len(whole) * share)])


async def test_a_recording_damaged_in_the_middle_does_not_pass_as_another_sound(sine: Sine, encoded: Encode) -> None:
    whole = bytearray(encoded(sine(20.0), "flac"))
    whole[len(whole) // 3 : len(whole) // 2] = os.urandom(len(whole) // 2 - len(whole) // 3)
    assert await refusal(bytes(whole))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100_000,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"[playlist]\nFile1=http://127.0.0.1/\n",
        b"<?xml version='1.0'?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>",
        b"v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 9 RTP/AVP 0\r\n",
        b"\x89PNG\r\n\x1a\n" + b"\0" * 1000,
        b"\x1aE\xdf\xa3" + b"\0" * 1000,
        b"\x7fELF" + b"\0" * 1000,
    ],
)
async def test_what_is_no_recording_is_not_even_opened(data: bytes) -> None:
    assert "not WAV, MP3, AAC, Ogg, FLAC or M4A" in await refusal(data)


@pytest.mark.parametrize(
    "magic", [b"ID3\x04\0\0\0\0\0\0", b"RIFF\xff\xff\xff\xffWAVE", b"OggS", b"fLaC", b"\0\0\0\x14ftypM4A "]
)
@pytest.mark.parametrize(
    "inside",
    [
        b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"",
        os.urandom(50_000),
    ],
)
async def test_a_playlist_behind_the_first_bytes_of_a_recording_reaches_nothing(magic: bytes, inside: bytes) -> None:
    said = await refusal(magic + inside)
    assert "root:" not in said


@pytest.mark.parametrize(
    ("demuxer", "playlist"),
    [
        ("concat", "ffconcat version 1.0\nfile '{other}'\n"),
        ("hls", "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nfile://{other}\n#EXT-X-ENDLIST\n"),
    ],
)
def test_even_a_demuxer_that_opens_files_is_given_none(
    sine: Sine, tmp_path: Path, demuxer: str, playlist: str
) -> None:
    """The second line of defence: nothing chooses these demuxers, but if something did."""
    other = tmp_path / "other.wav"
    other.write_bytes(sine(3.0).to_wav())
    with pytest.raises((decode_child.Refused, av.FFmpegError)):
        decode_child._opened(memoryview(playlist.format(other=other).encode()), demuxer)


def endless_flac(sine: Sine, seconds: int) -> bytes:
    """A small file of long silence that does not say how long it is."""
    out = io.BytesIO()
    with av.open(out, "w", format="flac") as file:
        stream = file.add_stream("flac", rate=8000, layout="mono")
        for frame in frames(Pcm.of_silence(seconds, 8000), 4096):
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    data = bytearray(out.getvalue())
    data[21] &= 0xF0  # the 36 bits of the number of samples in STREAMINFO
    data[22:26] = bytes(4)
    return bytes(data)


async def test_a_small_file_of_endless_sound_is_refused_at_the_limit(sine: Sine) -> None:
    bomb = endless_flac(sine, 1800)
    assert len(bomb) < 400_000
    assert "longer than allowed" in await refusal(bomb)


async def test_a_file_that_announces_too_much_is_refused_before_it_is_decoded(sine: Sine) -> None:
    assert "longer than allowed" in await refusal(mp3(sine(11.0), 32).data, ClipLimits(seconds=10))


async def test_a_sample_rate_of_one_hertz_does_not_blow_up() -> None:
    assert "longer than allowed" in await refusal(Pcm(rate=1, samples=os.urandom(200_000)).to_wav())


async def test_too_many_bytes_are_refused_without_a_child() -> None:
    assert "too large" in await refusal(b"x" * (20 * 2**20 + 1))


def with_cover(picture: bytes, sound: bytes) -> bytes:
    """An MP3 with a picture in its ID3 tag."""
    frame = b"\0image/png\0\x03\0" + picture
    body = b"APIC" + len(frame).to_bytes(4) + b"\0\0" + frame
    size = bytes((len(body) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + body + sound


def png_of(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunk = b"IHDR" + head
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


async def test_a_cover_picture_is_never_decoded(sine: Sine) -> None:
    clip = with_cover(png_of(60_000, 60_000) + os.urandom(4 * 2**20), mp3(sine(2.0), 64).data)
    assert (await decode(clip, RATE)).seconds == pytest.approx(2.1, abs=0.1)


async def test_a_cover_larger_than_a_recording_may_be_is_refused(sine: Sine) -> None:
    assert "too large" in await refusal(with_cover(os.urandom(21 * 2**20), mp3(sine(2.0), 64).data))


async def test_a_silent_recording_is_refused() -> None:
    assert "silent" in await refusal(Pcm.of_silence(3, RATE).to_wav())


async def test_a_movie_without_sound_is_refused() -> None:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for packet in (*stream.encode(av.VideoFrame(32, 32, "yuv420p")), *stream.encode(None)):
            file.mux(packet)
    assert await refusal(out.getvalue())


async def test_a_zip_file_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("sound.wav", bytes(10_000_000))
    assert "not WAV" in await refusal(out.getvalue())


async def test_memory_is_bounded_by_the_kernel(sine: Sine) -> None:
    said = await refusal(sine(5.0).to_wav(), ClipLimits(memory=60 * 2**20))
    assert "within its limits" in said or "memory" in said


async def test_time_is_bounded(sine: Sine) -> None:
    assert "no answer within" in await refusal(sine(5.0).to_wav(), ClipLimits(wall_s=0.01))


async def test_processor_time_is_bounded(sine: Sine) -> None:
    # the limit counts from the start of the process, loading ffmpeg included
    assert await refusal(endless_flac(sine, 3600), ClipLimits(cpu_s=1, seconds=10**7, memory=2**40, wall_s=60))


async def test_the_child_cannot_write_files(tmp_path: Path) -> None:
    source = (
        "import resource\nfrom broadcast_core.audio.decode_child import _confine\n_confine(5, 2**40)\n"
        f"try:\n open({str(tmp_path / 'x')!r}, 'w').write('x' * 10)\nexcept OSError: print('refused')\n"
        "print(resource.getrlimit(resource.RLIMIT_FSIZE))"
    )
    command = (
        module_command("x")[0],
        "-c",
        f"import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n{source}",
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "(0, 0)" in done.stdout
    assert not (tmp_path / "x").exists() or (tmp_path / "x").read_bytes() == b""
