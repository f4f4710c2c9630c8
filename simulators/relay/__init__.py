"""Simulated serial lines with Modbus relay boards on ptys."""

from simulators.relay.board import Lie, RelayBoard
from simulators.relay.bus import RelayBus
from simulators.relay.edges import Edge, EdgeLog
from simulators.relay.field import RelayField

__all__ = ["Edge", "EdgeLog", "Lie", "RelayBoard", "RelayBus", "RelayField"]
