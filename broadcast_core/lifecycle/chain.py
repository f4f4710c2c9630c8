"""Where a message stands among those that are linked to it: the decision, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.i18n import Sentence, _
from broadcast_core.lifecycle.decision import (
    Await,
    Begin,
    Decision,
    End,
    Ends,
    Known,
    Lesson,
    Revise,
    Suppress,
    SuppressCause,
    alert_id_of,
)
from broadcast_core.lifecycle.worth import expires_of, without_info
from broadcast_core.model import Alert, MsgType, Reference, Scope, Status

_CLOCK_TOLERANCE: Final = timedelta(minutes=5)


def decide(
    alert: Alert,
    known: Mapping[Reference, Known],
    cancelled: Mapping[Reference, datetime],
    now: datetime,
    default_lifetime: timedelta,
) -> Decision:
    """What becomes of `alert`. Raises AlertRejected where it may not go out at all.

    `known` holds whole chains: every message of each chain that `alert` or its references belong to. `cancelled`
    holds which of `alert`, its references and all those messages a Cancel ever named, with the `sent` of the newest
    such Cancel, also where the message was known when the Cancel came. More than that does no harm, less does.
    The same message again is the caller's to answer; here it is refused as a reused identifier.
    """
    _refuse_unsendable(alert, now)
    if alert.msg_type is MsgType.CANCEL:
        return _cancel(alert, known)
    if not alert.infos:
        raise without_info()
    chains = _Chains(alert, known, cancelled, now)
    silent = _suppression(alert, chains, cancelled)
    if silent is not None:
        return silent
    if expires_of(alert, now, default_lifetime) <= now:
        return _expired(chains)
    if chains.first is None:
        return Begin(alert_id=alert_id_of(alert.reference))
    revision = chains.newest_revision(chains.first) + 1
    if revision == 1:  # of that chain nothing ever went out
        return Begin(alert_id=chains.first)
    return Revise(alert_id=chains.first, revision=revision, ends=chains.live_but(chains.first))


def learn(alert: Alert, decision: Decision, known: Mapping[Reference, Known], expires: datetime) -> Lesson:
    """What the decision on `alert` changes in `known` and `cancelled`. `expires` is `expires_of` the alert.

    An entry of `known` replaces that of the same reference; in `cancelled` the later instant stays.
    """
    references = _linked(alert)
    match decision:
        case End(ends=ends):
            return Lesson(known=_ended(known, ends), cancelled=dict.fromkeys(references, alert.sent))
        case Await():
            return Lesson(cancelled=dict.fromkeys(references, alert.sent))
        case Begin(alert_id=alert_id, revision=revision) | Revise(alert_id=alert_id, revision=revision):
            own = Known(alert_id=alert_id, revision=revision, expires=expires, ended=False)
            return Lesson(known=_joined(alert, alert_id, known, expires) | {alert.reference: own})
        case Suppress(alert_id=alert_id, ends=ends):
            return Lesson(known=_ended(known, ends) | _joined(alert, alert_id, known, expires))


class _Chains:
    """The chains that one Alert or Update belongs to: those its references name, and one that has replaced it."""

    def __init__(
        self,
        alert: Alert,
        known: Mapping[Reference, Known],
        cancelled: Mapping[Reference, datetime],
        now: datetime,
    ) -> None:
        linked = (*_linked(alert), alert.reference)
        ids = tuple(dict.fromkeys(known[r].alert_id for r in linked if r in known))
        self._now = now
        self._alert = alert
        self._members: Final = {r: k for r, k in known.items() if k.alert_id in ids}
        self._newest: Final = {chain: _newest(chain, known) for chain in ids}
        self.own: Final = known.get(alert.reference)
        gone_out = [chain for chain in ids if self._newest[chain]]
        self.first: Final = next(iter(gone_out or ids), None)
        self.cancelled_at: Final = max(
            (cancelled[r] for r in {*self._members, *linked} if r in cancelled), default=None
        )

    def newest_revision(self, chain: str) -> int:
        """How far `chain` has come; 0 when nothing of it went out."""
        newest = self._newest[chain]
        return newest[1].revision if newest else 0

    def newer(self) -> str | None:
        """The chain that holds what the sender issued last, if that is later than the alert."""
        theirs = [(r.sent, k.alert_id) for r, k in self._members.items() if r.sender == self._alert.sender]
        sent, chain = max(theirs, default=(self._alert.sent, None))
        return chain if sent > self._alert.sent else None

    def live_but(self, kept: str | None) -> Ends:
        """Every chain that may still sound, but `kept`."""
        return tuple(
            (chain, newest[1].revision)
            for chain, newest in self._newest.items()
            if chain != kept and newest and not newest[1].ended and newest[1].expires > self._now
        )

    def is_older(self, chain: str, instant: datetime) -> bool:
        """Whether nothing of `chain` that went out was sent after `instant`."""
        newest = self._newest.get(chain)
        return newest is None or newest[0].sent <= instant


def _newest(chain: str, known: Mapping[Reference, Known]) -> tuple[Reference, Known] | None:
    """The newest message of `chain` that went out."""
    gone_out = [(r, k) for r, k in known.items() if k.alert_id == chain and k.revision > 0]
    return max(gone_out, key=lambda entry: entry[1].revision, default=None)


def _suppression(alert: Alert, chains: _Chains, cancelled: Mapping[Reference, datetime]) -> Suppress | None:
    """Why the alert must stay silent, if a Cancel or a newer message came before it."""
    own, at, newer = chains.own, chains.cancelled_at, chains.newer()
    if own is not None and own.revision > 0:
        sentence = _("This message is known already; a new message needs an identifier of its own.")
        raise AlertRejected(RejectReason.IDENTIFIER_REUSED, sentence, "identifier")
    taken_back = alert.reference in cancelled or (at is not None and alert.sent <= at)
    if not taken_back and newer is None and own is None:
        return None
    chain = newer or (own.alert_id if own else chains.first) or alert_id_of(alert.reference)
    cause = SuppressCause.CANCELLED if taken_back else SuppressCause.SUPERSEDED
    all_over = at is not None and chains.is_older(chain, at)
    return Suppress(alert_id=chain, cause=cause, ends=chains.live_but(None if all_over else chain))


def _expired(chains: _Chains) -> Suppress:
    """An Update whose own time is over still ends what it replaces; anything else is refused."""
    ends = chains.live_but(None)
    if chains.first is not None and ends:
        return Suppress(alert_id=chains.first, cause=SuppressCause.EXPIRED, ends=ends)
    sentence = _(
        "Its time is over: its expires, or without one the usual lifetime after its sent. "
        "Send it again with a later one."
    )
    raise AlertRejected(RejectReason.EXPIRED, sentence, "info[0].expires")


def _cancel(alert: Alert, known: Mapping[Reference, Known]) -> End | Await:
    references = _linked(alert)
    if not references:
        sentence = _("{type} needs references: name the messages it is about.", type=str(alert.msg_type))
        raise AlertRejected(RejectReason.MISSING, sentence, "references")
    awaits = tuple(r for r in references if r not in known)
    if len(awaits) == len(references):
        return Await(references=awaits)
    chains = dict.fromkeys(known[r].alert_id for r in references if r in known)
    newest = [entry for chain in chains if (entry := _newest(chain, known)) is not None]
    ends = tuple((k.alert_id, k.revision) for r, k in newest if _reaches(alert, r))
    return End(ends=ends, awaits=awaits)


def _reaches(cancel: Alert, newest: Reference) -> bool:
    """Whether a Cancel can be about `newest`: it names it, or is not older than it (by one sender's clock)."""
    return newest in cancel.references or newest.sender != cancel.sender or newest.sent <= cancel.sent


def _linked(alert: Alert) -> tuple[Reference, ...]:
    """The other messages that the alert is about. A plain Alert is about none, whatever it refers to."""
    if alert.msg_type is MsgType.ALERT:
        return ()
    return tuple(r for r in dict.fromkeys(alert.references) if r != alert.reference)


def _ended(known: Mapping[Reference, Known], ends: Ends) -> dict[Reference, Known]:
    upto = dict(ends)
    return {r: replace(k, ended=True) for r, k in known.items() if 0 < k.revision <= upto.get(k.alert_id, 0)}


def _joined(alert: Alert, chain: str, known: Mapping[Reference, Known], expires: datetime) -> dict[Reference, Known]:
    """Everything that the alert links, as part of `chain`."""
    linked = (*_linked(alert), alert.reference)
    others = {known[r].alert_id for r in linked if r in known} - {chain}
    moved = {r: replace(k, alert_id=chain, revision=0, ended=True) for r, k in known.items() if k.alert_id in others}
    silent = Known(alert_id=chain, revision=0, expires=expires, ended=True)
    return moved | {r: silent for r in linked if r not in known}


def _refuse_unsendable(alert: Alert, now: datetime) -> None:
    """Refuse what Tocsin does not send, by the name of the element."""
    if alert.status is Status.DRAFT:
        raise _not_allowed(
            RejectReason.STATUS_NOT_ALLOWED, "status", _("A Draft is not sent; set status Actual when it is ready.")
        )
    if alert.status is not Status.ACTUAL:
        sentence = _(
            "Status {status} is not sent: drills are not built yet. Use the simulators to rehearse; only Actual goes"
            " out.",
            status=str(alert.status),
        )
        raise _not_allowed(RejectReason.STATUS_NOT_ALLOWED, "status", sentence)
    if alert.msg_type in (MsgType.ACK, MsgType.ERROR):
        sentence = _("{type} is not sent to the public; send Alert, Update or Cancel.", type=str(alert.msg_type))
        raise _not_allowed(RejectReason.MSG_TYPE_NOT_ALLOWED, "msgType", sentence)
    if alert.scope is not Scope.PUBLIC:
        sentence = _("Scope {scope} is not sent: speakers reach everybody. Use Public.", scope=str(alert.scope))
        raise _not_allowed(RejectReason.SCOPE_NOT_ALLOWED, "scope", sentence)
    if alert.sent > now + _CLOCK_TOLERANCE:
        sentence = _(
            "The alert was sent in the future ({sent}); check the sender's clock.", sent=alert.sent.isoformat()
        )
        raise _not_allowed(RejectReason.INVALID_VALUE, "sent", sentence)


def _not_allowed(reason: RejectReason, field: str, sentence: Sentence) -> AlertRejected:
    return AlertRejected(reason, sentence, field)
