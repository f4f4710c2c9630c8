"""The core with items in its library and its field in memory, in a thread, and the command line before it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import structlog
from click.testing import Result
from typer.testing import CliRunner

from broadcast_core.cli import app
from broadcast_core.web import Limits
from tests.broadcast_core.web.conftest import Core, start_core

T = TypeVar("T")
PATIENCE_S = 60.0


@dataclass
class Town:
    """A running core, and `tocsin` in front of it."""

    core: Core
    loop: asyncio.AbstractEventLoop
    variables: dict[str, str] = field(default_factory=dict)

    def do(self, act: Coroutine[Any, Any, T]) -> T:
        """Something inside the core."""
        return asyncio.run_coroutine_threadsafe(act, self.loop).result(PATIENCE_S)

    def run(self, *arguments: str, code: int = 0, given: str | bytes | None = None, language: str = "en") -> Result:
        """The command in this process; what it printed, if it ended with `code`."""
        environment = {**self.variables, "TOCSIN_LANG": language}
        ended = CliRunner().invoke(app, list(arguments), input=given, env=environment, prog_name="tocsin")
        assert ended.exit_code == code, (ended.exit_code, ended.stdout, ended.stderr, ended.exception)
        return ended

    def json(self, *arguments: str, code: int = 0) -> Any:
        """The one JSON value of a command."""
        return json.loads(self.run(*arguments, "--json", code=code).stdout)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """Zones D (N (N1 N2) S (S1)) with four speakers that answer at once, and the items `news` and `music`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="core")
    thread.start()
    stack = AsyncExitStack()

    def do(act: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(act, loop).result(PATIENCE_S)

    # The core's log would come between the lines of a command that runs in this process.
    log = (tmp_path / "core.log").open("w")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))
    try:
        core = do(start_core(stack, tmp_path, Limits()))
        token = tmp_path / "token"
        token.write_text(core.texts["all"])
        variables = {"TOCSIN_URL": core.url, "TOCSIN_TOKEN_FILE": str(token), "COLUMNS": "80"}
        yield Town(core, loop, variables)
    finally:
        do(stack.aclose())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()
        structlog.reset_defaults()
        log.close()
