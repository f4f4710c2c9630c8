"""Until the speakers have proven a switch of mode: how many, and who is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live as LiveDisplay
from rich.table import Table
from rich.text import Text

from broadcast_core.cli.client import say_error
from broadcast_core.cli.examples import MOST, Rows
from broadcast_core.cli.follow import Picture, following
from broadcast_core.cli.where import Where
from broadcast_core.i18n import Sentence, _, terminal_language
from broadcast_core.naming import REASONS, STATES

_WIDTH: Final = 40

Json = Mapping[str, Any]


def stay(at: Where, messages: Sequence[str], within: timedelta, *, drawn: bool) -> dict[str, Any]:
    """Follow these messages until every speaker has answered or the time is over; what has been proven by then."""
    board = _Board(terminal_language(), messages)
    try:
        asyncio.run(_follow(at, board, within, drawn=drawn))
    except KeyboardInterrupt:
        say_error(_("Nobody watches any more; the switch goes on. `tocsin mode show` tells where it stands."))
        raise
    return board.proof()


async def _follow(at: Where, board: _Board, within: timedelta, *, drawn: bool) -> None:
    console = Console(stderr=True, quiet=not drawn)
    with LiveDisplay(board, console=console, refresh_per_second=4), suppress(TimeoutError):
        async with asyncio.timeout(within.total_seconds()):
            # After the last one proved it nobody waits; who is away would hold this for ten minutes.
            for message in board.messages:
                async with following(at, message) as pictures:
                    async for picture in pictures:
                        board.update(message, picture)
                        if board.done(message):
                            break
    if not console.is_terminal:
        console.print()  # the display leaves its last line open there


class _Board:
    """How the switch stands, over all its messages."""

    def __init__(self, language: str, messages: Sequence[str]) -> None:
        self.messages = messages
        self._language = language
        self._pictures: dict[str, Picture] = {}

    def update(self, message: str, picture: Picture) -> None:
        self._pictures[message] = picture

    def done(self, message: str) -> bool:
        newest = _newest(self._pictures[message])
        return newest is not None and bool(newest["rungs"]["finished"] == newest["targets"])

    def proof(self) -> dict[str, Any]:
        """Counts, as `--json` prints them."""
        counts = [count for picture in self._pictures.values() if (count := _newest(picture)) is not None]
        return {
            "speakers": sum(count["targets"] for count in counts),
            "proven": sum(_proven(count) for count in counts),
            "simulated": sum(count["simulated"] for count in counts),
            "states": {state: n for state in STATES if (n := sum(count["states"][state] for count in counts))},
            "seconds": max((_last(count) for count in counts), default=None),
        }

    def __rich__(self) -> RenderableType:
        proof = self.proof()
        targets, proven = proof["speakers"], proof["proven"]
        whole = bool(targets) and proven == targets
        grid = Table.grid(padding=(0, 1, 0, 0))
        counted = _("proven by {proven} of {targets}", proven=proven, targets=targets).say(self._language)
        colour = "green" if whole else "yellow"
        grid.add_row(
            Bar(max(1, targets), 0, proven, width=_WIDTH, color=colour), Text(counted, style=f"bold {colour}")
        )
        return Group(
            grid, *(Text(sentence.say(self._language), style=style) for sentence, style in self._below(proof))
        )

    def _below(self, proof: Json) -> list[tuple[Sentence, str]]:
        lines: list[tuple[Sentence, str]] = []
        missing = {s: n for s, n in proof["states"].items() if s != "finished"}
        for state, count in missing.items():
            lines.append((_("{count} {state}", count=count, state=STATES[state]), "yellow"))
        for picture in self._pictures.values():
            lines += [(line, "red") for line in _failures(picture.rows)]
        if missing:
            lines.append((_("Who is not there learns its mode when it is back, before it plays anything."), "dim"))
        if proof["simulated"]:
            lines.append((_simulated(proof["simulated"], proof["speakers"]), "magenta"))
        if proof["seconds"] is not None and not missing:
            lines.append((_("The last one after {seconds} s.", seconds=f"{proof['seconds']:.2f}"), "green"))
        return lines


def _simulated(count: int, targets: int) -> Sentence:
    if count == targets:
        return _("All {targets} targets are simulated: this is no proof.", targets=targets)
    return _("{count} of {targets} targets are simulated and count as no proof.", count=count, targets=targets)


def _newest(picture: Picture) -> Json | None:
    revisions = picture.report["revisions"]
    if not revisions:
        return None
    total: Json = revisions[0]["total"] | {"channels": revisions[0]["channels"]}
    return total


def _proven(count: Json) -> int:
    return int(count["rungs"]["finished"])


def _last(count: Json) -> float:
    """When the last one proved it, in seconds from the switch."""
    return max((c["seconds"].get("finished", {}).get("last") or 0.0 for c in count["channels"].values()), default=0.0)


def _failures(rows: Rows) -> list[Sentence]:
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        by_reason.setdefault(row["reason"] or "", []).append(row["endpoint_id"])
    return [
        _("{name}: {why}", name=REASONS.get(reason, STATES["failed"]),
          why=", ".join(ids[:MOST]) + (" …" if len(ids) > MOST else ""))
        for reason, ids in by_reason.items()
    ]  # fmt: skip
