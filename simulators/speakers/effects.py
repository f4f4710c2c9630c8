"""What a speaker wants done to the world outside it. The device returns these; its station carries them out.

msgspec structs, because 1,099 speakers make a few of them each within the milliseconds of a fan-out.
"""

from __future__ import annotations

from msgspec import Struct

from broadcast_core.player import SoundBegan, SoundEnded
from drivers.ip_speaker.wire import Up
from drivers.ip_speaker.wire.command import Audio
from drivers.ip_speaker.wire.report import Report


class Say(Struct, frozen=True):
    """Seal and publish a report."""

    to: Up
    report: Report


class Subscribe(Struct, frozen=True):
    """Subscribe to topics; the device waits for `subscribed`."""

    topics: tuple[str, ...]


class Unsubscribe(Struct, frozen=True):
    topics: tuple[str, ...]


class Fetch(Struct, frozen=True):
    """Fetch audio after `delay_ms` and answer with `fetched(audio.sha256, …)`."""

    audio: Audio
    delay_ms: int


Effect = Say | Subscribe | Unsubscribe | Fetch | SoundBegan | SoundEnded

__all__ = ["Effect", "Fetch", "Say", "SoundBegan", "SoundEnded", "Subscribe", "Unsubscribe"]
