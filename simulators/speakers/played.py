"""What the speakers really played, and when: the truth that tests hold the core's report against."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from simulators.speakers.effects import SoundBegan, SoundEnded

_REMEMBERED: Final = 256  # stretches of sound, for each speaker


class Played(Struct, frozen=True, kw_only=True):
    """One stretch of uninterrupted sound. `ended` is None while it lasts."""

    endpoint: str
    alert: str
    rev: int
    what: str  # tone, audio
    sha256: str  # "" is the built-in tone
    position_ms: int  # where in the sound it began
    volume: int
    began: float  # the machine's monotonic seconds, the same clock for all speakers
    began_utc: int  # UTC ms by the speaker's own clock
    ended: float | None = None
    played_ms: int = 0
    why: str = ""  # complete, interrupted, stopped, failed, power


class _Line(Struct, frozen=True):
    event: Literal["began", "ended"]
    played: Played


class PlayLog:
    """Keeps the last stretches of every speaker in memory and, if wanted, all of them as JSON lines in a file.

    Each stretch makes two lines, ``{"event": "began" | "ended", "played": {…}}``, so that a killed fleet has told
    what was sounding.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file: BinaryIO | None = None if file is None else file.open("ab")
        self._encode = msgspec.json.Encoder().encode
        self._of: defaultdict[str, deque[Played]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self._taps: dict[str, Callable[[Played], None]] = {}

    def tap(self, endpoint: str, ended: Callable[[Played], None]) -> None:
        """Call `ended` with every stretch this speaker has played."""
        self._taps[endpoint] = ended

    def of(self, endpoint: str) -> tuple[Played, ...]:
        """What this speaker played, oldest first."""
        return tuple(self._of[endpoint])

    def began(self, endpoint: str, effect: SoundBegan, machine: float, utc: int) -> None:
        played = Played(
            endpoint=endpoint,
            alert=effect.identifier,
            rev=effect.revision,
            what=effect.what,
            sha256=effect.sha256,
            position_ms=effect.position_ms,
            volume=effect.volume,
            began=machine,
            began_utc=utc,
        )
        self._of[endpoint].append(played)
        self._write("began", played)

    def ended(self, endpoint: str, effect: SoundEnded, machine: float) -> None:
        stretches = self._of[endpoint]
        if not stretches or stretches[-1].ended is not None:
            return
        last = stretches.pop()
        played = replace(last, ended=machine, played_ms=round((machine - last.began) * 1000), why=effect.why)
        stretches.append(played)
        self._write("ended", played)
        if endpoint in self._taps:
            self._taps[endpoint](played)

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, event: Literal["began", "ended"], played: Played) -> None:
        if self._file is not None:
            self._file.write(self._encode(_Line(event, played)) + b"\n")
