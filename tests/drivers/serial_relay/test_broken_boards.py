"""One board or one line is broken: it harms itself only, and what is said of it is true."""

from __future__ import annotations

import pytest

from broadcast_core.model import DeliveryKind, Presence, Progress, Reason
from simulators.relay import Lie

P = Progress
STEPS = [(0.6, 0.5), (0.6, 0.5)]


def first_sounds(bench, *names):
    return [bench.edges(name)[0].monotonic for name in names]


async def test_a_dead_board_delays_the_others_on_its_line_by_less_than_a_second(bench, start, until):
    b = await bench({"L1": (1, 2, 3), "L2": (1,)})
    await until(lambda: all(b.presence(h.id) for h in b.horns))
    b.bus().board(1).dead = True  # nobody knows yet
    await b.send(start(STEPS))
    await b.ended()
    dead = b.last("L1-1")
    assert (dead.progress, dead.reason) == (P.FAILED, Reason.BOARD_SILENT)
    for horn in ("L1-2", "L1-3", "L2-1"):
        assert b.last(horn).progress is P.FINISHED
        assert len(b.sounds(horn)) == 2
    one, two, other = first_sounds(b, "L1-2", "L1-3", "L2-1")
    assert max(one, two) - other < 1.0
    assert b.presence("L1-1")[-1].presence is Presence.SILENT


async def test_a_board_that_is_known_dead_is_no_hindrance_to_a_stop(bench, start, stop, until):
    b = await bench({"L1": (1, 2)}, before=lambda field: setattr(field.buses["L1"].board(1), "dead", True))
    await until(lambda: b.presence("L1-1"))
    await b.send(start([(30.0, 0.0)]))
    await until(lambda: P.STARTED in b.progress("L1-2"))
    await b.send(stop())
    await until(lambda: P.FINISHED in b.progress("L1-2", DeliveryKind.STOP))
    # The stop is tried again until the board is there, and then proven.
    await until(lambda: P.FAILED in b.progress("L1-1", DeliveryKind.STOP))
    failed = b.receipts("L1-1", DeliveryKind.STOP)[-1]
    assert failed.reason is Reason.BOARD_SILENT
    assert failed.retry_after is not None
    b.bus().board(1).dead = False
    await until(lambda: P.FINISHED in b.progress("L1-1", DeliveryKind.STOP))
    assert b.edges("L1-1") == []


async def test_a_board_that_comes_back_gets_its_state_again(bench, start, until):
    b = await bench()
    await b.send(start([(6.0, 0.0)]))
    await until(lambda: P.STARTED in b.progress("L1-1"))
    b.bus().board(1).power_off()
    await until(lambda: any(p.presence is Presence.SILENT for p in b.presence("L1-1")))
    b.bus().board(1).power_on()
    await until(lambda: b.bus().board(1).closed[0])
    await b.ended()
    assert b.last("L1-2").progress is P.FINISHED
    assert len(b.sounds("L1-1")) == 2
    assert b.silent()


async def test_a_slow_board_is_believed_when_it_answers_and_does_not_hold_up_the_others(bench, start):
    b = await bench({"L1": (1, 2, 3), "L2": (1,)})
    b.bus().board(1).delay_s = 0.35  # beyond the reply time-out
    await b.send(start([(3.0, 1.0), (1.0, 0.0)], after_s=0.5))
    await b.ended()
    for horn in ("L1-2", "L1-3"):
        assert b.last(horn).progress is P.FINISHED
    one, two, other = first_sounds(b, "L1-2", "L1-3", "L2-1")
    assert max(one, two) - other < 1.0
    assert P.STARTED in b.progress("L1-1")
    assert b.silent()


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (Lie.STALE_REPLY, Reason.READBACK_DIFFERS),
        (Lie.OTHER_COIL, Reason.READBACK_DIFFERS),
        (Lie.EXCEPTION, Reason.BOARD_EXCEPTION),
    ],
)
async def test_a_lying_board_is_not_believed(bench, start, until, lie, reason):
    b = await bench({"L1": (1, 2), "L2": (1,)})
    await until(lambda: b.presence("L1-1"))
    b.bus().board(1).lie = lie
    await b.send(start(STEPS))
    await b.ended()
    assert (b.last("L1-1").progress, b.last("L1-1").reason) == (P.FAILED, reason)
    assert P.STARTED not in b.progress("L1-1")
    assert b.last("L1-2").progress is P.FINISHED
    mine, other = first_sounds(b, "L1-2", "L2-1")
    assert mine - other < 1.0
    b.bus().board(1).lie = None  # or the guard would go on trying to prove it open


async def test_a_board_whose_replies_lag_by_one_never_proves_what_is_not_so(bench, start, until):
    b = await bench()
    await until(lambda: b.presence("L1-1"))
    b.bus().board(1).lie = Lie.LAGGING_REPLY
    await b.send(start([(1.5, 1.0), (1.5, 0.0)]), "L1-1")
    await b.ended("L1-1")
    assert len(b.sounds("L1-1")) == 2
    (on, _), _ = b.sounds("L1-1")
    started = next(r for r in b.receipts("L1-1") if r.progress is P.STARTED)
    assert b.driver._monotonic(started.at) > on - 0.05
    assert b.silent()


async def test_noise_on_the_line_costs_retries_and_not_the_truth(bench, start):
    b = await bench({"L1": (1, 2)})
    b.bus().noise = 0.2
    await b.send(start([(2.5, 2.0), (2.5, 0.0)]))
    await b.ended()
    for horn in ("L1-1", "L1-2"):
        assert len(b.sounds(horn)) == 2
        receipt = b.last(horn)
        assert receipt.progress is P.FINISHED or receipt.reason in (Reason.BOARD_SILENT, Reason.INTERRUPTED)
    assert b.silent()


async def test_an_adapter_that_hears_itself_is_not_taken_for_the_board(bench, start, until):
    """The answer to the timer's write looks like its request: the echo alone must prove nothing."""
    b = await bench({"L1": (1,)}, timer_s=60, before=lambda field: setattr(field.buses["L1"], "echoes", True))
    await until(lambda: b.presence("L1-1"))
    await b.send(start(STEPS))
    await b.ended()
    assert b.last("L1-1").progress is P.FINISHED
    assert len(b.sounds("L1-1")) == 2
    b.bus().board(1).dead = True
    await b.send(start(STEPS, alert_id="deaf"))
    await b.ended(alert_id="deaf")
    assert b.last("L1-1", alert_id="deaf").progress is P.FAILED


async def test_a_port_that_comes_back_within_the_alert_gets_its_desired_state_again(bench, start, until):
    b = await bench({"L1": (1, 2), "L2": (1,)})
    await b.send(start([(4.0, 0.0)]))
    await until(lambda: P.STARTED in b.progress("L1-1"))
    b.bus().unplug()
    await until(lambda: any(p.presence is Presence.SILENT for p in b.presence("L1-1")))
    for unit in (1, 2):  # the boards were in the same power strip
        b.bus().board(unit).power_off()
        b.bus().board(unit).power_on()
    assert b.bus().closed() == []
    b.bus().replug()
    await until(lambda: b.bus().closed() == [(1, 0), (2, 0)])
    await b.ended()
    assert b.last("L2-1").progress is P.FINISHED
    assert len(b.sounds("L2-1")) == 1
    assert b.silent()


async def test_a_line_that_is_away_for_the_whole_alert_fails_as_lost_and_is_opened_when_it_is_back(
    bench, start, until
):
    b = await bench({"L1": (1,), "L2": (1,)})
    await b.send(start([(1.0, 0.0)]))
    await until(lambda: P.STARTED in b.progress("L1-1"))
    b.bus().unplug()
    await b.ended()
    assert (b.last("L1-1").progress, b.last("L1-1").reason) == (P.FAILED, Reason.PORT_LOST)
    assert b.last("L2-1").progress is P.FINISHED
    assert b.bus().closed() == [(1, 0)]  # the board kept its power
    b.bus().replug()
    await until(b.silent)


async def test_a_horn_that_is_not_in_the_settings_is_refused_by_name(bench, start):
    b = await bench()
    horn = b.horns[0]
    object.__setattr__(horn.coil, "unit", 9)
    await b.send(start(STEPS), horn.id)
    await b.ended(horn.id)
    assert b.last(horn.id).reason is Reason.UNSUPPORTED
    assert "no board 9 on line L1" in b.last(horn.id).detail
