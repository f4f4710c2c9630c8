"""What the simulated speakers really sound, read from their log: the truth that the demo shows beside the report."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch of sound that has ended: what, from where in it, how long, and why it ended."""

    sha256: str
    what: str
    position_ms: int
    played_ms: int
    why: str


class Ears:
    """Follows the log; `hear` reads what is new."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._at = 0
        self._rest = b""
        self._sounding: dict[str, str] = {}  # endpoint -> hash of what it sounds
        self.stretches: dict[str, list[Stretch]] = defaultdict(list)

    def hear(self) -> None:
        if not self._log.exists():
            return
        with self._log.open("rb") as file:
            file.seek(self._at)
            data = self._rest + file.read()
            self._at = file.tell()
        *lines, self._rest = data.split(b"\n")
        for line in lines:
            said: dict[str, Any] = msgspec.json.decode(line)
            played = said["played"]
            if said["event"] == "began":
                self._sounding[played["endpoint"]] = played["sha256"] or played["what"]
            else:
                self._sounding.pop(played["endpoint"], None)
                self.stretches[played["endpoint"]].append(
                    Stretch(
                        played["sha256"], played["what"], played["position_ms"], played["played_ms"], played["why"]
                    )
                )

    def sounding(self, among: Collection[str], names: Mapping[str, str]) -> Counter[str]:
        """How many of these speakers sound what, by the names that are known; what has none is an alert's."""
        return Counter(names.get(self._sounding[e], "") for e in among if e in self._sounding)

    def of(self, endpoint: str, sha256: str) -> list[Stretch]:
        """Every stretch of one sound on one speaker, in order."""
        return [s for s in self.stretches[endpoint] if s.sha256 == sha256]
