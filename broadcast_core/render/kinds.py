"""Which kind of event an info is about, by the table `templates/message/kinds.toml`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.model import Info
from broadcast_core.render.phrases import table

GENERIC: Final = "generic"
CODE: Final = "tocsin:event"  # eventCode or parameter that names a kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of event; `bare` when the event was only the table's word, so that the template's name says more."""

    name: str
    bare: bool


def kind_of(info: Info, field: str = "info") -> Kind:
    """The kind of `info`: what `tocsin:event` names, else the longest word of the table in its event, else generic.

    Raises AlertRejected(UNKNOWN_TEMPLATE) when `tocsin:event` names none that we have.
    """
    event = info.event.strip().casefold()
    named = [v.value.strip() for v in (*info.event_code, *info.parameter) if v.name == CODE]
    if named:
        return Kind(name=_known(named[0], field), bare=event in (*_words(), named[0]))
    found = max((w for w in _words() if _pattern(w).search(event)), key=len, default=None)
    return Kind(name=_words()[found], bare=event == found) if found else Kind(name=GENERIC, bare=False)


def kinds() -> frozenset[str]:
    """Every kind that `tocsin:event` may name."""
    return frozenset(_words().values()) | {GENERIC}


def _known(name: str, field: str) -> str:
    if name not in kinds():
        raise AlertRejected(
            RejectReason.UNKNOWN_TEMPLATE,
            _(
                "There is no message template for {kind}; known are {known}.",
                kind=name,
                known=", ".join(sorted(kinds())),
            ),
            f"{field}.eventCode",
        )
    return name


@cache
def _words() -> dict[str, str]:
    """Kind by word, both languages together; a word belongs to one kind."""
    return {
        str(word).casefold(): kind
        for kind, languages in table("kinds.toml").items()
        for words in languages.values()
        if isinstance(words, list)
        for word in words
    }


@cache
def _pattern(word: str) -> re.Pattern[str]:
    # Latin words only whole, so that "ceasefire" is no fire; Chinese has no spaces to stand between.
    return re.compile(rf"\b{re.escape(word)}\b" if word.isascii() else re.escape(word))
