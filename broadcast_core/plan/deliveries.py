"""The plan: what goes to whom, by which topic, and who cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from broadcast_core.model import Channel, Delivery, Endpoint, Opening, Plan, Reason, Unreachable
from broadcast_core.plan.cover import cover
from broadcast_core.registry import Registry


def make_plan(
    alert_id: str,
    revision: int,
    starts: Mapping[Channel, Opening],
    targets: Sequence[Endpoint],
    registry: Registry,
) -> Plan:
    """The deliveries of one message, one for each target in service whose channel has a start.

    Speakers are reached by the smallest cover; deliveries with equal `via`, `via_version` and `excluded` are one
    message and stand together. A target out of service is in `unreachable`. Channels without a start get nothing:
    horns sound only where an alert brings a pattern for them.
    """
    reached = [endpoint for endpoint in targets if endpoint.channel in starts]
    in_service = [endpoint for endpoint in reached if endpoint.enabled]
    unreachable = (
        Unreachable(endpoint=endpoint, reason=Reason.DISABLED) for endpoint in reached if not endpoint.enabled
    )
    deliveries = (*_to_speakers(in_service, starts, registry), *_to_others(in_service, starts))
    return Plan(alert_id=alert_id, revision=revision, deliveries=deliveries, unreachable=tuple(unreachable))


def on_their_own(plan: Plan) -> Plan:
    """The same plan, each endpoint told on its own topic: where a zone's would also reach others."""
    deliveries = tuple(replace(d, via=None, via_version=0, excluded=()) for d in plan.deliveries)
    return replace(plan, deliveries=deliveries)


def _to_speakers(
    endpoints: Sequence[Endpoint], starts: Mapping[Channel, Opening], registry: Registry
) -> Iterator[Delivery]:
    speakers = [endpoint for endpoint in endpoints if endpoint.channel is Channel.SPEAKER]
    for part in cover(speakers, registry):
        for speaker in part.speakers:
            yield Delivery(
                endpoint=speaker,
                order=starts[Channel.SPEAKER],
                via=part.zone,
                via_version=part.version,
                excluded=part.excluded,
            )


def _to_others(endpoints: Sequence[Endpoint], starts: Mapping[Channel, Opening]) -> Iterator[Delivery]:
    for endpoint in endpoints:
        if endpoint.channel is not Channel.SPEAKER:
            yield Delivery(endpoint=endpoint, order=starts[endpoint.channel])
