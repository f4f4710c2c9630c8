"""Tokens: only hashes are stored, memory decides, and the first one locks nobody out."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from broadcast_core.errors import NotFound, StorageFailed
from broadcast_core.keys import read_secret
from broadcast_core.store import Store
from broadcast_core.store.schema import audit as audit_table
from broadcast_core.store.schema import token as token_table
from broadcast_core.tokens import TokenBook, TokenScope


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.instant = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return self.instant.timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def book(store: Store, clock: Clock) -> TokenBook:
    book = TokenBook(store, clock)
    await book.load()
    return book


async def issue(book: TokenBook, *scopes: TokenScope, expires: datetime | None = None) -> str:
    _token, text = await book.issue(actor="李值班", scopes=scopes or [TokenScope.READ], expires=expires, by="admin")
    return text


async def test_a_token_is_known_by_its_text_and_gives_actor_and_scopes(book: TokenBook) -> None:
    token = book.verify(await issue(book, TokenScope.READ, TokenScope.ALERT_STOP))
    assert token is not None
    assert (token.actor, token.scopes) == ("李值班", {TokenScope.READ, TokenScope.ALERT_STOP})


async def test_the_database_holds_no_secret(book: TokenBook, store: Store) -> None:
    text = await issue(book)
    async with store.read() as connection:
        rows = str((await connection.execute(select(token_table))).all())
        rows += str((await connection.execute(select(audit_table))).all())
    assert text.split("_", 2)[2] not in rows


async def test_tokens_survive_a_restart_and_need_no_database_after_it(
    book: TokenBook, store: Store, clock: Clock
) -> None:
    text = await issue(book)
    again = TokenBook(store, clock)
    assert again.verify(text) is None
    await again.load()
    assert again.verify(text) == book.verify(text)


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: t + "A", lambda t: t.upper(), lambda t: "x" + t[1:]])
async def test_anything_but_the_whole_text_is_nothing(book: TokenBook, change: object) -> None:
    assert callable(change)
    assert book.verify(change(await issue(book))) is None


@pytest.mark.parametrize("text", ["", "tcs", "tcs__", "tcs_a_b", "a_b_c_d", "tcs_" + "a" * 10_000, "\udcff_\udcff_x"])
async def test_what_is_no_token_is_nothing(book: TokenBook, text: str) -> None:
    await issue(book)
    assert book.verify(text) is None


async def test_the_secret_of_one_token_does_not_open_another(book: TokenBook) -> None:
    one, two = await issue(book), await issue(book)
    assert book.verify("_".join([*one.split("_", 2)[:2], two.split("_", 2)[2]])) is None


async def test_an_expired_token_is_nothing_from_that_instant_on(book: TokenBook, clock: Clock) -> None:
    text = await issue(book, expires=clock.instant + timedelta(hours=1))
    clock.instant += timedelta(minutes=59, seconds=59)
    assert book.verify(text) is not None
    clock.instant += timedelta(seconds=1)
    assert book.verify(text) is None


async def test_a_revoked_token_is_nothing_at_once_and_after_a_restart(
    book: TokenBook, store: Store, clock: Clock
) -> None:
    text = await issue(book)
    token = book.verify(text)
    assert token is not None
    await book.revoke(token.id, by="admin")
    await book.revoke(token.id, by="admin")
    again = TokenBook(store, clock)
    await again.load()
    assert book.verify(text) is None
    assert again.verify(text) is None
    with pytest.raises(NotFound):
        await book.revoke("nobody", by="admin")


async def test_a_token_is_revoked_even_when_that_cannot_be_stored(
    book: TokenBook, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await issue(book)
    token = book.verify(text)
    assert token is not None

    async def full(_job: object) -> None:
        raise StorageFailed("full")

    monkeypatch.setattr(store, "write", full)
    with pytest.raises(StorageFailed):
        await book.revoke(token.id, by="admin")
    assert book.verify(text) is None
    monkeypatch.undo()
    await book.revoke(token.id, by="admin")


async def test_a_token_that_cannot_be_stored_is_none(
    book: TokenBook, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_job: object) -> None:
        raise StorageFailed("full")

    monkeypatch.setattr(store, "write", full)
    with pytest.raises(StorageFailed):
        await issue(book)
    monkeypatch.undo()
    assert list(book) == []


async def test_every_token_leaves_audit_rows(book: TokenBook, store: Store) -> None:
    token = book.verify(await issue(book))
    assert token is not None
    await book.revoke(token.id, by="admin")
    await book.revoke(token.id, by="admin")
    async with store.read() as connection:
        columns = select(audit_table.c.actor, audit_table.c.action, audit_table.c.object).order_by(audit_table.c.seq)
        rows = [tuple(row) for row in await connection.execute(columns)]
    assert rows == [("admin", "token.issue", token.id), ("admin", "token.revoke", token.id)]


async def test_the_first_start_writes_one_token_with_every_scope_for_its_owner_alone(
    book: TokenBook, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "secrets" / "api-token"
    assert await book.first_token(path)
    text = read_secret(path).decode()
    token = book.verify(text)
    assert token is not None
    assert token.scopes == frozenset(TokenScope)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert text.split("_", 2)[2] not in "".join(capsys.readouterr())


async def test_only_the_very_first_start_makes_a_token(
    book: TokenBook, store: Store, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "api-token"
    await book.first_token(path)
    token = next(iter(book))
    await book.revoke(token.id, by="admin")
    again = TokenBook(store, clock)
    await again.load()
    before = path.read_bytes()
    assert not await again.first_token(path)
    assert path.read_bytes() == before


async def test_a_file_left_by_a_start_that_died_is_replaced(book: TokenBook, tmp_path: Path) -> None:
    path = tmp_path / "api-token"
    path.write_text("tcs_0011223344556677_of-somewhere-else")
    path.chmod(0o644)
    assert await book.first_token(path)
    assert book.verify(read_secret(path).decode()) is not None
