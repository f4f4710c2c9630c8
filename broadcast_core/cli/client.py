"""The API as the command line uses it, and what its refusals mean for a person and for an exit code.

On the standard library alone: a command that stops an alert must be there at once (aiohttp takes 0.2 s to import).
What follows a stream is in `follow`.
"""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, NoReturn
from urllib.parse import quote, urlencode, urlsplit

import typer

from broadcast_core.cli.exits import BAD_INPUT, FAILED, UNREACHABLE
from broadcast_core.cli.where import Where, where
from broadcast_core.cli.why import why_not
from broadcast_core.i18n import Sentence, _, terminal_language

PREFIX: Final = "/api/v1"
_TIMEOUT_S: Final = 60.0

JsonOption = Annotated[
    bool, typer.Option("--json", help=_("Print one JSON value on standard output.").msgid, show_default=False)
]


class Unreachable(Exception):
    """There is no core, or none that answers. The sentence says why."""

    def __init__(self, why: Sentence | str) -> None:
        super().__init__(str(why))
        self.why = why


@dataclass(eq=False)
class Refused(Exception):
    """The core's no: the HTTP status and the problem it sent (RFC 9457)."""

    status: int
    problem: Mapping[str, Any]


class Api:
    """The core at one address, asked with one token. Raises Refused, and Unreachable."""

    def __init__(self, at: Where) -> None:
        self.at = at
        self._headers = {"Authorization": f"Bearer {at.token()}", "Accept-Language": terminal_language()}

    def get(self, path: str, parameters: Mapping[str, str] | None = None, *, timeout: float = _TIMEOUT_S) -> Any:
        """The JSON answer of a GET."""
        return json_of(self.read("GET", path, params=list((parameters or {}).items()), timeout=timeout))

    def read(
        self,
        method: str,
        path: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        data: bytes | BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = _TIMEOUT_S,
    ) -> bytes:
        """The body of an answer."""
        with self._asking(method, path, params, data, headers, timeout) as answer:
            return answer.read()

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON answer to a JSON body."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        return json_of(self.read(method, path, data=data, headers=headers))

    def first_event(self, path: str, *, timeout: float) -> Any:
        """The JSON of the first event of a stream."""
        with self._asking("GET", path, (), None, {"Accept": "text/event-stream"}, timeout) as answer:
            for line in answer:
                if line.startswith(b"data:"):
                    return json_of(line.removeprefix(b"data:"))
        raise Unreachable(_("the stream ended before it began"))

    @contextmanager
    def _asking(
        self,
        method: str,
        path: str,
        params: Sequence[tuple[str, str]],
        data: bytes | BinaryIO | None,
        headers: Mapping[str, str] | None,
        timeout: float,
    ) -> Iterator[http.client.HTTPResponse]:
        target = urlsplit(self.at.url)
        query = f"?{urlencode(params)}" if params else ""
        with closing(_connection(self.at.url, timeout)) as connection:
            try:
                asked = target.path.rstrip("/") + PREFIX + quote(path) + query
                connection.request(method, asked, body=data, headers={**self._headers, **(headers or {})})
                answer = connection.getresponse()
                if answer.status >= 400:
                    raise Refused(answer.status, problem_of(answer.read()))
                yield answer
            except (OSError, http.client.HTTPException) as error:
                raise Unreachable(why_not(error)) from error


@contextmanager
def core(*, unknown: Sentence | None = None) -> Iterator[Api]:
    """The core that is meant. What goes wrong inside ends the command, with a sentence and an exit code.

    `unknown` says what to do when the core does not know what was asked for.
    """
    at = where()
    try:
        yield Api(at)
    except Unreachable as error:
        sentence = _(
            "The core cannot be reached at {url}: {why}. Look whether it runs, and at TOCSIN_URL or TOCSIN_CONFIG.",
            url=at.url,
            why=error.why,
        )
        say_error(sentence)
        raise typer.Exit(UNREACHABLE) from error
    except Refused as refusal:
        _say_refusal(refusal, at, unknown)
        failed = refusal.status >= 500 or refusal.status == 404
        raise typer.Exit(FAILED if failed else BAD_INPUT) from refusal


def say_error(line: Sentence | str) -> None:
    """One line for a person, on standard error."""
    typer.echo(line.say(terminal_language()) if isinstance(line, Sentence) else line, err=True)


def bad_input(sentence: Sentence, field: str | None = None) -> NoReturn:
    """End the command over what was typed, with what to correct."""
    say_error(sentence)
    if field is not None:
        say_error(f"  → {field}")
    raise typer.Exit(BAD_INPUT)


def say(sentence: Sentence) -> None:
    """One line for a person, on standard output."""
    typer.echo(sentence.say(terminal_language()))


def print_json(value: Any) -> None:
    """The one JSON value of a command."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def save(file: Path, data: bytes) -> None:
    """Write an answer to a file, or say why not and end the command."""
    try:
        file.write_bytes(data)
    except OSError as error:
        say_error(_("{file} cannot be written: {why}.", file=file, why=why_not(error)))
        raise typer.Exit(FAILED) from error


def read_file(file: Path) -> bytes:
    """What a file holds, or a sentence and the command's end."""
    try:
        return file.read_bytes()
    except OSError as error:
        say_error(_("{file} cannot be read: {why}.", file=file, why=why_not(error)))
        raise typer.Exit(BAD_INPUT) from error


def json_of(body: bytes) -> Any:
    """An answer as JSON. What is none comes from something else at that address."""
    try:
        return json.loads(body)
    except ValueError:
        raise Unreachable(_("what answers there is not Tocsin")) from None


def problem_of(body: bytes) -> Mapping[str, Any]:
    """The problem of a refusal, as far as it is one."""
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    return problem if isinstance(problem, dict) else {}


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme not in {"http", "https"} or not host:
        raise Unreachable(_("that is no address such as http://127.0.0.1:8790"))
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(host, port, timeout=timeout)


def _say_refusal(refusal: Refused, at: Where, unknown: Sentence | None) -> None:
    problem = refusal.problem
    if refusal.status == 401:
        say_error(
            _("The core at {url} does not accept the token in {file}. Name another with TOCSIN_TOKEN_FILE.",
              url=at.url, file=at.token_file)
        )  # fmt: skip
        return
    if refusal.status == 404 and unknown is not None:
        say_error(unknown)
        return
    said = problem.get("detail") or problem.get("title")
    say_error(said or _("{url} answers with HTTP status {status}.", url=at.url, status=refusal.status))
    if field := problem.get("field"):
        say_error(f"  → {field}")
    if problem.get("reason") == "unknown_area":
        say_error(_("  → `tocsin registry show` lists the zones."))
    for row in problem.get("rows") or ():
        line = f"{row['line']}: " if row.get("line") else ""  # 0 is the file as a whole
        say_error(f"  {line}{row.get('field')}: {row.get('detail')}")
