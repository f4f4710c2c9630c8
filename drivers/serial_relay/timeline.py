"""When a horn is on: a siren pattern as edges on a line of seconds. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Timeline:
    """The edges of a pattern, in seconds from its anchor: on, off, on, off, ... ascending.

    Between them lie phases, counted from 0: even phases are silent (0 is the one before the first sound, empty if
    the pattern begins at once), odd phases sound.
    """

    edges: tuple[float, ...]
    total: float
    capped: bool  # a sound was cut at the longest time a coil may be closed

    @classmethod
    def of(cls, steps: Sequence[tuple[float, float]], max_on_s: float) -> Self:
        """The timeline of (on, off) steps; sounds that touch are one, and none is longer than `max_on_s`."""
        sounds: list[list[float]] = []
        at = 0.0
        for on, off in steps:
            if sounds and sounds[-1][1] == at:
                sounds[-1][1] = at + on
            else:
                sounds.append([at, at + on])
            at += on + off
        cut = [(on, min(off, on + max_on_s)) for on, off in sounds]
        return cls(
            edges=tuple(edge for sound in cut for edge in sound),
            total=at,
            capped=any(off < whole[1] for (_, off), whole in zip(cut, sounds, strict=True)),
        )

    def phase(self, at: float) -> int:
        """The number of the phase at `at`; an edge belongs to the phase that it begins."""
        return bisect_right(self.edges, at)

    def ends(self, phase: int) -> float | None:
        """When `phase` ends, or None for the last one, which is silence for good."""
        return self.edges[phase] if phase < len(self.edges) else None

    @property
    def sounds(self) -> int:
        """How many sounds the pattern has."""
        return len(self.edges) // 2

    @property
    def on_s(self) -> float:
        """For how long it sounds in all."""
        return sum(off - on for on, off in zip(self.edges[::2], self.edges[1::2], strict=True))

    def missing(self, proven: Iterable[int]) -> frozenset[int]:
        """The phases without proof: all sounds, and the silences between them, have to be read back."""
        return frozenset(range(1, len(self.edges))) - frozenset(proven)


def is_on(phase: int) -> bool:
    """Whether a phase sounds."""
    return phase % 2 == 1
