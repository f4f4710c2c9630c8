"""What the speakers say, believed only under their own keys: receipts, hellos, heartbeats, wills."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from broadcast_core.clock import Clock
from broadcast_core.model import Availability, Batch, Channel, FieldEvent, Hello, Presence, Receipt
from broadcast_core.signing import Mac, SignatureRefused
from drivers.ip_speaker.wire import MalformedMessage, Topics, report
from drivers.ip_speaker.wire.report import AliveReport, GoneReport, HelloReport, ReceiptReport, receipt_of

log = structlog.get_logger(__name__)

_LARGEST_REPORT: Final = 65_536  # bytes; a hello with all its evidence stays far below
_SWEEP_S: Final = 2.0
# Refusals that are named in the log between two sweeps; the others are counted. Strangers must not fill the disk.
_NAMED_REFUSALS: Final = 20
# How much one speaker may say on one of its topics: at once, and for each second after that. One that reconnects,
# plays two alerts and is asked for both stays far below; a stolen key that says more costs one MAC for each message.
_AT_ONCE: Final = 100.0
_FOR_EACH_S: Final = 20.0


@dataclass(slots=True)
class _Ration:
    """How much a speaker may still say, as of `at` (monotonic)."""

    left: float
    at: float

    def take(self, now: float) -> bool:
        self.left = min(_AT_ONCE, self.left + _FOR_EACH_S * (now - self.at))
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass(slots=True)
class _Heard:
    """The newest sign of life of one speaker; of one that is only expected, since when it is."""

    session: int
    n: int
    at: float  # monotonic
    presence: Presence


class RollCall:
    """Turns what arrives into events, and notices who has fallen silent."""

    def __init__(
        self,
        topics: Topics,
        mac_of: Callable[[str], Mac | None],
        events: asyncio.Queue[Batch | None],
        clock: Clock,
        *,
        expected: Callable[[], Iterable[str]],
        silent_after_s: float,
    ) -> None:
        self._topics = topics
        self._mac_of = mac_of
        self._events = events
        self._clock = clock
        self._expected = expected
        self._silent_after_s = silent_after_s
        self._heard: dict[str, _Heard] = {}
        self._rations: dict[str, _Ration] = {}  # by topic, of those whose key is known
        self._unnamed = -_NAMED_REFUSALS  # odd messages since the last sweep, beyond those that are named
        self.refused = 0  # messages that no known endpoint's key had sealed, or that made no sense

    def take_receipts(self, messages: Sequence[tuple[str, bytes]], settled: Callable[[], None]) -> None:
        """What came on receipt topics in one read: one batch, and so one commit."""
        receipts = [r for topic, payload in messages if (r := self._receipt(topic, payload)) is not None]
        if receipts:
            self._events.put_nowait(Batch(channel=Channel.SPEAKER, events=receipts, settled=settled))
        else:
            settled()

    def take_statuses(self, messages: Sequence[tuple[str, bytes]], settled: Callable[[], None]) -> None:
        """What came on hello and alive topics in one read. Nobody has to make it durable."""
        for topic, payload in messages:
            self.take_status(topic, payload)
        settled()

    def take_status(self, topic: str, payload: bytes) -> None:
        """A message on a hello or alive topic."""
        opened = self._open(topic, payload)
        if opened is None:
            return
        endpoint_id, said = opened
        match said:
            case HelloReport():
                self._hello(endpoint_id, said)
            case AliveReport():
                self._alive(endpoint_id, said)
            case GoneReport():
                self._gone(endpoint_id, said)
            case ReceiptReport():
                self._refuse(endpoint_id, "a receipt on another topic")

    async def run(self) -> None:
        """Report those that owe a heartbeat, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._count_refusals()
            now = self._clock.monotonic()
            for endpoint_id in self._expected():  # one that died before we were started never says a word
                if endpoint_id not in self._heard:
                    self._heard[endpoint_id] = _Heard(0, -1, now, Presence.UNKNOWN)
            for endpoint_id, heard in self._heard.items():
                waiting = heard.presence in (Presence.ONLINE, Presence.UNKNOWN)
                if waiting and now - heard.at > self._silent_after_s:
                    self._presence(endpoint_id, heard, Presence.SILENT, f"silent for {now - heard.at:.0f} s")

    def _receipt(self, topic: str, payload: bytes) -> Receipt | None:
        opened = self._open(topic, payload)
        if opened is None:
            return None
        endpoint_id, said = opened
        if isinstance(said, ReceiptReport):
            return self._believed(said, endpoint_id)
        self._refuse(endpoint_id, "no receipt, on a receipt topic")
        return None

    def _believed(self, said: ReceiptReport, endpoint_id: str) -> Receipt | None:
        """One piece of evidence; None if it makes no sense, which costs the others nothing."""
        try:
            return receipt_of(said, endpoint_id)
        except MalformedMessage as error:
            self._refuse(endpoint_id, str(error))
            return None

    def _hello(self, endpoint_id: str, said: HelloReport) -> None:
        heard = self._heard.get(endpoint_id)
        if heard is None or said.session >= heard.session:
            heard = self._heard[endpoint_id] = _Heard(said.session, 0, self._clock.monotonic(), Presence.ONLINE)
            self._presence(endpoint_id, heard, Presence.ONLINE, "")
        else:
            # A replay, or a replaced device that lost its count. The answer is harmless: it is bound to the nonce.
            self._name("hello of an older session", endpoint_id, f"session {said.session}")
        evidence = tuple(r for one in said.evidence if (r := self._believed(one, endpoint_id)) is not None)
        self._emit(
            Hello(
                endpoint_id=endpoint_id,
                nonce=said.nonce,
                at=self._clock.now(),
                firmware=said.firmware[:100],
                evidence=evidence,
                holds=said.holds,
            )
        )

    def _alive(self, endpoint_id: str, said: AliveReport) -> None:
        heard = self._heard.get(endpoint_id)
        if heard is None:
            heard = self._heard[endpoint_id] = _Heard(said.session, -1, 0.0, Presence.UNKNOWN)
        if (said.session, said.n) <= (heard.session, heard.n):
            return  # replayed or late
        heard.session, heard.n, heard.at = said.session, said.n, self._clock.monotonic()
        self._presence(endpoint_id, heard, Presence.ONLINE, "")

    def _gone(self, endpoint_id: str, said: GoneReport) -> None:
        heard = self._heard.get(endpoint_id)
        if heard is None:
            heard = self._heard[endpoint_id] = _Heard(said.session, 0, 0.0, Presence.UNKNOWN)
        if said.session >= heard.session:  # the will of a session that has been replaced says nothing
            heard.session = said.session
            self._presence(endpoint_id, heard, Presence.OFFLINE, "connection lost")

    def _presence(self, endpoint_id: str, heard: _Heard, presence: Presence, detail: str) -> None:
        heard.presence = presence
        self._emit(Availability(endpoint_id=endpoint_id, presence=presence, at=self._clock.now(), detail=detail))

    def _emit(self, event: FieldEvent) -> None:
        self._events.put_nowait(Batch(channel=Channel.SPEAKER, events=(event,)))

    def _open(self, topic: str, payload: bytes) -> tuple[str, report.Report] | None:
        endpoint_id = self._topics.endpoint_of(topic)
        mac = self._mac_of(endpoint_id)
        if mac is None or len(payload) > _LARGEST_REPORT:
            self._refuse(endpoint_id, "unknown endpoint" if mac is None else "too large")
            return None
        try:
            payload = mac.open(payload)
            # Only what its key has sealed counts against a speaker: strangers cannot use up what it may say.
            if not self._may_say_more(topic):
                self._refuse(endpoint_id, "says more than a speaker has to say")
                return None
            return endpoint_id, report.decode(payload)
        except (SignatureRefused, MalformedMessage) as error:
            self._refuse(endpoint_id, str(error))
            return None

    def _may_say_more(self, topic: str) -> bool:
        now = self._clock.monotonic()
        ration = self._rations.get(topic)
        if ration is None:
            ration = self._rations[topic] = _Ration(_AT_ONCE, now)
        return ration.take(now)

    def _refuse(self, endpoint_id: str, why: str) -> None:
        self.refused += 1
        self._name("refused what claims to be a speaker", endpoint_id, why)

    def _name(self, what: str, endpoint_id: str, why: str) -> None:
        self._unnamed += 1
        if self._unnamed <= 0:
            log.warning(what, endpoint=endpoint_id[:64], why=why[:200])

    def _count_refusals(self) -> None:
        if self._unnamed > 0:
            log.warning("more of what was refused or odd", count=self._unnamed)
        self._unnamed = -_NAMED_REFUSALS
