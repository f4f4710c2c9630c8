"""`tocsin mode set` and `clear`. Typed by a duty officer: what is heavy is imported after the switch has gone out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Final

import typer

from broadcast_core.cli.client import Api, JsonOption, core, print_json, say_error
from broadcast_core.cli.duration import option
from broadcast_core.cli.exits import BAD_INPUT, FAILED, OK
from broadcast_core.i18n import Sentence, _, terminal_language
from broadcast_core.naming import MODES

_RED: Final = "red"

_Reason = Annotated[str, typer.Option(help=_("Why; kept and shown.").msgid, show_default=False)]
_Wait = Annotated[
    bool,
    typer.Option("--wait/--no-wait", help=_("Stay until the speakers have proven it.").msgid, show_default=False),
]
_Within = Annotated[
    timedelta,
    typer.Option(parser=option, metavar="60s|5m", help=_("How long to stay at most.").msgid, show_default=False),
]


def set_mode(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="ZONE… emergency|peacetime", help=_("The zones' codes, then the mode.").msgid, show_default=False
        ),
    ],
    reason: _Reason,
    remind: Annotated[
        timedelta | None,
        typer.Option(
            parser=option,
            metavar="30m|2h",
            help=_("When to ask whether the emergency still has its reason.").msgid,
            show_default=False,
        ),
    ] = None,
    wait: _Wait = True,
    within: _Within = timedelta(minutes=1),
    as_json: JsonOption = False,
) -> None:
    """Give zones a mode of their own. In an emergency their publicity stops at once."""
    *zones, mode = words
    if mode not in MODES:
        say_error(
            _("Say the mode last, emergency or peacetime: tocsin mode set {zones} emergency --reason …",
              zones=" ".join(words))
        )  # fmt: skip
        raise typer.Exit(BAD_INPUT)
    if not zones:
        say_error(_("Name the zones whose mode is to change; `tocsin registry show` lists them."))
        raise typer.Exit(BAD_INPUT)
    said: dict[str, Any] = {"zones": zones, "mode": mode, "reason": reason}
    if remind is not None:
        said["remind_after_s"] = int(remind.total_seconds())
    with core() as api:
        answer = api.send("POST", "/modes", said)
        if not as_json:
            _tell(zones, mode, answer)
        code = _prove(api, answer, within if wait else None, as_json=as_json)
    raise typer.Exit(code)


def clear(
    zones: Annotated[list[str], typer.Argument(metavar="ZONE…", show_default=False)],
    reason: _Reason,
    wait: _Wait = True,
    within: _Within = timedelta(minutes=1),
    as_json: JsonOption = False,
) -> None:
    """Let zones have the mode of the zone above them again."""
    code = OK
    answers: list[Mapping[str, Any]] = []
    for zone in zones:
        unknown = _("{zone} has no mode of its own: `tocsin mode show` lists those that have.", zone=zone)
        with core(unknown=unknown) as api:
            answers.append(api.send("POST", f"/modes/{zone}/clear", {"reason": reason}))
            if not as_json:
                _tell_cleared(zone, answers[-1])
    together = {
        "changed": {zone: mode for answer in answers for zone, mode in answer["changed"].items()},
        "messages": [message for answer in answers for message in answer["messages"]],
        "endpoints": sum(answer["endpoints"] for answer in answers),
    }
    with core() as api:
        code = _prove(api, together, within if wait else None, as_json=as_json)
    raise typer.Exit(code)


def _tell(zones: Sequence[str], mode: str, answer: Mapping[str, Any]) -> None:
    emergency = mode == "emergency"
    sign = f" {MODES[mode].say(terminal_language())} "
    head = typer.style(sign, bold=True, fg="white", bg=_RED if emergency else "green")
    shown = ", ".join(zones[:8]) + (" …" if len(zones) > 8 else "")
    typer.echo(f"{head} {shown}")
    _line(_reach(answer))
    if emergency:
        _line(_("Publicity there stops now and the schedule is locked. `tocsin mode clear ZONE` ends it."))


def _tell_cleared(zone: str, answer: Mapping[str, Any]) -> None:
    modes = {MODES[mode].say(terminal_language()) for mode in answer["changed"].values()}
    if modes:
        _line(_("{zone} is as the zone above it again: {mode}.", zone=zone, mode=", ".join(sorted(modes))))
    else:
        _line(_("{zone} is as the zone above it again; that is the mode it had.", zone=zone))


def _reach(answer: Mapping[str, Any]) -> Sentence:
    if not answer["changed"]:
        return _("Every zone there had this mode already: it is on record, and no speaker had to be told.")
    return _("Speakers told: {speakers}. Zones: {zones}.",
             speakers=answer["endpoints"], zones=len(answer["changed"]))  # fmt: skip


def _line(sentence: Sentence) -> None:
    typer.echo(sentence.say(terminal_language()))


def _prove(api: Api, answer: Mapping[str, Any], within: timedelta | None, *, as_json: bool) -> int:
    """Stay until the speakers have proven it; the exit code."""
    if within is None or not answer["messages"]:
        if as_json:
            print_json(answer)
        return OK
    from broadcast_core.cli.mode.proof import stay

    proof = stay(api.at, answer["messages"], within, drawn=not as_json)
    if as_json:
        print_json({**answer, "proof": proof})
    return OK if proof["proven"] == proof["speakers"] else FAILED
