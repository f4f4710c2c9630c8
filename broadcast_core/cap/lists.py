"""Elements whose one text is a list: addresses, incidents and references (CAP 3.2.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from broadcast_core.cap.leaf import (
    Leaf,
    Unfit,
    check_instant,
    check_name,
    check_some_text,
    json_list,
    json_string,
    read_instant,
    shown,
    write_instant,
)
from broadcast_core.i18n import _
from broadcast_core.model import Reference

A = TypeVar("A")
B = TypeVar("B")

# One item and what parts it from the next: "several words" or a single one.
_ITEM: Final = re.compile(r'\s*(?:"([^"]*)"|([^\s"]+))(?:\s+|$)')


def _read_quoted(text: str) -> tuple[str, ...]:
    items, position = [], 0
    while position < len(text):
        found = _ITEM.match(text, position)
        if found is None:
            rest = shown(text[position:])
            raise Unfit(
                _(
                    "The quotation marks do not match at {value}; put an item of several words into one pair.",
                    value=rest,
                )
            )
        items.append(found[1] if found[2] is None else found[2])
        position = found.end()
    return tuple(items)


def _quote(item: str) -> str:
    return f'"{item}"' if any(c.isspace() for c in item) else item


def _check_item(item: str) -> None:
    check_some_text(item)
    if '"' in item:
        raise Unfit(_("{value} holds a quotation mark; CAP cannot carry it here.", value=shown(item)))


def _read_reference(text: str) -> Reference:
    parts = text.split(",")
    if len(parts) != 3:
        raise Unfit(_("{value} is not a reference; write sender,identifier,sent without spaces.", value=shown(text)))
    return Reference(sender=parts[0], identifier=parts[1], sent=read_instant(parts[2]))


def _write_reference(reference: Reference) -> str:
    return f"{reference.sender},{reference.identifier},{write_instant(reference.sent)}"


def _check_reference(reference: Reference) -> None:
    check_name(reference.sender)
    check_name(reference.identifier)
    check_instant(reference.sent)


def _each(read: Callable[[A], B], items: Iterable[A]) -> tuple[B, ...]:
    """`read` of every item; the refusal of one says which."""
    results = []
    for index, item in enumerate(items):
        try:
            results.append(read(item))
        except Unfit as unfit:
            raise Unfit(unfit.sentence, f"[{index}]", unfit.reason) from None
    return tuple(results)


def _check_items(items: tuple[str, ...]) -> None:
    _each(_check_item, items)


def _check_references(references: tuple[Reference, ...]) -> None:
    _each(_check_reference, references)


def _reference_from_json(value: object) -> Reference:
    return _read_reference(json_string(value))


QUOTED: Final[Leaf[tuple[str, ...]]] = Leaf(
    from_text=lambda text: _read_quoted(text.strip()),
    to_text=lambda items: " ".join(map(_quote, items)),
    from_json=lambda value: _each(json_string, json_list(value)),
    to_json=list,
    check=_check_items,
)
REFERENCES: Final[Leaf[tuple[Reference, ...]]] = Leaf(
    from_text=lambda text: _each(_read_reference, text.split()),
    to_text=lambda references: " ".join(map(_write_reference, references)),
    from_json=lambda value: _each(_reference_from_json, json_list(value)),
    to_json=lambda references: [_write_reference(reference) for reference in references],
    check=_check_references,
)
