"""`tocsin alert`: send, list, show, watch, stop, report."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.live import Live as LiveDisplay
from rich.table import Table

from broadcast_core.cli.client import BAD_INPUT, FAILED, OK, Api, JsonOption, print_json, run, save, say_error
from broadcast_core.cli.composing import Words, compose, duration, is_json, wishes, with_wishes
from broadcast_core.cli.demo.board import DemoBoard
from broadcast_core.clock import SystemClock
from broadcast_core.errors import AlertRejected
from broadcast_core.i18n import Sentence, _, terminal_language
from broadcast_core.model import Severity

app = typer.Typer(help="Alerts: send, list, show, watch, stop, report.", no_args_is_help=True)

_POLL_S: Final = 0.5
_CORE_AWAY_S: Final = 60.0  # a core that restarts is back within seconds
_AreaOption = Annotated[
    list[str] | None,
    typer.Option("--area", help="zone:CODE, polygon:…, circle:…, endpoint:ID, exclude:…, or district."),
]


@app.command()
def send(
    file: Annotated[str | None, typer.Argument(help="A CAP file, XML or JSON; - for standard input.")] = None,
    area: _AreaOption = None,
    channel: Annotated[list[str] | None, typer.Option(help="speaker, sms, horn; else as the file says.")] = None,
    pattern: Annotated[str | None, typer.Option(help="The horns' siren pattern.")] = None,
    volume: Annotated[int | None, typer.Option(min=1, max=100, help="Of the speakers.")] = None,
    event: Annotated[str | None, typer.Option(help="Without a file: what happens.")] = None,
    headline: Annotated[str | None, typer.Option(help="Without a file: the headline.")] = None,
    instruction: Annotated[str | None, typer.Option(help="Without a file: what to do.")] = None,
    severity: Annotated[Severity, typer.Option(help="Without a file.")] = Severity.SEVERE,
    language: Annotated[str, typer.Option(help="Without a file: of headline and instruction.")] = "zh-CN",
    lifetime: Annotated[
        timedelta, typer.Option(parser=duration, metavar="90s|10m|2h", help="Without a file: how long it is valid.")
    ] = timedelta(hours=1),
    idempotency_key: Annotated[
        str | None, typer.Option(help="With a file: the same again is the same alert.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Stay until it is over.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Send a CAP file, or an alert made from options; --area re-aims it at this district."""
    wished = wishes(channel or (), pattern, volume)
    if file is not None and event is None and headline is None:
        body = _with_wishes(_read(file), wished)
    elif file is None and event is not None and headline is not None and idempotency_key is None:
        words = Words(event=event, headline=headline, instruction=instruction, severity=severity, language=language,
                      lifetime=lifetime)  # fmt: skip
        body = compose(words, wished, SystemClock().now())
    else:
        _bad_input(_("Name a CAP file (only that can be repeated with a key), or say --event and --headline."))
    accepted = run(lambda api: _submit(api, body, area or (), idempotency_key))
    if not as_json:
        typer.echo(_("Alert {alert} is accepted.", alert=accepted["alert_id"]).say(terminal_language()))
        for note in accepted["notes"]:
            say_error(note)
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
    heads = (_("alert"), _("revision"), _("accepted"), _("headline"), _("states"))
    table = Table(*(head.say(terminal_language()) for head in heads), box=None)
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
        _draw(report["report"])


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
        save(csv, run(lambda api: api.read("GET", f"/alerts/{alert_id}/report.csv")))
        return
    whole = run(lambda api: api.get(f"/alerts/{alert_id}/report.json"))
    if as_json:
        print_json(whole)
    else:
        _draw(whole)


def _watch(alert_id: str, *, as_json: bool) -> None:
    """Look until it is over, also across a restart of the core. Ends the command."""
    board, console = DemoBoard(terminal_language()), Console(stderr=True)

    async def act(api: Api) -> dict[str, Any]:
        with LiveDisplay(board, console=console, refresh_per_second=4):
            while True:
                async with asyncio.timeout(_CORE_AWAY_S):
                    found: dict[str, Any] = (await api.get_patiently(f"/alerts/{alert_id}"))["report"]
                if found["revisions"]:
                    board.update(found)
                if found["complete"]:
                    return found
                await asyncio.sleep(_POLL_S)

    found = run(act)
    if as_json:
        print_json(found)
    newest = found["revisions"][0]["total"] if found["revisions"] else None
    finished = newest is not None and newest["rungs"]["finished"] == newest["targets"]
    raise typer.Exit(OK if finished else FAILED)


async def _submit(api: Api, body: bytes, areas: Sequence[str], key: str | None) -> dict[str, Any]:
    kind = "application/json" if is_json(body) else "application/cap+xml"
    headers = {"Content-Type": kind} | ({"Idempotency-Key": key} if key else {})
    parameters = [("area", area) for area in areas]
    return dict(_json(await api.read("POST", "/alerts", params=parameters, data=body, headers=headers)))


def _draw(whole: dict[str, Any]) -> None:
    board, console = DemoBoard(terminal_language()), Console()
    if not whole["revisions"]:  # a Cancel that came before its Alert: it is on file, and nothing ever sounded
        for filed in whole["filed"]:
            console.print(f"{whole['alert_id']}  {filed['msg_type']}: {filed['outcome']}", highlight=False)
        return
    board.update(whole)
    newest = whole["revisions"][0]
    console.print(f"{whole['alert_id']}  {newest['headline']}", highlight=False)
    console.print(board)
    for note in newest["notes"]:
        console.print(note, style="yellow")


def _json(body: bytes) -> Any:
    return msgspec.json.decode(body)


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        say_error(f"{file}: {error.strerror}")
        raise typer.Exit(BAD_INPUT) from error


def _with_wishes(body: bytes, wished: Mapping[str, str]) -> bytes:
    try:
        return with_wishes(body, wished)
    except AlertRejected as refusal:
        say_error(f"{refusal.sentence.say(terminal_language())}\n  → {refusal.field}")
        raise typer.Exit(BAD_INPUT) from refusal


def _bad_input(sentence: Sentence) -> NoReturn:
    say_error(sentence.say(terminal_language()))
    raise typer.Exit(BAD_INPUT)
