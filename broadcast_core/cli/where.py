"""Which core a command speaks to, and with which token.

From TOCSIN_URL and TOCSIN_TOKEN_FILE, else from the installation's settings: the file in TOCSIN_CONFIG and the
TOCSIN_… variables over it. Only the few settings that are needed are read, because a slip in another section must
not stand before a stop, and because the whole of them takes 0.2 s to import. What is not plain is left to `Settings`.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer

from broadcast_core.cli.exits import BAD_INPUT
from broadcast_core.cli.why import why_not
from broadcast_core.i18n import Sentence, _, terminal_language

_HOST: Final = "127.0.0.1"
_PORT: Final = 8790
_DATA: Final = "var"


@dataclass(frozen=True, kw_only=True, slots=True)
class Where:
    """A core's address, and the file of the token for it."""

    url: str
    token_file: Path

    def token(self) -> str:
        """The token; never an argument, because others can read those. Ends the command if there is none."""
        token, why = _read_token(self.token_file)
        if why is not None:
            sentence = _(
                "No token at {file} ({why}). Name one with TOCSIN_TOKEN_FILE; on the core's own machine name its "
                "settings with TOCSIN_CONFIG.",
                file=self.token_file,
                why=why,
            )
            typer.echo(sentence.say(terminal_language()), err=True)
            raise typer.Exit(BAD_INPUT)
        return token


def where() -> Where:
    """The core that this terminal means. Ends the command if the settings cannot be read."""
    url, token_file = os.environ.get("TOCSIN_URL"), os.environ.get("TOCSIN_TOKEN_FILE")
    if url and token_file:
        return Where(url=url, token_file=Path(token_file))
    address, data_dir = _installation()
    return Where(url=url or address, token_file=Path(token_file or Path(data_dir) / "secrets" / "api-token"))


def _read_token(file: Path) -> tuple[str, Sentence | str | None]:
    """The token, and what is wrong with it."""
    try:
        token = file.read_bytes().decode("ascii").strip()
    except OSError as error:
        return "", why_not(error)
    except ValueError:
        token = ""
    # What is no word of ASCII cannot stand in a header.
    return token, None if token and token.isprintable() and " " not in token else _("it holds something else")


def _installation() -> tuple[str, str]:
    """The API's address and the data directory of the installation of this machine."""
    file = os.environ.get("TOCSIN_CONFIG")
    plain = None if "TOCSIN_API" in os.environ else _read(file)
    if plain is None:
        return _judged(file)
    api = {**plain.get("api", {}), **_variables("TOCSIN_API__")}
    url = api.get("public_url") or f"http://{api.get('host', _HOST)}:{api.get('port', _PORT)}"
    return url, os.environ.get("TOCSIN_DATA_DIR") or plain.get("data_dir", _DATA)


def _read(file: str | None) -> dict[str, Any] | None:
    """The file's tables, None where something is amiss."""
    if file is None:
        return {}
    try:
        found = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    api = found.get("api", {})
    plain = isinstance(found.get("data_dir", ""), str) and isinstance(api, dict) and _are_plain(api)
    return found if plain else None


def _are_plain(api: dict[str, Any]) -> bool:
    return all(isinstance(api.get(name, ""), str) for name in ("host", "public_url")) and isinstance(
        api.get("port", 0), int
    )


def _variables(prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix).lower(): value for name, value in os.environ.items() if name.startswith(prefix)}


def _judged(file: str | None) -> tuple[str, str]:
    """The same from the settings as the core reads them, or their own complaint."""
    from broadcast_core.cli.settings import load

    settings = load(Path(file) if file else None)
    api = settings.api
    return api.public_url or f"http://{api.host}:{api.port}", str(settings.data_dir)
