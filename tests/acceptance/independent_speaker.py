"""An IP speaker as a stranger builds it, to docs/protocols/ip-speaker.md.

First written from that page alone, by somebody who had not seen the code; what the page had left open was then
written into it, and this brought up to it. It imports nothing of this project (a test holds it to that), so that the
page and not our own codec is what it proves. Numbers in comments are the page's rules.

    python independent_speaker.py PROVISION_FILE FOLDER
"""

import hashlib
import json
import queue
import random
import secrets
import signal
import sys
import threading
import time
import urllib.request
from pathlib import Path

from independent_sound import Flash, Item, Loudspeaker, mono
from independent_words import b64, judge, proven, seal, unb64, understood
from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode


class Speaker:
    def __init__(self, provision, folder):
        (own,) = provision["speakers"]
        self.provision, self.folder, self.me, self.mac = provision, folder, own["id"], unb64(own["mac_key"])
        self.keys = {key["kid"]: key for key in provision["trusted"]}
        self.root = f"{provision['prefix']}/{provision['domain']}"
        folder.mkdir(parents=True, exist_ok=True)
        self.flash = Flash(folder / "flash.json")
        self.inbox = queue.Queue()
        self.sound = Loudspeaker(self.flash, folder / "sounds.jsonl", self.now, self.receipt)
        self.offset = round(time.time() * 1000) - mono()
        self.client, self.connected, self.retry_s, self.connect_at = None, False, 0.5, 0
        self.asked, self.last_doubt, self.heartbeat_s = -5_000, -60_000, 20
        self.reset()
        self.flash.kept["session"] = self.flash.kept["session"] or round(time.time())
        for known in self.flash.kept["alerts"].values():  # 20
            for receipt in known["receipts"].values():
                if receipt["progress"] == "started":
                    receipt |= {"progress": "failed", "reason": "interrupted"}
                    receipt.setdefault("played_ms", 0)

    def reset(self):
        """A connection has ended, or not begun."""
        self.connected = self.answered = False
        self.nonces, self.missed, self.waiting_for = {}, None, set()
        self.ask_at = self.repeat_at = self.alive_at = None
        self.gap, self.n = 3_000, 0

    def now(self):
        return mono() + self.offset

    # -- up

    def connect(self):
        self.reset()
        self.flash.kept["session"] += 1
        self.flash.save()
        broker = self.provision["broker"]
        self.client = c = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, self.me, protocol=mqtt.MQTTv5, reconnect_on_failure=False
        )
        if broker.get("tls"):
            c.tls_set()
        if broker.get("username") is not None:
            c.username_pw_set(broker["username"], broker.get("password"))
        gone = {"say": "gone", "v": 1, "session": self.flash.kept["session"]}
        c.will_set(f"{self.root}/up/{self.me}/alive", seal(gone, self.me, self.mac), qos=1)
        c.on_connect = lambda _c, _u, _f, code, _p: self.inbox.put((c, "down" if code.is_failure else "up", None))
        c.on_disconnect = lambda *_: self.inbox.put((c, "down", None))
        c.on_subscribe = lambda _c, _u, number, *_: self.inbox.put((c, "suback", number))
        c.on_message = lambda _c, _u, m: self.inbox.put((c, "heard", (m.payload, m.retain)))
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 0
        self.connect_at = None
        try:
            c.connect(broker["host"], broker["port"], keepalive=30, clean_start=True, properties=properties)
            c.loop_start()
        except OSError:
            self.inbox.put((c, "down", None))

    def subscribe(self, topics):
        options = mqtt.SubscribeOptions(qos=1, retainAsPublished=True)
        self.waiting_for.add(self.client.subscribe([(topic, options) for topic in topics])[1])

    def publish(self, to, report, qos=1):
        if self.connected:  # 19
            self.client.publish(f"{self.root}/up/{self.me}/{to}", seal(report, self.me, self.mac), qos)

    def hello(self, *, repeated=False):
        self.gap = min(2 * self.gap, 60_000) if repeated else 3_000
        if not repeated:
            self.nonces.clear()
        nonce, now = b64(secrets.token_bytes(16)), mono()
        self.nonces[nonce], self.ask_at = now, None
        self.repeat_at = now + random.randrange(self.gap, self.gap * 3 // 2)
        kept = self.flash.kept
        versions = {code: zone["version"] for code, zone in kept["zones"].items()}
        about = {"session": kept["session"], "nonce": nonce, "at": self.now(), "firmware": "independent/1"}
        self.publish("hello", {"say": "hello", "v": 1} | about | {"zones": versions, "evidence": self.flash.newest()})

    def ask(self, delay=0):
        due = max(mono() + delay, self.asked + 5_000)
        self.ask_at = due if self.ask_at is None else min(due, self.ask_at)

    def receipt(self, said, progress, kind="start", **more):
        """Keep it, then say it (18)."""
        report = {"say": "receipt", "v": 1, "alert": said["alert"], "rev": said["rev"], "kind": kind}
        report |= {"progress": progress, "at": self.now()} | more
        self.flash.alert(said)["receipts"][f"{said['rev']}/{kind}"] = report
        self.flash.save()
        self.publish("receipt", report)

    def again(self, said, *kinds):
        for kind in kinds:
            if (last := self.flash.last(said["alert"], said["rev"], kind)) is not None:
                self.publish("receipt", last)

    # -- down

    def heard(self, payload, retained):
        zones = {code: zone["version"] for code, zone in self.flash.kept["zones"].items()}
        token = payload.decode("ascii", "replace")
        verdict, said = judge(token, self.keys, self.provision["domain"], self.me, zones)
        if retained or verdict == "drop":
            return
        if verdict == "unsupported":
            if self.answered and said["exp"] >= self.now():
                known = {"say": "receipt", "v": 1, "alert": said["alert"], "rev": said["rev"]}
                no = {"progress": "failed", "at": self.now(), "reason": "unsupported", "played_ms": 0}
                self.publish("receipt", known | no)
            return
        ahead = self.now() - said["iat"]
        if said["act"] != "selftest" and said.get("class") not in ("publicity", "test"):
            self.offset = max(self.offset, said["iat"] - mono())  # 6
        if said["act"] == "start":
            self.start(said, verdict)
        elif said["act"] == "stop" and verdict != "others":
            self.stop(said)
        elif said["act"] == "query" and verdict != "others" and said["exp"] >= self.now():
            self.again(said, "start", "stop")
        elif said["act"] == "orders" and said["target"] == {"endpoints": [self.me]}:
            self.orders(said)
        elif said["act"] == "beacon" and ahead > 2_000 and self.answered and mono() - self.last_doubt > 60_000:
            self.last_doubt = mono()  # 7
            self.ask(random.randrange(10_000))

    def known(self, said):
        last = self.flash.last(said["alert"], said["rev"], "start")
        item = self.sound.items.get(said["alert"])
        return last is not None and (last["progress"] != "received" or (item is not None and item.rev == said["rev"]))

    def start(self, said, verdict):
        position = [said["epoch"], said["seq"]]
        if verdict == "others":
            return
        if self.known(said):  # 9a
            self.again(said, "start")
        elif position > self.flash.kept["floor"]:  # 9b
            if verdict == "mine" and self.answered:
                self.accept(said)
                return
            self.missed = max(self.missed or position, position)
            if not self.nonces:
                self.ask()

    def accept(self, said):
        alert = self.flash.alert(said)
        if said["rev"] <= alert["ended"] or said["rev"] < alert["rev"]:  # 9c
            self.receipt(said, "stopped", played_ms=0)
        elif said["exp"] < self.now():  # 9d
            self.receipt(said, "failed", reason="expired", played_ms=0)
        else:
            if said["alert"] in self.sound.items:  # 9e
                self.sound.end(self.sound.items[said["alert"]], "stopped", detail="superseded")
            alert["rev"] = said["rev"]
            self.sound.items[said["alert"]] = item = Item(said)
            self.receipt(said, "received")
            if item.audio is not None:
                self.fetch(item.audio, lambda: self.sound.items.get(item.alert) is item, item)

    def stop(self, said):  # 10
        if self.flash.last(said["alert"], said["rev"], "stop") is not None:
            self.again(said, "stop")
            return
        alert = self.flash.alert(said)
        alert["ended"] = max(alert["ended"], said["rev"])
        self.receipt(said, "received", "stop")
        item = self.sound.items.get(said["alert"])
        if item is not None and item.rev <= said["rev"]:
            self.sound.end(item, "stopped", detail=said["cause"])
        self.receipt(said, "finished", "stop")

    def orders(self, said):
        position, now, kept = [said["epoch"], said["seq"]], mono(), self.flash.kept
        if "nonce" not in said:  # 2
            if not self.answered or position <= kept["floor"] or said["exp"] < self.now():
                return
        elif (sent := self.nonces.get(said["nonce"])) is None:
            return
        elif now - sent > 10_000:  # 6
            self.hello()
            return
        else:
            self.offset = said["iat"] - (sent + now) // 2
            self.nonces, self.answered, self.repeat_at = {}, True, None
            if self.missed is not None and self.missed > position:
                self.ask()
            else:
                self.missed = None
        kept["floor"] = position  # 3
        self.obey(said, position)

    def obey(self, said, position):  # 4, 5
        kept = self.flash.kept
        tree = f"{self.root}/zone/"
        zones = {c: z for c, z in said.get("zones", {}).items() if z["topic"].startswith(tree)}
        zones = {c: z for c, z in zones.items() if not set("+#") & set(z["topic"])}
        before, after = ({z["topic"] for z in some.values()} for some in (kept["zones"], zones))
        kept["zones"] = zones
        self.heartbeat_s = said.get("heartbeat_s", 20)
        self.flash.save()
        if before - after:
            self.client.unsubscribe(sorted(before - after))
        if after - before:
            self.subscribe(sorted(after - before))
        live = [start for jws in said.get("live", ()) if (start := self.nested(jws)) is not None]
        named = {(start["alert"], start["rev"]) for start in live}
        for item in list(self.sound.items.values()):
            if [item.said["epoch"], item.said["seq"]] <= position and (item.alert, item.rev) not in named:
                self.sound.end(item, "stopped", detail="not in orders")
        for start in live:
            if not self.known(start):
                self.accept(start)
        for name, tone in said.get("tones", {}).items():
            if kept["tones"].get(name, {}).get("sha256") != tone["sha256"]:
                self.fetch(tone, lambda: True, (name, tone))

    def nested(self, jws):
        start = proven(jws, self.keys, self.provision["domain"])
        if start is None or start["act"] != "start" or not understood(start):
            return None
        return start if start["class"] != "test" or start["target"]["endpoints"] == [self.me] else None

    # -- content

    def fetch(self, audio, needed, answer_to):
        work = threading.Thread(target=self.fetching, args=(audio, needed, answer_to), daemon=True)
        work.start()

    def fetching(self, audio, needed, answer_to):  # 13, in a thread of its own
        wrong, wait = 0, 1.0
        time.sleep(random.uniform(0, 1.5))
        while needed():
            try:
                with urllib.request.urlopen(audio["url"], timeout=10) as answer:
                    body = answer.read(audio["size"] + 1)
            except (OSError, ValueError):
                time.sleep(wait)
                wait = min(2 * wait, 30)
                continue
            if len(body) == audio["size"] and hashlib.sha256(body).hexdigest() == audio["sha256"]:
                sound = body[:4] == b"RIFF" or body[:3] == b"ID3" or body[:1] == b"\xff"
                self.inbox.put((None, "fetched", (answer_to, None if sound else "content_undecodable")))
                return
            wrong += 1
            if wrong == 2:
                self.inbox.put((None, "fetched", (answer_to, "content_mismatch")))
                return

    def fetched(self, answer_to, fault):
        if isinstance(answer_to, Item):
            answer_to.there, answer_to.fault = fault is None, fault
        elif fault is None:
            self.flash.kept["tones"][answer_to[0]] = answer_to[1]
            self.flash.save()

    # -- life

    def tick(self):
        now = mono()
        if self.connect_at is not None and now >= self.connect_at:
            self.connect()
        if self.ask_at is not None and now >= self.ask_at and not self.nonces and self.connected:
            self.asked = now
            self.hello()
        elif self.nonces and now >= self.repeat_at:
            self.hello(repeated=True)
        if self.alive_at is not None and now >= self.alive_at:  # 21
            self.n += 1
            self.alive_at = now + self.heartbeat_s * 1_000 * random.uniform(0.9, 1.1)
            beat = {"say": "alive", "v": 1, "session": self.flash.kept["session"], "n": self.n, "at": self.now()}
            self.publish(
                "alive", beat | ({} if self.sound.sounding is None else {"sounding": self.sound.sounding.alert}), 0
            )
        self.sound.advance()

    def happened(self, who, what, more):
        if what == "fetched":
            self.fetched(*more)
        elif who is not self.client:
            return  # of a connection that is over
        elif what == "up":
            self.connected, self.retry_s = True, 0.5
            zones = (zone["topic"] for zone in self.flash.kept["zones"].values())
            self.subscribe([f"{self.root}/down/{self.me}", f"{self.root}/beacon", *zones])
        elif what == "suback" and more in self.waiting_for:
            self.waiting_for.discard(more)
            self.flash.forget(self.now()) if self.answered else None
            if self.alive_at is None:
                self.alive_at = mono() + random.uniform(0, self.heartbeat_s * 1_000)
            self.hello()
        elif what == "heard":
            self.heard(*more)
        elif what == "down" and self.connect_at is None:
            who.loop_stop()
            self.reset()
            wait = random.uniform(0, 0.5) if self.retry_s == 0.5 else random.uniform(self.retry_s / 2, self.retry_s)
            self.connect_at, self.retry_s = mono() + wait * 1_000, min(2 * self.retry_s, 8)

    def run(self):
        self.connect()
        while True:
            try:
                who, what, more = self.inbox.get(timeout=0.01)
            except queue.Empty:
                self.tick()
                continue
            if what == "leave":
                with_will = ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message")
                self.client.disconnect(with_will)
                self.client.loop_stop()
                return
            self.happened(who, what, more)
            self.tick()


if __name__ == "__main__":
    speaker = Speaker(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
    signal.signal(signal.SIGTERM, lambda *_: speaker.inbox.put((None, "leave", None)))
    speaker.run()
