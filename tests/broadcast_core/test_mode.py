"""Modes on the tree of zones: a zone without one of its own has its parent's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from broadcast_core.mode import Modes, ModeSetting, effective, switched
from broadcast_core.model import Mode, Zone, ZoneLevel
from broadcast_core.registry import Registry

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
_LEVELS = (ZoneLevel.DISTRICT, ZoneLevel.SUBDISTRICT, ZoneLevel.COMMUNITY)
TREE = {"D": None, "N": "D", "S": "D", "N1": "N", "N2": "N", "S1": "S"}


def _level(code: str) -> ZoneLevel:
    return _LEVELS[0 if TREE[code] is None else 1 if TREE[code] == "D" else 2]


REGISTRY = Registry(
    [Zone(code=c, parent=p, level=_level(c), name_zh=c, name_en=c) for c, p in TREE.items()],
)


def setting(zone: str, mode: Mode, remind_at: datetime | None = None) -> ModeSetting:
    return ModeSetting(zone=zone, mode=mode, reason="x", actor="a", set_at=NOW, remind_at=remind_at)


def modes(**own: Mode) -> Modes:
    return Modes({zone: setting(zone, mode) for zone, mode in own.items()})


def test_peacetime_where_nothing_is_set() -> None:
    assert set(effective(Modes(), REGISTRY).values()) == {Mode.PEACETIME}


def test_the_nearest_setting_above_decides() -> None:
    found = effective(modes(D=Mode.EMERGENCY, N=Mode.PEACETIME, N1=Mode.EMERGENCY), REGISTRY)
    assert [zone for zone, mode in found.items() if mode is Mode.EMERGENCY] == ["D", "N1", "S", "S1"]


def test_a_zone_that_is_not_registered_counts_for_nothing() -> None:
    assert modes(D=Mode.EMERGENCY).of("elsewhere", REGISTRY) is Mode.PEACETIME
    assert effective(modes(elsewhere=Mode.EMERGENCY), REGISTRY) == effective(Modes(), REGISTRY)


def test_a_switch_names_only_whose_mode_is_another_now() -> None:
    before = modes(N1=Mode.EMERGENCY)
    assert switched(before, before.with_setting(setting("N", Mode.EMERGENCY)), REGISTRY) == {
        "N": Mode.EMERGENCY,
        "N2": Mode.EMERGENCY,
    }
    assert switched(before, before.without("N1"), REGISTRY) == {"N1": Mode.PEACETIME}


def test_an_emergency_outlives_its_reason_and_peace_never_does() -> None:
    past, future = NOW - timedelta(minutes=1), NOW + timedelta(minutes=1)
    found = Modes(
        {
            "N": setting("N", Mode.EMERGENCY, past),
            "S": setting("S", Mode.EMERGENCY, future),
            "D": setting("D", Mode.PEACETIME, past),
        }
    )
    assert [s.zone for s in found.overdue(NOW)] == ["N"]


@given(st.dictionaries(st.sampled_from(sorted(TREE)), st.sampled_from(Mode)), st.sampled_from(sorted(TREE)))
def test_effective_agrees_with_walking_up_by_hand(own: dict[str, Mode], zone: str) -> None:
    at: str | None = zone
    while at is not None and at not in own:
        at = TREE[at]
    by_hand = Mode.PEACETIME if at is None else own[at]
    assert modes(**own).of(zone, REGISTRY) is by_hand
    assert effective(modes(**own), REGISTRY)[zone] is by_hand
