"""Uncompressed sound as it passes between the steps: mono, 16 bit, little endian."""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

SAMPLE_BYTES: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Pcm:
    """`samples` are signed 16-bit little-endian, one channel; `rate` in Hz."""

    rate: int
    samples: bytes

    def __post_init__(self) -> None:
        if len(self.samples) % SAMPLE_BYTES:
            raise ValueError("half a sample at the end")

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.samples) // SAMPLE_BYTES

    @property
    def seconds(self) -> float:
        return len(self) / self.rate

    @property
    def duration(self) -> timedelta:
        return timedelta(seconds=self.seconds)

    @property
    def silent(self) -> bool:
        """Whether every sample is zero (an empty sound is silent)."""
        return not self.samples.strip(b"\0")

    @classmethod
    def of_silence(cls, seconds: float, rate: int) -> Self:
        return cls(rate=rate, samples=bytes(round(seconds * rate) * SAMPLE_BYTES))

    @classmethod
    def from_wav(cls, data: bytes) -> Self:
        """The sound of a mono 16-bit WAV file. Raises ValueError for anything else."""
        try:
            with wave.open(io.BytesIO(data)) as file:
                if (file.getnchannels(), file.getsampwidth()) != (1, SAMPLE_BYTES):
                    raise ValueError("not mono 16 bit")
                samples = file.readframes(file.getnframes())
                if len(samples) != file.getnframes() * SAMPLE_BYTES:
                    raise ValueError("shorter than its header says")
                return cls(rate=file.getframerate(), samples=samples)
        except (wave.Error, EOFError) as error:
            raise ValueError(f"not a WAV file: {error}") from error

    def to_wav(self) -> bytes:
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(SAMPLE_BYTES)
            file.setframerate(self.rate)
            file.writeframes(self.samples)
        return out.getvalue()
