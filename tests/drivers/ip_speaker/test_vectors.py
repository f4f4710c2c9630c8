"""The test vectors of docs/protocols/ip-speaker.md are what the code signs, seals, judges and orders."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broadcast_core.clock import from_ms
from broadcast_core.model import Certainty, Domain, Level, Standing, Urgency
from broadcast_core.precedence import interrupts, queue_key, weight, what_sounds
from broadcast_core.signing import KeyScope, LocalSigner, Mac, SignatureRefused, Verifier
from drivers.ip_speaker.wire import command, provision, report
from drivers.ip_speaker.wire.command import AUTHORITIES, CLASSES, Membership
from simulators.speakers.guard import Guard, NotUnderstood, Refused
from simulators.speakers.membership import Aim, aim

ROOT = Path(__file__).parents[3]
VECTORS = json.loads((ROOT / "tests/golden/ip_speaker/vectors.json").read_text())
PAGE = (ROOT / "docs/protocols/ip-speaker.md").read_text()
PROVISION = provision.decode(json.dumps(VECTORS["provision"]).encode())
SIGNER = LocalSigner(
    {
        (KeyScope(scope), Domain(domain)): Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key))
        for name, key in VECTORS["private_keys"].items()
        for domain, scope in [name.split("/")]
    }
)
(SPEAKER,) = PROVISION.speakers
VERIFIER = Verifier({key.key_id: key for key in PROVISION.trusted})
# The drill's key is among the trusted ones of a speaker that hears drills too; it still is none for live.
GUARD = Guard(
    Verifier({key.key_id: key for key in (*PROVISION.trusted, *SIGNER.trusted(Domain.DRILL))}), PROVISION.domain
)
MAC = Mac(SPEAKER.id, SPEAKER.mac_key)
ZONES = {code: Membership(version=version, topic="") for code, version in VECTORS["zones"].items()}


def named(name: str) -> Any:
    return pytest.mark.parametrize("vector", VECTORS[name], ids=lambda vector: vector["name"])


def test_every_act_and_every_report_has_a_vector() -> None:
    acts = {json.loads(vector["payload"])["act"] for vector in VECTORS["commands"]}
    said = {json.loads(vector["payload"])["say"] for vector in VECTORS["reports"]}
    progress = {json.loads(vector["payload"]).get("progress") for vector in VECTORS["reports"]}
    assert acts == set(command._known)
    assert said == {"receipt", "hello", "alive", "gone"}
    assert set(report.CLAIMS) < progress


@named("commands")
async def test_a_command_is_signed_and_read_to_the_byte(vector: dict[str, str]) -> None:
    payload, token = vector["payload"].encode(), vector["jws"].encode()
    scope = KeyScope(vector["scope"])
    assert (await SIGNER.sign(scope, Domain.LIVE, payload)).decode() == token.decode()
    verified = VERIFIER.verify(token)
    assert (verified.payload, verified.scope) == (payload, scope)
    assert command.encode(command.decode(payload)) == payload


@named("reports")
def test_a_report_is_sealed_and_opened_to_the_byte(vector: dict[str, str]) -> None:
    payload, token = vector["payload"].encode(), vector["jws"].encode()
    assert MAC.seal(payload) == token
    assert MAC.open(token) == payload
    assert report.encode(report.decode(payload)) == payload


@named("judged")
def test_a_speaker_judges_it_so(vector: dict[str, str]) -> None:
    assert judged(vector["jws"].encode()) == vector["verdict"]


def judged(token: bytes) -> str:
    verdict = GUARD.open(token)
    if isinstance(verdict, Refused):
        return "drop"
    if isinstance(verdict, NotUnderstood):
        return "unsupported"
    meant = aim(SPEAKER.id, verdict.command.target, ZONES)
    return {Aim.ME: "mine", Aim.OTHERS: "others", Aim.ASK: "ask"}[meant]


@pytest.mark.parametrize("which", ["commands", "reports"])
def test_one_changed_character_is_a_forgery(which: str) -> None:
    for vector in VECTORS[which]:
        token = vector["jws"]
        for at in (5, token.index(".") + 5, len(token) - 20):
            forged = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
            with pytest.raises(SignatureRefused):
                (VERIFIER.verify if which == "commands" else MAC.open)(forged.encode())


def standing(words: dict[str, Any]) -> Standing:
    return Standing(
        sound_class={word: sound_class for sound_class, word in CLASSES.items()}[words["class"]],
        authority={word: authority for authority, word in AUTHORITIES.items()}[words["authority"]],
        level=Level(words["level"]),
        urgency=Urgency(words["urgency"]),
        certainty=Certainty(words["certainty"]),
    )


def test_each_standing_interrupts_the_one_before_it_and_no_equal_one() -> None:
    rising = [standing(words) for words in VECTORS["lighter_to_heavier"]]
    for lighter, heavier in itertools.pairwise(rising):
        assert interrupts(heavier, lighter)
        assert not interrupts(lighter, heavier)
    assert not any(interrupts(one, one) for one in rising)
    for place, values in enumerate((CLASSES, AUTHORITIES, Level, Urgency, Certainty)):
        assert len({weight(one)[place] for one in rising}) == len(values), "a word has no vector"


@dataclass(frozen=True)
class Waiting:
    identifier: str
    issued_at: datetime
    standing: Standing


def test_those_that_wait_go_in_this_order() -> None:
    waiting = [Waiting(w["alert"], from_ms(w["iat"]), standing(w["standing"])) for w in VECTORS["waiting_in_order"]]
    shuffled = waiting[::-1]
    assert sorted(shuffled, key=queue_key) == waiting
    assert what_sounds(shuffled, None) is waiting[0]


def test_the_page_shows_these_vectors() -> None:
    for vector in (*VECTORS["commands"], *VECTORS["reports"]):
        if vector["name"] != "orders":  # holds a whole start
            assert vector["payload"] in PAGE, vector["name"]
    for vector in (VECTORS["commands"][0], VECTORS["reports"][0]):
        assert vector["jws"] in PAGE
    for key in (VECTORS["private_keys"]["live/emergency"], VECTORS["mac_key"]):
        assert key in PAGE
    assert shown_provision() == VECTORS["provision"]


def shown_provision() -> Any:
    return json.loads(PAGE.partition("```json\n")[2].partition("```")[0])
