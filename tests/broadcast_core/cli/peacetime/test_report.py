"""`tocsin report plays` over occurrences that a runner has sent and speakers have summed up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rich.cells import cell_len

from broadcast_core.intake.direct import Direct
from broadcast_core.model import (
    Batch,
    Channel,
    DeliveryKey,
    DeliveryKind,
    ItemPlay,
    Progress,
    Reason,
    Receipt,
    Start,
)
from scheduler.runner import Runner


async def send_what_is_due(core: Any) -> None:
    """One look of the runner, and everything handed over."""
    services = core.services
    direct = Direct(
        store=services.store, live=services.live, dispatch=services.dispatch, registry=services.registry,
        clock=services.clock,
    )  # fmt: skip
    runner = Runner(
        core.planner.look, direct=direct, live=services.live, store=services.store,
        registry=services.registry, clock=services.clock,
    )  # fmt: skip
    await runner.load()
    await runner.reconcile()

    async def received() -> bool:
        return bool(services.dispatch.settler.durable[Progress.RECEIVED] >= 4)  # one is out of service

    await core.until(received)


async def sum_up(core: Any, endpoint: str, *plays: ItemPlay, reason: Reason | None = None) -> None:
    """A speaker's final receipts for everything it was sent."""
    orders = [d.order for d in core.speakers.sent if isinstance(d.order, Start) and d.endpoint.id == endpoint]
    progress = Progress.FINISHED if reason is None else Progress.FAILED
    before = core.services.dispatch.settler.durable[progress]
    receipts = [
        Receipt(
            key=DeliveryKey(
                alert_id=order.alert_id, revision=order.revision, kind=DeliveryKind.START, endpoint_id=endpoint
            ),
            progress=progress,
            at=core.services.clock.now(),
            plays=plays,
            reason=reason,
        )
        for order in orders
    ]
    core.speakers._events.put_nowait(Batch(channel=Channel.SPEAKER, events=receipts))

    async def settled() -> bool:
        return bool(core.services.dispatch.settler.durable[progress] >= before + len(orders))

    await core.until(settled)


def play(item: str, times: int, minutes: float, reason: Reason | None = None) -> ItemPlay:
    return ItemPlay(item_id=item, times=times, played=timedelta(minutes=minutes), reason=reason)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_report_adds_up_and_fits_the_terminal(town: Any, language: str) -> None:
    core = town.core
    core.speakers.answers = {f"SPK-{n}": (Progress.RECEIVED,) for n in range(1, 6)}
    town.run("kindness", "set", "--default", "--no-quiet", "--no-ceiling", "--no-repeat", "1s", "--budget", "9999")
    town.run("playlist", "add", "p", "news", "music")
    now = core.planner.now.astimezone(core.planner.timezone)
    soon = now + timedelta(hours=2)
    slot = ("--zones", "D", "--at", f"{soon:%H:%M}", "--for", "30m", "--playlist", "p")
    town.run("schedule", "add", "hourly", *slot, "--every", f"date:{soon:%Y-%m-%d}")
    town.do(send_what_is_due(core))
    town.do(sum_up(core, "SPK-1", play("news", 1, 10), play("music", 1, 10)))
    town.do(sum_up(core, "SPK-2", play("news", 1, 10), play("music", 0, 4, Reason.PREEMPTED)))
    town.do(sum_up(core, "SPK-3", reason=Reason.CONTENT_UNAVAILABLE))
    days = ("--first", f"{soon:%Y-%m-%d}")
    report = town.json("report", "plays", *days)
    (one,) = report["occurrences"]
    assert one["targets"] == one["proven"] + one["owed"] + one["failed"] + one["withdrawn"]
    assert (one["proven"], one["failed"], report["items"]["news"]["times"]) == (2, 1, 2)
    assert report["zones"] == {"N1": 34.0}
    shown = town.run("report", "plays", *days, language=language).stdout
    assert max(cell_len(line) for line in shown.splitlines()) <= 80, shown
    why = {"en": "it could not fetch the audio", "zh": "未能取得音频"}[language]
    for said in ("hourly", "news", "20.0", "34.0", "N1", why):
        assert said in shown
    assert town.json("report", "plays", *days, "--zone", "S")["zones"] == {}
