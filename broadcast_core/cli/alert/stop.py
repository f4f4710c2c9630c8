"""`tocsin stop` and `tocsin alert stop`. Nothing heavy is imported on this way, and the database is not asked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from broadcast_core.cli.client import Api, JsonOption, Refused, Unreachable, core, json_of, print_json, say, say_error
from broadcast_core.cli.exits import BAD_INPUT, FAILED, OK
from broadcast_core.i18n import _, terminal_language
from broadcast_core.naming import CHANNELS

_LOOK_S: Final = 5.0
_NAMES_S: Final = 1.0  # headlines come from the database, and a person waits
_STOP_S: Final = 20.0

_Reason = Annotated[str, typer.Option(help=_("Goes into the audit.").msgid, show_default=False)]


def stop(
    alert_id: Annotated[
        str | None,
        typer.Argument(metavar="ALERT", help=_("Not needed if only one alert is live.").msgid, show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help=_("Every alert that is live.").msgid)] = False,
    reason: _Reason = "",
    as_json: JsonOption = False,
) -> None:
    """End the alert that is named, or the one that is live, or all of them."""
    if alert_id is not None:
        if every:
            say_error(_("Name one alert, or --all."))
            raise typer.Exit(BAD_INPUT)
        stop_one(alert_id, reason, as_json)
        return
    with core() as api:
        live = _live(api)
        if not live:
            say_error(_("No alert is live: there is nothing to stop."))
            raise typer.Exit(FAILED)
        if len(live) > 1 and not every:
            _ask_which(api, live)
            raise typer.Exit(BAD_INPUT)
        failed = _stop_each(api, live, reason, as_json=as_json)
    raise typer.Exit(failed)


def stop_one(
    alert_id: Annotated[str, typer.Argument(metavar="ALERT", show_default=False)],
    reason: _Reason = "",
    as_json: JsonOption = False,
) -> None:
    """End the alert that is named."""
    unknown = _("No alert {alert} is live, nothing was stopped. `tocsin stop` lists what is live.", alert=alert_id)
    with core(unknown=unknown) as api:
        answer = _stop(api, alert_id, reason)
    if as_json:
        print_json(answer)
    else:
        _tell(answer)


def _stop_each(api: Api, alerts: Iterable[str], reason: str, *, as_json: bool) -> int:
    """Stop them one after the other, whatever becomes of one; the exit code."""
    answers, code = [], OK
    for alert_id in alerts:
        try:
            answers.append(_stop(api, alert_id, reason))
        except Refused as refusal:  # it has ended by itself meanwhile, or somebody was faster
            say_error(f"{alert_id}: {refusal.problem.get('detail') or refusal.status}")
            code = FAILED
            continue
        if not as_json:
            _tell(answers[-1])
    if as_json:
        print_json({"stopped": answers})
    return code


def _stop(api: Api, alert_id: str, reason: str) -> dict[str, Any]:
    body = json.dumps({"reason": reason}).encode()
    headers = {"Content-Type": "application/json"}
    path = f"/alerts/{alert_id}/stop"
    answer: dict[str, Any] = json_of(api.read("POST", path, data=body, headers=headers, timeout=_STOP_S))
    return answer


def _tell(answer: Mapping[str, Any]) -> None:
    language = terminal_language()
    told = ", ".join(f"{CHANNELS[channel].say(language)} {n}" for channel, n in answer["endpoints"].items())
    say(
        _("Alert {alert} is stopped. Told: {told}. `tocsin alert show {alert}` tells who has proven to be silent.",
          alert=answer["alert_id"], told=told or _("nobody, for nothing of it sounds or waits"))
    )  # fmt: skip
    for channel in (channel for channel, taken in answer["taken"].items() if not taken):
        say_error(_("The {channel} could not be told yet; it is tried again.", channel=CHANNELS[channel]))
    if answer.get("note"):
        say_error(answer["note"])


def _live(api: Api) -> list[str]:
    """What may still sound or start, as the core has it in memory; newest first.

    What every endpoint has finished stays in memory for a while, and is no reason to ask a person which one is meant.
    """
    alerts = [count for count in api.first_event("/events", timeout=_LOOK_S)["alerts"] if not count["ended"]]
    open_ones = [count for count in alerts if not _all_finished(count)] or alerts
    newest_first = sorted(open_ones, key=lambda count: str(count["accepted_at"]), reverse=True)
    return list(dict.fromkeys(count["alert_id"] for count in newest_first))


def _all_finished(count: Mapping[str, Any]) -> bool:
    return count["complete"] and all(
        not n for states in count["channels"].values() for state, n in states.items() if state != "finished"
    )


def _ask_which(api: Api, live: Sequence[str]) -> None:
    names = _headlines(api)
    say_error(_("{count} alerts are live. Type one of:", count=len(live)))
    for alert_id in live:
        say_error(f"  tocsin stop {alert_id}   {names.get(alert_id, '')}".rstrip())
    say_error("  tocsin stop --all")


def _headlines(api: Api) -> dict[str, str]:
    try:
        return {
            alert["alert_id"]: alert["headline"] or alert["event"]
            for alert in api.get("/alerts", timeout=_NAMES_S)["items"]
        }
    except (Unreachable, Refused):
        return {}
