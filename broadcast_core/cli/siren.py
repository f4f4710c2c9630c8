"""`tocsin siren act` and `tocsin siren calendar`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from broadcast_core.cli.client import Api, JsonOption, core, json_of, print_json, say
from broadcast_core.i18n import Sentence, _, terminal_language

_STOP_S: Final = 20.0

STATES: Final[Mapping[str, Sentence]] = {
    "proposed": _("waits for confirmation"),
    "confirmed": _("confirmed"),
    "withdrawn": _("withdrawn"),
    "lapsed": _("nobody confirmed it"),
    "over": _("over"),
}
OUTCOMES: Final[Mapping[str, Sentence]] = {
    "sending": _("not known whether it went out"),
    "sent": _("sounded"),
    "refused": _("refused"),
    "missed": _("missed"),
}

_Template = Annotated[str, typer.Option("--template", help=_("Which act.").msgid, show_default=False)]
_Area = Annotated[
    list[str],
    typer.Option("--area", metavar="AREA", help=_("zone:CODE, endpoint:ID or district.").msgid, show_default=False),
]
_Day = Annotated[str, typer.Argument(metavar="TEMPLATE:DATE", help=_("As `calendar show` names it.").msgid)]


def show(as_json: JsonOption = False) -> None:
    """The act that is running, or the last one."""
    with core() as api:
        found = api.get("/sirens/act")
    if as_json:
        print_json(found)
    elif found["act"] is None:
        say(_("No siren act has been led. There are: {known}.", known=", ".join(found["templates"])))
    else:
        _tell_act(found["act"])


def start(template: _Template, area: _Area, as_json: JsonOption = False) -> None:
    """Begin an act with its first signal. It is sounded for real."""
    _act("/sirens/act", {"template": template, "area": area}, as_json=as_json)


def following(as_json: JsonOption = False) -> None:
    """End the signal that sounds, and sound the next."""
    _act("/sirens/act/next", {}, as_json=as_json)


def stop(as_json: JsonOption = False) -> None:
    """Silence the act, now; nothing more comes of it."""
    _act("/sirens/act/stop", {}, as_json=as_json)


def calendar(as_json: JsonOption = False) -> None:
    """The siren days that are proposed, confirmed or over."""
    with core() as api:
        found = api.get("/sirens/calendar")
    if as_json:
        print_json(found)
        return
    if not found["items"]:
        say(_("No siren day lies ahead."))
    for day in found["items"]:
        _tell_day(day)


def confirm(day: _Day, as_json: JsonOption = False) -> None:
    """Let a proposed day sound. Who confirmed is recorded."""
    _day(day, "confirm", as_json=as_json)


def withdraw(day: _Day, as_json: JsonOption = False) -> None:
    """Take a day back, and silence what of it sounds."""
    _day(day, "withdraw", as_json=as_json)


def _act(path: str, body: Mapping[str, Any], *, as_json: bool) -> None:
    with core() as api:
        answer = _post(api, path, body)
    if as_json:
        print_json(answer)
    else:
        _tell_act(answer)


def _day(day: str, act: str, *, as_json: bool) -> None:
    template, _colon, when = day.rpartition(":")
    with core(unknown=_("There is no siren day {day}; `tocsin siren calendar show` names them.", day=day)) as api:
        answer = _post(api, f"/sirens/calendar/{template}/{when}/{act}", {})
    if as_json:
        print_json(answer)
    else:
        _tell_day(answer)


def _post(api: Api, path: str, body: Mapping[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    return json_of(api.read("POST", path, data=json.dumps(body).encode(), headers=headers, timeout=_STOP_S))


def _tell_act(act: Mapping[str, Any]) -> None:
    language = terminal_language()
    name = act["name_zh"] if language == "zh" else act["name_en"]
    where = ", ".join(act["area"])
    if act["running"]:
        say(_("{act} ({id}) is running in: {where}.", act=name, id=act["id"], where=where))
    elif act["ended_at"] is not None:
        say(_("{act} ({id}) was stopped by {by}.", act=name, id=act["id"], by=act["ended_by"]))
    else:
        say(_("{act} ({id}) is over.", act=name, id=act["id"]))
    Console().print(_signals(act), highlight=False, markup=False)


def _tell_day(day: Mapping[str, Any]) -> None:
    language = terminal_language()
    name = day["name_zh"] if language == "zh" else day["name_en"]
    state = STATES[day["state"]].say(language)
    by = ", ".join(c["actor"] for c in day["confirmed"]) or "-"
    say(
        _("{template}:{date} {name} in {where}: {state}. Confirmed by: {by}.", template=day["template"],
          date=day["date"], name=name, where=", ".join(day["area"]), state=state, by=by)
    )  # fmt: skip
    Console().print(_signals(day), highlight=False, markup=False)


def _signals(told: Mapping[str, Any]) -> Table:
    language = terminal_language()
    heads = (_("signal"), _("planned"), _("sent"), _("state"), _("alert"))
    table = Table(*(head.say(language) for head in heads), box=None)
    for signal in told["signals"]:
        table.add_row(
            signal["headline_zh"] if language == "zh" else signal["headline_en"],
            _local(signal["planned"]),
            _local(signal["sent"]),
            _state(signal).say(language),
            signal["alert_id"] or "",
        )
    return table


def _local(instant: str | None) -> str:
    """An instant as this terminal's clock shows it."""
    return "" if instant is None else f"{datetime.fromisoformat(instant).astimezone():%Y-%m-%d %H:%M:%S}"


def _state(signal: Mapping[str, Any]) -> Sentence:
    if signal["outcome"] is None:
        return _("still to come")
    if signal["stopped"]:
        return _("stopped")
    if signal["sounds_until"] is not None:
        return _("sounds until {time}", time=_local(signal["sounds_until"])[11:])
    return OUTCOMES[signal["outcome"]]
