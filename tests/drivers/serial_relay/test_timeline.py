from __future__ import annotations

from datetime import timedelta

import pytest

from broadcast_core.patterns import patterns
from drivers.serial_relay.timeline import Timeline, is_on


def of(steps, max_on_s=1000.0):
    return Timeline.of(steps, max_on_s)


def test_an_edge_belongs_to_the_phase_that_it_begins():
    line = of([(36, 24)] * 3)
    assert line.edges == (0, 36, 60, 96, 120, 156)
    assert [is_on(line.phase(at)) for at in (-1, 0, 35.9, 36, 59.9, 60, 155.9, 156, 500)] == [
        False, True, True, False, False, True, True, False, False,
    ]  # fmt: skip
    assert (line.total, line.sounds, line.on_s, line.capped) == (180, 3, 108, False)


def test_sounds_that_touch_are_one_sound():
    assert of([(2, 0), (3, 1), (1, 0)]).edges == (0, 5, 6, 7)


def test_no_sound_is_longer_than_the_maximum_and_the_cut_shows():
    line = of([(2, 0), (3, 1), (1, 0)], max_on_s=4)
    assert line.edges == (0, 4, 6, 7)
    assert line.capped


def test_every_sound_and_every_silence_between_them_needs_proof():
    line = of([(1, 1)] * 3)
    assert line.missing(()) == {1, 2, 3, 4, 5}
    assert line.missing((1, 2, 4, 5)) == {3}
    assert of(()).missing(()) == frozenset()


@pytest.mark.parametrize("name", patterns())
def test_a_shipped_pattern_is_exact(name):
    pattern = patterns()[name]
    line = of([(on.total_seconds(), off.total_seconds()) for on, off in pattern.steps])
    assert timedelta(seconds=line.total) == pattern.total
    assert timedelta(seconds=line.edges[-1]) == pattern.last_sound_ends
    assert not line.capped
