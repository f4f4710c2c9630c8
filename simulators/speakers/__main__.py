"""`python -m simulators.speakers --provision FILE`: a fleet until SIGTERM. SIGHUP reads the faults again."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from broadcast_core.errors import TocsinError
from broadcast_core.i18n import _, terminal_language
from drivers.ip_speaker.wire import provision
from drivers.ip_speaker.wire.provision import Provision
from simulators.speakers import faults
from simulators.speakers.faults import Faults
from simulators.speakers.fleet import Fleet, FleetOptions


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the fleet; the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        provided = _provision(asked.provision, asked.count)
        broken = _faults(asked)
    except (OSError, TocsinError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    options = FleetOptions(
        verify=asked.verify, fetch=asked.fetch, log=asked.log, flash=asked.flash, record=dict(asked.record)
    )
    asyncio.run(_live(Fleet(provided, faults=broken, options=options), asked))
    return 0


async def _live(fleet: Fleet, asked: argparse.Namespace) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, over.set)
    loop.add_signal_handler(signal.SIGHUP, _read_again, fleet, asked)
    async with fleet:
        announcing = asyncio.create_task(_announce(fleet), name="announce")
        await over.wait()
        announcing.cancel()


async def _announce(fleet: Fleet) -> None:
    """One line when all are there."""
    count = await fleet.ready(timeout_s=float("inf"))
    # Ten thousand connections are a million objects that will never be garbage: keep the collector off them.
    gc.collect()
    gc.freeze()
    line = _("{count} simulated speakers are connected and have their orders.", count=count)
    sys.stdout.write(line.say(terminal_language()) + "\n")
    sys.stdout.flush()


def _read_again(fleet: Fleet, asked: argparse.Namespace) -> None:
    try:
        fleet.faults = _faults(asked)
    except (OSError, TocsinError) as error:
        sys.stderr.write(f"{error}\n")


def _provision(file: Path, count: int | None) -> Provision:
    provided = provision.decode(file.read_bytes())
    return provided if count is None else replace(provided, speakers=provided.speakers[:count])


def _faults(asked: argparse.Namespace) -> Faults:
    broken = Faults() if asked.faults is None else faults.parse(asked.faults.read_bytes())
    for text in asked.fault:
        broken = broken.plus(faults.parse_one(text))
    return broken


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulators.speakers", description="Simulated IP speakers.")
    parser.add_argument("--provision", type=Path, required=True, metavar="FILE", help="keys and broker, JSON")
    parser.add_argument("--faults", type=Path, metavar="FILE", help="faults, TOML; read again on SIGHUP")
    parser.add_argument(
        "--fault", action="append", default=[], metavar="KIND=WHO[:SECONDS]", help="for example slow=5%%:2"
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="append what was played, JSON lines")
    parser.add_argument("--flash", type=Path, metavar="FILE", help="what the speakers remember between runs")
    parser.add_argument(
        "--record", type=_recording, action="append", default=[], metavar="ID=WAV", help="record this speaker"
    )
    parser.add_argument("--count", type=int, metavar="N", help="only the first N speakers")
    parser.add_argument("--verify", choices=("each", "once"), default="each", help="who checks signatures")
    parser.add_argument("--fetch", choices=("each", "once"), default="each", help="who fetches audio")
    return parser


def _recording(text: str) -> tuple[str, Path]:
    endpoint_id, separator, file = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError("ID=WAV")
    return endpoint_id, Path(file)


if __name__ == "__main__":
    sys.exit(main())
