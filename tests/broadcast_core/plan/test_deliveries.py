"""The plan holds one delivery for each target in service, and names those that cannot be reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from broadcast_core.model import Channel, Reason, Start
from broadcast_core.plan import make_plan, parse_area, resolve
from broadcast_core.registry import Registry
from broadcast_core.registry.dataset import default_registry

ALL = frozenset(Channel)


def test_every_target_in_service_has_one_delivery_with_its_channels_start(
    registry: Registry, starts: Mapping[Channel, Start]
) -> None:
    plan = make_plan("a", 1, starts, resolve(parse_area("district", "D"), registry, ALL), registry)
    assert (plan.alert_id, plan.revision) == ("a", 1)
    sent = {delivery.endpoint.id: delivery for delivery in plan.deliveries}
    assert len(sent) == len(plan.deliveries)
    assert set(sent) == {"SPK-1", "SPK-2", "SPK-3", "SPK-4", "HRN-1", "SMS-1"}
    assert all(delivery.order is starts[delivery.endpoint.channel] for delivery in plan.deliveries)


def test_speakers_go_by_zone_and_the_others_by_themselves(
    registry: Registry, starts: Mapping[Channel, Start]
) -> None:
    plan = make_plan("a", 1, starts, resolve(parse_area("district", "D"), registry, ALL), registry)
    ways = {d.endpoint.id: (d.via, d.via_version, d.excluded) for d in plan.deliveries}
    assert ways["SPK-1"] == ways["SPK-4"] == ("D", 7, ("SPK-5",))
    assert ways["HRN-1"] == ways["SMS-1"] == (None, 0, ())


def test_who_is_out_of_service_is_named_as_unreachable(registry: Registry, starts: Mapping[Channel, Start]) -> None:
    plan = make_plan("a", 1, starts, resolve(parse_area("zone:S", "D"), registry, ALL), registry)
    assert {(u.endpoint.id, u.reason) for u in plan.unreachable} == {
        ("SPK-5", Reason.DISABLED),
        ("SMS-2", Reason.DISABLED),
    }


def test_a_channel_without_a_start_gets_nothing(registry: Registry, starts: Mapping[Channel, Start]) -> None:
    targets = resolve(parse_area("district", "D"), registry, ALL)
    without_horns = {channel: start for channel, start in starts.items() if channel is not Channel.HORN}
    plan = make_plan("a", 1, without_horns, targets, registry)
    assert "HRN-1" not in {d.endpoint.id for d in plan.deliveries} | {u.endpoint.id for u in plan.unreachable}
    only_sms = make_plan("a", 1, {Channel.SMS: starts[Channel.SMS]}, targets, registry)
    assert [d.endpoint.id for d in only_sms.deliveries] == ["SMS-1"]
    assert [u.endpoint.id for u in only_sms.unreachable] == ["SMS-2"]


def test_the_whole_shipped_district_is_planned(starts: Mapping[Channel, Start]) -> None:
    registry = default_registry()
    plan = make_plan("a", 1, starts, resolve(parse_area("district", "430103"), registry, ALL), registry)
    counts = Counter(delivery.endpoint.channel for delivery in plan.deliveries)
    assert counts == {Channel.SPEAKER: 1099, Channel.HORN: 24, Channel.SMS: 2400}
    assert {d.via for d in plan.deliveries if d.endpoint.channel is Channel.SPEAKER} == {"430103"}
    assert plan.unreachable == ()
