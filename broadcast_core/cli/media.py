"""`tocsin media`: add, list, show, remove."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from broadcast_core.cli.client import JsonOption, core, print_json, say, say_error
from broadcast_core.cli.exits import BAD_INPUT
from broadcast_core.cli.library import items_of
from broadcast_core.cli.schedule.recurrence import one_date
from broadcast_core.cli.why import why_not
from broadcast_core.i18n import Sentence, _, terminal_language

_PATIENCE_S: Final = 1800.0  # an hour of sound takes minutes to prepare
_BARS: Final = " ▁▂▃▄▅▆▇█"
_COLUMNS: Final = 60
_KINDS: Final[Mapping[str, Sentence]] = {"audio": _("recording"), "text": _("words")}
_EXPIRES: Final = _("The last day on which it may sound: 2026-12-31.").msgid


def add(
    file: Annotated[
        Path | None, typer.Argument(help=_("A recording: MP3, AAC, M4A, WAV, FLAC, Ogg or Opus.").msgid)
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option("--text", help=_("Words to be said instead: zh=…, once for each language.").msgid),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help=_("Without it the file's name, or the first words.").msgid)
    ] = None,
    licence: Annotated[str, typer.Option(help=_("Whose it is, and what allows us to play it.").msgid)] = "",
    expires: Annotated[str | None, typer.Option(metavar="DATE", help=_EXPIRES)] = None,
    resume: Annotated[
        Literal["position", "start", "skip", "live"] | None,
        typer.Option(
            metavar="position|start|skip|live",
            help=_("What it does after an interruption; else it goes on.").msgid,
        ),
    ] = None,
    chime: Annotated[bool, typer.Option("--chime", help=_("A chime before the words.").msgid)] = False,
    bed: Annotated[
        str | None, typer.Option(metavar="ITEM", help=_("An item that plays quietly under them.").msgid)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Add a recording, or words that the voice of the alerts says. The same again is the same item."""
    if (file is None) == (not text):
        _stop(_("Name one file, or say --text."))
    if file is not None and (chime or bed is not None):
        _stop(_("--chime and --bed are for words."))
    last = None if expires is None else one_date(expires, "--expires")
    about = _given(licence=licence, expires_on=last, resume=resume)
    if file is not None:
        item = _uploaded(file, {**_given(title=title or file.stem), **about})
    else:
        texts = [_text(one) for one in text or ()]
        words = {"texts": texts, "chime": chime, **_given(bed=bed)}
        item = _said({**words, **_given(title=title or texts[0]["text"][:40]), **about})
    if as_json:
        print_json(item)
        return
    _print_item(item)


def list_items(
    kind: Annotated[
        Literal["audio", "text"] | None, typer.Option(metavar="audio|text", help=_("Recordings, or words.").msgid)
    ] = None,
    expired: Annotated[
        bool | None, typer.Option("--expired/--not-expired", help=_("Its last day is over, or is not.").msgid)
    ] = None,
    title: Annotated[str | None, typer.Option(help=_("A part of the title.").msgid)] = None,
    as_json: JsonOption = False,
) -> None:
    """Every item, newest first."""
    wanted = _given(kind=kind, title=title, expired=None if expired is None else str(expired).lower())
    with core() as api:
        items = list(items_of(api, wanted))
    if as_json:
        print_json({"items": items})
        return
    if not items:
        say(
            _("The library holds no such item.")
            if wanted
            else _("The library is empty; `tocsin media add` fills it.")
        )
        return
    language = terminal_language()
    heads = (_("item"), _("kind"), _("title"), _("time"), _("LUFS"), _("sounds until"))
    table = Table(*(head.say(language) for head in heads), box=None)
    for item in items:
        expiry = _("{date}, over", date=item["expires_on"]) if item["expired"] else item["expires_on"] or ""
        shown = expiry.say(language) if isinstance(expiry, Sentence) else expiry
        what = _KINDS[item["kind"]].say(language)
        table.add_row(item["id"], what, item["title"], _time(item["seconds"]), f"{item['lufs']:.1f}", shown)
    Console().print(table, highlight=False, markup=False)


def show(
    item: Annotated[str, typer.Argument(metavar="ITEM", show_default=False)], as_json: JsonOption = False
) -> None:
    """One item, with its shape."""
    found = _ask("GET", f"/media/{item}", unknown=_unknown(item))
    if as_json:
        print_json(found)
        return
    _print_item(found)
    typer.echo(_drawn(found["waveform"]))


def remove(
    items: Annotated[list[str], typer.Argument(metavar="ITEM…", show_default=False)], as_json: JsonOption = False
) -> None:
    """Delete items; one that a schedule needs is refused, with what needs it."""
    for item in items:
        _ask("DELETE", f"/media/{item}", unknown=_unknown(item))
        if not as_json:
            say(_("{slot} is removed.", slot=item))
    if as_json:
        print_json({"removed": items})


class _Sent(io.BufferedReader):
    """A file that moves a bar as it is read."""

    def __init__(self, file: Path, progress: Progress) -> None:
        super().__init__(io.FileIO(file), 2**18)
        self._progress = progress
        said = _("Sending {name}", name=file.name).say(terminal_language())
        self._task = progress.add_task(said, total=file.stat().st_size)

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._progress.advance(self._task, len(data))
        if not data:
            self._progress.update(self._task, description=_("Preparing it").say(terminal_language()))
        return data


def _uploaded(file: Path, params: Mapping[str, str]) -> Any:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    try:
        with (
            Progress(*columns, console=Console(stderr=True), transient=True) as progress,
            _Sent(file, progress) as sent,
        ):
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(file.stat().st_size)}
            return _ask("POST", "/media", params=params, data=sent, headers=headers)
    except OSError as error:
        say_error(_("{file} cannot be read: {why}.", file=file, why=why_not(error)))
        raise typer.Exit(BAD_INPUT) from error


def _said(words: Mapping[str, Any]) -> Any:
    data = msgspec.json.encode(words)
    return _ask("POST", "/media/text", data=data, headers={"Content-Type": "application/json"})


def _unknown(item: str) -> Sentence:
    return _("There is no item {item}; `tocsin media list` shows what there is.", item=item)


def _ask(
    method: str,
    path: str,
    params: Mapping[str, str] | None = None,
    *,
    unknown: Sentence | None = None,
    **more: Any,
) -> Any:
    """The answer of the core. A refusal ends the command."""
    with core(unknown=unknown) as api:
        body = api.read(method, path, params=list((params or {}).items()), timeout=_PATIENCE_S, **more)
    return msgspec.json.decode(body)


def _text(given: str) -> dict[str, str]:
    language, equals, words = given.partition("=")
    if not equals or not language.strip() or not language.isascii() or not words.strip():
        _stop(_("Say the language and the words: --text zh=…"))
    return {"language": language.strip(), "text": words.strip()}


def _given(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _stop(sentence: Sentence) -> None:
    say_error(sentence)
    raise typer.Exit(BAD_INPUT)


def _print_item(item: Mapping[str, Any]) -> None:
    typer.echo(f"{item['id']}  {item['title']}")
    facts = (
        _KINDS[item["kind"]].say(terminal_language()),
        _time(item["seconds"]),
        f"{item['lufs']:.1f} LUFS",
        f"{item['true_peak_dbtp']:.1f} dBTP",
    )
    typer.echo("  " + "  ".join((*facts, f"{item['size'] / 1000:.0f} kB", item["uploader"])))
    for note in item["notes"]:
        typer.echo(f"  ! {note}")


def _time(seconds: float) -> str:
    return f"{round(seconds) // 60}:{round(seconds) % 60:02d}"


def _drawn(waveform: list[int]) -> str:
    """The waveform in one line of a terminal, its highest point as high as it goes."""
    step = max(1, len(waveform) // _COLUMNS)
    highest = [max(waveform[i : i + step]) for i in range(0, len(waveform), step)]
    return "".join(_BARS[value * (len(_BARS) - 1) // max(1, *highest)] for value in highest)
