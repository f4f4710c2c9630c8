"""A phone book, orders, and a small dispatcher that does with the driver what the real one does."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from broadcast_core.clock import Clock, SystemClock
from broadcast_core.config import Listener, Sms, SmsGateway
from broadcast_core.model import (
    Approval,
    Authority,
    Batch,
    Certainty,
    Channel,
    Delivery,
    DeliveryKey,
    DeliveryKind,
    Domain,
    Endpoint,
    Level,
    Progress,
    Receipt,
    SoundClass,
    Standing,
    Start,
    Stop,
    Texted,
    Urgency,
)
from drivers.sms_gateway.driver import SmsGatewayDriver
from simulators.sms_gateway import SmsGatewaySimulator, Timing

PASSWORD = "only-for-tests"
SECRET = b"sixteen bytes or more"


@dataclass
class Orders:
    """Builds orders and deliveries with everything beside the point filled in."""

    clock: Clock = field(default_factory=SystemClock)

    def phone(self, n: int, **fields: Any) -> Endpoint:
        # +86 10 numbers are a landline's: no phone can be reached under them.
        given = {"id": f"sms-{n:04d}", "phone": f"+8610{n:08d}", **fields}
        return Endpoint(channel=Channel.SMS, zone="430103001001", name=f"recipient {n}", **given)

    def phones(self, count: int) -> list[Endpoint]:
        return [self.phone(n) for n in range(count)]

    def start(
        self,
        text: str | tuple[tuple[str, str], ...] = "暴雨红色预警",
        *,
        alert: str = "alert-1",
        revision: int = 1,
        lifetime: float = 3600,
        level: Level = Level.RED,
        **fields: Any,
    ) -> Start:
        now = self.clock.now()
        return Start(
            **{
                "alert_id": alert,
                "revision": revision,
                "domain": Domain.LIVE,
                "standing": Standing(
                    sound_class=SoundClass.EMERGENCY,
                    authority=Authority.DISTRICT,
                    level=level,
                    urgency=Urgency.IMMEDIATE,
                    certainty=Certainty.OBSERVED,
                ),
                "issued_at": now,
                "starts_at": now,
                "expires": now + timedelta(seconds=lifetime),
                "content": Texted(text=(("zh-CN", text),) if isinstance(text, str) else text),
                "approval": Approval(kind="one-person", actors=("tester",)),
                **fields,
            }
        )

    def stop(self, *, alert: str = "alert-1", revision: int = 1) -> Stop:
        now = self.clock.now()
        return Stop(
            alert_id=alert,
            revision=revision,
            domain=Domain.LIVE,
            acted_at=now,
            expires=now + timedelta(hours=1),
            actor="tester",
            cause="stop",
        )

    def key(self, endpoint: Endpoint, order: Start | Stop) -> DeliveryKey:
        kind = DeliveryKind.STOP if isinstance(order, Stop) else DeliveryKind.START
        return DeliveryKey(alert_id=order.alert_id, revision=order.revision, kind=kind, endpoint_id=endpoint.id)

    def deliveries(self, order: Start | Stop, endpoints: Iterable[Endpoint]) -> list[Delivery]:
        return [Delivery(endpoint=endpoint, order=order) for endpoint in endpoints]


class Desk:
    """Dispatch in small: the maximum rule, retries when the driver allows them, and sums that must always add up."""

    def __init__(self, driver: SmsGatewayDriver, orders: Orders) -> None:
        self.driver = driver
        self.receipts: list[Receipt] = []
        self.progress: dict[DeliveryKey, Progress] = {}
        self.batches: list[int] = []
        self._orders = orders
        self._deliveries: dict[DeliveryKey, Delivery] = {}
        self._heard = asyncio.Event()
        self._again: set[asyncio.Task[None]] = set()

    async def send(self, order: Start | Stop, endpoints: Iterable[Endpoint]) -> None:
        deliveries = self._orders.deliveries(order, endpoints)
        for delivery in deliveries:
            key = self._orders.key(delivery.endpoint, order)
            self._deliveries[key] = delivery
            self.progress.setdefault(key, Progress.CLAIMED)
        await self.driver.send(deliveries)

    async def listen(self) -> None:
        async for batch in self.driver.listen():
            self._take(batch)
            batch.settled()
            assert sum(self.tally().values()) == len(self._deliveries)
            self._heard.set()

    def _take(self, batch: Batch) -> None:
        self.batches.append(len(batch.events))
        for receipt in batch.events:
            assert isinstance(receipt, Receipt)
            self.receipts.append(receipt)
            if receipt.retry_after is not None:
                self._again.add(asyncio.create_task(self._send_again(receipt)))
            elif receipt.key in self.progress:
                self.progress[receipt.key] = max(self.progress[receipt.key], receipt.progress)

    async def _send_again(self, receipt: Receipt) -> None:
        assert receipt.retry_after is not None
        await asyncio.sleep(receipt.retry_after.total_seconds())
        if self.progress[receipt.key] <= Progress.SENT:
            again = replace(self._deliveries[receipt.key], attempt=self._deliveries[receipt.key].attempt + 1)
            self._deliveries[receipt.key] = again
            await self.driver.send([again])

    def tally(self) -> Counter[Progress]:
        return Counter(self.progress.values())

    def said(self, endpoint: Endpoint, order: Start | Stop) -> list[Receipt]:
        key = self._orders.key(endpoint, order)
        return [receipt for receipt in self.receipts if receipt.key == key]

    def reached(self, order: Start | Stop, progress: Progress) -> int:
        kind = DeliveryKind.STOP if isinstance(order, Stop) else DeliveryKind.START
        return sum(
            p is progress
            for k, p in self.progress.items()
            if (k.alert_id, k.revision, k.kind) == (order.alert_id, order.revision, kind)
        )

    async def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until `condition` holds; looked at after everything that is heard, and now and then."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._heard.clear()
                try:
                    async with asyncio.timeout(0.05):
                        await self._heard.wait()
                except TimeoutError:
                    pass

    async def close(self) -> None:
        for task in self._again:
            task.cancel()
        results = await asyncio.gather(*self._again, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result


@pytest.fixture
def orders() -> Orders:
    return Orders()


@pytest.fixture
async def gateway() -> AsyncIterator[SmsGatewaySimulator]:
    async with SmsGatewaySimulator(
        password=PASSWORD, seed=7, timing=Timing(accepted_s=0.005, delivered_s=0.02)
    ) as simulator:
        yield simulator


@pytest.fixture
def sms() -> Callable[..., Sms]:
    """Settings of an account: `sms(gateway_url, rate_per_second=…)`."""

    def build(url: str, gateway: dict[str, Any] | None = None, **fields: Any) -> Sms:
        given = {
            "rate_per_second": 1000.0,
            "timeout_s": 5.0,
            "retry_delay_s": 0.05,
            "retry_delay_max_s": 0.2,
            "reports": Listener(port=0),
            **fields,
        }
        return Sms(gateway=SmsGateway(url=url, **(gateway or {})), **given)

    return build


OpenDesk = Callable[..., AbstractAsyncContextManager[Desk]]


@pytest.fixture
def open_desk(orders: Orders, gateway: SmsGatewaySimulator) -> OpenDesk:
    """`async with open_desk(settings) as desk:` runs a driver with a dispatcher at it, until the last report."""

    @asynccontextmanager
    async def opened(settings: Sms, *, password: str = PASSWORD, secret: bytes = SECRET) -> AsyncIterator[Desk]:
        async with SmsGatewayDriver(settings, password, secret, orders.clock) as driver:
            desk = Desk(driver, orders)
            listening = asyncio.create_task(desk.listen())
            try:
                yield desk
                await desk.until(lambda: not gateway.reporter.pending)
            finally:
                await desk.close()
        await listening

    return opened
