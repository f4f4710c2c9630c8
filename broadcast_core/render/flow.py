"""Supplied text made fit to be read on: no control signs, no hard wraps, no list bullets; every word is kept."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_BULLET: Final = re.compile(r"^\s*(?:[*•·▪◦●]+|-(?=\s))\s*")
_BREAK: Final = re.compile(r"\n\s*\n")
_WIDE: Final = re.compile(
    r"(?<=[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef])\s*\n\s*(?=[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef])"
)


def flowed(text: str | None) -> str:
    """`text` with one paragraph a line: wrapped lines joined, bullets and invisible signs gone. None gives ""."""
    if not text:
        return ""
    visible = "".join(c for c in text.replace("\r\n", "\n").replace("\r", "\n") if c in "\n\t" or _visible(c))
    return "\n".join(line for part in _BREAK.split(visible) for line in _paragraphs(part))


def _visible(sign: str) -> bool:
    # Cf holds the direction overrides that make a display show another order than is stored; the two joiners in it
    # are part of Persian and Indic spelling.
    return sign in "\u200c\u200d" or unicodedata.category(sign) not in ("Cc", "Cf", "Cs")


def _paragraphs(part: str) -> list[str]:
    """The paragraphs of a block without empty lines; a bullet starts one."""
    lines: list[list[str]] = [[]]
    for line in part.split("\n"):
        bullet = _BULLET.match(line)
        if bullet and lines[-1]:
            lines.append([])
        lines[-1].append((line[bullet.end() :] if bullet else line).strip())
    joined = (_WIDE.sub("", "\n".join(x for x in group if x)) for group in lines)
    return [re.sub(r"\s+", " ", text).strip() for text in joined if text.strip()]
