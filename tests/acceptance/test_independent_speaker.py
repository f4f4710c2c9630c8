"""A speaker that shares no code with us, made to the protocol's page, as a process in a real installation."""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from broadcast_core import cap
from broadcast_core.cli.demo.alert import demo_alert
from broadcast_core.keys import signing_keys, write_secret
from broadcast_core.model import Alert, Domain, MsgType, NamedValue, Reference
from broadcast_core.provision import provision_from
from broadcast_core.signing import KeyScope, LocalSigner, split

HERE = Path(__file__).parent
FILES = [HERE / f"independent_{part}.py" for part in ("speaker", "sound", "words")]
VECTORS = json.loads((HERE.parent / "golden/ip_speaker/vectors.json").read_text())
LONG = "Keep away from low ground and from the river. Take the stairs and not the lift. Help your neighbours. " * 3


class Independent:
    """The stranger's speaker as a process; its folder is its flash and its loudspeaker."""

    def __init__(self, me: str, provision: Path, folder: Path) -> None:
        self.me = me
        self._folder = folder
        self._command = [sys.executable, str(FILES[0]), str(provision), str(folder)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        with (self._folder / "errors.log").open("ab") as errors:
            self._process = subprocess.Popen(self._command, stderr=errors)

    def cut_power(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def flash(self) -> Any:
        file = self._folder / "flash.json"
        return json.loads(file.read_text()) if file.exists() else {"session": 0, "zones": {}, "floor": [-1, -1]}

    @property
    def sounds(self) -> list[tuple[str, int, str]]:
        """(alert, revision, what), one for each time that its sound changed."""
        file = self._folder / "sounds.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(line["alert"], line["rev"], line["what"]) for line in map(json.loads, lines)]

    def errors(self) -> str:
        return (self._folder / "errors.log").read_text()


async def eventually(find: Callable[[], Any], within_s: float, what: str) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := find()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s} s: {what}")
        await asyncio.sleep(0.02)
    return found


@pytest.fixture
async def installation(new_site: Any, tmp_path: Path) -> AsyncIterator[tuple[Any, Independent]]:
    """A site whose first speaker is the stranger's, up and with its orders."""
    site = await new_site(speakers=14, engine="espeak")
    me = site.speakers[0]
    site.fleet.disconnect(me)
    file = tmp_path / "provision.json"
    write_secret(file, await provision_from(site.stage.settings, lambda speaker: speaker.id == me))
    speaker = Independent(me, file, tmp_path / "independent")
    try:
        await switch_on(speaker)
        yield site, speaker
        assert speaker.errors() == ""
    finally:
        speaker.cut_power()


async def switch_on(speaker: Independent) -> None:
    """Start it; on return it has orders that it had not before."""
    before = speaker.flash["floor"]
    speaker.start()
    await eventually(lambda: speaker.flash["zones"] and speaker.flash["floor"] > before, 30, "its orders")


def warning(site: Any, instruction: str) -> Alert:
    root = site.stage.registry.root
    now = datetime.now(UTC).replace(microsecond=0)
    alert = demo_alert(now, root.code, root.name_zh, horns=False)
    speakers = (NamedValue(name="tocsin:channels", value="speaker"),)
    infos = tuple(replace(info, parameter=speakers, instruction=instruction) for info in alert.infos)
    return replace(alert, infos=infos)


async def post(site: Any, alert: Alert) -> str:
    content = {"Content-Type": "application/cap+xml"}
    async with site.session.post("/api/v1/alerts", data=cap.encode_xml(alert), headers=content) as answer:
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["alert_id"])


def once(alert: str, rev: int = 1) -> list[tuple[str, int, str]]:
    return [(alert, rev, "tone"), (alert, rev, "audio"), (alert, rev, "silence")]


@pytest.mark.slow
async def test_it_plays_an_alert_once_whatever_is_replayed_forged_or_rebooted(
    installation: Any, mosquitto: Any
) -> None:
    site, speaker = installation
    async with overheard(mosquitto) as (client, recorded):
        alert = await site.send()
        await site.finished(alert, within_s=60)
        assert speaker.sounds == once(alert)
        genuine = list(recorded)
        assert {json.loads(split(token)[1])["act"] for _, token in genuine} >= {"start"}
        speaker.cut_power()
        await switch_on(speaker)
        for topic, token in genuine:
            await client.publish(topic, token, qos=1)
            for forged in await forgeries(site, token):
                await client.publish(topic, forged, qos=1)
        # What comes after on the same topics shows that all of it was heard; and nothing of it sounded.
        second = await site.send(identifier="the-second")
        await site.finished(second, within_s=60)
    assert speaker.sounds == once(alert) + once(second)


@pytest.mark.slow
async def test_it_stops_proves_its_silence_and_never_begins_again(installation: Any) -> None:
    site, speaker = installation
    alert = await site.send(long=True)
    await eventually(lambda: (alert, 1, "audio") in speaker.sounds, 30, "it speaks")
    asked = time.monotonic()
    await site.stop(alert)
    await eventually(lambda: speaker.sounds == once(alert), 30, "it is silent")
    assert time.monotonic() - asked <= 3
    evidence = await site.silence(alert, within_s=40)
    assert evidence["total"]["told"] == len(site.speakers)
    speaker.cut_power()
    await switch_on(speaker)
    second = await site.send(identifier="the-second")
    await site.finished(second, within_s=60)
    assert speaker.sounds == once(alert) + once(second)


@pytest.mark.slow
async def test_an_update_replaces_what_it_says(installation: Any) -> None:
    site, speaker = installation
    first = warning(site, LONG)
    alert = await post(site, first)
    await eventually(lambda: (alert, 1, "audio") in speaker.sounds, 30, "it speaks")
    update = replace(
        first,
        identifier="the-update",
        sent=first.sent + timedelta(seconds=1),
        msg_type=MsgType.UPDATE,
        references=(Reference(sender=first.sender, identifier=first.identifier, sent=first.sent),),
        infos=warning(site, "Go home.").infos,
    )
    assert await post(site, update) == alert
    await eventually(lambda: speaker.sounds == once(alert) + once(alert, 2), 60, "the update, to its end")
    report = await revision(
        site, alert, 2, lambda r: r["channels"]["speaker"]["states"]["finished"] == len(site.speakers)
    )
    assert report["channels"]["speaker"]["targets"] == len(site.speakers)


@pytest.mark.slow
async def test_power_lost_in_the_middle_is_told_and_not_made_up_for(installation: Any) -> None:
    site, speaker = installation
    alert = await site.send(long=True)
    await eventually(lambda: (alert, 1, "audio") in speaker.sounds, 30, "it speaks")
    speaker.cut_power()
    await switch_on(speaker)
    count = await site.reached(alert, lambda count: bool(count["failed"]), within_s=60)
    assert count["failed"] == {"interrupted": 1}
    await site.stop(alert)
    await site.silence(alert, within_s=40)
    assert speaker.sounds == once(alert)[:2]  # the log ends where the power did


async def revision(site: Any, alert: str, number: int, test: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 40
    while True:
        found = next((r for r in (await site.report(alert))["revisions"] if r["revision"] == number), None)
        if found is not None and test(found):
            return found
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.1)


@asynccontextmanager
async def overheard(mosquitto: Any) -> AsyncIterator[tuple[aiomqtt.Client, list[tuple[str, bytes]]]]:
    """A client that records every command until the first that it publishes itself."""
    recorded: list[tuple[str, bytes]] = []

    async def record(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            recorded.append((str(message.topic), message.payload))

    async with aiomqtt.Client(mosquitto.host, mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        for topics in ("tocsin/1/live/zone/#", "tocsin/1/live/down/#"):
            await client.subscribe(topics, qos=1)
        listening = asyncio.create_task(record(client))
        yield client, recorded
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def forgeries(site: Any, genuine: bytes) -> list[bytes]:
    """A start that only its signature gives away: new, in order, in time. With the old signature, and with a good one
    by the key for publicity."""
    _header, payload, _input, _signature = split(genuine)
    start = json.loads(payload)
    if start["act"] != "start":
        return []
    changed = json.dumps(start | {"alert": f"x{start['alert']}", "seq": start["seq"] + 1_000_000}).encode()
    signer = LocalSigner(signing_keys(site.stage.settings.secrets_dir))
    for_publicity = await signer.sign(KeyScope.PUBLICITY, Domain.LIVE, changed)
    head, _, rest = genuine.partition(b".")
    return [b".".join((head, for_publicity.split(b".")[1], rest.rpartition(b".")[2])), for_publicity]


def test_it_imports_nothing_of_this_project() -> None:
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
                names = [node.module or ""]
            for name in names:
                allowed = name.split(".")[0] in {*sys.stdlib_module_names, "paho", "cryptography"}
                assert allowed or name in {f.stem for f in FILES}, f"{file.name} imports {name}"
        assert "importlib" not in file.read_text()
        assert "__import__" not in file.read_text()


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(HERE))
    import independent_words

    return independent_words


def peacetime(jws: str) -> bool:
    """What this speaker does not do: it was built for emergencies, and says `unsupported` to a programme."""
    payload = jws.split(".")[1] if jws.count(".") == 2 else ""
    said = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    return any(word in said for word in (b'"programme"', b'"act":"mode"', b'"act":"selftest"'))


def test_it_reproduces_the_vectors(words: Any) -> None:
    provision = VECTORS["provision"]
    keys = {key["kid"]: key for key in provision["trusted"]}
    (own,) = provision["speakers"]
    for vector in VECTORS["judged"]:
        if peacetime(vector["jws"]):
            continue
        verdict, _ = words.judge(vector["jws"], keys, provision["domain"], own["id"], VECTORS["zones"])
        assert verdict == vector["verdict"], vector["name"]
    for vector in VECTORS["commands"]:
        if peacetime(vector["jws"]):
            continue
        _, said = words.judge(vector["jws"], keys, provision["domain"], own["id"], VECTORS["zones"])
        assert said == json.loads(vector["payload"]), vector["name"]
    for vector in VECTORS["reports"]:
        assert words.seal(json.loads(vector["payload"]), own["id"], words.unb64(own["mac_key"])) == vector["jws"]
    rising = [words.weight(standing) for standing in VECTORS["lighter_to_heavier"]]
    assert rising == sorted(rising)
    assert len(set(rising)) == len(rising)
