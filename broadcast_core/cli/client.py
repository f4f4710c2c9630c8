"""The API as the command line uses it: where the core is, who asks, and what its refusals mean for an exit code."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import aiohttp
import typer

from broadcast_core.cli.settings import load
from broadcast_core.config import Settings
from broadcast_core.i18n import _, terminal_language

OK: Final = 0
FAILED: Final = 1  # the act failed, or not every target has finished
BAD_INPUT: Final = 2
UNREACHABLE: Final = 3

_API: Final = "/api/v1"
_AGAIN_S: Final = 0.5
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value on standard output.")]
T = TypeVar("T")


class Api:
    """A session with the core."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def get(self, path: str, **parameters: str) -> Any:
        """The JSON answer of a GET."""
        return json.loads(await self.read("GET", path, params=parameters))

    async def get_patiently(self, path: str) -> Any:
        """The JSON answer of a GET, asked again for as long as the core cannot be reached."""
        while True:
            try:
                return await self.get(path)
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(_AGAIN_S)

    async def read(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | list[tuple[str, str]] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The body of an answer. A refusal ends the command with its sentence and exit code."""
        url = _API + path
        async with self._session.request(method, url, params=params, data=data, headers=headers) as answer:
            body = await answer.read()
            if answer.status >= 400:
                _refused(answer.status, body)
            return body


def run(act: Callable[[Api], Awaitable[T]]) -> T:
    """Run `act` with a session; exit code 3 when the core cannot be reached."""

    async def inside() -> T:
        async with _session() as session:
            return await act(Api(session))

    try:
        return asyncio.run(inside())
    except (aiohttp.ClientConnectionError, TimeoutError) as error:
        why = str(error) or _("no answer in time")
        say_error(_("The core cannot be reached at {url}: {why}", url=_url(), why=why).say(terminal_language()))
        raise typer.Exit(UNREACHABLE) from error


def say_error(line: str) -> None:
    typer.echo(line, err=True)


def print_json(value: Any) -> None:
    """The one JSON value of a command."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def save(file: Path, data: bytes) -> None:
    """Write an answer to a file, or say why not and end the command."""
    try:
        file.write_bytes(data)
    except OSError as error:
        say_error(f"{file}: {error.strerror}")
        raise typer.Exit(FAILED) from error


@asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {_token()}", "Accept-Language": terminal_language()}
    async with aiohttp.ClientSession(_url(), headers=headers, timeout=_TIMEOUT) as session:
        yield session


def _url() -> str:
    """From TOCSIN_URL, else the address in the settings."""
    if url := os.environ.get("TOCSIN_URL"):
        return url
    api = _settings().api
    return api.public_url or f"http://{api.host}:{api.port}"


def _settings() -> Settings:
    """The installation of this machine: of the file in TOCSIN_CONFIG, and of the TOCSIN_… variables over it."""
    file = os.environ.get("TOCSIN_CONFIG")
    return load(Path(file) if file else None)


def _token() -> str:
    """From TOCSIN_TOKEN_FILE, else the installation's first token. Never an argument: others can read those."""
    named = os.environ.get("TOCSIN_TOKEN_FILE")
    file = Path(named) if named else _settings().secrets_dir / "api-token"
    try:
        return file.read_text().strip()
    except OSError as error:
        sentence = _("No token at {file}: name one with TOCSIN_TOKEN_FILE ({why}).", file=file, why=error.strerror)
        say_error(sentence.say(terminal_language()))
        raise typer.Exit(BAD_INPUT) from error


def _refused(status: int, body: bytes) -> None:
    try:
        problem = json.loads(body)
    except ValueError:
        problem = {"detail": body.decode(errors="replace")[:500]}
    say_error(problem.get("detail") or problem.get("title") or str(status))
    if field := problem.get("field"):
        say_error(f"  → {field}")
    for row in problem.get("rows", ()):
        say_error(f"  {row.get('line')}: {row.get('field')}: {row.get('detail')}")
    raise typer.Exit(FAILED if status >= 500 or status == 404 else BAD_INPUT)
