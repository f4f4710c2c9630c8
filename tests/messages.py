"""Sentences that have no Chinese yet, and Chinese that nobody says any more: `make messages`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import broadcast_core

ROOT = Path(broadcast_core.__file__).parent.parent
PACKAGES = ("broadcast_core", "drivers", "scheduler", "simulators")
CATALOGUE = ROOT / "broadcast_core/locale/zh/LC_MESSAGES/tocsin.po"


def sentences_in_code() -> Iterator[tuple[str, str]]:
    """(msgid, where) of every `_("…")`."""
    for package in PACKAGES:
        for file, line, msgid, _comments, _context in extract_from_dir(
            ROOT / package, method_map=[("**.py", "python")], keywords={"_": None}
        ):
            yield (msgid if isinstance(msgid, str) else msgid[0]), f"{package}/{file}:{line}"


def chinese() -> dict[str, str]:
    """The catalogue."""
    with CATALOGUE.open("rb") as file:
        return {str(m.id): str(m.string) for m in read_po(file, locale="zh") if m.id}


def missing() -> list[str]:
    known = chinese()
    return sorted({f"{where}: {msgid}" for msgid, where in sentences_in_code() if not known.get(msgid)})


def stale() -> list[str]:
    return sorted(set(chinese()) - {msgid for msgid, _where in sentences_in_code()})


if __name__ == "__main__":
    for line in missing():
        print("no Chinese:", line)
    for line in stale():
        print("nobody says:", line)
    sys.exit(bool(missing() or stale()))
