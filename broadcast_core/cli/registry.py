"""`tocsin registry`: import, export, show, provision."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from broadcast_core.cli.client import BAD_INPUT, FAILED, Api, JsonOption, print_json, run, say_error
from broadcast_core.cli.settings import ConfigOption, load
from broadcast_core.errors import TocsinError
from broadcast_core.i18n import _, terminal_language
from broadcast_core.keys import InsecureSecret, write_secret
from broadcast_core.provision import provision_from
from broadcast_core.registry import csv_file
from broadcast_core.registry.dataset import default_registry

app = typer.Typer(help="Zones and endpoints: import, export, show, provision.", no_args_is_help=True)

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
        out.write_bytes(body)


@app.command()
def show(
    zone: Annotated[str | None, typer.Argument(help="A zone's code: its endpoints. Without it: the zones.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The zones, or the endpoints of one."""

    async def act(api: Api) -> object:
        return await (api.get("/registry/zones") if zone is None else api.get("/registry/endpoints", zone=zone))

    answer = run(act)
    if as_json:
        print_json(answer)
        return
    assert isinstance(answer, dict)
    rows = next(value for value in answer.values() if isinstance(value, list))
    plain = [name for name, value in (rows[0] if rows else {}).items() if not isinstance(value, (dict, list))]
    table = Table(*plain, box=None)
    for row in rows:
        table.add_row(*("" if row[name] is None else str(row[name]) for name in plain))
    Console().print(table)


@app.command()
def provision(
    out: Annotated[Path, typer.Option(help="The new file; it holds the speakers' keys, mode 0600.")],
    config: ConfigOption = None,
) -> None:
    """What the speakers are given before they are hung on a wall. Run it on the core's machine."""
    try:
        write_secret(out, asyncio.run(provision_from(load(config))))
    except (OSError, TocsinError, InsecureSecret) as error:
        say_error(str(error))
        raise typer.Exit(FAILED) from error
