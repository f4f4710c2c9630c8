"""Prometheus metrics: what is live is read when it is scraped, the rest is counted as it happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broadcast_core.errors import RejectReason
from broadcast_core.mode import effective
from broadcast_core.model import Channel, DeliveryKey, DeliveryKind, Mode, MsgType, Progress, Reason
from broadcast_core.outbox import Evidence
from broadcast_core.report import State, live_counts
from broadcast_core.selftest import SelfTestDesk
from broadcast_core.services import Services
from broadcast_core.web.connections import Connections
from broadcast_core.web.presence import presence_counts

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each: nobody asks when it began

_NAMESPACE: Final = "tocsin"
# Seconds from accepted to received: a fan-out takes tens of milliseconds, a speaker that was offline minutes.
_BUCKETS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300)
_MOST_UNCOUNTED: Final = 10_000  # receipts, if nobody ever scrapes
_ARRIVALS: Final = frozenset({Progress.RECEIVED, Progress.STARTED, Progress.FINISHED, Progress.HEARD})
_ARRIVED: Final = "arrived"


class Metrics:
    """The metrics of one process."""

    def __init__(self, services: Services, tests: SelfTestDesk, connections: Connections) -> None:
        self.registry: Final = CollectorRegistry()
        self._services = services
        self._uncounted: list[Sequence[Evidence]] = []
        self._pieces = 0
        self._counted: dict[DeliveryKey, set[str]] = {}
        self._accepted = Counter(
            "alerts_accepted", "Messages accepted over the API", ["msg_type"],
            namespace=_NAMESPACE, registry=self.registry,
        )  # fmt: skip
        self._refused = Counter(
            "alerts_refused", "Messages refused over the API", ["reason"],
            namespace=_NAMESPACE, registry=self.registry,
        )  # fmt: skip
        self._failures = Counter(
            "delivery_failures", "Deliveries that failed; late evidence may still finish them", ["channel", "reason"],
            namespace=_NAMESPACE, registry=self.registry,
        )  # fmt: skip
        self._received = Histogram(
            "received_seconds", "From the acceptance to the first evidence of having received", ["channel"],
            namespace=_NAMESPACE, registry=self.registry, buckets=_BUCKETS,
        )  # fmt: skip
        self._begin_at_zero()
        self.registry.register(_Now(services, tests, connections))
        services.dispatch.settler.observers.append(self.durable)

    def accepted(self, msg_type: MsgType) -> None:
        self._accepted.labels(msg_type.value).inc()

    def refused(self, reason: RejectReason) -> None:
        self._refused.labels(reason.value).inc()

    def durable(self, evidence: Sequence[Evidence]) -> None:
        """Receipts that have become durable. Counted later: this runs in the middle of a fan-out."""
        self._uncounted.append(evidence)
        self._pieces += len(evidence)
        if self._pieces > _MOST_UNCOUNTED:
            self._count()

    def exposition(self) -> bytes:
        """The text that a Prometheus server scrapes."""
        self._count()
        return generate_latest(self.registry)

    def _count(self) -> None:
        uncounted, self._uncounted, self._pieces = self._uncounted, [], 0
        live = {(alert.alert_id, alert.revision): alert.accepted_at for alert in self._services.live.alerts()}
        self._counted = {key: kinds for key, kinds in self._counted.items() if (key.alert_id, key.revision) in live}
        for piece in chain.from_iterable(uncounted):
            key = piece.receipt.key
            accepted_at = live.get((key.alert_id, key.revision))
            if accepted_at is not None:
                self._count_piece(piece, accepted_at, self._counted.setdefault(key, set()))

    def _count_piece(self, piece: Evidence, accepted_at: datetime, counted: set[str]) -> None:
        """Each delivery counts once as received and once for each reason, however often it says so."""
        receipt = piece.receipt
        found = self._services.live.find(receipt.key)
        if found is None:
            return
        channel = found[1].delivery.endpoint.channel.value
        if receipt.progress is Progress.FAILED and receipt.reason is not None and receipt.retry_after is None:
            if receipt.reason not in counted:
                counted.add(receipt.reason)
                self._failures.labels(channel, receipt.reason.value).inc()
        elif receipt.key.kind is DeliveryKind.START and receipt.progress in _ARRIVALS and _ARRIVED not in counted:
            counted.add(_ARRIVED)
            self._received.labels(channel).observe((piece.recorded_at - accepted_at).total_seconds())

    def _begin_at_zero(self) -> None:
        """Every series of the closed lists is there from the start, so that its first event shows as a rise."""
        for msg_type in (MsgType.ALERT, MsgType.UPDATE, MsgType.CANCEL):
            self._accepted.labels(msg_type.value)
        for refusal in RejectReason:
            self._refused.labels(refusal.value)
        for channel in Channel:
            self._received.labels(channel.value)
            for reason in Reason:
                self._failures.labels(channel.value, reason.value)


METRICS: Final = web.AppKey("metrics", Metrics)


class _Now(Collector):
    """What stands in memory at the moment of the scrape."""

    def __init__(self, services: Services, tests: SelfTestDesk, connections: Connections) -> None:
        self._services = services
        self._tests = tests
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        services = self._services
        yield self._deliveries()
        yield self._presence()
        yield from self._freshness()
        yield GaugeMetricFamily(
            f"{_NAMESPACE}_receipts_waiting", "Receipts not yet durable", value=services.dispatch.settler.waiting
        )
        yield from self._modes()
        yield CounterMetricFamily(f"{_NAMESPACE}_commits", "Commits of the one writer", value=services.store.commits)
        room = services.reserve.room()
        yield GaugeMetricFamily(f"{_NAMESPACE}_storage_free_bytes", "Free on the disk of the data", value=room.free)
        yield GaugeMetricFamily(
            f"{_NAMESPACE}_storage_ballast", "Whether the last reserve is still held", value=float(room.ballast)
        )
        down = GaugeMetricFamily(
            f"{_NAMESPACE}_channel_up", "Whether the channel's driver takes orders", labels=["channel"]
        )
        for channel, line in services.dispatch.lines.items():
            down.add_metric([channel.value], float(line.down_since is None))
        yield down
        yield GaugeMetricFamily(
            f"{_NAMESPACE}_api_connections", "Open connections of the API", value=len(self._connections)
        )
        yield CounterMetricFamily(
            f"{_NAMESPACE}_api_connections_evicted",
            "Connections closed to make room for newer ones",
            value=self._connections.evicted,
        )

    def _freshness(self) -> Iterator[Metric]:
        """Counts, not shares: who adds up districts must not add up quotients."""
        endpoints = GaugeMetricFamily(
            f"{_NAMESPACE}_selftest_endpoints", "Endpoints in service, by their last silent proof",
            labels=["channel", "proven"],
        )  # fmt: skip
        oldest = GaugeMetricFamily(
            f"{_NAMESPACE}_selftest_oldest_timestamp_seconds", "When the endpoint proven longest ago was proven",
            labels=["channel"],
        )  # fmt: skip
        for channel, fresh in self._tests.freshness().items():
            stale = fresh.endpoints - fresh.proven_week - fresh.never
            for proven, n in (
                ("24h", fresh.proven_day), ("7d", fresh.proven_week - fresh.proven_day), ("older", stale),
                ("never", fresh.never),
            ):  # fmt: skip
                endpoints.add_metric([channel.value, proven], n)
            if fresh.oldest is not None:
                oldest.add_metric([channel.value], fresh.oldest.timestamp())
        yield endpoints
        yield oldest

    def _modes(self) -> Iterator[Metric]:
        services = self._services
        modes, registry = services.modes.modes, services.registry()
        by_zone = effective(modes, registry)
        emergency = sum(by_zone[e.zone] is Mode.EMERGENCY for e in registry.ordered(Channel.SPEAKER))
        yield GaugeMetricFamily(f"{_NAMESPACE}_emergency_speakers", "Speakers in emergency mode", value=emergency)
        overdue = sum(1 for _ in modes.overdue(services.clock.now()))
        yield GaugeMetricFamily(
            f"{_NAMESPACE}_emergency_overdue", "Emergency modes that have outlived their reason", value=overdue
        )

    def _deliveries(self) -> Metric:
        family = GaugeMetricFamily(
            f"{_NAMESPACE}_live_deliveries",
            "Deliveries of live alerts by where they stand",
            labels=["channel", "kind", "state"],
        )
        totals: dict[tuple[Channel, DeliveryKind, State], int] = {}
        for count in live_counts(self._services.live.alerts()):
            for kind, by_channel in ((DeliveryKind.START, count.channels), (DeliveryKind.STOP, count.stops)):
                for channel, states in by_channel.items():
                    for state, n in states.items():
                        where = (channel, kind, state)
                        totals[where] = totals.get(where, 0) + n
        for (channel, kind, state), n in totals.items():
            family.add_metric([channel.value, kind.value, state.value], n)
        return family

    def _presence(self) -> Metric:
        family = GaugeMetricFamily(
            f"{_NAMESPACE}_endpoints", "Endpoints in service by presence", labels=["channel", "presence"]
        )
        counts = presence_counts(self._services.registry(), self._services.dispatch.presence)
        for channel, by_presence in counts.items():
            for presence, n in by_presence.items():
                family.add_metric([channel.value, presence.value], n)
        return family
