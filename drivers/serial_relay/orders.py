"""From the core's settings and deliveries to the words of `wire`, and what a horn refuses. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from broadcast_core.clock import to_ms
from broadcast_core.config import Board, Serial
from broadcast_core.model import (
    CoilAddress,
    Delivery,
    DeliveryKey,
    DeliveryKind,
    Domain,
    Endpoint,
    SelfTest,
    SoundClass,
    Sounded,
    Start,
    Stop,
)
from drivers.serial_relay import wire

Coils = Mapping[tuple[str, int], int]  # (line, unit) -> how many coils the board has
Monotonic = Callable[[datetime], float]  # where an aware instant lies on the monotonic clock


# No playlist and no technician's test ever sounds a siren, whatever it carries.
_NEVER: Final = frozenset({SoundClass.PUBLICITY, SoundClass.TEST})


class Unsupported(Exception):
    """This horn cannot or must not do it; the text says why."""


def configuration(settings: Serial) -> wire.Configure:
    """What guard and worker need to know of the settings."""
    return wire.Configure(
        lines=tuple(
            wire.LineConfig(
                name=line.name,
                port=line.port,
                baudrate=line.baudrate,
                parity=line.parity,
                stopbits=line.stopbits,
                boards=tuple(map(_board, line.boards)),
            )
            for line in settings.lines
        ),
        reply_timeout_s=settings.reply_timeout_s,
        max_on_s=settings.max_on_s,
        watchdog_s=settings.watchdog_s,
    )


def boards_without_timer(settings: Serial) -> list[tuple[str, int]]:
    """(line, unit) of the boards that have no switch-off timer of their own: with the bus itself dead nothing can
    open their coils."""
    return [(line.name, board.unit) for line in settings.lines for board in line.boards if board.timer is None]


def key_of(endpoint: Endpoint, order: Start | Stop | SelfTest) -> DeliveryKey:
    """The identity of an order's delivery to an endpoint."""
    kind = DeliveryKind.STOP if isinstance(order, Stop) else DeliveryKind.START
    return DeliveryKey(alert_id=order.alert_id, revision=order.revision, kind=kind, endpoint_id=endpoint.id)


def coils_by_board(settings: Serial) -> Coils:
    """How many coils each (line, unit) has."""
    return {(line.name, board.unit): board.coils for line in settings.lines for board in line.boards}


def sound(delivery: Delivery, start: Start, coils: Coils, monotonic: Monotonic) -> wire.Sound:
    """The order to sound. Raises Unsupported."""
    content = start.content
    if not isinstance(content, Sounded):
        raise Unsupported("a horn sounds patterns only")
    if start.standing.sound_class in _NEVER and not start.silent:
        raise Unsupported(f"class {start.standing.sound_class.name.lower()} closes no relay")
    if not start.silent and not _may_sound(start.domain, delivery.endpoint):
        raise Unsupported(f"an order of domain {start.domain} closes no relay of a real horn")
    return wire.Sound(
        key=key_of(delivery.endpoint, start),
        coil=_coil(delivery.endpoint.coil, coils),
        standing=start.standing,
        issued_ms=to_ms(start.issued_at),
        starts=monotonic(start.starts_at),
        expires=monotonic(start.expires),
        steps=tuple((on.total_seconds(), off.total_seconds()) for on, off in content.pattern.steps),
        max_on_s=content.max_on.total_seconds(),
        resume=start.resume,
        silent=start.silent,
    )


def silence(delivery: Delivery, stop: Stop, coils: Coils, monotonic: Monotonic) -> wire.Silence:
    """The order to end. Raises Unsupported."""
    return wire.Silence(
        key=key_of(delivery.endpoint, stop),
        coil=_coil(delivery.endpoint.coil, coils),
        expires=monotonic(stop.expires),
    )


def prove(delivery: Delivery, test: SelfTest, coils: Coils, monotonic: Monotonic) -> wire.Prove:
    """The order to read back. Raises Unsupported."""
    return wire.Prove(
        key=key_of(delivery.endpoint, test),
        coil=_coil(delivery.endpoint.coil, coils),
        expires=monotonic(test.expires),
    )


def _may_sound(domain: Domain, endpoint: Endpoint) -> bool:
    """A drill closes no relay (P7), and a simulation none that is real."""
    return domain is Domain.LIVE or (domain is Domain.SIMULATION and endpoint.simulated)


def _coil(address: CoilAddress | None, coils: Coils) -> wire.Coil:
    if address is None:
        raise Unsupported("the endpoint has no coil")
    count = coils.get((address.line, address.unit))
    if count is None:
        raise Unsupported(f"no board {address.unit} on line {address.line} in the settings")
    if not 0 <= address.coil < count:
        raise Unsupported(f"board {address.line}/{address.unit} has no coil {address.coil}")
    return wire.Coil(line=address.line, unit=address.unit, number=address.coil)


def _board(board: Board) -> wire.BoardConfig:
    timer = board.timer
    return wire.BoardConfig(
        unit=board.unit,
        coils=board.coils,
        timer_register=None if timer is None else timer.register_address,
        timer_max_s=0 if timer is None else timer.max_s,
    )
