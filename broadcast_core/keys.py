"""The installation's secrets, in files of mode 0600 under `data_dir/secrets`, and the endpoints' own keys.

Made at the first start, each installation its own; none is ever shipped, printed or logged.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.clock import to_ms
from broadcast_core.model import Domain
from broadcast_core.signing import KeyScope, Mac
from broadcast_core.store import Store, bulk
from broadcast_core.store.schema import endpoint_key

MAC_KEY_BYTES: Final = 32
_PORTION: Final = 1000  # keys in one transaction


class InsecureSecret(Exception):
    """A secret's file can be read by others, or is not what it should be. The sentence says which and what to do."""


def signing_keys(
    directory: Path, domains: Iterable[Domain] = (Domain.LIVE,)
) -> dict[tuple[KeyScope, Domain], Ed25519PrivateKey]:
    """The signing keys of these domains, made where they are missing. Raises InsecureSecret."""
    return {
        (scope, domain): _signing_key(directory / f"sign-{domain}-{scope}.pem")
        for domain in domains
        for scope in KeyScope
    }


def secret_bytes(path: Path, size: int = 32) -> bytes:
    """A random secret kept in a file, made at the first use. Raises InsecureSecret."""
    if not path.exists():
        write_secret(path, secrets.token_bytes(size))
    found = read_secret(path)
    if len(found) < size:
        raise InsecureSecret(f"{path} holds {len(found)} bytes, {size} are needed: remove it to have a new one made")
    return found


def read_secret(path: Path) -> bytes:
    """A secret's bytes. Raises InsecureSecret if others could read it too."""
    if path.stat().st_mode & 0o077:
        raise InsecureSecret(f"{path} can be read by others: chmod 600 {path}, and replace the secret")
    return path.read_bytes()


def write_secret(path: Path, data: bytes) -> None:
    """Create the file (mode 0600) whole or not at all; never overwrites."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(beside, path)  # fails if it exists: two first starts cannot both win
    except FileExistsError:
        pass
    finally:
        beside.unlink()


class EndpointKeys:
    """Each endpoint's own MAC key, all in memory: a receipt is checked without the database."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)
        self._macs: dict[str, Mac] = {}

    @classmethod
    async def load(cls, store: Store) -> EndpointKeys:
        async with store.read() as connection:
            rows = await connection.execute(select(endpoint_key.c.endpoint_id, endpoint_key.c.mac_key))
            return cls({row.endpoint_id: row.mac_key for row in rows})

    def mac_of(self, endpoint_id: str) -> Mac | None:
        """What checks and seals for this endpoint; None if it has no key here."""
        mac = self._macs.get(endpoint_id)
        if mac is None and (key := self._keys.get(endpoint_id)) is not None:
            mac = self._macs[endpoint_id] = Mac(endpoint_id, key)
        return mac

    def endpoint_ids(self) -> list[str]:
        """Every endpoint that has a key."""
        return sorted(self._keys)

    def key_of(self, endpoint_id: str) -> bytes:
        """For provisioning a device; goes into its provision file and nowhere else."""
        return self._keys[endpoint_id]

    async def provide(self, store: Store, endpoint_ids: Iterable[str], now: datetime) -> int:
        """Give every endpoint that has none a key of its own. Returns how many were made."""
        missing = {i: secrets.token_bytes(MAC_KEY_BYTES) for i in endpoint_ids if i not in self._keys}
        if missing:
            rows = [(endpoint_id, key, to_ms(now)) for endpoint_id, key in missing.items()]

            async def insert(connection: AsyncConnection, portion: Sequence[tuple[object, ...]]) -> None:
                module = sqlite if connection.dialect.name == "sqlite" else postgresql
                statement = module.insert(endpoint_key).on_conflict_do_nothing()
                await bulk(connection, statement, portion, ("endpoint_id", "mac_key", "created_at"))

            for start in range(0, len(rows), _PORTION):  # an alert must not wait for thousands of new keys
                portion = rows[start : start + _PORTION]
                await store.write(partial(insert, portion=portion))
                self._keys.update((endpoint_id, missing[endpoint_id]) for endpoint_id, _key, _at in portion)
        return len(missing)


def _signing_key(path: Path) -> Ed25519PrivateKey:
    if not path.exists():
        fresh = Ed25519PrivateKey.generate()
        write_secret(
            path,
            fresh.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
    key = serialization.load_pem_private_key(read_secret(path), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise InsecureSecret(f"{path} is not an Ed25519 key: remove it to have a new one made")
    return key
