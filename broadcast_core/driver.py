"""The protocol every channel's driver keeps. `docs/architecture.md` draws where it stands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, Self

from broadcast_core.model import Batch, Channel, Delivery


class Driver(Protocol):
    """Thin I/O between our types and one kind of field device.

    Entering starts the driver's named tasks and does not wait for the field to be reachable; leaving ends them.
    """

    @property
    def channel(self) -> Channel:
        """The channel this driver serves."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def send(self, deliveries: Sequence[Delivery]) -> None:
        """Hand deliveries to the field.

        Takes a batch so that a driver can group (MQTT by topic, serial by bus, SMS by chunk), may be called again
        while an earlier call is still running (a stop does), and may return before any proof exists: proof comes
        only through `listen`. What was handed over is reported there too, as `Progress.SENT`. Sending the same
        delivery twice is harmless. Raises DriverUnavailable if the channel as a whole is down, nothing else; one
        endpoint's failure is a Receipt. Only dispatch retries.
        """
        ...

    def listen(self) -> AsyncIterator[Batch]:
        """Yield what the field says, asked or not, until the driver is closed. One listener per driver."""
        ...
