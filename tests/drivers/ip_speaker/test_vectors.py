"""The test vectors of docs/protocols/ip-speaker.md are what the code signs, seals and reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broadcast_core.model import Domain
from broadcast_core.signing import KeyScope, LocalSigner, Mac, SignatureRefused, Verifier
from drivers.ip_speaker.wire import command, report

ROOT = Path(__file__).parents[3]
VECTORS = json.loads((ROOT / "tests/golden/ip_speaker/vectors.json").read_text())
PAGE = (ROOT / "docs/protocols/ip-speaker.md").read_text()
SIGNER = LocalSigner(
    {(KeyScope.EMERGENCY, Domain.LIVE): Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["private_key"]))}
)
VERIFIER = Verifier({key.key_id: key for key in SIGNER.trusted(Domain.LIVE)})
MAC = Mac(VECTORS["endpoint"], bytes.fromhex(VECTORS["mac_key"]))


async def test_the_signed_start_is_made_and_read_to_the_byte() -> None:
    payload = VECTORS["start"]["payload"].encode()
    token = VECTORS["start"]["jws"].encode()
    assert await SIGNER.sign(KeyScope.EMERGENCY, Domain.LIVE, payload) == token
    verified = VERIFIER.verify(token)
    assert (verified.payload, verified.scope) == (payload, KeyScope.EMERGENCY)
    assert command.encode(command.decode(payload)) == payload


def test_the_sealed_receipt_is_made_and_opened_to_the_byte() -> None:
    payload = VECTORS["receipt"]["payload"].encode()
    assert MAC.seal(payload).decode() == VECTORS["receipt"]["jws"]
    assert MAC.open(VECTORS["receipt"]["jws"].encode()) == payload
    assert report.encode(report.decode(payload)) == payload


@pytest.mark.parametrize("which", ["start", "receipt"])
def test_one_changed_character_is_a_forgery(which: str) -> None:
    token = VECTORS[which]["jws"]
    for at in (5, token.index(".") + 5, len(token) - 20):
        forged = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        with pytest.raises(SignatureRefused):
            (VERIFIER.verify if which == "start" else MAC.open)(forged.encode())


def test_the_page_shows_these_vectors() -> None:
    for which in ("start", "receipt"):
        assert VECTORS[which]["payload"] in PAGE
        assert VECTORS[which]["jws"] in PAGE
    assert VECTORS["public_key"] in PAGE
