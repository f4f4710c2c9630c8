"""The words of an independent speaker: what it believes of what comes down, and how it seals what it says.

Part of `independent_speaker.py`; like it, to docs/protocols/ip-speaker.md and without anything of this project.
"""

import base64
import hashlib
import hmac
import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

RANKS = (
    ("class", ("publicity", "test", "drill", "live-microphone", "emergency", "air-raid")),
    ("authority", ("subdistrict", "district", "city", "province", "national")),
    ("level", (15, 0, 4, 3, 2, 1)),
    ("urgency", ("Unknown", "Past", "Future", "Expected", "Immediate")),
    ("certainty", ("Unknown", "Unlikely", "Possible", "Likely", "Observed")),
)
EMERGENCY = ("air-raid", "emergency", "live-microphone", "drill")
SCOPE = dict.fromkeys(EMERGENCY, "emergency") | {"publicity": "publicity", "test": "test"}
COMMON = "act v domain epoch seq iat exp target crit"
FIELDS = {
    "start": "alert rev class authority level urgency certainty start_at issued content approval resume silent "
    "volume",
    "stop": "alert rev cause acted_at",
    "query": "alert rev",
    "orders": "nonce live zones heartbeat_s tones",
    "beacon": "",
}
NUMBERS = {"epoch", "seq", "iat", "exp", "rev", "start_at", "issued", "acted_at", "volume", "v"}
REQUIRED = {
    "start": "alert rev class authority level urgency certainty start_at content",
    "stop": FIELDS["stop"],
    "query": FIELDS["query"],
}


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text):
    if "=" in text:
        raise ValueError("padding")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def seal(payload, me, key):
    head, body = ({"alg": "HS256", "kid": me, "typ": "tocsin+jws"}, payload)
    text = ".".join(b64(json.dumps(x, ensure_ascii=False, separators=(",", ":")).encode()) for x in (head, body))
    return text + "." + b64(hmac.new(key, text.encode(), hashlib.sha256).digest())


def weight(words):
    return tuple(values.index(words[field]) for field, values in RANKS)


def proven(jws, keys, domain):
    """The payload of a command that passes "Signatures"; None if it is to be dropped."""
    try:
        head, body, signature = jws.split(".")
        header = json.loads(unb64(head))
        key = keys[header["kid"]]
        if header["alg"] != "EdDSA" or "crit" in header:
            return None
        Ed25519PublicKey.from_public_bytes(unb64(key["public"])).verify(unb64(signature), f"{head}.{body}".encode())
        said = json.loads(unb64(body))
        if not domain == key["domain"] == said["domain"]:
            return None
        scope = SCOPE[said["class"]] if said["act"] == "start" else "control"
        alone = "zone" not in said["target"] and len(said["target"].get("endpoints", ())) == 1
        fits = said["act"] in FIELDS and scope == key["scope"] and (scope != "test" or alone)
    except (ValueError, KeyError, TypeError, AttributeError, InvalidSignature):
        return None
    return said if fits else None


def understood(said):
    known = (COMMON + " " + FIELDS[said["act"]]).split()
    try:
        needed = {*COMMON.split()[:-1], *REQUIRED.get(said["act"], "").split()}
        fit = said["v"] == 1 and needed <= set(said) and set(said.get("crit", ())) <= set(known)
        fit = fit and all(isinstance(said[f], int) for f in NUMBERS & set(said))
        if fit and said["act"] == "start":
            weight(said)
            fit = isinstance(said["content"]["tone"], str)
            fit = fit and said.get("resume", "start") in ("start", "position", "skip", "live")
    except (ValueError, KeyError, TypeError):
        return False
    return fit


def aim(target, me, zones):
    """mine, ask or others (8)."""
    if me in target.get("endpoints", ()):
        return "mine"
    if target.get("zone") not in zones or me in target.get("except", ()):
        return "others"
    return "mine" if zones[target["zone"]] == target.get("version", 0) else "ask"


def judge(jws, keys, domain, me, zones):
    """(drop, unsupported, mine, ask or others; the payload)."""
    said = proven(jws, keys, domain)
    if said is None:
        return "drop", None
    meant = aim(said["target"], me, zones)
    if understood(said):
        return meant, said
    return ("unsupported" if said["act"] == "start" and meant == "mine" else "drop"), said
