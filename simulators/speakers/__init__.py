"""Simulated speakers that behave as docs/protocols/ip-speaker.md says, a thousand in one process."""

from simulators.speakers.device import Habits
from simulators.speakers.faults import Fault, FaultKind, Faults
from simulators.speakers.fleet import Fleet, FleetOptions
from simulators.speakers.played import Played

__all__ = ["Fault", "FaultKind", "Faults", "Fleet", "FleetOptions", "Habits", "Played"]
