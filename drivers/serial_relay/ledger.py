"""What the core's side remembers of every order until it expires: its evidence, to give it again when asked, and
what a new worker has to be told. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from broadcast_core.model import DeliveryKey, DeliveryKind, Receipt
from drivers.serial_relay import wire

# An order outlives its expiry here by this much, for the receipts that end it and for a core that asks late.
KEEP_S: Final = 120.0
# How long a worker may be away after a pattern's end before the core says itself that nobody can prove it.
CRASHED_AFTER_S: Final = 10.0


@dataclass(slots=True)
class Entry:
    """One order and what is known of it."""

    order: wire.Sound | wire.Silence | wire.Prove
    receipts: list[Receipt] = field(default_factory=list)
    proof: wire.Proof | None = None

    @property
    def ended(self) -> bool:
        """Whether a worker has nothing left to do about it."""
        return any(r.progress.ended and r.retry_after is None for r in self.receipts)

    def again(self) -> wire.Sound | wire.Silence | wire.Prove:
        """The order as a new worker has to hear it."""
        if isinstance(self.order, wire.Silence) or self.proof is None:
            return self.order
        return msgspec.structs.replace(self.order, proof=self.proof)


class Ledger:
    """All orders that have not been forgotten, by delivery."""

    def __init__(self) -> None:
        self._entries: dict[DeliveryKey, Entry] = {}

    def put(self, order: wire.Sound | wire.Silence | wire.Prove, now: float) -> bool:
        """Remember an order; False if it is known."""
        self._forget(now)
        if order.key in self._entries:
            return False
        self._entries[order.key] = Entry(order)
        return True

    def receipts(self, key: DeliveryKey) -> Sequence[Receipt]:
        """The evidence held for a delivery, oldest first; empty for an unknown one."""
        entry = self._entries.get(key)
        return () if entry is None else tuple(entry.receipts)

    def witnessed(self, receipt: Receipt) -> None:
        """Keep the latest receipt of each progress."""
        entry = self._entries.get(receipt.key)
        if entry is not None:
            entry.receipts = [r for r in entry.receipts if r.progress != receipt.progress]
            entry.receipts.append(receipt)

    def proven(self, key: DeliveryKey, proof: wire.Proof) -> None:
        """A sounding's proof has grown."""
        if (entry := self._entries.get(key)) is not None:
            entry.proof = proof

    def again(self, now: float) -> list[wire.Sound | wire.Silence | wire.Prove]:
        """What a new worker is told, stops first. A start that had been given to a worker before comes with the
        proof so far, even if there is none, because its worker has died over it."""
        self._forget(now)
        live = [e for e in self._entries.values() if not e.ended or isinstance(e.order, wire.Silence)]
        return [e.again() for e in sorted(live, key=lambda e: e.order.key.kind is not DeliveryKind.STOP)]

    def taken(self, key: DeliveryKey) -> None:
        """A worker has taken the start: should it die, the next one gets it with this proof."""
        entry = self._entries.get(key)
        if entry is not None and entry.proof is None and isinstance(entry.order, wire.Sound):
            entry.proof = wire.Proof(anchor=entry.order.starts, phases=(), played_s=0.0)

    def abandoned(self, now: float) -> list[wire.Sound]:
        """The starts whose time is over while there was no worker to prove anything."""
        orders = (entry.order for entry in self._entries.values() if not entry.ended)
        return [
            order for order in orders if isinstance(order, wire.Sound) and now > _ends_at(order) + CRASHED_AFTER_S
        ]

    def _forget(self, now: float) -> None:
        self._entries = {key: e for key, e in self._entries.items() if now < e.order.expires + KEEP_S}


def _ends_at(order: wire.Sound) -> float:
    return min(order.expires, order.starts + sum(on + off for on, off in order.steps))
