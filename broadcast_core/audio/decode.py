"""Recordings from strangers: decoded in a child with hard limits, or refused with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from broadcast_core.audio.child import ChildFailed, module_command, run
from broadcast_core.audio.exits import Exit
from broadcast_core.audio.pcm import Pcm
from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import Sentence, _


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipLimits:
    """What a recording may cost us."""

    bytes: int = 20 * 2**20
    seconds: float = 600.0  # ten minutes of sound are 26 MB of PCM
    wall_s: float = 15.0
    cpu_s: int = 10
    memory: int = 512 * 2**20  # address space, ffmpeg's libraries (about 200 MB of it) included


LIMITS: Final = ClipLimits()

# What the child says, so that it is translated.
_SAID: Final = (
    _("its end is missing"),
    _("it is longer than allowed"),
    _("it is shorter than allowed"),
    _("it needs too much memory"),
    _("it is damaged"),
    _("it holds no sound"),
    _("it is silent"),
    _("it is not WAV, MP3, AAC, Ogg, FLAC or M4A"),
    _("it refers to another file"),
)


async def decode(data: bytes, rate: int, limits: ClipLimits = LIMITS, timeout: float | None = None) -> Pcm:
    """The sound of a recording (WAV, MP3, AAC, Ogg, FLAC or M4A) at `rate` Hz, mixed down to mono.

    Whatever the file claims to be, only these containers are opened, it can reach no other file or address, and
    only its first audio stream is touched. A file that is damaged or shorter than it says is refused, not played in
    part. Raises Rejected(MEDIA_REFUSED).
    """
    if len(data) > limits.bytes:
        raise _refused(
            _("The recording is too large: {size} bytes; at most {limit}.", size=len(data), limit=limits.bytes)
        )
    child = command(rate, longest_s=limits.seconds, cpu_s=limits.cpu_s, memory=limits.memory)
    try:
        return Pcm(rate=rate, samples=await run(child, data, timeout or limits.wall_s))
    except ChildFailed as failure:
        raise _refused(why_not(failure)) from failure


def command(
    rate: int, *, longest_s: float, cpu_s: int, memory: int, shortest_s: float = 0.0, nice: int = 0
) -> tuple[str, ...]:
    """The child that decodes its stdin under these limits."""
    return module_command(
        "broadcast_core.audio.decode_child",
        *("--rate", str(rate), "--shortest", str(shortest_s), "--longest", str(longest_s)),
        *("--cpu", str(cpu_s), "--memory", str(memory), "--nice", str(nice)),
    )


def why_not(failure: ChildFailed) -> Sentence:
    """Why the child that decodes gave nothing, in words."""
    if failure.code == Exit.REFUSED:
        return _("The recording was refused: {detail}.", detail=Sentence(failure.said))
    return _("The recording could not be decoded within its limits ({detail}).", detail=str(failure)[-200:])


def _refused(sentence: Sentence) -> Rejected:
    return Rejected(RejectReason.MEDIA_REFUSED, sentence, "clip")
