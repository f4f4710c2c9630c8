"""`tocsin registry import` and `export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from broadcast_core.cli.client import JsonOption, core, json_of, print_json, read_file, save, say, say_error
from broadcast_core.cli.exits import BAD_INPUT
from broadcast_core.i18n import _

_TYPES: Final = {".csv": "text/csv", ".json": "application/geo+json", ".geojson": "application/geo+json"}
_IMPORT_S: Final = 300.0


def import_registry(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help=_("CSV or GeoJSON.").msgid, show_default=False)
    ] = None,
    default: Annotated[bool, typer.Option("--default", help=_("The generated data set (simulated).").msgid)] = False,
    replace: Annotated[bool, typer.Option("--replace", help=_("Remove what the file does not have.").msgid)] = False,
    as_json: JsonOption = False,
) -> None:
    """Import a registry; a bad row refuses the whole file, with its line and reason."""
    if default == (file is not None):
        say_error(_("Name one file, or --default."))
        raise typer.Exit(BAD_INPUT)
    kind = "text/csv" if file is None else _TYPES.get(file.suffix.lower(), "text/csv")
    body = _generated() if file is None else read_file(file)
    mode = [("mode", "replace" if replace else "merge")]
    headers = {"Content-Type": kind}
    with core() as api:
        answer = json_of(
            api.read("POST", "/registry/import", params=mode, data=body, headers=headers, timeout=_IMPORT_S)
        )
    if as_json:
        print_json(answer)
    else:
        zones, endpoints = answer["zones"], answer["endpoints"]
        say(_("Zones: {added} added, {changed} changed, {removed} removed.", **zones))
        say(_("Endpoints: {added} added, {changed} changed, {removed} removed.", **endpoints))


def export(
    form: Annotated[Literal["csv", "geojson"], typer.Option("--format", help=_("Of the file.").msgid)] = "csv",
    with_phones: Annotated[bool, typer.Option("--with-phones", help=_("Needs the scope admin.").msgid)] = False,
    out: Annotated[Path | None, typer.Option(help=_("The file; without it standard output.").msgid)] = None,
) -> None:
    """Export the registry."""
    parameters = [("format", form), *([("phones", "true")] if with_phones else [])]
    with core() as api:
        body = api.read("GET", "/registry/export", params=parameters)
    if out is None:
        sys.stdout.buffer.write(body)
    else:
        save(out, body)


def _generated() -> bytes:
    from broadcast_core.registry import csv_file
    from broadcast_core.registry.dataset import default_registry

    return csv_file.encode(default_registry(), with_phones=True)
