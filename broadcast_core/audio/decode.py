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


async def decode(data: bytes, rate: int, limits: ClipLimits = LIMITS, timeout: float | None = None) -> Pcm:
    """The sound of a recording (WAV, MP3, Ogg, FLAC or M4A) at `rate` Hz, mixed down to mono.

    Whatever the file claims to be, only these containers are opened, it can reach no other file or address, and
    only its first audio stream is touched. A file that is damaged or shorter than it says is refused, not played in
    part. Raises Rejected(MEDIA_REFUSED).
    """
    if len(data) > limits.bytes:
        raise _refused(
            _("The recording is too large: {size} bytes; at most {limit}.", size=len(data), limit=limits.bytes)
        )
    command = module_command(
        "broadcast_core.audio.decode_child",
        *("--rate", str(rate), "--longest", str(limits.seconds)),
        *("--cpu", str(limits.cpu_s), "--memory", str(limits.memory)),
    )
    try:
        return Pcm.from_wav(await run(command, data, timeout or limits.wall_s))
    except ChildFailed as failure:
        if failure.code == Exit.REFUSED:
            raise _refused(_("The recording was refused: {detail}.", detail=Sentence(failure.said))) from failure
        raise _refused(
            _("The recording could not be decoded within its limits ({detail}).", detail=str(failure)[-200:])
        ) from failure
    except ValueError as error:
        raise _refused(_("The recording gave no sound: {detail}.", detail=str(error))) from error


def _refused(sentence: Sentence) -> Rejected:
    return Rejected(RejectReason.MEDIA_REFUSED, sentence, "clip")
