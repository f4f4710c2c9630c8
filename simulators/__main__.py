"""`python -m simulators --config FILE --provision FILE`: the simulated field until SIGTERM (or its stdin closes).

The serial lines have a process of their own beside a fleet: a board that shares an event loop with a thousand busy
speakers would answer late, as no real board does.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Final

from broadcast_core.config import Settings
from broadcast_core.errors import TocsinError
from broadcast_core.i18n import _, terminal_language
from drivers.ip_speaker.wire import provision
from simulators.field import FieldOptions, SimulatedField, parse_faults
from simulators.speakers import Fleet, FleetOptions
from simulators.speakers.device import Habits

_LONG_S: Final = 20.0  # a thousand speakers need some seconds


class LinesFailed(Exception):
    """The process of the serial lines did not come up; `code` is what it ended with."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the field; the exit code."""
    asked = _parser().parse_args(arguments)
    _soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        settings = Settings.load(asked.config)
        asyncio.run(_live(_field(asked, settings), asked, len(settings.serial.lines)))
    except LinesFailed as failed:
        return failed.code
    except (OSError, ValueError, TocsinError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


async def _live(field: SimulatedField, asked: argparse.Namespace, lines: int) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    if asked.until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), over.set)
    async with _lines_apart(asked) if _apart(asked) else nullcontext() as apart, field:
        loop.add_signal_handler(signal.SIGHUP, _read_again, field, asked.faults, apart)
        announcing = asyncio.create_task(_announce(field, lines), name="announce")
        await over.wait()
        announcing.cancel()


def _apart(asked: argparse.Namespace) -> bool:
    return asked.provision is not None and not asked.only_lines


@asynccontextmanager
async def _lines_apart(asked: argparse.Namespace) -> AsyncIterator[asyncio.subprocess.Process]:
    """The serial lines as a process, there when the context is entered. It ends with this one, however that ends."""
    command = [sys.executable, "-P", "-m", "simulators", "--only-lines", "--until-stdin-closes"]
    for name, value in (("--config", asked.config), ("--faults", asked.faults)):
        command += [name, str(value)] if value is not None else []
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if not await process.stdout.readline():
            raise LinesFailed(await process.wait())  # it has said why
        yield process
    finally:
        process.stdin.close()
        await process.wait()


async def _announce(field: SimulatedField, lines: int) -> None:
    """One line when all are there."""
    count = 0 if field.fleet is None else await _all_of(field.fleet)
    gc.collect()
    gc.freeze()  # a fleet is a million objects that will never be garbage
    line = _("The simulated field is there: {count} speakers, {lines} serial lines.", count=count, lines=lines)
    sys.stdout.write(line.say(terminal_language()) + "\n")
    sys.stdout.flush()


async def _all_of(fleet: Fleet) -> int:
    """How many speakers there are, once they are; and a word about it when that takes long."""
    try:
        return await fleet.ready(timeout_s=_LONG_S)
    except TimeoutError:
        line = _("{count} of {total} simulated speakers have got in so far. Does the broker let them in "
                 "(mqtt.speakers), and does the core run? Trying on …",
                 count=fleet.settled, total=fleet.size)  # fmt: skip
        sys.stderr.write(line.say(terminal_language()) + "\n")
    return await fleet.ready(timeout_s=float("inf"))


def _read_again(field: SimulatedField, file: Path | None, apart: asyncio.subprocess.Process | None) -> None:
    if file is None:
        return
    if apart is not None and apart.returncode is None:
        apart.send_signal(signal.SIGHUP)
    try:
        field.afflict(parse_faults(file.read_bytes()))
    except (OSError, TocsinError) as error:
        sys.stderr.write(f"{error}\n")


def _field(asked: argparse.Namespace, settings: Settings) -> SimulatedField:
    if asked.only_lines:
        settings = settings.model_copy(update={"sms": settings.sms.model_copy(update={"enabled": False})})
    provided = None if asked.provision is None else provision.decode(asked.provision.read_bytes())
    password_file = settings.sms.password_file
    habits = Habits(report_spread_ms=round(asked.report_spread_s * 1000))
    options = FieldOptions(
        fleet=FleetOptions(log=asked.log, record=dict(asked.record), habits=habits),
        faults=None if asked.faults is None else parse_faults(asked.faults.read_bytes()),
        lines=not _apart(asked),
        sms_password="" if password_file is None else password_file.read_text().strip(),
    )
    return SimulatedField(settings, provided, options)


def _recording(text: str) -> tuple[str, Path]:
    endpoint_id, _sign, path = text.partition("=")
    return endpoint_id, Path(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulators", description="The simulated field.")
    parser.add_argument("--config", type=Path, help="the installation's settings, TOML")
    parser.add_argument("--provision", type=Path, metavar="FILE", help="the speakers' keys; without it no speakers")
    parser.add_argument("--faults", type=Path, metavar="FILE", help="faults, TOML; read again on SIGHUP")
    parser.add_argument("--log", type=Path, metavar="FILE", help="append what the speakers played, JSON lines")
    parser.add_argument("--record", type=_recording, action="append", default=[], metavar="ID=WAV")
    parser.add_argument(
        "--report-spread-s", type=float, default=60.0, help="a programme's sum comes at random within this"
    )
    parser.add_argument("--only-lines", action="store_true", help="the serial lines alone")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end with the process that started it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
