"""What an independent speaker remembers, and what it sounds: `sounds.jsonl` in its folder is its loudspeaker.

Part of `independent_speaker.py`; like it, to docs/protocols/ip-speaker.md and without anything of this project.
"""

import json
import os
import time

from independent_words import weight

HOUR_MS = 3_600_000


def mono():
    return time.monotonic_ns() // 1_000_000


class Flash:
    """What outlives a reboot (3, 18, 20)."""

    def __init__(self, file):
        self.file = file
        self.kept = {"session": 0, "floor": [-1, -1], "zones": {}, "tones": {}, "alerts": {}}
        if file.exists():
            self.kept |= json.loads(file.read_text())

    def save(self):
        new = self.file.with_suffix(".new")
        with new.open("w") as out:
            json.dump(self.kept, out)
            out.flush()
            os.fsync(out.fileno())
        new.replace(self.file)

    def alert(self, said):
        empty = {"keep": 0, "rev": -1, "ended": -1, "receipts": {}}
        known = self.kept["alerts"].setdefault(said["alert"], empty)
        known["keep"] = max(known["keep"], said["exp"] + HOUR_MS)
        return known

    def last(self, alert, rev, kind):
        return self.kept["alerts"].get(alert, {"receipts": {}})["receipts"].get(f"{rev}/{kind}")

    def newest(self):
        found = [r for known in self.kept["alerts"].values() for r in known["receipts"].values()]
        return sorted(found, key=lambda r: r["at"])[-20:]

    def forget(self, now):
        alerts = self.kept["alerts"]
        ends_first = sorted(alerts, key=lambda alert: alerts[alert]["keep"])
        for alert in ends_first[: max(0, len(alerts) - 500)] + [a for a in alerts if alerts[a]["keep"] <= now]:
            alerts.pop(alert, None)


class Item:
    """A start that was accepted and has not ended."""

    def __init__(self, said):
        self.said, self.alert, self.rev, self.resume = said, said["alert"], said["rev"], said.get("resume", "start")
        self.content, self.silent = said["content"], said.get("silent", False)
        self.audio = self.content.get("audio")
        self.there, self.fault = self.audio is None, None
        self.begun = self.outranked = self.in_audio = False
        self.position = self.played = self.toned = 0  # ms: within tone or audio; heard; of tone
        self.since = self.away = self.tone_ms = 0


class Loudspeaker:
    """All items, one of which sounds. `receipt(said, progress, **more)` keeps evidence and says it."""

    def __init__(self, flash, file, now, receipt):
        self.flash, self.sounds, self.now, self.receipt = flash, file.open("a", buffering=1), now, receipt
        self.items, self.sounding, self.checkpoint = {}, None, 0

    def log(self, item, what):
        line = {"at": self.now(), "alert": item.alert, "rev": item.rev, "what": what}
        self.sounds.write(json.dumps(line | {"position": item.position}) + "\n")

    def hush(self, item, now):
        """Its sound ends here, for a while or for good."""
        if self.sounding is item:
            self.sounding = None
            self.bank(item, now)
            self.log(item, "silence")

    def bank(self, item, now):
        heard, item.since = now - item.since, now
        item.position, item.played = item.position + heard, item.played + heard
        item.toned += 0 if item.in_audio else heard

    def end(self, item, progress, **more):
        self.hush(item, mono())
        del self.items[item.alert]
        self.receipt(item.said, progress, played_ms=item.played, **more)

    def fail(self, item, reason):
        self.end(item, "failed", reason=reason)

    def go_on(self, item, now):  # 12
        whole = item.audio["ms"] if item.in_audio else item.tone_ms
        if now - item.since < whole - item.position % whole:
            return
        self.bank(item, now)
        if item.in_audio or item.audio is None:
            self.end(item, "finished")
        elif item.there:
            item.in_audio, item.position = True, 0
            self.log(item, "audio")
        elif item.fault or item.toned >= 15_000:
            self.fail(item, item.fault or "content_unavailable")
        else:
            item.position = 0

    def keep_silent(self, item, now):  # 17
        if not item.begun:
            item.begun, item.since = True, now
            self.receipt(item.said, "started")
        if item.there:
            self.end(item, "finished")
        elif item.fault or now - item.since > 15_000:
            self.fail(item, item.fault or "content_unavailable")

    def interrupt(self, item, now):  # 15
        self.hush(item, now)
        item.away = now
        if item.resume == "skip":
            self.fail(item, "preempted")
        elif item.resume == "start":
            item.in_audio, item.position = False, 0

    def begin(self, item, now):
        if not item.begun:
            item.begun = True
            item.tone_ms = self.flash.kept["tones"].get(item.content["tone"], {"ms": 2_000})["ms"]
            self.receipt(item.said, "started")
            self.checkpoint = now
        elif item.resume == "live":
            item.position += now - item.away
            if not item.in_audio and item.position >= item.tone_ms and (item.there or item.audio is None):
                item.in_audio, item.position = item.audio is not None, item.position - item.tone_ms
            if item.there and (item.audio is None or item.position >= item.audio["ms"]):
                self.fail(item, "preempted")
                return
        self.sounding, item.since = item, now
        self.log(item, "audio" if item.in_audio else "tone")

    def advance(self):
        """Everything that is due by now."""
        now, utc = mono(), self.now()
        if self.sounding is not None:
            self.go_on(self.sounding, now)
        for item in list(self.items.values()):
            if item.silent and item.said["start_at"] <= utc and (item.begun or item.said["exp"] >= utc):
                self.keep_silent(item, now)
            elif item is not self.sounding and not (item.silent and item.begun) and utc > item.said["exp"]:  # 16
                self.fail(item, "preempted" if item.outranked else "expired")
        due = [i for i in self.items.values() if not i.silent and (i.begun or i.said["start_at"] <= utc)]
        if due:
            first = min(
                due, key=lambda i: ([-w for w in weight(i.said)], i.said.get("issued", i.said["iat"]), i.alert)
            )  # 14
            chosen = self.sounding
            if chosen is None or weight(first.said) > weight(chosen.said):
                if chosen is not None:
                    self.interrupt(chosen, now)
                chosen = first
                self.begin(first, now)
            for item in due:
                item.outranked |= item is not chosen
        if self.sounding is not None and now - self.checkpoint > 1_000:  # 20
            self.checkpoint, item = now, self.sounding
            self.flash.last(item.alert, item.rev, "start")["played_ms"] = item.played + now - item.since
            self.flash.save()
