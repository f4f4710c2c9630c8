"""`tocsin registry show`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from broadcast_core.cli.client import Api, JsonOption, core, print_json, say_error
from broadcast_core.cli.exits import FAILED
from broadcast_core.i18n import _

_PAGE: Final = "1000"


def show(
    which: Annotated[
        str | None,
        typer.Argument(
            metavar="ZONE|ENDPOINT",
            help=_("A zone's code: its endpoints. Without it: the zones.").msgid,
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The zones, the endpoints of one with everything below it, or one endpoint."""
    with core() as api:
        found = _rows(api, which)
    if not found and which is not None:
        say_error(_("There is no zone or endpoint {code}; `tocsin registry show` lists the zones.", code=which))
        raise typer.Exit(FAILED)
    if as_json:
        print_json({"items": found})
        return
    plain = [name for name, value in (found[0] if found else {}).items() if not isinstance(value, (dict, list))]
    table = Table(*plain, box=None)
    for row in found:
        table.add_row(*("" if row[name] is None else str(row[name]) for name in plain))
    Console().print(table)


def _rows(api: Api, which: str | None) -> list[dict[str, Any]]:
    zones: list[dict[str, Any]] = api.get("/registry/zones")["items"]
    if which is None:
        return zones
    if any(zone["code"] == which for zone in zones):
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
