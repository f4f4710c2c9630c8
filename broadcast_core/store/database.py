"""One writer, whole transactions, group commits.

Every write is a job: an async function of the open connection. The writer takes whatever jobs are waiting, runs
each in a savepoint of its own inside one transaction, commits once, and only then answers the callers. A job that
raises undoes only itself. Callers may be cancelled; a job that was taken runs to its end (aiosqlite cannot be
interrupted half way, and a cancelled BEGIN would keep the lock).

Rules for jobs: await nothing but the connection, and change nothing beside it, because a job may be undone and run
again. Rules for everybody: no other code opens a write transaction.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

import structlog
from sqlalchemy import Executable, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from broadcast_core.errors import StorageFailed
from broadcast_core.reserve import is_full
from broadcast_core.store.migrate import upgrade

log = structlog.get_logger(__name__)

T = TypeVar("T")
Job = Callable[[AsyncConnection], Awaitable[T]]

# Enough for every receipt of a district in one commit; bounds how long a stop's record waits behind others.
_MOST_JOBS_IN_A_COMMIT: Final = 512
_SQLITE_FULL: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
_POSTGRESQL_FULL: Final = "53100"


@dataclass(slots=True)
class _Waiting:
    job: Job[Any]
    answer: asyncio.Future[Any]


class Store:
    """The database. `async with Store(url)` migrates it, starts the writer and stops it again.

    A lock that another process holds is waited for `busy_timeout_s`; then the write is refused. When the disk is
    full, `on_full` may make room; if it says that it has, the jobs are run once more.
    """

    def __init__(
        self, url: str, *, busy_timeout_s: float = 10.0, on_full: Callable[[], bool] = lambda: False
    ) -> None:
        self.url: Final[URL] = make_url(url)
        self._engine: AsyncEngine = _engine(self.url, busy_timeout_s)
        self._queue: asyncio.Queue[_Waiting | None] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None
        self._on_full = on_full
        self.commits = 0

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.url.get_backend_name()

    async def __aenter__(self) -> Self:
        await upgrade(self._engine)
        self._writer = asyncio.create_task(self._write_forever(), name="store-writer")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._writer is not None:
            await self._queue.put(None)
            await self._writer
            self._writer = None
        await self._engine.dispose()

    @classmethod
    @asynccontextmanager
    async def reading(cls, url: str) -> AsyncIterator[Self]:
        """A database that another process writes: nothing is migrated, nothing is written, all is closed again."""
        store = cls(url)
        try:
            yield store
        finally:
            await store._engine.dispose()

    async def write(self, job: Job[T]) -> T:
        """Run `job` in a transaction and return its result once that is durable.

        Raises what the job raised (nothing of it is stored then), or StorageFailed if the database refused.
        """
        if self._writer is None or self._writer.done():
            raise StorageFailed("the writer is not running")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Waiting(job, answer))
        return await asyncio.shield(answer)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading; sees a consistent snapshot for as long as it is held."""
        try:
            async with self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise StorageFailed(str(error.orig or error)) from error

    async def _write_forever(self) -> None:
        closing = False
        while not closing:
            batch: list[_Waiting] = []
            first = await self._queue.get()
            if first is None:
                return
            batch.append(first)
            while len(batch) < _MOST_JOBS_IN_A_COMMIT and not self._queue.empty():
                following = self._queue.get_nowait()
                if following is None:
                    closing = True
                    break
                batch.append(following)
            await self._commit(batch)

    async def _commit(self, batch: Sequence[_Waiting], *, again: bool = True) -> None:
        outcomes: list[tuple[_Waiting, Any, BaseException | None]] = []
        try:
            async with self._engine.begin() as connection:
                for waiting in batch:
                    outcomes.append(await _run(connection, waiting, alone=len(batch) == 1))
            self.commits += 1
        except (SQLAlchemyError, OSError) as error:
            if again and _is_full(error) and self._on_full():
                await self._commit(batch, again=False)
                return
            log.exception("storage failed")
            detail = str(getattr(error, "orig", None) or error)
            _answer([(w, None, StorageFailed(detail)) for w in batch])
            return
        except _Undone as undone:
            _answer([(batch[0], None, undone.cause)])
            return
        _answer(outcomes)


class _Undone(Exception):
    """A lone job failed: the whole transaction is rolled back, no savepoint was needed."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause


async def _run(
    connection: AsyncConnection, waiting: _Waiting, *, alone: bool
) -> tuple[_Waiting, Any, BaseException | None]:
    try:
        if alone:
            return waiting, await waiting.job(connection), None
        async with connection.begin_nested():
            return waiting, await waiting.job(connection), None
    except DBAPIError as error:
        # A constraint is this job's fault; a lost or full database is everybody's.
        if error.connection_invalidated or not isinstance(error, (IntegrityError, DataError)):
            raise
        if alone:
            raise _Undone(StorageFailed(str(error.orig))) from error
        return waiting, None, StorageFailed(str(error.orig))
    except Exception as error:  # the caller's own exception goes back to the caller
        if alone:
            raise _Undone(error) from error
        return waiting, None, error


def _answer(outcomes: Sequence[tuple[_Waiting, Any, BaseException | None]]) -> None:
    for waiting, result, error in outcomes:
        if waiting.answer.done():
            continue
        if error is None:
            waiting.answer.set_result(result)
        else:
            waiting.answer.set_exception(error)
            waiting.answer.exception()  # seen, even if the caller has gone


def _is_full(error: Exception) -> bool:
    """Whether the database had no room. SQLite says so, or that its log cannot grow."""
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code in _SQLITE_FULL
    return getattr(cause, "sqlstate", None) == _POSTGRESQL_FULL or is_full(cause)


async def bulk(
    connection: AsyncConnection, statement: Executable, rows: Sequence[tuple[object, ...]], keys: Sequence[str]
) -> None:
    """Run `statement` once for each row, its binds named by `keys`.

    The rows go to the database driver as they are: SQLAlchemy's processing of each parameter would cost more than
    SQLite does (measured: docs/decisions/0003).
    """
    if not rows:
        return
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(keys))  # type: ignore[attr-defined]
    names: Sequence[str] = compiled.positiontup or keys
    if list(names) == list(keys):
        parameters: list[tuple[object, ...]] = list(rows)
    else:  # another order, a name twice, or a constant of the statement's own
        place = {name: i for i, name in enumerate(keys)}
        constants = compiled.params
        parameters = [tuple(row[place[name]] if name in place else constants[name] for name in names) for row in rows]
    await connection.exec_driver_sql(str(compiled), parameters)


def _engine(url: URL, busy_timeout_s: float) -> AsyncEngine:
    if url.get_backend_name() != "sqlite":
        return create_async_engine(url, pool_pre_ping=True)
    engine = create_async_engine(url, connect_args={"timeout": busy_timeout_s})

    @event.listens_for(engine.sync_engine, "connect")
    def _pragmas(connection: Any, _record: object) -> None:
        # FULL: in WAL mode NORMAL does not sync on commit, and accepted must mean durable (P1).
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine
