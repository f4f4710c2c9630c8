"""`tocsin demo --day`: a morning everywhere, an emergency in three communities, and back to the right place."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console
from rich.live import Live as LiveDisplay

from broadcast_core import cap
from broadcast_core.cli.demo.alert import demo_alert
from broadcast_core.cli.demo.day_board import DayBoard
from broadcast_core.cli.demo.ears import Ears
from broadcast_core.cli.demo.picture import paper_of
from broadcast_core.cli.demo.stage import Stage, StageFailed, write_configuration
from broadcast_core.cli.demo.timetable import EMERGENCY, LENGTH, MORNING, FastClock, music
from broadcast_core.clock import SystemClock
from broadcast_core.i18n import Sentence, _, terminal_language
from broadcast_core.model import Area, Channel, NamedValue, ZoneLevel
from broadcast_core.registry.dataset import generate

_LEAD: Final = timedelta(seconds=20)  # to send the day ahead, and for the speakers to fetch its sounds
_TICK_S: Final = 0.25
_PROOF_S: Final = 40.0
_SPREAD_S: Final = 5.0  # in the field the proofs spread over a minute
_STRUCK: Final = 3  # communities with the emergency
_TEXTS: Final = (
    ("weather", "早间天气", "软件演示。今天白天多云，气温十二到十八度，东北风二级。", "start"),
    ("news", "社区通知", "软件演示。本周六上午九点，社区组织消防演练，欢迎参加。", "live"),
)
_MUSIC_S: Final = 15.0


class DayPlay:
    """One performance of the day. `result` is what came of it."""

    def __init__(self, root: Path, console: Console, *, speakers: int, speed: float) -> None:
        self._console = console
        self._language = terminal_language()
        self._speed = speed
        registry = generate(speakers=speakers, communities=min(734, speakers), horns=0, recipients=0)
        self._stage = Stage(root, write_configuration(root, self._language, 0), registry)
        communities = [z.code for z in registry.zones.values() if z.level is ZoneLevel.COMMUNITY]
        self._struck = communities[:: max(1, len(communities) // _STRUCK)][:_STRUCK]
        everybody = registry.ordered(Channel.SPEAKER)
        self._inside = {e.id for e in everybody if e.zone in self._struck}
        self._outside = {e.id for e in everybody} - self._inside
        self._ears = Ears(root / "played.jsonl")
        self.result: dict[str, Any] | None = None
        self.picture: Console | None = None  # the board in the middle of the emergency, for a file

    async def run(self, recordings: dict[str, Path], faults: Path | None, *, stay: bool) -> None:
        stage = self._stage
        async with AsyncExitStack() as stack:
            self._say(_("Starting the core (embedded broker, SQLite) in {place} …", place=stage.root))
            await stack.enter_async_context(stage.core())
            await stage.import_registry()
            self._say(_("Starting the simulated field: {count} speakers …", count=len(self._inside | self._outside)))
            field = stage.field(record=recordings, faults=faults, report_spread_s=_SPREAD_S)
            await stack.enter_async_context(field)
            headers = {"Accept-Language": self._language, **stage.headers}
            session = await stack.enter_async_context(aiohttp.ClientSession(stage.url, headers=headers))
            self.result = await _Day(self, session).live()
            if not self._console.is_terminal:  # there the last picture has no line end
                self._console.print()
            self._say(_outcome(self.result))
            if stay:
                self._say(_("Everything goes on until Ctrl-C. Try, in another terminal, line by line:"))
                self._say_plain(f"  export PATH={Path(sys.executable).parent}:$PATH TOCSIN_CONFIG={stage.config}")
                for line in ("report plays", "mode show", "schedule list", "media list"):
                    self._say_plain(f"  tocsin {line}")
                await asyncio.Event().wait()

    def _say(self, sentence: Sentence) -> None:
        self._say_plain(sentence.say(self._language))

    def _say_plain(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)


class _Day:
    """The day itself, through the API as anybody would."""

    def __init__(self, play: DayPlay, session: aiohttp.ClientSession) -> None:
        self._play = play
        self._session = session
        self._names: dict[str, str] = {}  # hash -> title
        self._hash: dict[str, str] = {}  # our name -> hash

    async def live(self) -> dict[str, Any]:
        play = self._play
        playlist = await self._fill_the_library()
        clock = FastClock(SystemClock().now() + _LEAD - timedelta(minutes=2) / play._speed, play._speed)
        await self._schedule(clock, playlist)
        board = DayBoard(play._language, clock, self._names, inside=play._inside, outside=play._outside)
        with LiveDisplay(board, console=play._console, refresh_per_second=4):
            watching = asyncio.create_task(self._watch(board))
            try:
                await _until(clock.instant(EMERGENCY))
                alert = await self._strike()
                await self._until_over(alert)
                await self._calm()
                await _until(clock.instant(MORNING) + clock.real(LENGTH))
                report = await self._proofs(board)
            finally:
                watching.cancel()
        play._ears.hear()
        return {**self._judged(report, alert), "report": report}

    async def _fill_the_library(self) -> list[str]:
        """Two spoken texts and a tune; the playlist's items in their order."""
        items = []
        for name, title, text, resume in _TEXTS:
            body = {"title": title, "texts": [{"language": "zh-CN", "text": text}], "resume": resume,
                    "chime": name == "weather"}  # fmt: skip
            items.append(await self._ask("POST", "/media/text", json=body))
        self._play._say(_("The library: {count} texts are spoken, a tune is prepared.", count=len(items)))
        parameters = {"title": "晨间音乐", "resume": "position", "licence": "generated"}
        headers = {"Content-Type": "audio/wav"}
        tune = await self._ask("POST", "/media", params=parameters, data=music(_MUSIC_S), headers=headers)
        items.insert(1, tune)
        for name, item in zip(("weather", "music", "news"), items, strict=True):
            self._names[item["sha256"]] = item["title"]
            self._hash[name] = item["sha256"]
        return [item["id"] for item in items]

    async def _schedule(self, clock: FastClock, items: list[str]) -> None:
        """A demo may be given at any hour: its district knows no quiet ones."""
        kind = {"quiet": [], "ceilings": [], "no_repeat_s": 0, "budget": 100_000}
        await self._ask("PUT", "/kindness", json=kind)
        await self._ask("PUT", "/schedule/playlists/morning", json={"name": "早间广播", "items": items})
        local = clock.instant(MORNING).astimezone(self._play._stage.settings.zone_info)
        slot = {
            "name": "早间广播",
            "zones": [self._play._stage.registry.root.code],
            "start": local.strftime("%H:%M:%S"),
            "length_s": clock.real(LENGTH).total_seconds(),
            "recurrence": {"rule": "dates", "dates": [local.date().isoformat()]},
            "playlist": "morning",
            "volume": 60,
            "overrun": "cut",
            "grace_s": 5,
        }
        await self._ask("PUT", "/schedule/slots/morning", json=slot)

    async def _strike(self) -> str:
        """An orange warning for three communities; it switches their mode by itself."""
        root = self._play._stage.registry.root
        alert = demo_alert(SystemClock().now().replace(microsecond=0), root.code, root.name_zh, horns=False)
        areas = tuple(
            Area(area_desc=code, geocodes=(NamedValue(name="tocsin:zone", value=code),))
            for code in self._play._struck
        )
        speakers = (NamedValue(name="tocsin:channels", value="speaker"),)
        alert = replace(alert, infos=(replace(alert.infos[0], area=areas, parameter=speakers),))
        headers = {"Content-Type": "application/cap+xml"}
        accepted = await self._ask("POST", "/alerts", data=cap.encode_xml(alert), headers=headers)
        return str(accepted["alert_id"])

    async def _until_over(self, alert: str) -> None:
        while True:
            over = (await self._ask("GET", f"/alerts/{alert}"))["report"]["complete"]
            if over and (await self._ask("GET", "/modes"))["settings"]:  # the mode follows its alert a moment later
                return
            await asyncio.sleep(_TICK_S)

    async def _calm(self) -> None:
        body = {"zones": self._play._struck, "mode": "peacetime", "reason": "demo: the rain is over"}
        await self._ask("POST", "/modes", json=body)

    async def _proofs(self, board: DayBoard) -> dict[str, Any]:
        """The report, once every speaker has summed up, or when it has had its time."""
        try:
            async with asyncio.timeout(_PROOF_S):
                while True:
                    report: dict[str, Any] = await self._ask("GET", "/plays")
                    board.report = report
                    (one,) = report["occurrences"]
                    if one["owed"] == 0:
                        return report
                    await asyncio.sleep(1)
        except TimeoutError:
            return report

    def _judged(self, report: Mapping[str, Any], alert: str) -> dict[str, Any]:
        """What the speakers' own log says: who was left alone, and where the others went on."""
        play, tune = self._play, self._hash["music"]
        (one,) = report["occurrences"]
        untouched = [e for e in play._outside if [s.why for s in play._ears.of(e, tune)] == ["complete"]]
        resumed = []
        for endpoint in play._inside:
            parts = play._ears.of(endpoint, tune)
            if [s.why for s in parts] == ["interrupted", "complete"]:
                cut, rest = parts
                if abs(rest.position_ms - cut.played_ms) <= 1:
                    resumed.append(endpoint)
        return {
            "alert_id": alert,
            "targets": one["targets"],
            "proven": one["proven"],
            "outside": len(play._outside),
            "untouched": len(untouched),
            "inside": len(play._inside),
            "resumed_at_position": len(resumed),
        }

    async def _watch(self, board: DayBoard) -> None:
        while True:
            self._play._ears.hear()
            board.sounding = (
                self._play._ears.sounding(self._play._inside, self._names),
                self._play._ears.sounding(self._play._outside, self._names),
            )
            board.modes = (await self._ask("GET", "/modes"))["speakers"]
            if self._play.picture is None and board.modes["emergency"] and board.sounding[0][""]:
                self._play.picture = paper_of(board)
            await asyncio.sleep(_TICK_S)

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        async with self._session.request(method, f"/api/v1{path}", **more) as answer:
            if answer.status >= 400:
                raise StageFailed(f"{method} {path}: {await answer.text()}")
            return await answer.json()


def all_well(result: Mapping[str, Any]) -> bool:
    """Everybody proved the day, nobody outside noticed, everybody inside went on where it was cut."""
    return bool(
        result["proven"] == result["targets"] == result["inside"] + result["outside"]
        and result["untouched"] == result["outside"]
        and result["resumed_at_position"] == result["inside"]
    )


def _outcome(result: Mapping[str, Any]) -> Sentence:
    """What the speakers' own logs say, in a sentence."""
    return _(
        "Of {inside} speakers in the emergency {resumed} went on where the music had been cut off; "
        "{untouched} of {outside} others never noticed it.",
        inside=result["inside"],
        resumed=result["resumed_at_position"],
        untouched=result["untouched"],
        outside=result["outside"],
    )


async def _until(instant: datetime) -> None:
    await asyncio.sleep(max(0.0, (instant - SystemClock().now()).total_seconds()))
