"""Which endpoints failed: a few examples for each reason, because counts alone send nobody to a place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

Rows = Sequence[Mapping[str, Any]]

FAILED_STATES: Final = ("failed", "expired")
MOST: Final = 3


def wanted(report: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """(channel, state, how many) of the newest revision's failures: what to ask the deliveries for."""
    if not report["revisions"]:
        return []
    return [
        (channel, state, count["states"][state])
        for channel, count in report["revisions"][0]["channels"].items()
        for state in FAILED_STATES
        if count["states"][state]
    ]


def of_newest(report: Mapping[str, Any]) -> Rows:
    """The failed deliveries of a whole report's newest revision."""
    if not report["revisions"]:
        return []
    newest = report["revisions"][0]["revision"]
    return [
        row
        for row in report["deliveries"]
        if row["revision"] == newest and row["kind"] == "start" and row["state"] in FAILED_STATES
    ]


def examples(rows: Rows, channel: str, state: str, reason: str | None) -> list[str]:
    """Endpoint ids of one kind of failure, as far as these rows know some."""
    fit = {"channel": channel, "state": state, "reason": reason}
    return [row["endpoint_id"] for row in rows if all(row[name] == value for name, value in fit.items())]
