"""The library's items as other commands name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from broadcast_core.cli.client import Api

_PAGE: Final = "1000"


def items_of(api: Api, wanted: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """Every item, newest first, page by page; `wanted` are the listing's own parameters."""
    before: dict[str, str] = {}
    while True:
        page = api.get("/media", {**(wanted or {}), **before, "limit": _PAGE})
        yield from page["items"]
        if page["following"] is None:
            return
        before = {"before": page["following"]}


def titles_of(api: Api) -> Mapping[str, str]:
    """Titles by identifier. An item that was removed has none: what names it has to do with the identifier."""
    return {item["id"]: item["title"] for item in items_of(api)}
