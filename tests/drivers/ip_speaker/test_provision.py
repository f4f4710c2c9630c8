"""The provision file reads back as it was written, and bad ones are refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broadcast_core.model import Domain
from broadcast_core.signing import KeyScope, TrustedKey, key_id_of
from drivers.ip_speaker.wire.provision import (
    Broker,
    MalformedProvision,
    Provision,
    SpeakerKey,
    decode,
    encode,
)

PUBLIC = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
PROVISION = Provision(
    broker=Broker(host="127.0.0.1", port=1883, username="speakers", password="secret"),
    prefix="tocsin/1",
    domain=Domain.LIVE,
    trusted=(TrustedKey(key_id=key_id_of(PUBLIC), scope=KeyScope.CONTROL, domain=Domain.LIVE, public=PUBLIC),),
    speakers=(SpeakerKey(id="SPK-0001", mac_key=bytes(range(32))),),
)


def written() -> Any:
    return json.loads(encode(PROVISION))


def test_it_reads_back() -> None:
    again = decode(encode(PROVISION))
    assert (again.broker, again.prefix, again.domain, again.speakers) == (
        PROVISION.broker,
        PROVISION.prefix,
        PROVISION.domain,
        PROVISION.speakers,
    )
    (key,) = again.trusted
    assert (key.key_id, key.scope, key.domain) == (key_id_of(PUBLIC), KeyScope.CONTROL, Domain.LIVE)
    assert key.public.public_bytes_raw() == PUBLIC.public_bytes_raw()


def test_its_form_is_the_one_of_the_protocol_page() -> None:
    file = written()
    assert set(file) == {"v", "broker", "prefix", "domain", "trusted", "speakers"}
    assert file["broker"] == {
        "host": "127.0.0.1", "port": 1883, "tls": False, "username": "speakers", "password": "secret"
    }  # fmt: skip
    assert set(file["trusted"][0]) == {"kid", "scope", "domain", "public"}
    assert file["speakers"] == [{"id": "SPK-0001", "mac_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"v": 2}, "version 2"),
        ({"speakers": [{"id": "SPK-0001", "mac_key": "AAEC"}]}, "SPK-0001"),
        ({"speakers": [{"id": "SPK-0001", "mac_key": "?"}]}, "SPK-0001"),
        ({"trusted": [{"kid": "k", "scope": "control", "domain": "live", "public": "AA"}]}, "key k"),
        ({"trusted": [{"kid": "k", "scope": "royal", "domain": "live", "public": "AA"}]}, "royal"),
        ({"domain": "elsewhere"}, "elsewhere"),
        ({"broker": {"host": "x"}}, "port"),
    ],
)
def test_a_bad_one_is_refused_by_name(change: Any, named: str) -> None:
    with pytest.raises(MalformedProvision, match=named):
        decode(json.dumps(written() | change).encode())


def test_a_secret_is_not_shown_where_a_provision_is() -> None:
    assert "secret" not in repr(PROVISION)
    assert "\\x00\\x01" not in repr(PROVISION)
