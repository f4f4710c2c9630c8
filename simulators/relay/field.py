"""All simulated serial lines of an installation."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from broadcast_core.clock import Clock
from broadcast_core.config import SerialLine
from simulators.relay.bus import RelayBus


class RelayField:
    """The lines' buses under one directory: port `directory/<line>`, log `directory/<line>.edges.jsonl`."""

    def __init__(self, lines: Iterable[SerialLine], directory: Path, *, clock: Clock | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._stack = AsyncExitStack()
        self.buses = {
            line.name: RelayBus(line, directory, clock=clock, log=directory / f"{line.name}.edges.jsonl")
            for line in lines
        }

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for bus in self.buses.values():
                await stack.enter_async_context(bus)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    @property
    def lines(self) -> tuple[SerialLine, ...]:
        """The lines as settings, with the ports that the simulation gave them."""
        return tuple(bus.line for bus in self.buses.values())
