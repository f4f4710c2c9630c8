"""The command line `tocsin`. For people by default; `--json` for programs."""

from __future__ import annotations

import typer

from broadcast_core.cli import alert, registry
from broadcast_core.cli.bench import bench
from broadcast_core.cli.demo import demo
from broadcast_core.cli.doctor import doctor
from broadcast_core.cli.serve import serve
from broadcast_core.cli.simulate import simulate

app = typer.Typer(
    name="tocsin",
    help="Emergency broadcast for a city district: speakers, horns and phones, with proof from each.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command()(serve)
app.command()(simulate)
app.command()(bench)
app.command()(doctor)
app.add_typer(alert.app, name="alert")
app.add_typer(registry.app, name="registry")
