"""`tocsin stop` with one hand: the one that is live, or a list of what to type."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Send = Callable[..., str]


def is_ended(core: Any, alert_id: str) -> bool:
    return core.json("alert", "show", alert_id)["report"]["revisions"][0]["ended"] is not None


def stopped(core: Any, alert_id: str) -> bool:
    """Whether the stop is on record; it is a moment after it has acted."""
    deadline = time.monotonic() + 30
    while not is_ended(core, alert_id):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_nothing_live_is_said_and_is_exit_code_1(core: Any) -> None:
    for more in ((), ("--all",)):
        assert "nothing to stop" in core.run("stop", *more, code=1).stderr


def test_the_only_live_alert_needs_no_name(core: Any, send: Send) -> None:
    alert_id = send()
    assert alert_id in core.run("stop", "--reason", "a test").stdout
    assert stopped(core, alert_id)


def test_of_several_none_is_stopped_before_one_is_named(core: Any, send: Send) -> None:
    first, second = send(), send()
    asked = core.run("stop", code=2)
    assert asked.stdout == ""
    for alert_id in (first, second):
        assert f"tocsin stop {alert_id}   测试" in asked.stderr
        assert not is_ended(core, alert_id)
    assert "tocsin stop --all" in asked.stderr
    core.run("stop", first)
    assert stopped(core, first)
    core.run("stop")  # now there is only one
    assert stopped(core, second)


def test_all_of_them(core: Any, send: Send) -> None:
    sent = {send(), send()}
    assert {answer["alert_id"] for answer in core.json("stop", "--all")["stopped"]} == sent
    assert all(stopped(core, alert_id) for alert_id in sent)


def test_one_and_all_at_once_is_refused_and_stops_nothing(core: Any, send: Send) -> None:
    alert_id = send()
    core.run("stop", alert_id, "--all", code=2)
    assert not is_ended(core, alert_id)


def test_what_is_not_live_is_exit_code_1_and_says_where_to_look(core: Any) -> None:
    for command in (("stop",), ("alert", "stop")):
        refused = core.run(*command, "nobody-knows-it", code=1)
        assert "nobody-knows-it" in refused.stderr
        assert "tocsin stop" in refused.stderr
