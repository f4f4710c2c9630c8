"""The studio: parts in, a finished programme out, made in a child process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from broadcast_core.audio.child import ChildFailed, module_command, run
from broadcast_core.audio.job import Job, Programme, read_programme, write_job, write_parts
from broadcast_core.audio.pcm import Pcm
from broadcast_core.config import Voice
from broadcast_core.errors import TocsinError
from broadcast_core.i18n import Sentence, _


@dataclass(eq=False)
class StudioFailed(TocsinError):
    """No programme came out; the alert goes out with tone and text."""

    sentence: Sentence

    def __str__(self) -> str:
        return str(self.sentence)


def job_for(voice: Voice, tone: str) -> Job:
    """The job that the settings ask for."""
    return Job(
        tone=tone,
        repeats=voice.repeats,
        pause_s=voice.pause_s,
        loudness_lufs=voice.loudness_lufs,
        true_peak_dbtp=voice.true_peak_dbtp,
        sample_rate=voice.sample_rate,
        bitrate_kbps=voice.bitrate_kbps,
    )


async def produce(job: Job, parts: Callable[[], Awaitable[Sequence[Pcm]]], timeout: float) -> Programme:
    """The programme of what `parts` gives. Raises StudioFailed, and whatever `parts` raises.

    The child is started first: it loads its libraries and makes the tones while the parts are being spoken.
    """
    command = module_command("broadcast_core.audio.studio_child", write_job(job))

    async def sounds() -> bytes:
        return write_parts(await parts())

    try:
        return read_programme(await run(command, sounds, timeout))
    except (ChildFailed, msgspec.MsgspecError) as failure:
        raise StudioFailed(
            _("The announcement could not be mixed: {detail}.", detail=str(failure)[-200:])
        ) from failure
