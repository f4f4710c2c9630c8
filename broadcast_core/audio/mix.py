"""Shaping the parts of a programme: pydub, on PCM that we made or have already decoded."""

from __future__ import annotations

from typing import Final

from pydub import AudioSegment

from broadcast_core.audio.pcm import SAMPLE_BYTES, Pcm

GAP_S: Final = 0.5  # between the tone and the words, and between two languages
_FADE_MS: Final = 5  # no click where a part begins or ends


def piece(pcm: Pcm, silence_s: float) -> Pcm:
    """`pcm` with soft edges and silence after it, so that any other piece can follow."""
    silence = AudioSegment.silent(duration=round(silence_s * 1000), frame_rate=pcm.rate)
    return _pcm(_segment(pcm).fade_in(_FADE_MS).fade_out(_FADE_MS) + silence)


def amplified(pcm: Pcm, decibels: float) -> Pcm:
    """`pcm` by one gain, without a limiter: for sounds whose peak is known."""
    return _pcm(_segment(pcm).apply_gain(decibels))


def _segment(pcm: Pcm) -> AudioSegment:
    return AudioSegment(data=pcm.samples, sample_width=SAMPLE_BYTES, frame_rate=pcm.rate, channels=1)


def _pcm(segment: AudioSegment) -> Pcm:
    return Pcm(rate=segment.frame_rate, samples=segment.raw_data)
