"""Makers of small schedules. Zones: district D; subdistricts S1 and S2; communities A, B (in S1) and C (in S2)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from broadcast_core.model import AudioRef, Zone, ZoneLevel
from scheduler.day import Circumstances
from scheduler.kindness import Kindness, Rules
from scheduler.model import Daily, Item, ItemKind, Playlist, Recurrence, Schedule, Slot
from scheduler.record import slot_of

SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
UNKIND = Rules(quiet=(), ceilings=(), no_repeat=timedelta(), budget=1e9)


@dataclass(frozen=True)
class Make:
    """Types with the fields that a test does not care about filled in."""

    tz: ZoneInfo = SHANGHAI
    unkind: Rules = UNKIND

    def item(self, name: str, seconds: float = 600, /, **more: Any) -> Item:
        audio = AudioRef(
            sha256=name.ljust(64, "0"),
            url=f"http://audio/{name}",
            mime_type="audio/mpeg",
            size=1,
            duration=timedelta(seconds=seconds),
        )
        return Item(**{"id": name, "title": name, "audio": audio, "loudness_lufs": -16.0} | more)

    def playlist(self, name: str, /, *items: str, **more: Any) -> Playlist:
        return Playlist(**{"id": name, "name": name, "items": items} | more)

    def slot(self, name: str = "s", /, **more: Any) -> Slot:
        fields: dict[str, Any] = {
            "id": name,
            "name": name,
            "zones": ("D",),
            "start": time(8, 0),
            "length": timedelta(minutes=30),
            "recurrence": Recurrence(rule=Daily()),
            "playlist": "p",
            "volume": 60,
            "created_at": NEW_YEAR,
        }
        return Slot(**fields | more)

    def zones(self) -> dict[str, Zone]:
        tree = {"D": None, "S1": "D", "S2": "D", "A": "S1", "B": "S1", "C": "S2"}
        levels = {"D": ZoneLevel.DISTRICT, "S": ZoneLevel.SUBDISTRICT}
        return {
            code: Zone(
                code=code,
                parent=parent,
                level=levels.get(code[0], ZoneLevel.COMMUNITY),
                name_zh=code,
                name_en=code,
            )
            for code, parent in tree.items()
        }

    def schedule(self, *parts: Slot | Playlist | Item) -> Schedule:
        """With the playlist `p` of one item `i` of ten minutes, where none is given."""
        items = {part.id: part for part in parts if isinstance(part, Item)} or {"i": self.item("i")}
        playlists = {part.id: part for part in parts if isinstance(part, Playlist)} or {
            "p": self.playlist("p", *(i.id for i in items.values() if i.kind is not ItemKind.CHIME))
        }
        return Schedule(
            slots={part.id: part for part in parts if isinstance(part, Slot)}, playlists=playlists, items=items
        )

    def circumstances(self, schedule: Schedule, rules: Rules = UNKIND, **more: Any) -> Circumstances:
        fields: dict[str, Any] = {
            "schedule": schedule,
            "zones": self.zones(),
            "tz": SHANGHAI,
            "kindness": Kindness(default=rules),
        }
        return Circumstances(**fields | more)

    def timetable(self, place: str) -> dict[str, Slot]:
        path = Path(__file__).parent / "timetables" / f"{place}.toml"
        slots = [slot_of(row) for row in tomllib.loads(path.read_text(encoding="utf-8"))["slots"]]
        return {slot.id: slot for slot in slots}


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()
