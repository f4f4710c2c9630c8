"""`tocsin mode show`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from broadcast_core.cli.client import JsonOption, core, print_json, say
from broadcast_core.i18n import Sentence, _, terminal_language
from broadcast_core.naming import MODES

_COLOURS = {"peacetime": "green", "emergency": "bold white on red"}


def show(as_json: JsonOption = False) -> None:
    """Peacetime or emergency: how many speakers are in which, and who set what for which zones."""
    with core() as api:
        answer = api.get("/modes")
        names = {} if as_json else names_of(api.get("/registry/zones"))
    if as_json:
        print_json(answer)
        return
    language, console = terminal_language(), Console()
    for mode in ("emergency", "peacetime"):
        line = Text(f" {MODES[mode].say(language)} ", style=_COLOURS[mode] if answer["speakers"][mode] else "dim")
        line.append(" " + _("{count} speakers", count=answer["speakers"][mode]).say(language), style="default")
        console.print(line)
    if not answer["settings"]:
        say(_("No zone has a mode of its own."))
        return
    console.print(_table(answer["settings"], names, language), highlight=False, markup=False)
    for setting in answer["settings"]:
        if setting["overdue"]:
            console.print(_overdue(setting).say(language), style="bold yellow", highlight=False, markup=False)


def names_of(zones: Mapping[str, Any]) -> Mapping[str, str]:
    """The zones' names in the terminal's language, by code."""
    which = "name_zh" if terminal_language() == "zh" else "name_en"
    return {zone["code"]: zone[which] for zone in zones["items"]}


def _table(settings: list[Mapping[str, Any]], names: Mapping[str, str], language: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))
    for head in (_("zone"), _("mode"), _("speakers")):
        table.add_column(head.say(language), no_wrap=True, justify="right" if head.msgid == "speakers" else "left")
    for head in (_("since"), _("by"), _("why")):
        table.add_column(head.say(language), overflow="fold")
    for setting in settings:
        since = f"{datetime.fromisoformat(setting['set_at']).astimezone():%m-%d %H:%M}"
        mode = Text(MODES[setting["mode"]].say(language), style="red" if setting["mode"] == "emergency" else "green")
        why = setting["reason"]
        if why == f"alert {setting['cause']}":  # the alert switched it by itself
            why = _("alert {alert}", alert=setting["cause"]).say(language)
        elif setting["cause"]:
            why = _("{why} (alert {alert})", why=why, alert=setting["cause"]).say(language)
        zone = f"{setting['zone']}\n{names.get(setting['zone'], '')}".rstrip()
        table.add_row(zone, mode, str(setting["speakers"]), since, setting["actor"], why)
    return table


def _overdue(setting: Mapping[str, Any]) -> Sentence:
    return _(
        "{zone}: is it still an emergency? It was to be looked at by {time}. `tocsin mode clear {zone}` ends it.",
        zone=setting["zone"],
        time=f"{datetime.fromisoformat(setting['remind_at']).astimezone():%m-%d %H:%M}",
    )
