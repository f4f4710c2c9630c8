"""Siren patterns: the shipped ones are what people have learned, and a district's file cannot bend them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.patterns import patterns


def seconds(pattern):
    return [(on.total_seconds(), off.total_seconds()) for on, off in pattern.steps]


@pytest.mark.parametrize(
    ("name", "steps", "last_sound_ends", "total"),
    [
        ("cd-pre-warning", [(36, 24)] * 3, 156, 180),
        ("cd-air-raid", [(6, 6)] * 15, 174, 180),
        ("cd-all-clear", [(180, 0)], 180, 180),
    ],
)
def test_the_civil_defence_signals_are_exact_and_enabled(name, steps, last_sound_ends, total):
    pattern = patterns()[name]
    assert seconds(pattern) == steps
    assert pattern.last_sound_ends == timedelta(seconds=last_sound_ends)
    assert pattern.total == timedelta(seconds=total)
    assert pattern.enabled
    assert not pattern.demonstration


def test_disaster_patterns_wait_for_an_administrator():
    disaster = {name: p for name, p in patterns().items() if name.startswith("disaster-")}
    assert sorted(map(seconds, disaster.values())) == [
        [(3, 3)] * 30,
        [(15, 10), (5, 10)] * 3,
        [(20, 10)] * 6,
    ]
    assert not any(p.enabled for p in disaster.values())


def test_only_the_demonstration_is_one():
    assert [p.id for p in patterns().values() if p.demonstration] == ["demo-short"]
    assert patterns()["demo-short"].total == timedelta(seconds=6)


@pytest.fixture
def own(tmp_path):
    def write(text):
        path = tmp_path / "own.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_an_administrator_confirms_a_pattern_by_one_line(own):
    found = patterns(own("[pattern.disaster-3-3]\nenabled = true\n"))
    assert found["disaster-3-3"].enabled
    assert seconds(found["disaster-3-3"]) == [(3, 3)] * 30
    assert not found["disaster-20-10"].enabled


def test_a_district_adds_its_own(own):
    found = patterns(
        own('[pattern.dam]\nname_zh = "溃坝"\nname_en = "Dam"\nsteps = [[2.5, 1], [4, 0]]\nrepeat = 2\n')
    )
    assert seconds(found["dam"]) == [(2.5, 1), (4, 0)] * 2


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[pattern.cd-air-raid]\nsteps = [[1, 1]]\n", "pattern.cd-air-raid.steps"),
        ("[pattern.cd-air-raid]\ndemonstration = true\n", "pattern.cd-air-raid.demonstration"),
        ("[pattern.x]\nname_zh = '某'\nname_en = 'X'\nsteps = []\n", "pattern.x.steps"),
        ("[pattern.x]\nname_zh = '某'\nname_en = 'X'\nsteps = [[0, 1]]\n", "pattern.x.steps"),
        ("[pattern.x]\nname_zh = '某'\nname_en = 'X'\nsteps = [[0.1, 1]]\n", "pattern.x.steps"),
        ("[pattern.x]\nname_zh = '某'\nname_en = 'X'\nsteps = [[1, -1]]\n", "pattern.x.steps"),
        ("[pattern.x]\nname_zh = '某'\nname_en = 'X'\nsteps = [[nan, 1]]\n", "pattern.x.steps"),
        ("[pattern.x]\nname_zh = '某'\nname_en = 'X'\nsteps = [[inf, 1]]\n", "pattern.x.steps"),
        ("[pattern.x]\nname_zh = '某'\nname_en = 'X'\nsteps = [[true, 1]]\n", "pattern.x.steps"),
        ("[pattern.x]\nname_zh = '某'\nname_en = 'X'\nsteps = [[1]]\n", "pattern.x.steps"),
        ("[pattern.x]\nname_zh = '某'\nname_en = 'X'\nsteps = [[3000, 0], [3000, 0]]\n", "pattern.x.steps"),
        ("[pattern.x]\nname_zh = '某'\nname_en = 'X'\nsteps = [[1, 1]]\nrepeat = 0\n", "pattern.x.repeat"),
        ("[pattern.x]\nname_zh = '某'\nname_en = 'X'\nsteps = [[1, 1]]\nenabled = 1\n", "pattern.x.enabled"),
        ("[pattern.x]\nname_zh = '某'\nsteps = [[1, 1]]\n", "pattern.x.name_en"),
        ("[pattern.x]\nname_zh = '某'\nname_en = 'X'\nsteps = [[1, 1]]\nloud = 1\n", "pattern.x.loud"),
        ("[pattern.X]\nname_zh = '某'\n", "pattern.X"),
        ("[patterns.x]\n", "pattern"),
    ],
)
def test_a_bad_file_is_refused_by_the_key(own, text, field):
    with pytest.raises(Rejected) as refusal:
        patterns(own(text))
    assert refusal.value.field == field


@pytest.mark.parametrize("text", ["[pattern", "\x00"])
def test_a_file_that_is_not_toml_is_malformed(own, text):
    with pytest.raises(Rejected) as refusal:
        patterns(own(text))
    assert refusal.value.reason is RejectReason.MALFORMED


def test_a_file_that_is_missing_is_refused(tmp_path):
    with pytest.raises(Rejected):
        patterns(tmp_path / "nothing.toml")
