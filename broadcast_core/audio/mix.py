"""Shaping the parts of a programme: pydub, on PCM that we made or have already decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydub import AudioSegment

from broadcast_core.audio.pcm import SAMPLE_BYTES, Pcm

GAP_S: Final = 0.5  # between the tone and the words, and between two languages
_FADE_MS: Final = 5  # no click where a part begins or ends
_RAMP_MS: Final = 400  # in which a bed goes down and up


def piece(pcm: Pcm, silence_s: float) -> Pcm:
    """`pcm` with soft edges and silence after it, so that any other piece can follow."""
    silence = AudioSegment.silent(duration=round(silence_s * 1000), frame_rate=pcm.rate)
    return _pcm(_segment(pcm).fade_in(_FADE_MS).fade_out(_FADE_MS) + silence)


def amplified(pcm: Pcm, decibels: float) -> Pcm:
    """`pcm` by one gain, without a limiter: for sounds whose peak is known."""
    return _pcm(_segment(pcm).apply_gain(decibels))


def faded(pcm: Pcm, in_s: float, out_s: float) -> Pcm:
    """`pcm` coming up from silence and going down to it. Only its edges are touched, an hour costs no more."""
    edge = [min(round(seconds * pcm.rate), len(pcm) // 2) * SAMPLE_BYTES for seconds in (in_s, out_s)]
    begin, end = edge[0], len(pcm.samples) - edge[1]
    head = _segment(Pcm(rate=pcm.rate, samples=pcm.samples[:begin]))
    tail = _segment(Pcm(rate=pcm.rate, samples=pcm.samples[end:]))
    return Pcm(
        rate=pcm.rate,
        samples=_up(head).raw_data + pcm.samples[begin:end] + _up(tail.reverse()).reverse().raw_data,
    )


def _up(edge: AudioSegment) -> AudioSegment:
    return edge.fade_in(len(edge)) if len(edge) else edge  # pydub takes 0 ms for "to the end"


def joined(parts: Sequence[Pcm], gap_s: float = GAP_S) -> Pcm:
    """The parts, all of one rate, one after the other with `gap_s` of silence between two."""
    gap = Pcm.of_silence(gap_s, parts[0].rate).samples
    return Pcm(rate=parts[0].rate, samples=gap.join(part.samples for part in parts))


def ducked(speech: Pcm, bed: Pcm, *, lead_s: float = 2.0, tail_s: float = 2.0, below_db: float = 15.0) -> Pcm:
    """`speech` over `bed`: the bed begins alone, goes down under the speech, comes back up and fades out.

    Both have one rate and are equally loud; the bed is repeated if it is too short. Under the speech it is
    `below_db` quieter: words stay plain (speech wants 10 dB at least, over a horn more).
    """
    over = _segment(speech)
    lead, tail, ramp = round(lead_s * 1000), round(tail_s * 1000), _RAMP_MS
    whole = lead + len(over) + tail
    under = (_segment(bed) * (whole // max(1, len(_segment(bed))) + 1))[:whole]
    under = under.fade(to_gain=-below_db, start=max(0, lead - ramp), end=lead)
    under = under.fade(to_gain=below_db, start=lead + len(over), end=lead + len(over) + min(ramp, tail))
    return _pcm(under.fade_in(min(ramp, whole)).fade_out(min(tail, whole)).overlay(over, position=lead))


def _segment(pcm: Pcm) -> AudioSegment:
    return AudioSegment(data=pcm.samples, sample_width=SAMPLE_BYTES, frame_rate=pcm.rate, channels=1)


def _pcm(segment: AudioSegment) -> Pcm:
    return Pcm(rate=segment.frame_rate, samples=segment.raw_data)
