"""`tocsin alert send`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from broadcast_core.cli.client import Api, JsonOption, bad_input, core, json_of, print_json, read_file, say, say_error
from broadcast_core.cli.composing import Words, compose, is_json, wishes, with_wishes
from broadcast_core.cli.duration import option as duration_option
from broadcast_core.cli.exits import BAD_INPUT
from broadcast_core.clock import SystemClock
from broadcast_core.errors import AlertRejected
from broadcast_core.i18n import _, terminal_language
from broadcast_core.model import Severity
from broadcast_core.naming import CHANNELS


def send(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE", help=_("A CAP file, XML or JSON; - for standard input.").msgid, show_default=False
        ),
    ] = None,
    area: Annotated[
        list[str] | None,
        typer.Option(
            "--area",
            metavar="AREA",
            help=_("zone:CODE, polygon:…, circle:…, endpoint:ID, exclude:…, or district.").msgid,
        ),
    ] = None,
    channel: Annotated[
        list[str] | None, typer.Option(metavar="CHANNEL", help=_("speaker, sms, horn; else as the file says.").msgid)
    ] = None,
    pattern: Annotated[str | None, typer.Option(help=_("The horns' siren pattern.").msgid)] = None,
    volume: Annotated[int | None, typer.Option(min=1, max=100, help=_("Of the speakers.").msgid)] = None,
    event: Annotated[str | None, typer.Option(help=_("Without a file: what happens.").msgid)] = None,
    headline: Annotated[str | None, typer.Option(help=_("Without a file: the headline.").msgid)] = None,
    instruction: Annotated[str | None, typer.Option(help=_("Without a file: what to do.").msgid)] = None,
    severity: Annotated[Severity, typer.Option(help=_("Without a file.").msgid)] = Severity.SEVERE,
    language: Annotated[str, typer.Option(help=_("Without a file: of headline and instruction.").msgid)] = "zh-CN",
    lifetime: Annotated[
        timedelta,
        typer.Option(
            parser=duration_option,
            metavar="90s|10m|2h",
            help=_("Without a file: how long it is valid; one hour if not said.").msgid,
            show_default=False,
        ),
    ] = timedelta(hours=1),
    idempotency_key: Annotated[
        str | None, typer.Option(help=_("With a file: the same again is the same alert.").msgid)
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch/--no-watch", show_default=False, help=_("Stay until it is over.").msgid)
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Send a CAP file, or an alert made from options; --area re-aims it at this district."""
    wished = wishes(channel or (), pattern, volume)
    if file is not None and event is None and headline is None:
        body = _with_wishes(_read(file), wished)
    elif file is None and event is not None and headline is not None and idempotency_key is None:
        words = Words(event=event, headline=headline, instruction=instruction, severity=severity, language=language,
                      lifetime=lifetime)  # fmt: skip
        body = _composed(words, wished)
    else:
        bad_input(_("Name a CAP file (only that can be repeated with a key), or say --event and --headline."))
    with core() as api:
        accepted = _submit(api, body, area or (), idempotency_key)
    if not as_json:
        _tell(accepted)
        for note in accepted["notes"]:
            say_error(note)
    if watch and accepted["targets"]:
        from broadcast_core.cli.alert.watch import stay

        stay(accepted["alert_id"], as_json=as_json)
    elif as_json:
        print_json(accepted)


def _tell(accepted: Mapping[str, Any]) -> None:
    """What was accepted, to how many it goes, and what can be typed next."""
    language = terminal_language()
    alert_id, targets = accepted["alert_id"], accepted["targets"]
    if not targets:  # it ends alerts, or came too late to sound
        say(_("The {type} is accepted; alert {alert} is not sounded.", type=accepted["msg_type"], alert=alert_id))
        return
    told = ", ".join(f"{CHANNELS[channel].say(language)} {n}" for channel, n in sorted(targets.items()))
    say(_("Alert {alert} is accepted: {told}.", alert=alert_id, told=told))
    say(_("  → tocsin alert watch {alert}    tocsin stop {alert}", alert=alert_id))


def _composed(words: Words, wished: Mapping[str, str]) -> bytes:
    try:
        return compose(words, wished, SystemClock().now())
    except AlertRejected as refusal:
        _refused(refusal)


def _submit(api: Api, body: bytes, areas: Sequence[str], key: str | None) -> dict[str, Any]:
    kind = "application/json" if is_json(body) else "application/cap+xml"
    headers = {"Content-Type": kind} | ({"Idempotency-Key": key} if key else {})
    parameters = [("area", area) for area in areas]
    return dict(json_of(api.read("POST", "/alerts", params=parameters, data=body, headers=headers)))


def _read(file: str) -> bytes:
    return sys.stdin.buffer.read() if file == "-" else read_file(Path(file))


def _with_wishes(body: bytes, wished: Mapping[str, str]) -> bytes:
    try:
        return with_wishes(body, wished)
    except AlertRejected as refusal:
        _refused(refusal)


def _refused(refusal: AlertRejected) -> NoReturn:
    say_error(f"{refusal.sentence.say(terminal_language())}\n  → {refusal.field}")
    raise typer.Exit(BAD_INPUT) from refusal
