"""The demo's picture of an alert on its way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.bar import Bar
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from broadcast_core.i18n import _

_RUNGS: Final = ("sent", "received", "started", "finished")
_NAMES: Final = {
    "channel": _("channel"),
    "targets": _("targets"),
    "sent": _("sent"),
    "received": _("received"),
    "started": _("started"),
    "finished": _("finished"),
    "failed": _("failed"),
    "first": _("first"),
    "last": _("last"),
    "speaker": _("speakers"),
    "horn": _("horns"),
    "sms": _("phones"),
}
_WIDTH: Final = 5


class DemoBoard:
    """A row for each channel: how many have proven each rung, and when the first and the last one had it."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._channels: Mapping[str, Any] = {}

    def update(self, report: Mapping[str, Any]) -> None:
        self._channels = report["revisions"][0]["channels"]

    def __rich__(self) -> RenderableType:
        table = Table(box=None, padding=(0, 1, 0, 0))
        for name in ("channel", "targets", *_RUNGS, "failed", "first", "last"):
            table.add_column(
                self._name(name), justify="left" if name in {"channel", *_RUNGS} else "right", no_wrap=True
            )
        for channel, count in self._channels.items():
            seconds = count["seconds"].get("received", {})
            failed = count["states"]["failed"] + count["states"]["expired"]
            table.add_row(
                self._name(channel),
                str(count["targets"]),
                *(self._rung(count, rung) for rung in _RUNGS),
                Text(str(failed), style="red" if failed else "dim"),
                _seconds(seconds.get("first")),
                _seconds(seconds.get("last")),
            )
        return table

    def _rung(self, count: Mapping[str, Any], rung: str) -> RenderableType:
        if rung not in count["rungs"]:
            return Text("–", style="dim")
        reached, targets = count["rungs"][rung], max(1, count["targets"])
        cell = Table.grid(padding=(0, 1, 0, 0))
        colour = "green" if reached == targets else "yellow"
        cell.add_row(Text(f"{reached:>4}", no_wrap=True), Bar(targets, 0, reached, width=_WIDTH, color=colour))
        return cell

    def _name(self, word: str) -> str:
        return _NAMES[word].say(self._language)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}s"
