"""Whether the field has proven itself lately: what the nightly self-test found, from the database."""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from broadcast_core.doctor.finding import Finding, fail, ok, skipped, warn
from broadcast_core.doctor.scene import Scene
from broadcast_core.errors import StorageFailed
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import Channel
from broadcast_core.naming import REASONS
from broadcast_core.selftest import rows
from broadcast_core.selftest.freshness import freshness
from broadcast_core.selftest.rows import ACCOUNT, Kind, Outcome, Row
from broadcast_core.store import Store

_ENOUGH: Final = 0.98  # within a day: a few are always being repaired
_POOR: Final = 0.8


async def selftest(scene: Scene) -> Finding:
    """How many endpoints have proven themselves in silence within a day, and why the others did not."""
    registry = scene.registry
    if registry is None or not registry.endpoints:
        return skipped(_("There is no endpoint yet."))
    try:
        async with Store.reading(scene.settings.database_url) as store, store.read() as connection:
            proven = await rows.newest(connection, Kind.SILENT, Outcome.PROVEN)
            newest = await rows.newest(connection, Kind.SILENT)
    except (StorageFailed, SQLAlchemyError, OSError) as error:
        return skipped(_("The results cannot be read: {why}.", why=str(error).splitlines()[0]))
    endpoints = [e for c in (Channel.SPEAKER, Channel.HORN) for e in registry.ordered(c)]
    fresh = freshness(endpoints, {r.endpoint_id: r.ended_at for r in proven if r.ended_at}, scene.clock.now())
    says = _(
        "{day} of {count} endpoints have proven themselves within 24 hours, {week} within 7 days.",
        day=fresh.proven_day, count=fresh.endpoints, week=fresh.proven_week,
    )  # fmt: skip
    if fresh.share_day is None:
        return skipped(_("There is no endpoint yet."))
    known = registry.endpoints
    wrong = [
        _why(r)
        for r in newest
        if r.outcome is not Outcome.PROVEN and (r.endpoint_id in known or r.endpoint_id == ACCOUNT)
    ]
    if fresh.share_day >= _ENOUGH and not wrong:
        return ok(says)
    if not proven:
        advice = _("Let the core run through a night, or test now: tocsin selftest run")
        return warn(says, advice, *wrong)
    advice = _("tocsin selftest show names the parts; test again after the repair: tocsin selftest run ENDPOINT")
    return (
        fail(says, advice, *wrong)
        if fresh.share_week is None or fresh.share_week < _POOR
        else warn(says, advice, *wrong)
    )


def _why(row: Row) -> Sentence:
    why = _("no answer") if row.reason is None else REASONS[row.reason]
    return _("{endpoint}: {why}", endpoint=row.endpoint_id, why=why)
