"""No area, no alert: what is not clearly meant is refused, never read as everybody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.model import Channel, NamedValue
from broadcast_core.plan import Expression, notes_of, parse_area, resolve
from broadcast_core.registry import Registry
from broadcast_core.registry.dataset import default_registry

ALL = frozenset(Channel)
SPEAKER = frozenset({Channel.SPEAKER})


def found(text: str, registry: Registry, channels: frozenset[Channel] = ALL) -> set[str]:
    return {endpoint.id for endpoint in resolve(parse_area(text, registry.root.code), registry, channels)}


def refusal(expression: Expression | str, registry: Registry, channels: frozenset[Channel] = ALL) -> AlertRejected:
    if isinstance(expression, str):
        expression = parse_area(expression, registry.root.code)
    with pytest.raises(AlertRejected) as refused:
        resolve(expression, registry, channels)
    return refused.value


def test_zones_shapes_and_endpoints_are_joined_and_exceptions_taken_off(registry: Registry) -> None:
    assert found("zone:N1", registry) == {"SPK-1", "SPK-2", "SMS-1"}
    assert found("zone:N", registry, SPEAKER) == {"SPK-1", "SPK-2", "SPK-3"}
    assert found("circle:28.15,112.9 1; endpoint:SPK-4", registry) == {"SPK-3", "HRN-1", "SPK-4"}
    assert found("zone:N; exclude:N1", registry) == {"SPK-3", "HRN-1"}
    assert found("zone:N; exclude:SPK-1; exclude:SPK-4", registry, SPEAKER) == {"SPK-2", "SPK-3"}
    assert found("polygon:28.3,112.8 28.3,113 28.17,113 28.17,112.8", registry, SPEAKER) == {"SPK-1", "SPK-2"}


def test_those_out_of_service_are_targets_that_cannot_be_reached(registry: Registry) -> None:
    assert found("zone:S", registry) == {"SPK-4", "SPK-5", "SMS-2"}


def test_who_said_nothing_is_refused(registry: Registry) -> None:
    for expression in (Expression(), Expression(excluded=("N1",))):
        assert refusal(expression, registry).reason is RejectReason.NO_AREA


@pytest.mark.parametrize("text", ["zone:X1", "endpoint:X1", "zone:N; exclude:X1", "zone:SPK-1", "endpoint:N1"])
def test_what_is_not_registered_is_refused_by_name(registry: Registry, text: str) -> None:
    refused = refusal(text, registry)
    assert refused.reason is RejectReason.UNKNOWN_AREA
    assert text.rpartition(":")[2] in str(refused.sentence)


def test_foreign_geocodes_alone_are_refused_and_beside_others_noted(registry: Registry) -> None:
    foreign = Expression(foreign=(NamedValue(name="SAME", value="006113"), NamedValue(name="UGC", value="CAZ006")))
    refused = refusal(foreign, registry)
    assert refused.reason is RejectReason.UNKNOWN_AREA
    assert "SAME=006113" in str(refused.sentence)
    both = foreign | Expression(zones=("N1",))
    assert len(resolve(both, registry, ALL)) == 3
    assert "UGC=CAZ006" in str(notes_of(both)[0])
    assert notes_of(Expression(zones=("N1",))) == ()


@pytest.mark.parametrize("text", ["circle:0,0 1", "zone:N1; exclude:N", "endpoint:SPK-5", "endpoint:SMS-2"])
def test_an_area_with_nobody_in_service_is_refused(registry: Registry, text: str) -> None:
    assert refusal(text, registry).reason is RejectReason.EMPTY_AREA


def test_an_area_without_endpoints_of_the_channels_is_refused(registry: Registry) -> None:
    assert refusal("zone:S", registry, frozenset({Channel.HORN})).reason is RejectReason.EMPTY_AREA
    assert refusal("zone:N", registry, frozenset()).reason is RejectReason.EMPTY_AREA


EVERYBODY = [
    "polygon:29,112 29,114 27,114 27,112",
    "circle:28.1,112.9 500",
    "zone:N; zone:S",
    "zone:N; circle:28.0,112.9 5",
    "endpoint:SPK-1; endpoint:SPK-2; endpoint:SPK-3; endpoint:SPK-4; endpoint:HRN-1; endpoint:SMS-1",
    "circle:28.1,112.9 500; exclude:SPK-5",
]


@pytest.mark.parametrize("text", EVERYBODY)
def test_the_whole_district_by_accident_is_refused_with_its_count(registry: Registry, text: str) -> None:
    refused = refusal(text, registry)
    assert refused.reason is RejectReason.WHOLE_DISTRICT_NOT_SAID
    assert "6 endpoints" in str(refused.sentence)


def test_all_endpoints_of_the_channels_in_use_are_the_whole_district_too(registry: Registry) -> None:
    area = "zone:N1; zone:N2; endpoint:SPK-4"
    assert refusal(area, registry, SPEAKER).reason is RejectReason.WHOLE_DISTRICT_NOT_SAID
    assert "SPK-4" in found("zone:N1; endpoint:SPK-3; endpoint:SPK-4", registry)


def test_the_whole_district_said_is_everybody(registry: Registry) -> None:
    assert found("district", registry) == set(registry.endpoints)
    assert found("zone:D; circle:28,112 500", registry) == set(registry.endpoints)
    assert found("district; exclude:S", registry, SPEAKER) == {"SPK-1", "SPK-2", "SPK-3"}


def test_in_a_single_zone_there_is_no_district_to_say(registry: Registry) -> None:
    one = Registry(registry.zones.values(), [replace(e, zone="N1") for e in registry.endpoints.values()])
    assert found("zone:N1", one) == set(one.endpoints)
    assert found("endpoint:HRN-1", registry, frozenset({Channel.HORN})) == {"HRN-1"}


def test_the_shipped_district_resolves_by_every_kind_of_area() -> None:
    registry = default_registry()
    assert len(resolve(parse_area("district", "430103"), registry, ALL)) == 1099 + 24 + 2400
    box = "polygon:28.3,112.8 28.3,113.1 27.9,113.1 27.9,112.8"
    assert refusal(box, registry).reason is RejectReason.WHOLE_DISTRICT_NOT_SAID
    north = found("polygon:28.3,112.8 28.3,113.1 28.15,113.1 28.15,112.8", registry, SPEAKER)
    assert 300 < len(north) < 700
