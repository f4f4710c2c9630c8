"""Real driver, guard and worker processes, real ptys, simulated boards; the boards' own log is the truth."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from broadcast_core.clock import SystemClock
from broadcast_core.config import Board, BoardTimer, Serial, SerialLine
from broadcast_core.model import (
    Approval,
    Authority,
    Availability,
    Certainty,
    Channel,
    CoilAddress,
    Delivery,
    DeliveryKind,
    Domain,
    Endpoint,
    FieldEvent,
    Level,
    Progress,
    Receipt,
    ResumeRule,
    SirenPattern,
    SoundClass,
    Sounded,
    Standing,
    Start,
    Stop,
    Urgency,
)
from drivers.serial_relay.driver import SerialRelayDriver
from simulators.relay import Edge, RelayBus, RelayField

CLOCK = SystemClock()
PATIENCE_S = 20.0  # far beyond what anything here takes; a loaded machine must not fail a test

Steps = Sequence[tuple[float, float]]


def standing(sound_class: SoundClass = SoundClass.EMERGENCY) -> Standing:
    return Standing(
        sound_class=sound_class,
        authority=Authority.DISTRICT,
        level=Level.RED,
        urgency=Urgency.IMMEDIATE,
        certainty=Certainty.OBSERVED,
    )


def start(
    steps: Steps,
    *,
    alert_id: str = "a",
    revision: int = 1,
    after_s: float = 0.3,
    lifetime_s: float = 60.0,
    max_on_s: float = 200.0,
    sound_class: SoundClass = SoundClass.EMERGENCY,
    resume: ResumeRule = ResumeRule.START,
    domain: Domain = Domain.LIVE,
    silent: bool = False,
) -> Start:
    """A start whose pattern begins `after_s` from now (in the past if negative)."""
    now = CLOCK.now()
    pattern = SirenPattern(
        id="test",
        name_zh="测试",
        name_en="Test",
        steps=tuple((timedelta(seconds=on), timedelta(seconds=off)) for on, off in steps),
    )
    return Start(
        alert_id=alert_id,
        revision=revision,
        domain=domain,
        standing=standing(sound_class),
        issued_at=now,
        starts_at=now + timedelta(seconds=after_s),
        expires=now + timedelta(seconds=lifetime_s),
        content=Sounded(pattern=pattern, max_on=timedelta(seconds=max_on_s)),
        approval=Approval(kind="one-person", actors=("test",)),
        resume=resume,
        silent=silent,
    )


def stop(alert_id: str = "a", revision: int = 1) -> Stop:
    now = CLOCK.now()
    return Stop(
        alert_id=alert_id,
        revision=revision,
        domain=Domain.LIVE,
        acted_at=now,
        expires=now + timedelta(seconds=60),
        actor="test",
        cause="stop",
    )


class Bench:
    """A field of lines, the driver on it, and everything the driver has said."""

    def __init__(self, field: RelayField, settings: Serial) -> None:
        self.field = field
        self.settings = settings
        self.horns = [
            Endpoint(
                id=f"{line.name}-{board.unit}",
                channel=Channel.HORN,
                zone="z",
                name="horn",
                coil=CoilAddress(line=line.name, unit=board.unit, coil=0),
            )
            for line in settings.lines
            for board in line.boards
        ]
        self.driver = SerialRelayDriver(settings, CLOCK, self.horns)
        self.said: list[FieldEvent] = []

    def horn(self, name: str) -> Endpoint:
        return next(h for h in self.horns if h.id == name)

    def bus(self, line: str = "L1") -> RelayBus:
        return self.field.buses[line]

    async def send(self, order: Start | Stop, *names: str) -> None:
        """To the named horns, or to all."""
        horns = [self.horn(n) for n in names] or self.horns
        await self.driver.send([Delivery(endpoint=horn, order=order) for horn in horns])

    def receipts(self, name: str, kind: DeliveryKind = DeliveryKind.START, alert_id: str = "a") -> list[Receipt]:
        return [
            e
            for e in self.said
            if isinstance(e, Receipt) and (e.key.endpoint_id, e.key.kind, e.key.alert_id) == (name, kind, alert_id)
        ]

    def progress(self, name: str, kind: DeliveryKind = DeliveryKind.START, alert_id: str = "a") -> list[Progress]:
        return [r.progress for r in self.receipts(name, kind, alert_id)]

    def presence(self, name: str) -> list[Availability]:
        return [e for e in self.said if isinstance(e, Availability) and e.endpoint_id == name]

    def edges(self, name: str) -> list[Edge]:
        """What the horn's own board logged."""
        coil = self.horn(name).coil
        assert coil is not None
        return [e for e in self.bus(coil.line).edges if (e.unit, e.coil) == (coil.unit, coil.coil)]

    def sounds(self, name: str) -> list[tuple[float, float]]:
        """When the horn began and ended to sound, by the board's log (monotonic); the last may still sound."""
        edges = self.edges(name)
        ends = [*edges[1::2]]
        return [
            (on.monotonic, ends[n].monotonic if n < len(ends) else float("inf")) for n, on in enumerate(edges[::2])
        ]

    def silent(self) -> bool:
        return not any(bus.closed() for bus in self.field.buses.values())

    async def ended(self, *names: str, alert_id: str = "a") -> None:
        """Wait for the last word on the named starts, or on all."""
        wanted = names or tuple(h.id for h in self.horns)
        await until(lambda: all(any(p.ended for p in self.progress(n, alert_id=alert_id)) for n in wanted))

    def last(self, name: str, alert_id: str = "a") -> Receipt:
        """The final receipt of a start."""
        finals = [r for r in self.receipts(name, alert_id=alert_id) if r.progress.ended]
        assert len(finals) == 1, finals
        return finals[0]


async def until(condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Wait until it holds; fail if it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.01)


Build = Callable[..., object]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Build]:
    """`await bench(units={"L1": (1, 2)}, …)` builds a field and a running driver; all is taken down at the end."""
    async with AsyncExitStack() as stack:

        async def build(
            units: dict[str, Sequence[int]] | None = None,
            *,
            timer_s: int | None = None,
            before: Callable[[RelayField], None] = lambda field: None,
            **settings: float,
        ) -> Bench:
            timer = None if timer_s is None else BoardTimer(register_address=3, max_s=timer_s)
            lines = [
                SerialLine(
                    name=name,
                    port="replaced by the simulator",
                    baudrate=38400,
                    boards=tuple(Board(unit=unit, timer=timer) for unit in boards),
                )
                for name, boards in (units or {"L1": (1, 2)}).items()
            ]
            field = await stack.enter_async_context(RelayField(lines, tmp_path))
            before(field)
            built = Bench(field, Serial(lines=field.lines, **settings))  # type: ignore[arg-type]
            await stack.enter_async_context(built.driver)
            listening = asyncio.create_task(_listen(built))
            stack.push_async_callback(_cancelled, listening)
            await until(lambda: built.driver.processes[1] is not None)
            return built

        yield build


async def _listen(bench: Bench) -> None:
    async for batch in bench.driver.listen():
        assert batch.channel is Channel.HORN
        bench.said += batch.events


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(name="start")
def _start() -> Callable[..., Start]:
    return start


@pytest.fixture(name="stop")
def _stop() -> Callable[..., Stop]:
    return stop


@pytest.fixture(name="until")
def _until() -> object:
    return until
