"""The demo's day: a few hours of a morning, squeezed into minutes by a faster clock, and the sounds that fill it."""

from __future__ import annotations

import io
import math
import struct
import wave
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final

_RATE: Final = 22050
_BEGINS: Final = time(7, 28)
MORNING: Final = time(7, 30)
LENGTH: Final = timedelta(minutes=30)
EMERGENCY: Final = time(7, 38)


@dataclass(frozen=True, slots=True)
class FastClock:
    """The demo's clock: it shows `_BEGINS` at `since`, and runs `speed` times as fast as a real one."""

    since: datetime
    speed: float

    def shows(self, at: datetime) -> time:
        """The time of the demo's day at a real instant."""
        shown = datetime.combine(self.since.date(), _BEGINS) + (at - self.since) * self.speed
        return shown.time().replace(microsecond=0)

    def instant(self, shown: time) -> datetime:
        """The real instant at which it shows a time."""
        return self.since + self.real(_since_midnight(shown) - _since_midnight(_BEGINS))

    def real(self, of_the_day: timedelta) -> timedelta:
        """How long a stretch of the demo's day takes."""
        return of_the_day / self.speed


def music(seconds: float) -> bytes:
    """A plain tune as a WAV file, so that the demo needs no recording of anybody's."""
    notes = (261.63, 329.63, 392.0, 329.63, 293.66, 349.23, 440.0, 349.23)
    beat = round(0.4 * _RATE)
    samples = bytearray()
    for i in range(round(seconds * _RATE)):
        t = i % beat / _RATE
        hertz = notes[i // beat % len(notes)]
        samples += struct.pack("<h", round(9000 * math.exp(-3 * t) * math.sin(2 * math.pi * hertz * t)))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(_RATE)
        out.writeframes(bytes(samples))
    return file.getvalue()


def _since_midnight(at: time) -> timedelta:
    return timedelta(hours=at.hour, minutes=at.minute, seconds=at.second)
