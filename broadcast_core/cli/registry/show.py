"""`tocsin registry show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from broadcast_core.cli.client import Api, JsonOption, core, print_json, say, say_error
from broadcast_core.cli.exits import FAILED
from broadcast_core.i18n import Sentence, _, terminal_language
from broadcast_core.naming import CHANNELS, PRESENCES

_PAGE: Final = "1000"

Rows = Sequence[Mapping[str, Any]]


def show(
    which: Annotated[
        str | None,
        typer.Argument(
            metavar="ZONE|ENDPOINT",
            help=_("A zone's code: the zones in it and its endpoints. Without it: district and subdistricts.").msgid,
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The zones, the endpoints of one with everything below it, or one endpoint."""
    with core() as api:
        zones: Rows = api.get("/registry/zones")["items"]
        found = zones if which is None else _found(api, zones, which)
    if not found and which is not None and not _is_zone(zones, which):
        say_error(_("There is no zone or endpoint {code}; `tocsin registry show` lists the zones.", code=which))
        raise typer.Exit(FAILED)
    if as_json:
        print_json({"items": found})
    elif which is None:
        _show_district(zones)
    elif _is_zone(zones, which):
        _draw(_zone_table([zone for zone in zones if which in {zone["code"], zone["parent"]}], zones))
        _draw(_endpoint_table(found))
    else:
        _draw(_fields(found[0]))


def _show_district(zones: Rows) -> None:
    if not zones:
        say(_("The registry is empty: `tocsin registry import FILE`, or `--default` for the generated district."))
        return
    _draw(_zone_table([zone for zone in zones if zone["level"] != "community"], zones))
    say(_("`tocsin registry show CODE` shows what is in a zone."))


def _zone_table(shown: Rows, zones: Rows) -> Table:
    table = _table(_("code"), _("name"), _("English name"), _("zones in it"))
    for zone in shown:
        inside = sum(other["parent"] == zone["code"] for other in zones)
        table.add_row(zone["code"], zone["name_zh"], zone["name_en"], str(inside or ""))
    return table


def _endpoint_table(endpoints: Rows) -> Table:
    table = _table(_("endpoint"), _("channel"), _("zone"), _("name"), _("presence"), _("remarks"))
    language = terminal_language()
    for one in endpoints:
        remarks = [_("simulated")] if one["simulated"] else []
        remarks += [] if one["enabled"] else [_("out of service")]
        table.add_row(
            one["id"],
            CHANNELS[one["channel"]].say(language),
            one["zone"],
            one["name"],
            PRESENCES[one["presence"]].say(language),
            ", ".join(remark.say(language) for remark in remarks),
        )
    return table


def _fields(endpoint: Mapping[str, Any]) -> Table:
    """One endpoint: a line for each field under its own name, as in files and in the API."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, value in endpoint.items():
        if value is not None:
            table.add_row(name, str(value))
    return table


def _table(*heads: Sentence) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))
    for number, head in enumerate(heads):
        table.add_column(head.say(terminal_language()), no_wrap=number == 0, overflow="fold")
    return table


def _draw(table: Table) -> None:
    if table.row_count:
        Console().print(table, highlight=False, markup=False)


def _is_zone(zones: Rows, code: str) -> bool:
    return any(zone["code"] == code for zone in zones)


def _found(api: Api, zones: Rows, which: str) -> Rows:
    if _is_zone(zones, which):
        return list(_endpoints(api, zone=which))
    return [row for row in _endpoints(api) if row["id"] == which]


def _endpoints(api: Api, **parameters: str) -> Iterator[dict[str, Any]]:
    """Every endpoint, page after page."""
    more: dict[str, str] = {}
    while True:
        page = api.get("/registry/endpoints", {"limit": _PAGE, **parameters, **more})
        yield from page["items"]
        if page["following"] is None:
            return
        more = {"after": page["following"]}
