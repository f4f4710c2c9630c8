"""`tocsin selftest`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from broadcast_core.cli.client import Api, JsonOption, core, json_of, print_json, say
from broadcast_core.cli.exits import FAILED
from broadcast_core.i18n import Sentence, _, terminal_language
from broadcast_core.naming import CHANNELS, REASONS

_POLL_S: Final = 0.5
_PATIENCE_S: Final = 600.0  # beyond the time the last turn comes: a test's answer, with room for a busy core

_Zone = Annotated[str | None, typer.Option("--zone", metavar="CODE", help=_("A zone with all below it.").msgid)]
_Names = Annotated[list[str] | None, typer.Argument(metavar="ENDPOINT…", show_default=False)]
_Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", show_default=False, help=_("Stay until all have answered.").msgid)
]

OUTCOMES: Final[Mapping[str, Sentence]] = {
    "proven": _("proven"),
    "failed": _("failed"),
    "unanswered": _("no answer"),
    "missed": _("its turn did not come"),
}
PARTS: Final[Mapping[str, Sentence]] = {
    "fetch": _("fetching"),
    "amplifier": _("amplifier"),
    "clock": _("clock"),
    "storage": _("storage"),
    "coils": _("coils"),
    "timer": _("board timer"),
    "account": _("account"),
}


def show(
    endpoint: Annotated[
        str | None,
        typer.Argument(metavar="ENDPOINT", help=_("Its newest tests.").msgid, show_default=False),
    ] = None,
    zone: _Zone = None,
    as_json: JsonOption = False,
) -> None:
    """How many endpoints have proven themselves within a day and a week, and which did not."""
    with core() as api:
        if endpoint is not None:
            found = api.get("/selftest/results", {"endpoint": endpoint})
        else:
            found = api.get("/selftest", {} if zone is None else {"zone": zone})
    if as_json:
        print_json(found)
        return
    if endpoint is not None:
        if not found["items"]:
            say(
                _("No test of {endpoint} is on record; `tocsin selftest run {endpoint}` tests it.", endpoint=endpoint)
            )
            raise typer.Exit(FAILED)
        _print(_results(found["items"]))
        return
    _print(_numbers(found["zones"]))
    if found["failing"]:
        _print(_results(found["failing"]))
    if found["held_by"]:
        say(_("Alert {alert} is live: the tests wait until it is over.", alert=found["held_by"]))
    if found["account"] is None:
        say(_("The SMS gateway tells nothing of its account: nothing is claimed of phones."))
    else:
        _print(_results([found["account"]]))


def run(names: _Names = None, zone: _Zone = None, wait: _Wait = True, as_json: JsonOption = False) -> None:
    """Test endpoints in silence, now; without a name all of them. Exit code 1 if one is not proven."""
    _test("run", {"endpoints": names or [], "zone": zone}, wait=wait, as_json=as_json)


def audible(
    names: _Names = None,
    zone: _Zone = None,
    volume: Annotated[int, typer.Option(min=1, max=100, help=_("Of the speakers.").msgid)] = 40,
    wait: _Wait = True,
    as_json: JsonOption = False,
) -> None:
    """Test loudspeakers aloud, one after the other, within the kind hours. Exit code 1 if one did not play."""
    _test("audible", {"endpoints": names or [], "zone": zone, "volume": volume}, wait=wait, as_json=as_json)


def _test(act: str, asked: Mapping[str, Any], *, wait: bool, as_json: bool) -> None:
    with core() as api:
        body = json.dumps(asked).encode()
        headers = {"Content-Type": "application/json"}
        opened: dict[str, Any] = json_of(api.read("POST", f"/selftest/{act}", data=body, headers=headers))
        if not as_json:
            say(_("{count} endpoints will be tested.", count=opened["endpoints"]))
        found = _follow(api, opened["occasion"]) if wait else None
    if as_json:
        print_json(opened if found is None else {**opened, "items": found})
    elif found is not None:
        _print(_results(found))
    if found is not None and any(row["outcome"] != "proven" for row in found):
        raise typer.Exit(FAILED)


def _follow(api: Api, occasion: str) -> Sequence[Mapping[str, Any]]:
    """All results of an occasion, once all are there."""
    over = None
    while True:
        items: list[dict[str, Any]] = api.get("/selftest/results", {"occasion": occasion})["items"]
        if all(row["ended_at"] is not None for row in items):
            return items
        if all(row["sent_at"] is not None for row in items) and over is None:
            over = time.monotonic() + _PATIENCE_S
        if over is not None and time.monotonic() > over:
            return items
        time.sleep(_POLL_S)


def _numbers(zones: Sequence[Mapping[str, Any]]) -> Table:
    language = terminal_language()
    heads = (_("zone"), _("channel"), _("endpoints"), _("24 h"), _("7 days"), _("never"), _("oldest"))
    table = Table(*(head.say(language) for head in heads), box=None)
    for zone in zones:
        for channel, fresh in zone["channels"].items():
            if not fresh["endpoints"]:
                continue
            name = zone["name_zh"] if language == "zh" else zone["name_en"]
            table.add_row(
                f"{zone['zone']} {name}", CHANNELS[channel].say(language), str(fresh["endpoints"]),
                _share(fresh["proven_24h"], fresh["share_24h"]), _share(fresh["proven_7d"], fresh["share_7d"]),
                str(fresh["never"]), _local(fresh["oldest"]),
            )  # fmt: skip
    return table


def _local(instant: str | None) -> str:
    """An instant as this terminal's clock shows it."""
    return "" if instant is None else f"{datetime.fromisoformat(instant).astimezone():%Y-%m-%d %H:%M}"


def _print(table: Table) -> None:
    """What devices and gateways note is shown as they said it, brackets too."""
    Console().print(table, highlight=False, markup=False)


def _share(count: int, share: float | None) -> str:
    return str(count) if share is None else f"{count} ({int(share * 100)} %)"  # cut: 99.9 % is not all


def _results(items: Sequence[Mapping[str, Any]]) -> Table:
    language = terminal_language()
    heads = (_("endpoint"), _("when"), _("result"), _("why"), _("parts"))
    table = Table(*(head.say(language) for head in heads), box=None)
    for row in items:
        outcome = _("waiting") if row["outcome"] is None else OUTCOMES[row["outcome"]]
        why = "" if row["reason"] is None else REASONS[row["reason"]].say(language)
        parts = ", ".join(
            f"{PARTS[p['part']].say(language)} {'✓' if p['ok'] else '✗'} {p['note']}".rstrip() for p in row["parts"]
        )
        when = row["ended_at"] or row["sent_at"] or row["due_at"]
        table.add_row(row["endpoint_id"], _local(when), outcome.say(language), why, parts)
    return table
