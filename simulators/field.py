"""The whole field of an installation, simulated: speakers, horns and the SMS gateway.

Faults come from one TOML file, and are read again on SIGHUP:

    seed = 7
    [[speakers]]
    kind = "slow"            # see simulators/speakers/faults.py
    share = 0.05
    seconds = 2.0
    [[boards]]
    line = "line-2"
    unit = 1
    dead = true              # or delay_s = 1.5, or lie = "stale_reply", "other_coil", "exception"
    [[lines]]
    line = "line-3"
    noise = 0.1              # share of answers that are damaged; or unplugged = true
    [sms]
    error = 0.1              # see simulators/sms_gateway/faults.py
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from broadcast_core.config import SerialLine, Settings
from broadcast_core.errors import TocsinError
from drivers.ip_speaker.wire.provision import Provision
from simulators import sms_gateway, speakers
from simulators.relay import Lie, RelayBus, RelayField
from simulators.sms_gateway import SmsGatewaySimulator
from simulators.speakers import Fleet, FleetOptions

_SMS_PATH: Final = "/cgi-bin/sendsms"


class MalformedFaultFile(TocsinError):
    """Not a description of the field's faults; the text says where."""


class BoardFault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wrong with one relay board."""

    line: str
    unit: int
    dead: bool = False
    delay_s: float = 0.0
    lie: str | None = None


class LineFault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wrong with one serial line."""

    line: str
    noise: float = 0.0
    unplugged: bool = False


class FieldFaults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that is wrong with the field."""

    seed: int = 0
    speakers: tuple[speakers.Fault, ...] = ()
    boards: tuple[BoardFault, ...] = ()
    lines: tuple[LineFault, ...] = ()
    sms: Mapping[str, float] = {}


def parse_faults(toml: bytes) -> FieldFaults:
    """The faults in a TOML file. Raises MalformedFaultFile."""
    try:
        faults = msgspec.toml.decode(toml, type=FieldFaults)
        sms_gateway.Faults(**faults.sms)
        for board in faults.boards:
            _lie(board.lie)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise MalformedFaultFile(str(error)) from None
    return faults


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldOptions:
    """How the field is simulated; `faults` are there from the beginning, others may follow."""

    fleet: FleetOptions = field(default_factory=FleetOptions)
    sms_password: str = ""
    lines: bool = True  # False: another process has them
    faults: FieldFaults | None = None


class SimulatedField:
    """`async with SimulatedField(settings, provision)`: every device of the installation is there."""

    def __init__(self, settings: Settings, provision: Provision | None, options: FieldOptions | None = None) -> None:
        """Without `provision` there are no speakers. Raises ValueError for a serial port that is no path of ours."""
        options = options or FieldOptions()
        self.fleet = None if provision is None else Fleet(provision, options=options.fleet)
        lines = settings.serial.lines if options.lines else ()
        self.relays = [RelayField([line], _directory_of(line)) for line in lines]
        self.gateway = _gateway(settings, options.sms_password) if settings.sms.enabled else None
        self._faults = options.faults
        self._lines = options.lines
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for relay in self.relays:
                await stack.enter_async_context(relay)
            if self._faults is not None:  # the lines are there, and no speaker yet
                self.afflict(self._faults)
            if self.gateway is not None:
                await stack.enter_async_context(self.gateway)
            if self.fleet is not None:
                await stack.enter_async_context(self.fleet)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    @property
    def buses(self) -> dict[str, RelayBus]:
        """The serial lines' buses by name."""
        return {name: bus for relay in self.relays for name, bus in relay.buses.items()}

    def afflict(self, faults: FieldFaults) -> None:
        """From now on these faults, no others. Raises MalformedFaultFile for a line or board that is not there."""
        if self.fleet is not None:
            self.fleet.faults = speakers.Faults(seed=faults.seed, faults=faults.speakers)
        if self.gateway is not None:
            self.gateway.faults = sms_gateway.Faults(**faults.sms)
        if self._lines:
            self._afflict_lines(faults)

    def _afflict_lines(self, faults: FieldFaults) -> None:
        buses = self.buses
        try:
            for bus in buses.values():
                _mend(bus)
            for of_line in faults.lines:
                bus = buses[of_line.line]
                bus.noise = of_line.noise
                if of_line.unplugged:
                    bus.unplug()
            for of_board in faults.boards:
                board = buses[of_board.line].board(of_board.unit)
                board.dead, board.delay_s, board.lie = of_board.dead, of_board.delay_s, _lie(of_board.lie)
        except KeyError as error:
            raise MalformedFaultFile(f"there is no {error}") from None


def _mend(bus: RelayBus) -> None:
    bus.noise = 0.0
    bus.replug()
    for config in bus.line.boards:
        board = bus.board(config.unit)
        board.dead, board.delay_s, board.lie = False, 0.0, None


def _lie(name: str | None) -> Lie | None:
    return None if name is None else Lie[name.upper()]


def _directory_of(line: SerialLine) -> Path:
    port = Path(line.port)
    if port.name != line.name or port.is_relative_to("/dev"):
        raise ValueError(
            f"{line.port}: a simulated line's port is a path that ends in its name, .../{line.name}, and not in /dev"
        )
    return port.parent


def _gateway(settings: Settings, password: str) -> SmsGatewaySimulator:
    url = urlsplit(settings.sms.gateway.url)
    if url.path != _SMS_PATH or url.hostname not in {"127.0.0.1", "localhost"} or url.port is None:
        raise ValueError(f"{settings.sms.gateway.url}: the simulated gateway is http://127.0.0.1:PORT{_SMS_PATH}")
    return SmsGatewaySimulator(port=url.port, username=settings.sms.username, password=password)
