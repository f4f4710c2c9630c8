"""`tocsin kindness`: show, set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from broadcast_core.cli.client import JsonOption, bad_input, core, print_json, say
from broadcast_core.cli.duration import option, spoken
from broadcast_core.cli.schedule.edit import tell_warnings
from broadcast_core.i18n import Sentence, _, terminal_language

_SPAN: Final = r"([0-9]{1,2}:[0-9]{2})-([0-9]{1,2}:[0-9]{2})"
_QUIET: Final = re.compile(rf"{_SPAN}(?::(work|rest))?")
_CEILING: Final = re.compile(rf"{_SPAN}=(100|[0-9]{{1,2}})(?::(work|rest))?")
_DAYS: Final = {"work": _("working days"), "rest": _("days of rest")}


def show(
    zone: Annotated[
        str | None,
        typer.Argument(
            metavar="ZONE",
            help=_("What holds in it; without it the default and whoever differs.").msgid,
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Quiet hours, volume ceilings, the no-repeat window and the nuisance budget."""
    unknown = _("There is no zone {code}; `tocsin registry show` lists the zones.", code=zone)
    with core(unknown=unknown if zone is not None else None) as api:
        answer = api.get("/kindness", {} if zone is None else {"zone": zone})
    if as_json:
        print_json(answer)
        return
    console = Console()
    if zone is None:
        set_here = set(answer["default_sets"] or ())
        _draw(console, _("The district's default").say(terminal_language()), answer["default"],
              {name for name in set_here if answer["default_sets"][name] is not None})  # fmt: skip
    for found in answer["zones"]:
        own = {name for name, value in (found["sets"] or {}).items() if value is not None}
        _draw(console, found["zone"], found["holds"], own)


def set_kindness(
    zone: Annotated[
        str | None, typer.Argument(metavar="ZONE", help=_("Or --default.").msgid, show_default=False)
    ] = None,
    default: Annotated[bool, typer.Option("--default", help=_("The whole district's default.").msgid)] = False,
    quiet: Annotated[
        list[str] | None,
        typer.Option(metavar="21:00-07:00[:work|:rest]", help=_("Quiet hours; may be repeated.").msgid),
    ] = None,
    no_quiet: Annotated[bool, typer.Option("--no-quiet", help=_("No quiet hours at all.").msgid)] = False,
    ceiling: Annotated[
        list[str] | None,
        typer.Option(metavar="12:00-14:30=60[:work|:rest]", help=_("No louder than that; may be repeated.").msgid),
    ] = None,
    no_ceiling: Annotated[bool, typer.Option("--no-ceiling", help=_("No ceiling at all.").msgid)] = False,
    no_repeat: Annotated[
        timedelta | None,
        typer.Option(
            parser=option, metavar="30m", help=_("An item sounds once in so long.").msgid, show_default=False
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(min=0, help=_("Minutes at full volume, a day and community.").msgid, show_default=False),
    ] = None,
    inherit: Annotated[
        bool, typer.Option("--inherit", help=_("Set nothing any more: as the zone above it.").msgid)
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Change what a zone sets; what is not said stays as it is. Needs the scope admin."""
    if default == (zone is not None):
        bad_input(_("Name one zone, or --default."))
    said = _said(quiet, no_quiet, ceiling, no_ceiling, no_repeat, budget)
    if inherit == bool(said):
        bad_input(_("Say what is to change, or --inherit."))
    path = "/kindness" if zone is None else f"/kindness/{zone}"
    with core() as api:
        if inherit:
            answer = api.send("DELETE", path)
        else:
            known = api.get("/kindness", {} if zone is None else {"zone": zone})
            before = known["default_sets"] if zone is None else known["zones"][0]["sets"]
            answer = api.send("PUT", path, {**(before or {}), **said})
    if as_json:
        print_json(answer)
        return
    say(_("Saved: it holds at once, also for what is already on the speakers."))
    tell_warnings(answer["warnings"])


def _said(
    quiet: list[str] | None,
    no_quiet: bool,
    ceiling: list[str] | None,
    no_ceiling: bool,
    no_repeat: timedelta | None,
    budget: float | None,
) -> dict[str, Any]:
    if (quiet and no_quiet) or (ceiling and no_ceiling):
        bad_input(_("Either some, or none at all."), "--no-quiet" if quiet and no_quiet else "--no-ceiling")
    said: dict[str, Any] = {}
    if quiet or no_quiet:
        said["quiet"] = [_quiet(text) for text in quiet or ()]
    if ceiling or no_ceiling:
        said["ceilings"] = [_ceiling(text) for text in ceiling or ()]
    if no_repeat is not None:
        said["no_repeat_s"] = no_repeat.total_seconds()
    if budget is not None:
        said["budget"] = budget
    return said


def _quiet(text: str) -> dict[str, Any]:
    found = _QUIET.fullmatch(text)
    if found is None:
        bad_input(_("{value} is not like 21:00-07:00 or 21:00-07:00:rest.", value=text), "--quiet")
    return {"start": found[1].zfill(5), "end": found[2].zfill(5), "on": found[3]}


def _ceiling(text: str) -> dict[str, Any]:
    found = _CEILING.fullmatch(text)
    if found is None:
        bad_input(_("{value} is not like 12:00-14:30=60 or 12:00-14:30=60:rest.", value=text), "--ceiling")
    return {"start": found[1].zfill(5), "end": found[2].zfill(5), "volume": int(found[3]), "on": found[4]}


def _draw(console: Console, title: str, rules: Mapping[str, Any], own: set[str]) -> None:
    """The rules; those that are set here are bright, those that come from above are dim."""
    language = terminal_language()
    console.print(title, style="bold", highlight=False, markup=False)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_column(style="dim")
    none = _("none").say(language)
    rows: tuple[tuple[str, Sentence, str], ...] = (
        ("quiet", _("quiet hours"), ", ".join(_window(q, language) for q in rules["quiet"]) or none),
        ("ceilings", _("ceilings"),
         ", ".join(f"{_window(c, language)}: {c['volume']} %" for c in rules["ceilings"]) or none),
        ("no_repeat_s", _("no repeat within"), spoken(rules["no_repeat_s"])),
        ("budget", _("budget a day"),
         _("{minutes} min at full volume", minutes=f"{rules['budget']:g}").say(language)),
    )  # fmt: skip
    for name, head, words in rows:
        grid.add_row(f"  {head.say(language)}", Text(words), _("set here").say(language) if name in own else "")
    console.print(grid, highlight=False, markup=False)


def _window(window: Mapping[str, Any], language: str) -> str:
    span = f"{window['start'].removesuffix(':00')}–{window['end'].removesuffix(':00')}"
    return span if window["on"] is None else f"{span} ({_DAYS[window['on']].say(language)})"
