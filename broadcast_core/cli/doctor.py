"""`tocsin doctor`: what would hinder an alert, before there is one."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import typer
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from broadcast_core.cli.client import JsonOption, print_json
from broadcast_core.cli.exits import FAILED
from broadcast_core.cli.logging import log_to_stderr
from broadcast_core.cli.settings import ConfigOption, load, open_all_descriptors
from broadcast_core.clock import SystemClock
from broadcast_core.config import Settings
from broadcast_core.doctor import Check, Finding, Grade, examine
from broadcast_core.i18n import _, terminal_language

_MARKS: Final = {
    Grade.OK: ("✓", "green"),
    Grade.WARN: ("!", "yellow"),
    Grade.FAIL: ("✗", "bold red"),
    Grade.SKIPPED: ("–", "dim"),
}
_MOST_DETAILS: Final = 8  # on the screen; --json has all

Found = list[tuple[Check, Finding]]


def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Look at everything an alert will need; exit code 1 if something is wrong. Nothing is sent, nothing sounds."""
    settings = load(config)
    log_to_stderr("error")
    open_all_descriptors()
    found = asyncio.run(_look(settings))
    failed = any(finding.grade is Grade.FAIL for _check, finding in found)
    language = terminal_language()
    if as_json:
        print_json({"ok": not failed, "findings": [_plain(check, finding, language) for check, finding in found]})
    else:
        Console().print(_table(found, language), markup=False)
    raise typer.Exit(FAILED if failed else 0)


async def _look(settings: Settings) -> Found:
    console, language = Console(stderr=True), terminal_language()
    found: Found = []
    with console.status(_("Looking …").say(language)) as status:
        async for check, finding in examine(settings, SystemClock()):
            found.append((check, finding))
            status.update(check.title.say(language))
    return found


def _plain(check: Check, finding: Finding, language: str) -> dict[str, Any]:
    return {
        "check": check.name,
        "grade": finding.grade.value,
        "says": finding.says.say(language),
        "advice": None if finding.advice is None else finding.advice.say(language),
        "details": [detail.say(language) for detail in finding.details],
    }


def _table(found: Found, language: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check, finding in found:
        mark, style = _MARKS[finding.grade]
        table.add_row(Text(mark, style=style), check.title.say(language), _cell(finding, language))
    return table


def _cell(finding: Finding, language: str) -> Group:
    dim = "dim" if finding.grade is Grade.SKIPPED else ""
    lines: list[Text | Padding] = [Text(finding.says.say(language), style=dim)]
    shown = finding.details[:_MOST_DETAILS]
    lines += [Padding(Text(detail.say(language)), (0, 0, 0, 2)) for detail in shown]
    if hidden := len(finding.details) - len(shown):
        lines.append(Padding(Text(_("and {count} more", count=hidden).say(language)), (0, 0, 0, 2)))
    if finding.advice is not None:
        lines.append(Text(f"→ {finding.advice.say(language)}", style="cyan"))
    return Group(*lines)
