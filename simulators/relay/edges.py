"""What the horns truly did: every edge of every coil, in memory and as JSON lines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from broadcast_core.clock import Clock


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """A coil changed. `cause` is "write" (ordered over the line), "timer" (the board's own) or "power"."""

    line: str
    unit: int
    coil: int
    closed: bool
    cause: str
    monotonic: float
    utc: datetime


class EdgeLog:
    """Edges in the order they happened. With a path each is also a line of JSON there, written at once."""

    def __init__(self, clock: Clock, path: Path | None = None) -> None:
        self.edges: list[Edge] = []
        self._clock = clock
        self._file = None if path is None else path.open("a", encoding="utf-8", buffering=1)

    def note(self, line: str, unit: int, coil: int, *, closed: bool, cause: str) -> None:
        """A coil has just changed."""
        edge = Edge(
            line=line,
            unit=unit,
            coil=coil,
            closed=closed,
            cause=cause,
            monotonic=self._clock.monotonic(),
            utc=self._clock.now(),
        )
        self.edges.append(edge)
        if self._file is not None:
            row = {"line": line, "unit": unit, "coil": coil, "closed": closed, "cause": cause}
            row |= {"monotonic": round(edge.monotonic, 6), "utc": edge.utc.isoformat()}
            self._file.write(json.dumps(row) + "\n")

    def close(self) -> None:
        """Close the file; the edges stay."""
        if self._file is not None:
            self._file.close()
