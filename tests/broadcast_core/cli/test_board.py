"""What the board says, of reports in the form that the API sends, on a terminal of 80 columns."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from broadcast_core.cli.board import Board
from broadcast_core.model import Channel, MsgType, Reason
from broadcast_core.naming import CHANNELS, REASONS, STATES
from broadcast_core.report import (
    RUNGS,
    Count,
    Ended,
    Report,
    Revision,
    Rung,
    Silence,
    Silenced,
    Spread,
    State,
    Unproven,
)

NOW = datetime(2026, 11, 25, 6, 0, tzinfo=UTC)


class Clock:
    """It is always the same time."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def count(channel: Channel, states: Mapping[State, int], failed: Mapping[Reason, int], simulated: int) -> Count:
    targets = sum(states.values())
    finished = states.get(State.FINISHED, 0)
    return Count(
        targets=targets,
        simulated=simulated,
        rungs=dict.fromkeys(RUNGS[channel], finished),
        proof=dict.fromkeys(RUNGS[channel], 0),
        states={state: states.get(state, 0) for state in State},
        failed=failed,
        expired={},
        seconds={Rung.RECEIVED: Spread(first=0.4, median=0.5, p95=1.0, last=1.5)},
        attempts=targets,
        retried=0,
        possible_duplicates=0,
    )


def report(**changed: Any) -> dict[str, Any]:
    speakers = count(
        Channel.SPEAKER,
        {State.FINISHED: 1080, State.FAILED: 14, State.STOPPED: 5},
        {Reason.NO_ANSWER: 12, Reason.CONTENT_MISMATCH: 2},
        1099,
    )
    horns = count(Channel.HORN, {State.FINISHED: 23, State.FAILED: 1}, {Reason.BOARD_SILENT: 1}, 0)
    total = count(Channel.SPEAKER, {State.FINISHED: 1103, State.FAILED: 15, State.STOPPED: 5}, {}, 1099)
    values: dict[str, Any] = {
        "revision": 1, "identifier": "x", "sender": "y", "sent": NOW, "msg_type": MsgType.ALERT, "event": "暴雨",
        "headline": "暴雨", "area": "district", "accepted_at": NOW, "expires": NOW + timedelta(minutes=9, seconds=41),
        "actor": "李值班", "approval": "one-person", "approved_by": (), "notes": (),
        "channels": {Channel.SPEAKER: speakers, Channel.HORN: horns}, "total": total, "ended": None, "silence": None,
    }  # fmt: skip
    whole = Report(
        alert_id="a", complete=False, revisions=(Revision(**values | changed),), filed=(), timeline=(), deliveries=()
    )
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(whole))
    return found


def rows(*failed: tuple[str, str]) -> list[dict[str, Any]]:
    return [
        {"endpoint_id": name, "channel": "speaker", "state": "failed", "reason": reason} for name, reason in failed
    ]


def shown(found: Mapping[str, Any], *, language: str = "en", **more: Any) -> str:
    board = Board(language, Clock())
    board.update(found, **more)
    paper = io.StringIO()
    Console(file=paper, width=80).print(board)
    lines = [line.rstrip() for line in paper.getvalue().splitlines()]
    assert max(cell_len(line) for line in lines) <= 80
    return "\n".join(lines)


def test_failures_are_told_by_reason_with_examples_the_most_frequent_first() -> None:
    known = rows(*((f"SPK-{n:04}", "no_answer") for n in range(1, 6)), ("SPK-0099", "content_mismatch"))
    lines = shown(report(), rows=known).splitlines()
    speakers = [line for line in lines if "speakers:" in line]
    assert speakers[0].split() == ["12", "speakers:", "no", "answer:", "SPK-0001,", "SPK-0002,", "SPK-0003", "…"]
    assert speakers[1].endswith("the audio it fetched was not the one announced: SPK-0099")
    assert speakers[2].split(maxsplit=2) == ["5", "speakers:", "stopped before they had finished"]
    assert [line.strip() for line in lines if "horns:" in line] == ["1 horns:    its relay board does not answer"]


def test_it_is_told_in_chinese_too() -> None:
    text = shown(report(), language="zh", rows=rows(("SPK-0001", "no_answer")))
    assert "没有应答：SPK-0001" in text
    assert "1123 个目标中有 1099 个为模拟终端，不计入播出证明。" in text
    assert "还剩 9:41。" in text


def test_long_waits_leave_the_table_within_80_columns() -> None:
    slow = report()
    for count_of in slow["revisions"][0]["channels"].values():
        count_of["seconds"]["received"] |= {"first": 13.51, "last": 3599.9}
    text = shown(slow)
    assert "…" not in text.splitlines()[1]
    assert "13.5s 3600s" in text


def test_how_long_it_is_valid_is_told_until_it_is_over() -> None:
    assert "9:41 left." in shown(report())
    assert "1:00:00 left." in shown(report(expires=NOW + timedelta(hours=1)))
    assert "It expired at" in shown(report(expires=NOW - timedelta(seconds=1)))
    over = report() | {"complete": True}
    assert "left." not in shown(over)


def test_a_stop_is_told_with_who_has_not_proven_to_be_silent() -> None:
    unproven = tuple(
        Unproven(endpoint_id=f"SPK-{n:04}", channel=Channel.SPEAKER, zone="", name="", state=State.SENT, reason=None)
        for n in range(4)
    )
    spread = Spread(first=0.1, median=0.2, p95=0.5, last=0.85)
    silence = Silence(
        channels={
            Channel.SPEAKER: Silenced(told=1099, proven=1095, seconds=spread),
            Channel.HORN: Silenced(told=24, proven=24, seconds=spread),
        },
        total=Silenced(told=1123, proven=1119, seconds=spread),
        unproven=unproven,
    )
    text = shown(report(ended=Ended(at=NOW, by="李值班", cause="stop"), silence=silence))
    assert "Stopped by 李值班 at " in text
    told = "speakers: 1099 told to stop, 1095 proven silent; no proof yet: SPK-0000,"
    assert told in text
    assert "horns: 24 told to stop, all proven silent, the last after 0.85 s." in text
    assert "left." not in text  # of its validity: it has ended


def test_simulated_endpoints_are_named_as_no_proof() -> None:
    assert "1099 of 1123 targets are simulated and count as no proof." in shown(report())
    all_of_them = count(Channel.SPEAKER, {State.FINISHED: 7}, {}, 7)
    assert "All 7 targets are simulated: this is no proof." in shown(report(total=all_of_them))
    none = count(Channel.SPEAKER, {State.FINISHED: 7}, {}, 0)
    assert "simulated" not in shown(report(total=none))


def test_what_a_stream_tells_only_raises_what_was_reached() -> None:
    begun = count(Channel.SPEAKER, {State.SENT: 3, State.QUEUED: 4}, {}, 0)
    found = report(channels={Channel.SPEAKER: begun})
    found["revisions"][0]["channels"]["speaker"]["rungs"] = {"sent": 3, "received": 0, "started": 0, "finished": 0}
    told = {state.value: 0 for state in State} | {"received": 4, "started": 2, "failed": 1}
    row = next(
        line for line in shown(found, live={1: {"channels": {"speaker": told}}}).splitlines() if "speakers" in line
    )
    numbers = [int(word) for word in row.split() if word.isdecimal()]
    assert numbers == [7, 6, 6, 2, 0, 1]  # targets, sent, received, started, finished, failed


@pytest.mark.parametrize(
    ("said", "meant"), [(REASONS, Reason), (STATES, State), (CHANNELS, Channel)], ids=["reason", "state", "channel"]
)
def test_every_value_of_the_closed_lists_has_its_words(said: Mapping[str, Any], meant: Any) -> None:
    assert set(said) == {member.value for member in meant}
