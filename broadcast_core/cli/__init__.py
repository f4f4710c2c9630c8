"""The command line `tocsin`. For people by default; `--json` for programs.

This module knows every command by name and sentence, and imports none: `tocsin stop` must not wait for a database
library. A command's module is imported when the command is run.
"""

from __future__ import annotations

from typing import Final

import typer

from broadcast_core.cli.program import Command, Commands, Program
from broadcast_core.i18n import _

_ALERT: Final[Commands] = {
    "send": Command(
        _("Send a CAP file, or an alert made from options; --area re-aims it at this district."),
        "broadcast_core.cli.alert.send:send",
    ),
    "list": Command(_("The newest alerts."), "broadcast_core.cli.alert.look:list_alerts"),
    "show": Command(_("One alert: where everything stands."), "broadcast_core.cli.alert.look:show"),
    "watch": Command(
        _("Watch an alert until every delivery has ended. Exit code 1 if one has not finished."),
        "broadcast_core.cli.alert.watch:watch",
    ),
    "stop": Command(_("End an alert everywhere, now."), "broadcast_core.cli.alert.stop:stop_one"),
    "report": Command(_("The evidence of an alert."), "broadcast_core.cli.alert.look:report"),
}
_SELFTEST: Final[Commands] = {
    "show": Command(
        _("How many endpoints have proven themselves within a day and a week, and which did not."),
        "broadcast_core.cli.selftest:show",
    ),
    "run": Command(
        _("Test endpoints in silence, now; without a name all of them."), "broadcast_core.cli.selftest:run"
    ),
    "audible": Command(
        _("Test loudspeakers aloud, one after the other, within the kind hours."),
        "broadcast_core.cli.selftest:audible",
    ),
}
_SIREN_ACT: Final[Commands] = {
    "show": Command(_("The act that is running, or the last one."), "broadcast_core.cli.siren:show"),
    "start": Command(
        _("Begin an act with its first signal. It is sounded for real."), "broadcast_core.cli.siren:start"
    ),
    "next": Command(_("End the signal that sounds, and sound the next."), "broadcast_core.cli.siren:following"),
    "stop": Command(_("Silence the act, now; nothing more comes of it."), "broadcast_core.cli.siren:stop"),
}
_SIREN_CALENDAR: Final[Commands] = {
    "show": Command(_("The siren days that are proposed, confirmed or over."), "broadcast_core.cli.siren:calendar"),
    "confirm": Command(_("Let a proposed day sound. Who confirmed is recorded."), "broadcast_core.cli.siren:confirm"),
    "withdraw": Command(_("Take a day back, and silence what of it sounds."), "broadcast_core.cli.siren:withdraw"),
}
_SIREN: Final[Commands] = {
    "act": Command(_("Lead the siren signals as one act."), _SIREN_ACT),
    "calendar": Command(_("The siren days that officers confirm."), _SIREN_CALENDAR),
}
_REGISTRY: Final[Commands] = {
    "import": Command(
        _("Import a registry; a bad row refuses the whole file, with its line and reason."),
        "broadcast_core.cli.registry.files:import_registry",
    ),
    "export": Command(_("Export the registry."), "broadcast_core.cli.registry.files:export"),
    "show": Command(
        _("The zones, the endpoints of one with everything below it, or one endpoint."),
        "broadcast_core.cli.registry.show:show",
    ),
    "provision": Command(
        _("What the speakers are given before they are hung on a wall. Run it on the core's machine."),
        "broadcast_core.cli.registry.provision:provision",
    ),
}
_MEDIA: Final[Commands] = {
    "add": Command(
        _("Add a recording, or words that the voice of the alerts says. The same again is the same item."),
        "broadcast_core.cli.media:add",
    ),
    "list": Command(_("Every item, newest first."), "broadcast_core.cli.media:list_items"),
    "show": Command(_("One item, with its shape."), "broadcast_core.cli.media:show"),
    "remove": Command(
        _("Delete items; one that a schedule needs is refused, with what needs it."),
        "broadcast_core.cli.media:remove",
    ),
}
_MODE: Final[Commands] = {
    "show": Command(_("Where the district stands: who set what, and why."), "broadcast_core.cli.mode.look:show"),
    "set": Command(
        _("Switch zones to emergency or peacetime: tocsin mode set ZONE emergency --reason …"),
        "broadcast_core.cli.mode.switch:set_mode",
    ),
    "clear": Command(
        _("Let zones have the mode of the zone above them again."), "broadcast_core.cli.mode.switch:clear"
    ),
}
_SCHEDULE: Final[Commands] = {
    "add": Command(_("Save slots, from options or from a file."), "broadcast_core.cli.schedule.edit:add"),
    "list": Command(_("All slots: when, where, what."), "broadcast_core.cli.schedule.look:list_slots"),
    "show": Command(_("One slot."), "broadcast_core.cli.schedule.look:show"),
    "remove": Command(
        _("Remove slots; what of them is on the speakers is taken back."), "broadcast_core.cli.schedule.edit:remove"
    ),
    "preview": Command(
        _("A zone's day: what plays, what is held and why. Nothing is saved."),
        "broadcast_core.cli.schedule.preview:preview",
    ),
    "check": Command(
        _("What there is to say about the schedule. Exit code 1 if something is wrong."),
        "broadcast_core.cli.schedule.look:check",
    ),
    "import": Command(_("Import an iCalendar file."), "broadcast_core.cli.schedule.files:import_schedule"),
    "export": Command(_("Export all slots as iCalendar."), "broadcast_core.cli.schedule.files:export"),
}
_PLAYLIST: Final[Commands] = {
    "add": Command(_("Save a playlist of items of the library."), "broadcast_core.cli.playlist:add"),
    "list": Command(_("All playlists, and which slots play them."), "broadcast_core.cli.playlist:list_playlists"),
    "show": Command(_("One playlist."), "broadcast_core.cli.playlist:show"),
    "remove": Command(_("Remove playlists that no slot plays."), "broadcast_core.cli.playlist:remove"),
}
_KINDNESS: Final[Commands] = {
    "show": Command(
        _("Quiet hours, volume ceilings, the no-repeat window and the nuisance budget."),
        "broadcast_core.cli.kindness:show",
    ),
    "set": Command(
        _("Change what a zone sets; what is not said stays as it is."), "broadcast_core.cli.kindness:set_kindness"
    ),
}
_CALENDAR: Final[Commands] = {
    "show": Command(_("Working days and days of rest, make-up days included."), "broadcast_core.cli.calendar:show"),
    "set": Command(
        _("Say what kind of day a date is, whatever was announced."), "broadcast_core.cli.calendar:set_day"
    ),
}
_REPORT: Final[Commands] = {
    "plays": Command(
        _("What the speakers have proven to have played, by occurrence, item and zone."),
        "broadcast_core.cli.plays:plays",
    ),
}
_COMMANDS: Final[Commands] = {
    "stop": Command(
        _("End an alert everywhere, now: the one that is live, the one you name, or --all."),
        "broadcast_core.cli.alert.stop:stop",
    ),
    "alert": Command(_("Alerts: send, list, show, watch, stop, report."), _ALERT),
    "mode": Command(_("Peacetime or emergency, by zone: show, set, clear."), _MODE),
    "schedule": Command(_("What plays when: add, list, show, remove, preview, check, import, export."), _SCHEDULE),
    "playlist": Command(_("Playlists: add, list, show, remove."), _PLAYLIST),
    "kindness": Command(_("Quiet hours, ceilings, budgets by zone: show, set."), _KINDNESS),
    "calendar": Command(_("Working days and days of rest: show, set."), _CALENDAR),
    "report": Command(_("Proof of play."), _REPORT),
    "registry": Command(_("Zones and endpoints: import, export, show, provision."), _REGISTRY),
    "selftest": Command(_("Proof that endpoints work: show, run, audible."), _SELFTEST),
    "siren": Command(_("Sirens: an act of several signals, and the calendar."), _SIREN),
    "media": Command(_("The library of peacetime: add, list, show, remove."), _MEDIA),
    "doctor": Command(
        _("Look at everything an alert will need; exit code 1 if something is wrong. Nothing sounds."),
        "broadcast_core.cli.doctor:doctor",
    ),
    "serve": Command(
        _("Run the core until SIGTERM: API, dispatch, drivers, and the embedded broker unless another is set."),
        "broadcast_core.cli.serve:serve",
    ),
    "simulate": Command(
        _(
            "Run the registry's simulated speakers, and every relay board and the SMS gateway that the settings "
            "name. On the core's machine, after its registry was imported: the speakers' keys come from its data "
            "directory. Real speakers are left alone."
        ),
        "broadcast_core.cli.simulate:simulate",
    ),
    "demo": Command(
        _("Start everything, import the generated district, send one alert, and show who said it."),
        "broadcast_core.cli.demo:demo",
    ),
    "bench": Command(
        _("Raw limit, naive way and ours, interleaved; prints JSON lines. Needs mosquitto and an idle machine."),
        "broadcast_core.cli.bench:bench",
    ),
}


class Tocsin(Program):
    """The whole of it."""

    entries = _COMMANDS


app = typer.Typer(
    name="tocsin",
    cls=Tocsin,
    help=_("Emergency broadcast for a city district: speakers, horns and phones, with proof from each.").msgid,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def tocsin() -> None:
    """What `tocsin` itself does: nothing, its commands do."""
