"""Sentences for people, in Chinese and English.

Code writes a `Sentence` in English (the message id) with named values; the edge that shows it (page, terminal,
problem response) asks for the reader's language. Catalogues are the `.po` files under `locale/`, read once.

Each command of the command line begins here, so nothing heavy is imported: Babel takes 130 ms to read a catalogue,
the few lines below 5.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

LANGUAGES: Final = ("zh", "en")
_LOCALE_DIR: Final = Path(__file__).parent / "locale"
_ESCAPE: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: an English message id with `{name}` places, and their values."""

    msgid: str
    values: dict[str, object] = field(default_factory=dict)

    def say(self, language: str = "en") -> str:
        """The sentence in `language`; values that are sentences themselves are translated too."""
        values = {k: v.say(language) if isinstance(v, Sentence) else v for k, v in self.values.items()}
        text = translate(self.msgid, language)
        return text.format_map(values) if values else text

    def __str__(self) -> str:
        return self.say("en")


def _(msgid: str, **values: object) -> Sentence:
    """Mark a sentence for translation. Extraction: `make messages`."""
    return Sentence(msgid, values)


def translate(msgid: str, language: str) -> str:
    """The catalogue's text for `msgid`, or `msgid` itself where there is none."""
    return _catalogue(language).get(msgid, msgid)


def language_of(wanted: str | None) -> str:
    """The language we have that fits an `Accept-Language` header, a locale name or nothing best ('en')."""
    for part in (wanted or "").lower().replace("_", "-").split(","):
        tag = part.split(";")[0].strip().split("-")[0].split(".")[0]
        if tag in LANGUAGES:
            return tag
    return "en"


def terminal_language() -> str:
    """The language of the person at this terminal: TOCSIN_LANG, else the locale."""
    return language_of(os.environ.get("TOCSIN_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG"))


@cache
def _catalogue(language: str) -> dict[str, str]:
    path = _LOCALE_DIR / language / "LC_MESSAGES" / "tocsin.po"
    if not path.exists():
        return {}
    return {msgid: text for msgid, text in _messages(path.read_text(encoding="utf-8")) if msgid and text}


def _messages(catalogue: str) -> Iterator[tuple[str, str]]:
    """(msgid, msgstr) of a PO file: no plurals, no contexts, and nothing that is marked as fuzzy."""
    for entry in catalogue.split("\n\n"):
        lines = entry.splitlines()
        if any(line.startswith("#,") and "fuzzy" in line for line in lines):
            continue
        texts = {"msgid": "", "msgstr": ""}
        current = ""
        for line in lines:
            keyword, _space, quoted = line.partition(" ")
            if keyword in texts:
                current = keyword
            elif line.startswith('"'):
                quoted = line
            else:
                continue
            texts[current] += _ESCAPE.sub(_unescaped, quoted[1:-1])
        yield texts["msgid"], texts["msgstr"]


def _unescaped(escape: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t", "r": "\r"}.get(escape[1], escape[1])
