"""What the demo proved, as the one JSON object it prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def outcome(report: Json, accepted: Json) -> dict[str, Any]:
    """`channels` → channel → counts for each rung, `failed` by reason, `targets`; and `seconds` over all."""
    newest = report["revisions"][0]
    total = newest["total"]
    return {
        "alert_id": accepted["alert_id"],
        "targets": total["targets"],
        "finished": total["rungs"]["finished"],
        "simulated": total["simulated"],
        "failed": dict(total["failed"]) | dict(total["expired"]),
        "channels": {channel: _channel(count) for channel, count in newest["channels"].items()},
        "seconds": _seconds(total["seconds"]),
        "notes": newest["notes"],
    }


def all_finished(result: Json) -> bool:
    """Every target of every channel has proven to have finished."""
    targets, finished = int(result["targets"]), int(result["finished"])
    return targets > 0 and finished == targets


def _channel(count: Json) -> dict[str, Any]:
    return {
        "targets": count["targets"],
        **count["rungs"],
        "failed": dict(count["failed"]) | dict(count["expired"]),
        "simulated": count["simulated"],
        "proof": count["proof"],
        "states": count["states"],
        "attempts": count["attempts"],
        "possible_duplicates": count["possible_duplicates"],
        "seconds": _seconds(count["seconds"]),
    }


def _seconds(spreads: Json) -> dict[str, float]:
    return {
        f"accepted_to_{end}_{rung}": round(spread[end], 3)
        for rung, spread in spreads.items()
        for end in ("first", "last")
    }
