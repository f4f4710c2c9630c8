"""`tocsin schedule add` and `remove`."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from broadcast_core.cli.client import Api, JsonOption, bad_input, core, print_json, read_file, say, say_error
from broadcast_core.cli.duration import option
from broadcast_core.cli.schedule import recurrence
from broadcast_core.i18n import _

Record = dict[str, Any]

_CRON: Final = "cron"
_TIME: Final = re.compile(r"([01]?[0-9]|2[0-3])[:：]?([0-5][0-9](?::[0-5][0-9])?)")
_BESIDE_A_FILE: Final = {"file", "replace", "as_json"}
_Local = Annotated[str | None, typer.Option(metavar="07:30", help=_("Local time of day.").msgid)]
_Date = "2026-10-01"
_Dates = Annotated[list[str] | None, typer.Option(metavar=_Date, help=_("May be repeated.").msgid)]


def add(
    context: typer.Context,
    slot: Annotated[
        str | None, typer.Argument(metavar="SLOT", help=_("Its identifier.").msgid, show_default=False)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help=_("Playlists and slots from JSON or TOML instead of options.").msgid, show_default=False),
    ] = None,
    name: Annotated[str | None, typer.Option(help=_("As people know it.").msgid, show_default=False)] = None,
    zones: Annotated[
        list[str] | None,
        typer.Option("--zones", metavar="CODE", help=_("Zones; with commas, or repeated.").msgid),
    ] = None,
    at: _Local = None,
    length: Annotated[
        timedelta | None,
        typer.Option("--for", parser=option, metavar="30m|1h30m", help=_("How long.").msgid, show_default=False),
    ] = None,
    every: Annotated[
        str, typer.Option(metavar="daily|work|rest|mon,thu|date:…|yearly:…|festival:…|cron:…", help=_("When.").msgid)
    ] = "daily",
    first: Annotated[str | None, typer.Option("--from", metavar=_Date, help=_("The first day.").msgid)] = None,
    last: Annotated[str | None, typer.Option("--until", metavar=_Date, help=_("The last day.").msgid)] = None,
    without: _Dates = None,
    also: _Dates = None,
    playlist: Annotated[str | None, typer.Option(help=_("What plays.").msgid, show_default=False)] = None,
    volume: Annotated[int, typer.Option(min=1, max=100, help=_("In percent.").msgid)] = 60,
    authority: Annotated[
        str | None,
        typer.Option(metavar="subdistrict|district|city", help=_("Who speaks.").msgid, show_default=False),
    ] = None,
    late: Annotated[
        Literal["join", "skip"] | None, typer.Option(help=_("What a late start does.").msgid, show_default=False)
    ] = None,
    grace: Annotated[
        timedelta | None,
        typer.Option(parser=option, metavar="1m", help=_("How late is late.").msgid, show_default=False),
    ] = None,
    fill: Annotated[
        Literal["once", "repeat"] | None,
        typer.Option(
            help=_("A playlist that is shorter plays once, if not said otherwise.").msgid, show_default=False
        ),
    ] = None,
    overrun: Annotated[
        Literal["refuse", "cut"] | None,
        typer.Option(
            help=_("A playlist that is longer is refused, if not said otherwise.").msgid, show_default=False
        ),
    ] = None,
    disabled: Annotated[bool, typer.Option("--disabled", help=_("Saved, but does not play.").msgid)] = False,
    replace: Annotated[bool, typer.Option("--replace", help=_("Change what is there already.").msgid)] = False,
    as_json: JsonOption = False,
) -> None:
    """Save slots, from options or from a file; what the schedule runs into is said."""
    if (slot is None) == (file is None):
        bad_input(_("Name a slot and say its options, or name a file."))
    if file is not None:
        if beside := _typed_beside_a_file(context):
            bad_input(
                _("A file says all of it; beside it {names} would be ignored.", names=", ".join(beside)), "--file"
            )
        playlists, slots = read_records(file)
    else:
        when = recurrence.bounded(every, first=first, last=last, without=without, also=also)
        _wanted({"--zones": zones, "--for": length, "--playlist": playlist})
        if at is None and when["rule"] != _CRON:
            bad_input(_("The slot has no start."), "--at")
        said: Record = {
            "id": slot,
            "name": name or slot,
            "zones": split(zones),
            "start": None if at is None else _time_of_day(at),
            "length_s": None if length is None else length.total_seconds(),
            "recurrence": when,
            "playlist": playlist,
            "volume": volume,
            "authority": authority,
            "late": late,
            "grace_s": None if grace is None else grace.total_seconds(),
            "fill": fill,
            "overrun": overrun,
            "enabled": False if disabled else None,
        }
        playlists, slots = [], [{key: value for key, value in said.items() if value is not None}]
    _save(playlists, slots, replace=replace, as_json=as_json)


def remove(
    slots: Annotated[list[str], typer.Argument(metavar="SLOT…", show_default=False)], as_json: JsonOption = False
) -> None:
    """Remove slots; what of them is on the speakers is taken back."""
    answers = []
    for slot in slots:
        unknown = _("There is no slot {slot}; `tocsin schedule list` shows what there is.", slot=slot)
        with core(unknown=unknown) as api:
            answers.append(api.send("DELETE", f"/schedule/slots/{slot}"))
        if not as_json:
            say(_("{slot} is removed.", slot=slot))
    if as_json:
        print_json({"removed": [answer["id"] for answer in answers]})


def read_records(file: Path) -> tuple[list[Record], list[Record]]:
    """The playlists and slots of a JSON or TOML file: ``[[playlists]]``, ``[[slots]]``, a list of slots, or one."""
    body = read_file(file)
    try:
        said: Any = tomllib.loads(body.decode()) if file.suffix.lower() == ".toml" else json.loads(body)
    except UnicodeDecodeError:
        bad_input(_("{file} cannot be read: {why}.", file=file, why=_("it is no text in UTF-8")))
    except ValueError as error:
        bad_input(_("{file} cannot be read: {why}.", file=file, why=error))
    if isinstance(said, Mapping) and not {"slots", "playlists"} & said.keys():
        said = [said]
    found = {"slots": said} if isinstance(said, list) else dict(said)
    for name, value in found.items():
        if name not in {"slots", "playlists"}:
            bad_input(_("“{field}” is not known here.", field=name), name)
        if not isinstance(value, list) or not all(isinstance(one, Mapping) and one.get("id") for one in value):
            bad_input(_("A list of records is wanted here, each with its id."), name)
    return [dict(one) for one in found.get("playlists", ())], [dict(one) for one in found.get("slots", ())]


def split(texts: Sequence[str] | None) -> list[str]:
    """Codes that were typed with commas between them, or one by one."""
    return [code.strip() for text in texts or () for code in text.split(",") if code.strip()]


def tell_warnings(warnings: Iterable[Mapping[str, Any]]) -> None:
    """Findings, for a person."""
    for finding in warnings:
        sign = "✗" if finding["refused"] else "!"
        say_error(f"{sign} {finding['detail']}\n  → {finding['field']}")


def one_identifier(text: str, field: str) -> None:
    """End the command over what cannot even stand in a path; the core judges the rest."""
    if "/" in text:
        bad_input(_("An identifier has 1 to 64 letters, digits, dots, dashes and underscores."), field)


def _time_of_day(text: str) -> str:
    """7:30 is 07:30, as people write it."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        bad_input(_("{value} is no time of day such as 07:30.", value=text), "--at")
    return f"{found[1]:0>2}:{found[2]}"


def _typed_beside_a_file(context: typer.Context) -> list[str]:
    """The options of a slot that were typed, not left at their defaults."""
    return [
        str(parameter.opts[0])
        for parameter in context.command.params
        if parameter.name not in _BESIDE_A_FILE
        and (source := context.get_parameter_source(str(parameter.name))) is not None
        and source.name == "COMMANDLINE"
    ]


def _wanted(options: Mapping[str, object]) -> None:
    for name, value in options.items():
        if not value:
            bad_input(_("The option {name} is missing.", name=name))


def _save(playlists: list[Record], slots: list[Record], *, replace: bool, as_json: bool) -> None:
    answers = []
    with core() as api:
        if not replace:
            _refuse_known(api, playlists, slots)
        for kind, records in (("playlists", playlists), ("slots", slots)):
            for record in records:
                one_identifier(str(record["id"]), f"{kind}.{record['id']}")
                # TOML knows dates and times, JSON does not.
                plain = json.loads(json.dumps(record, default=str))
                answer = api.send("PUT", f"/schedule/{kind}/{record['id']}", plain)
                answers.append({"kind": kind.removesuffix("s"), **answer})
                if not as_json:
                    say(_("{slot} is saved.", slot=record["id"]))
    if as_json:
        print_json({"saved": answers})
    else:
        # Saving one after the other says the same again and again: once is enough.
        warnings = {(w["slot"], w["problem"], w["detail"]): w for answer in answers for w in answer["warnings"]}
        tell_warnings(warnings.values())


def _refuse_known(api: Api, playlists: list[Record], slots: list[Record]) -> None:
    there = api.get("/schedule")
    for kind, records in (("playlists", playlists), ("slots", slots)):
        known = {one["id"]: one["name"] for one in there[kind]}
        for record in records:
            if record["id"] in known:
                bad_input(
                    _("{id} is there already (“{name}”); --replace changes it.",
                      id=record["id"], name=known[record["id"]]),
                    f"{kind}.{record['id']}",
                )  # fmt: skip
