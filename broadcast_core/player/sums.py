"""A programme's proof of play: for each of its items how often to the end, how long altogether, and why not."""

from __future__ import annotations

from collections.abc import Iterable

from broadcast_core.model import Reason
from broadcast_core.player.items import Play


class _Sum:
    __slots__ = ("ms", "reason", "times")

    def __init__(self, times: int = 0, ms: int = 0, reason: Reason | None = None) -> None:
        self.times, self.ms, self.reason = times, ms, reason


class Sums:
    """The running sums, in the order in which the items first come."""

    def __init__(self, item_ids: Iterable[str], earlier: Iterable[Play]) -> None:
        self._sums = {item_id: _Sum() for item_id in item_ids}
        for play in earlier:
            if play.item_id in self._sums:
                self._sums[play.item_id] = _Sum(play.times, play.ms, play.reason)

    @property
    def total_ms(self) -> int:
        return sum(each.ms for each in self._sums.values())

    @property
    def first_reason(self) -> Reason | None:
        return next((each.reason for each in self._sums.values() if each.reason is not None), None)

    def heard(self, item_id: str, ms: int) -> None:
        self._sums[item_id].ms += ms

    def complete(self, item_id: str) -> None:
        self._sums[item_id].times += 1

    def missed(self, item_id: str, reason: Reason | None) -> None:
        """A clip of this item was not played to its end. Without a reason what is known stays."""
        if reason is not None:
            self._sums[item_id].reason = reason

    def plays(self, cut: str | None = None) -> tuple[Play, ...]:
        """The sums; those of item `cut` as if the power went now."""
        return tuple(
            Play(item_id, each.times, each.ms, Reason.INTERRUPTED if item_id == cut else each.reason)
            for item_id, each in self._sums.items()
        )
