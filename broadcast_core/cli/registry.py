"""`tocsin registry`: import, export, show, provision."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from broadcast_core.cli.client import BAD_INPUT, FAILED, Api, JsonOption, print_json, run, save, say_error
from broadcast_core.cli.settings import ConfigOption, load
from broadcast_core.errors import TocsinError
from broadcast_core.i18n import _, terminal_language
from broadcast_core.keys import InsecureSecret, write_secret
from broadcast_core.provision import provision_from
from broadcast_core.registry import csv_file
from broadcast_core.registry.dataset import default_registry
from drivers.ip_speaker.wire.provision import decode

app = typer.Typer(help="Zones and endpoints: import, export, show, provision.", no_args_is_help=True)

_PAGE: Final = "1000"
_TYPES: Final = {".csv": "text/csv", ".json": "application/geo+json", ".geojson": "application/geo+json"}


@app.command("import")
def import_registry(
    file: Annotated[Path | None, typer.Argument(help="CSV or GeoJSON.")] = None,
    default: Annotated[bool, typer.Option("--default", help="The generated data set (simulated).")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Remove what the file does not have.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Import a registry; a bad row refuses the whole file, with its line and reason."""
    if default == (file is not None):
        say_error(_("Name one file, or --default.").say(terminal_language()))
        raise typer.Exit(BAD_INPUT)
    kind = "text/csv" if file is None else _TYPES.get(file.suffix.lower(), "text/csv")
    try:
        body = csv_file.encode(default_registry(), with_phones=True) if file is None else file.read_bytes()
    except OSError as error:
        say_error(f"{file}: {error.strerror}")
        raise typer.Exit(BAD_INPUT) from error
    mode = {"mode": "replace" if replace else "merge"}
    answer = msgspec.json.decode(
        run(lambda api: api.read("POST", "/registry/import", params=mode, data=body, headers={"Content-Type": kind}))
    )
    if as_json:
        print_json(answer)
    else:
        typer.echo(_("Imported: {change}", change=msgspec.json.encode(answer).decode()).say(terminal_language()))


@app.command()
def export(
    form: Annotated[Literal["csv", "geojson"], typer.Option("--format")] = "csv",
    with_phones: Annotated[bool, typer.Option("--with-phones", help="Needs the scope admin.")] = False,
    out: Annotated[Path | None, typer.Option(help="The file; without it standard output.")] = None,
) -> None:
    """Export the registry."""
    parameters = {"format": form} | ({"phones": "true"} if with_phones else {})
    body = run(lambda api: api.read("GET", "/registry/export", params=parameters))
    if out is None:
        sys.stdout.buffer.write(body)
    else:
        save(out, body)


@app.command()
def show(
    which: Annotated[
        str | None,
        typer.Argument(metavar="[ZONE|ENDPOINT]", help="A zone's code: its endpoints. Without it: the zones."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The zones, the endpoints of one with everything below it, or one endpoint."""
    found = run(lambda api: _rows(api, which))
    if not found and which is not None:
        say_error(_("There is no zone or endpoint {code}.", code=which).say(terminal_language()))
        raise typer.Exit(FAILED)
    if as_json:
        print_json({"items": found})
        return
    plain = [name for name, value in (found[0] if found else {}).items() if not isinstance(value, (dict, list))]
    table = Table(*plain, box=None)
    for row in found:
        table.add_row(*("" if row[name] is None else str(row[name]) for name in plain))
    Console().print(table)


@app.command()
def provision(
    out: Annotated[Path, typer.Option(help="The new file; it holds the speakers' keys, mode 0600.")],
    endpoint: Annotated[
        list[str] | None, typer.Option(help="Only this speaker: its file has no other's key.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """What the speakers are given before they are hung on a wall. Run it on the core's machine."""
    try:
        provided = asyncio.run(provision_from(load(config), lambda e: not endpoint or e.id in endpoint))
        missing = set(endpoint or ()) - {speaker.id for speaker in decode(provided).speakers}
        if missing:
            say_error(
                _("Not speakers of the registry: {ids}.", ids=", ".join(sorted(missing))).say(terminal_language())
            )
            raise typer.Exit(FAILED)
        write_secret(out, provided)
    except (OSError, TocsinError, InsecureSecret) as error:
        say_error(str(error))
        raise typer.Exit(FAILED) from error


async def _rows(api: Api, which: str | None) -> list[dict[str, Any]]:
    zones: list[dict[str, Any]] = (await api.get("/registry/zones"))["items"]
    if which is None:
        return zones
    if any(zone["code"] == which for zone in zones):
        return [row async for row in _endpoints(api, zone=which)]
    return [row async for row in _endpoints(api) if row["id"] == which]


async def _endpoints(api: Api, **parameters: str) -> AsyncIterator[dict[str, Any]]:
    """Every endpoint, page after page."""
    more: dict[str, str] = {}
    while True:
        page = await api.get("/registry/endpoints", limit=_PAGE, **parameters, **more)
        for row in page["items"]:
            yield row
        if page["following"] is None:
            return
        more = {"after": page["following"]}
