"""Self-tests and sirens are shown by the terminal's clock, not in UTC."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from broadcast_core.cli import selftest, siren


@pytest.fixture
def shanghai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        yield
    time.tzset()


def test_a_siren_signal_and_a_self_test_say_the_local_time(
    shanghai: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    signal = {
        "headline_zh": "空袭警报", "headline_en": "Air raid", "planned": "2026-11-01T02:00:00Z",
        "sent": "2026-10-31T16:00:01Z", "outcome": "sent", "stopped": False, "sounds_until": "2026-11-01T02:03:00Z",
        "alert_id": "a",
    }  # fmt: skip
    day = {"template": "t", "date": "2026-11-01", "name_zh": "试鸣", "name_en": "Test", "area": ["district"],
           "state": "confirmed", "confirmed": [], "signals": [signal]}  # fmt: skip
    siren._tell_day(day)
    row = {
        "endpoint_id": "SPK-1", "ended_at": "2026-11-24T17:30:00Z", "sent_at": None, "due_at": None,
        "outcome": "proven", "reason": None, "parts": [{"part": "fetch", "ok": True, "note": "[/b]"}],
    }  # fmt: skip
    selftest._print(selftest._results([row]))
    shown = capsys.readouterr().out
    for local in ("2026-11-01 10:00:00", "2026-11-01 00:00:01", "10:03:00", "2026-11-25 01:30", "[/b]"):
        assert local in shown
