"""`tocsin alert`: send, list, show, watch, stop, report."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.live import Live as LiveDisplay
from rich.table import Table

from broadcast_core import cap
from broadcast_core.cli.client import BAD_INPUT, FAILED, OK, Api, JsonOption, print_json, run, say_error
from broadcast_core.cli.demo.board import DemoBoard
from broadcast_core.clock import SystemClock
from broadcast_core.i18n import _, terminal_language
from broadcast_core.model import (
    Alert,
    Category,
    Certainty,
    Info,
    MsgType,
    NamedValue,
    Scope,
    Severity,
    Status,
    Urgency,
)

app = typer.Typer(help="Alerts: send, list, show, watch, stop, report.", no_args_is_help=True)

_POLL_S: Final = 0.5
_AreaOption = Annotated[
    list[str] | None,
    typer.Option("--area", help="zone:CODE, polygon:…, circle:…, endpoint:ID, exclude:…, or district."),
]


@app.command()
def send(
    file: Annotated[str | None, typer.Argument(help="A CAP file, XML or JSON; - for standard input.")] = None,
    area: _AreaOption = None,
    event: Annotated[str | None, typer.Option(help="Without a file: what happens.")] = None,
    headline: Annotated[str | None, typer.Option(help="Without a file: the headline.")] = None,
    instruction: Annotated[str | None, typer.Option(help="Without a file: what to do.")] = None,
    severity: Annotated[Severity, typer.Option(help="Without a file.")] = Severity.SEVERE,
    language: Annotated[str, typer.Option(help="Without a file: of headline and instruction.")] = "zh-CN",
    minutes: Annotated[int, typer.Option(min=1, help="Without a file: how long it is valid.")] = 60,
    channel: Annotated[list[str] | None, typer.Option(help="Without a file: speaker, sms, horn.")] = None,
    pattern: Annotated[str | None, typer.Option(help="Without a file: the horns' siren pattern.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key again is the same alert.")] = None,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Stay until it is over.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Send a CAP file, or an alert made from options; --area re-aims it at this district."""
    body = (
        _made(event, headline, instruction, severity, language, minutes, channel, pattern) if file is None else None
    )
    body = _read(file) if body is None else body
    kind = "application/json" if body.lstrip().startswith(b"{") else "application/cap+xml"
    headers = {"Content-Type": kind} | ({"Idempotency-Key": idempotency_key} if idempotency_key else {})

    async def act(api: Api) -> dict[str, Any]:
        parameters = [("area", one) for one in area or ()]
        answer = await api.read("POST", "/alerts", params=parameters, data=body, headers=headers)
        return dict(_json(answer))

    accepted = run(act)
    if not as_json:
        typer.echo(_("Alert {alert} is accepted.", alert=accepted["alert_id"]).say(terminal_language()))
    if watch and accepted["targets"]:
        _watch(accepted["alert_id"], as_json=as_json)
    elif as_json:
        print_json(accepted)


@app.command("list")
def list_alerts(as_json: JsonOption = False) -> None:
    """The newest alerts."""
    answer = run(lambda api: api.get("/alerts"))
    if as_json:
        print_json(answer)
        return
    table = Table("ID", "#", "", "", "", box=None)
    for alert in answer["items"]:
        states = ", ".join(f"{name} {count}" for name, count in alert["states"].items() if count)
        table.add_row(alert["alert_id"], str(alert["revision"]), alert["accepted_at"], alert["headline"], states)
    Console().print(table)


@app.command()
def show(
    alert_id: str,
    xml: Annotated[bool, typer.Option("--xml", help="The newest revision as CAP XML.")] = False,
    as_json: JsonOption = False,
) -> None:
    """One alert: where everything stands."""
    if xml:
        sys.stdout.buffer.write(run(lambda api: api.read("GET", f"/alerts/{alert_id}/cap")))
        return
    report = run(lambda api: api.get(f"/alerts/{alert_id}"))
    if as_json:
        print_json(report)
    else:
        _draw(run(lambda api: api.get(f"/alerts/{alert_id}/report.json")))


@app.command()
def watch(alert_id: str, as_json: JsonOption = False) -> None:
    """Watch an alert until every delivery has ended. Exit code 1 if one has not finished."""
    _watch(alert_id, as_json=as_json)


@app.command()
def stop(
    alert_id: str,
    reason: Annotated[str, typer.Option(help="Goes into the audit.")] = "",
    as_json: JsonOption = False,
) -> None:
    """End an alert everywhere, now."""
    body = msgspec.json.encode({"reason": reason})
    headers = {"Content-Type": "application/json"}
    answer = _json(run(lambda api: api.read("POST", f"/alerts/{alert_id}/stop", data=body, headers=headers)))
    if as_json:
        print_json(answer)
        return
    told = ", ".join(f"{channel} {count}" for channel, count in answer["endpoints"].items()) or "0"
    typer.echo(_("Stopped; told: {told}. `tocsin alert show {alert}` tells who has proven to be silent.",
                 told=told, alert=alert_id).say(terminal_language()))  # fmt: skip


@app.command()
def report(
    alert_id: str,
    csv: Annotated[Path | None, typer.Option(help="Write each delivery's evidence to this CSV file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The evidence of an alert."""
    if csv is not None:
        csv.write_bytes(run(lambda api: api.read("GET", f"/alerts/{alert_id}/report.csv")))
        return
    whole = run(lambda api: api.get(f"/alerts/{alert_id}/report.json"))
    if as_json:
        print_json(whole)
    else:
        _draw(whole)


def _watch(alert_id: str, *, as_json: bool) -> None:
    board, console = DemoBoard(terminal_language()), Console(stderr=True)

    async def act(api: Api) -> dict[str, Any]:
        with LiveDisplay(board, console=console, refresh_per_second=4):
            while True:
                found: dict[str, Any] = await api.get(f"/alerts/{alert_id}/report.json")
                board.update(found)
                if found["complete"]:
                    return found
                await asyncio.sleep(_POLL_S)

    found = run(act)
    if as_json:
        print_json(found)
    total = found["revisions"][0]["total"]
    raise typer.Exit(OK if total["rungs"]["finished"] == total["targets"] else FAILED)


def _draw(whole: dict[str, Any]) -> None:
    board, console = DemoBoard(terminal_language()), Console()
    board.update(whole)
    newest = whole["revisions"][0]
    console.print(f"{whole['alert_id']}  {newest['headline']}", highlight=False)
    console.print(board)
    for note in newest["notes"]:
        console.print(note, style="yellow")


def _json(body: bytes) -> Any:
    return msgspec.json.decode(body)


def _read(file: str | None) -> bytes:
    if file is None:
        say_error(_("Name a CAP file, or say --event and --headline.").say(terminal_language()))
        raise typer.Exit(BAD_INPUT)
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        say_error(f"{file}: {error.strerror}")
        raise typer.Exit(BAD_INPUT) from error


def _made(
    event: str | None,
    headline: str | None,
    instruction: str | None,
    severity: Severity,
    language: str,
    minutes: int,
    channel: list[str] | None,
    pattern: str | None,
) -> bytes | None:
    """CAP from options; None if they do not make an alert."""
    if event is None or headline is None:
        return None
    now = SystemClock().now().replace(microsecond=0)
    wishes = {"tocsin:channels": ",".join(channel or ()), "tocsin:horn-pattern": pattern or ""}
    info = Info(
        language=language,
        category=(Category.SAFETY,),
        event=event,
        urgency=Urgency.IMMEDIATE,
        severity=severity,
        certainty=Certainty.OBSERVED,
        expires=now + timedelta(minutes=minutes),
        headline=headline,
        instruction=instruction,
        parameter=tuple(NamedValue(name=name, value=value) for name, value in wishes.items() if value),
    )
    alert = Alert(
        identifier=f"cli-{now:%Y%m%d%H%M%S}",
        sender="tocsin-cli@localhost.invalid",
        sent=now,
        status=Status.ACTUAL,
        msg_type=MsgType.ALERT,
        scope=Scope.PUBLIC,
        infos=(info,),
    )
    return cap.encode_xml(alert)
