"""The acts on one alert are found by an index, however long the audit has become."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event

from broadcast_core.report.messages import read_acts
from broadcast_core.store import Store


async def test_the_reports_audit_query_uses_the_index(store: Store, ledger) -> None:
    await ledger.accept("A", ["SPK-1"])
    asked: list[tuple[str, Any]] = []
    async with store.read() as connection:
        assert connection.sync_connection is not None

        @event.listens_for(connection.sync_connection, "before_cursor_execute")
        def _note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
            asked.append((statement, parameters))

        (act,) = await read_acts(connection, "A")
        assert act.what == "alert.begin"
        ((statement, parameters),) = [one for one in asked if "FROM audit" in one[0]]
        if store.dialect == "postgresql":
            await connection.exec_driver_sql("SET enable_seqscan = off")  # it would scan a table of one row
            explain = "EXPLAIN "
        else:
            explain = "EXPLAIN QUERY PLAN "
        plan = (await connection.exec_driver_sql(explain + statement, parameters)).all()
    said = " ".join(str(column) for row in plan for column in row)
    assert "ix_audit_object" in said
