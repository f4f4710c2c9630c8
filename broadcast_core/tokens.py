"""Bearer tokens: who may ask what of the API.

A token is ``tcs_<id>_<secret>``: a public id by which it is listed and revoked, and 32 random bytes. The database
holds only the SHA-256 of the whole, which suffices because there is nothing to guess in 256 random bits. All tokens
are in memory: a stop must not wait for the database to learn who asks for it.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core import audit
from broadcast_core.clock import Clock, from_ms, to_ms
from broadcast_core.errors import NotFound
from broadcast_core.keys import write_secret
from broadcast_core.store import Store
from broadcast_core.store.schema import token as token_table

log = structlog.get_logger(__name__)

PREFIX: Final = "tcs"
FIRST_ACTOR: Final = "first-token"
_ID_BYTES: Final = 8
_SECRET_BYTES: Final = 32
_LONGEST: Final = 128  # no token is longer; what is is not even hashed
_NO_HASH: Final = "0" * 64


class TokenScope(StrEnum):
    """What a token may do. Closed; none implies another."""

    READ = "read"
    ALERT_SEND = "alert:send"
    ALERT_STOP = "alert:stop"
    MODE_SET = "mode:set"  # peacetime or emergency
    TEST_RUN = "test:run"  # a technician's: silent self-tests, audible ones of single endpoints or a small zone
    REGISTRY_WRITE = "registry:write"
    PUBLICITY_WRITE = "publicity:write"  # what sounds in peacetime: library, playlists, slots
    ADMIN = "admin"  # tokens, kindness, the calendar, personal data in exports; sends no alert by that right alone


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """One token without its secret. `actor` is the name that every act with it leaves in the audit."""

    id: str
    actor: str
    scopes: frozenset[TokenScope]
    created_at: datetime
    expires: datetime | None
    revoked_at: datetime | None = None

    def valid(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires is None or now < self.expires)


class TokenBook:
    """All tokens, in memory; the database follows."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._tokens: dict[str, tuple[Token, str]] = {}  # by id, with the hash

    async def load(self) -> None:
        """Read every token from the database; once, at the start."""
        async with self._store.read() as connection:
            rows = (await connection.execute(select(token_table))).mappings().all()
        self._tokens = {row["id"]: (_token(row), row["hash"]) for row in rows}

    def __iter__(self) -> Iterator[Token]:
        """All tokens, revoked ones too, oldest first."""
        return iter(sorted((token for token, _ in self._tokens.values()), key=lambda t: (t.created_at, t.id)))

    def verify(self, presented: str) -> Token | None:
        """The token that was presented, or None. In memory and in constant time for a given id."""
        parts = presented.split("_", 2)
        if len(parts) != 3 or parts[0] != PREFIX or len(presented) > _LONGEST:
            return None
        token, known = self._tokens.get(parts[1], (None, _NO_HASH))
        fits = hmac.compare_digest(_hash(presented), known)
        return token if fits and token is not None and token.valid(self._clock.now()) else None

    async def issue(
        self, *, actor: str, scopes: Iterable[TokenScope], expires: datetime | None, by: str
    ) -> tuple[Token, str]:
        """Make a token for `actor`. The text is in no other place after this. Raises StorageFailed."""
        token, text = self._fresh(actor, scopes, expires)
        await self._keep(token, text, by)
        return token, text

    async def revoke(self, token_id: str, *, by: str) -> Token:
        """End a token: in memory at once, then durably. Raises NotFound, or StorageFailed with the token ended
        in this process all the same. Again is harmless."""
        if token_id not in self._tokens:
            raise NotFound("token", token_id)
        token, known = self._tokens[token_id]
        now = self._clock.now()
        if token.revoked_at is None:
            token = replace(token, revoked_at=now)
            self._tokens[token_id] = (token, known)
        revoked_at = token.revoked_at

        async def write(connection: AsyncConnection) -> None:
            found = await connection.execute(
                update(token_table)
                .where(token_table.c.id == token_id, token_table.c.revoked_at.is_(None))
                .values(revoked_at=to_ms(revoked_at or now))
            )
            if found.rowcount:
                await audit.record(
                    connection, now=now, actor=by, action="token.revoke", object_=token_id, detail={"of": token.actor}
                )

        await self._store.write(write)
        return token

    async def first_token(self, path: Path) -> bool:
        """At the first start: if there is no token at all, write one with every scope to `path` (mode 0600).

        Returns whether it did. The file is there before the row is, so a crash between the two locks nobody out:
        the next start replaces the file.
        """
        if self._tokens:
            return False
        token, text = self._fresh(FIRST_ACTOR, TokenScope, None)
        await asyncio.to_thread(_replace_secret, path, text)
        await self._keep(token, text, by="system")
        log.info("the first token was written to a file", path=str(path))
        return True

    def _fresh(self, actor: str, scopes: Iterable[TokenScope], expires: datetime | None) -> tuple[Token, str]:
        token = Token(
            id=secrets.token_hex(_ID_BYTES),
            actor=actor,
            scopes=frozenset(scopes),
            created_at=from_ms(to_ms(self._clock.now())),
            expires=None if expires is None else from_ms(to_ms(expires)),
        )
        return token, f"{PREFIX}_{token.id}_{secrets.token_urlsafe(_SECRET_BYTES)}"

    async def _keep(self, token: Token, text: str, by: str) -> None:
        scopes = sorted(token.scopes)

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(
                insert(token_table).values(
                    id=token.id,
                    actor=token.actor,
                    hash=_hash(text),
                    scopes=" ".join(scopes),
                    created_at=to_ms(token.created_at),
                    expires=None if token.expires is None else to_ms(token.expires),
                )
            )
            await audit.record(
                connection,
                now=token.created_at,
                actor=by,
                action="token.issue",
                object_=token.id,
                detail={
                    "for": token.actor,
                    "scopes": scopes,
                    "expires": None if token.expires is None else token.expires.isoformat(),
                },
            )

        await self._store.write(write)
        self._tokens[token.id] = (token, _hash(text))


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _replace_secret(path: Path, text: str) -> None:
    """A file without its row is of no use: it is left from a start that died, or came from elsewhere."""
    path.unlink(missing_ok=True)
    write_secret(path, text.encode())


def _token(row: Any) -> Token:
    def instant(name: str) -> datetime | None:
        return None if row[name] is None else from_ms(row[name])

    return Token(
        id=row["id"],
        actor=row["actor"],
        scopes=frozenset(TokenScope(s) for s in row["scopes"].split()),
        created_at=from_ms(row["created_at"]),
        expires=instant("expires"),
        revoked_at=instant("revoked_at"),
    )
