"""Sound to an item of the library: recordings of strangers and spoken texts, one finished file each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from broadcast_core.audio import child, decode
from broadcast_core.audio.child import ChildFailed, module_command
from broadcast_core.audio.job import write_parts
from broadcast_core.audio.master_job import Master, MasterJob, read_master, write_job
from broadcast_core.audio.pcm import Pcm
from broadcast_core.config import Voice
from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import _

_FIELD: Final = "file"
_NICE: Final = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingLimits:
    """What an uploaded recording may be and cost."""

    shortest_s: float
    longest_s: float
    wall_s: float
    cpu_s: int
    memory: int = 768 * 2**20  # address space; the file itself is mapped into it


def master_job(voice: Voice, *, recording: bool, fade_in_s: float = 0, fade_out_s: float = 0) -> MasterJob:
    """The job that the settings ask for: as loud as the alerts' speech, in the form that every speaker plays."""
    return MasterJob(
        recording=recording,
        loudness_lufs=voice.loudness_lufs,
        true_peak_dbtp=voice.true_peak_dbtp,
        sample_rate=voice.sample_rate,
        bitrate_kbps=voice.bitrate_kbps,
        fade_in_s=fade_in_s,
        fade_out_s=fade_out_s,
    )


async def master_recording(source: Path, job: MasterJob, limits: RecordingLimits) -> Master:
    """The item that a stranger's file becomes: decoded in one child under hard limits, finished in a second one.

    Raises Rejected(MEDIA_REFUSED). A Master without a file is one in which the attention tone was heard, or that is
    silent.
    """
    command = decode.command(
        job.sample_rate,
        shortest_s=limits.shortest_s,
        longest_s=limits.longest_s,
        cpu_s=limits.cpu_s,
        memory=limits.memory,
        nice=_NICE,
    )
    try:
        return read_master(await child.run_chain(command, _command(job), source, limits.wall_s))
    except child.FirstFailed as failure:
        raise Rejected(RejectReason.MEDIA_REFUSED, decode.why_not(failure), _FIELD) from failure
    except (ChildFailed, msgspec.MsgspecError) as failure:
        sentence = _("The recording could not be prepared ({detail}).", detail=str(failure)[-200:])
        raise Rejected(RejectReason.MEDIA_REFUSED, sentence, _FIELD) from failure


async def master_parts(parts: Sequence[Pcm], job: MasterJob, wall_s: float) -> Master:
    """The item that sounds of our own become. Raises Rejected(MEDIA_REFUSED)."""
    try:
        return read_master(await child.run(_command(job), write_parts(parts), wall_s))
    except (ChildFailed, msgspec.MsgspecError) as failure:
        sentence = _("The announcement could not be mixed: {detail}.", detail=str(failure)[-200:])
        raise Rejected(RejectReason.MEDIA_REFUSED, sentence, "text") from failure


def _command(job: MasterJob) -> tuple[str, ...]:
    return module_command("broadcast_core.audio.master_child", write_job(job))
