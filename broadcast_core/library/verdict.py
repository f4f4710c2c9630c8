"""What the measurements of a recording mean: a refusal with its reason, or notes that go with the item. Pure."""

from __future__ import annotations

from typing import Final

from broadcast_core.audio.master_job import Master, MasterJob
from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import Sentence, _

_SILENT_LUFS: Final = -60.0  # more gain than 30 dB would lift only the noise
_LONG_SILENCE_S: Final = 10.0  # a listener thinks that the speaker is broken
_NEAR_LU: Final = 0.5


def judged(master: Master, job: MasterJob) -> tuple[Sentence, ...]:
    """What a person should know about a recording that is taken. Raises Rejected for one that is not."""
    if master.attention_at_s is not None:
        sentence = _(
            "The recording holds the attention tone, at {at}. People must hear that in emergencies only.",
            at=_clock(master.attention_at_s),
        )
        raise Rejected(RejectReason.ATTENTION_TONE, sentence, "file")
    if master.source_lufs <= _SILENT_LUFS or not master.mp3:
        sentence = _(
            "The recording is as good as silent ({lufs} LUFS), or too short to be measured.",
            lufs=f"{master.source_lufs:.0f}",
        )
        raise Rejected(RejectReason.MEDIA_REFUSED, sentence, "file")
    return tuple(_notes(master, job))


def _notes(master: Master, job: MasterJob) -> list[Sentence]:
    notes = []
    if master.clipped:
        notes.append(_("The recording is clipped in {count} places: record it again, lower.", count=master.clipped))
    if master.silence_s > _LONG_SILENCE_S:
        notes.append(
            _(
                "The recording is silent for {seconds} s from {at}.",
                seconds=f"{master.silence_s:.0f}",
                at=_clock(master.silence_at_s),
            )
        )
    if abs(master.lufs - job.loudness_lufs) > _NEAR_LU:
        notes.append(
            _(
                "It came out at {lufs} LUFS instead of {wanted}: its peaks reach the ceiling, or it was very quiet.",
                lufs=f"{master.lufs:.1f}",
                wanted=f"{job.loudness_lufs:g}",
            )
        )
    return notes


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
