"""Whose turn it is on a line: one schedule for the bus, so that a dead board costs the others one time-out at most,
and not even that before an edge that is already known. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from drivers.serial_relay.board import Board, Rank

# In a gap between edges only what fits into it is done; but a board has waited long enough after this, even where
# edges follow each other so closely that nothing fits.
STARVED_S: Final = 1.0


def choose(boards: Sequence[Board], now: float) -> tuple[Board | None, float]:
    """The board to serve now, or None; and when to ask again if nothing else happens."""
    needs = [(rank, board) for board in boards if (rank := board.need(now)) is not None]
    next_edge = min((board.next_edge(now) for board in boards if not board.failures), default=math.inf)
    fitting = [(rank, board) for rank, board in needs if _fits(rank, board, now, next_edge)]
    if fitting:
        return min(fitting, key=lambda pair: (pair[0], pair[1].slowness, pair[1].served_at))[1], now
    wakes = [wake for board in boards if (wake := board.next_need(now)) > now]
    return None, min([*wakes, next_edge])


def _fits(rank: Rank, board: Board, now: float, next_edge: float) -> bool:
    """Retries and checks wait for a gap; the first retry does not, because the failure may have been noise."""
    if rank < Rank.RETRY or board.failures == 1:
        return True
    return now + board.patience_s <= next_edge or now - board.served_at > STARVED_S
