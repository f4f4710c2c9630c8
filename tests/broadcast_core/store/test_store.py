"""The store keeps what it was given, whole transactions at a time."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.errors import StorageFailed
from broadcast_core.store import Store, bulk
from broadcast_core.store.schema import fact, metadata


async def names(store: Store) -> set[str]:
    async with store.read() as connection:
        return set((await connection.execute(select(fact.c.name))).scalars())


async def put(connection: AsyncConnection, name: str) -> str:
    await connection.execute(insert(fact).values(name=name, value=""))
    return name


async def test_migrations_make_exactly_the_tables_of_the_schema(store: Store) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with store.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_what_was_answered_is_there_in_another_connection(store: Store) -> None:
    assert await store.write(lambda c: put(c, "a")) == "a"
    assert await names(store) == {"a"}


async def test_waiting_jobs_share_a_commit_and_each_gets_its_own_answer(store: Store) -> None:
    before = store.commits
    answers = await asyncio.gather(*(store.write(lambda c, n=n: put(c, f"n{n}")) for n in range(200)))
    assert answers == [f"n{n}" for n in range(200)]
    assert store.commits - before < 20
    assert len(await names(store)) == 200


async def test_a_job_that_raises_undoes_itself_and_nothing_else(store: Store) -> None:
    async def fails(connection: AsyncConnection) -> None:
        await put(connection, "half done")
        raise ValueError("no")

    results = await asyncio.gather(
        store.write(lambda c: put(c, "before")),
        store.write(fails),
        store.write(lambda c: put(c, "after")),
        return_exceptions=True,
    )
    assert [type(r) for r in results] == [str, ValueError, str]
    assert await names(store) == {"before", "after"}


async def test_a_lone_job_that_raises_leaves_nothing(store: Store) -> None:
    async def fails(connection: AsyncConnection) -> None:
        await put(connection, "half done")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await store.write(fails)
    assert await names(store) == set()


async def test_a_broken_constraint_is_the_jobs_own_fault(store: Store) -> None:
    await store.write(lambda c: put(c, "a"))
    results = await asyncio.gather(
        store.write(lambda c: put(c, "a")), store.write(lambda c: put(c, "b")), return_exceptions=True
    )
    assert isinstance(results[0], StorageFailed)
    assert results[1] == "b"


async def test_a_caller_that_gives_up_does_not_stop_its_job(store: Store) -> None:
    writing = asyncio.create_task(store.write(lambda c: put(c, "a")))
    await asyncio.sleep(0)
    writing.cancel()
    await store.write(lambda c: put(c, "b"))
    assert await names(store) == {"a", "b"}


async def test_bulk_binds_by_name_whatever_the_order_of_the_columns(store: Store) -> None:
    statement = insert(fact)
    await store.write(lambda c: bulk(c, statement, [("v1", "x"), ("v2", "y")], ("value", "name")))
    async with store.read() as connection:
        rows = (await connection.execute(select(fact.c.name, fact.c.value).order_by(fact.c.name))).all()
    assert [tuple(r) for r in rows] == [("x", "v1"), ("y", "v2")]


async def test_a_write_after_the_end_is_refused_loudly(store: Store, tmp_path: Path) -> None:
    other = Store(f"sqlite+aiosqlite:///{tmp_path / 'other.db'}")
    async with other:
        pass
    with pytest.raises(StorageFailed):
        await other.write(lambda c: put(c, "late"))


async def test_sqlite_syncs_every_commit_to_the_disk(tmp_path: Path) -> None:
    async with Store(f"sqlite+aiosqlite:///{tmp_path / 'tocsin.db'}") as store, store.read() as connection:
        synchronous = (await connection.exec_driver_sql("PRAGMA synchronous")).scalar()
        journal = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar()
    assert (synchronous, journal) == (2, "wal")


async def test_a_locked_database_refuses_after_its_wait_and_works_again(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.db"
    async with Store(f"sqlite+aiosqlite:///{path}", busy_timeout_s=0.2) as store:
        lock = sqlite3.connect(path, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageFailed, match="locked"):
            await store.write(lambda c: put(c, "a"))
        lock.execute("ROLLBACK")
        lock.close()
        await store.write(lambda c: put(c, "a"))
        assert await names(store) == {"a"}
