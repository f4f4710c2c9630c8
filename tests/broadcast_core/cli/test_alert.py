"""`tocsin alert` against a core: what goes in, what comes out, and with which exit code."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from broadcast_core import cap

Send = Callable[..., str]


def wishes(core: Any, alert_id: str) -> dict[str, str]:
    """What the stored message asks for, read back as CAP."""
    alert = cap.parse_xml(core.run("alert", "show", alert_id, "--xml").stdout.encode()).alert
    return {parameter.name: parameter.value for parameter in alert.infos[0].parameter}


def test_an_alert_made_from_options_is_listed_and_shown(core: Any, send: Send) -> None:
    alert_id = send("--volume", "40")
    assert wishes(core, alert_id) == {"tocsin:channels": "speaker", "tocsin:volume": "40"}
    assert alert_id in [alert["alert_id"] for alert in core.json("alert", "list")["items"]]
    newest = core.json("alert", "show", alert_id)["report"]["revisions"][0]
    assert newest["total"]["targets"] == 14
    assert sum(newest["total"]["states"].values()) == 14
    assert "speakers" in core.run("alert", "show", alert_id).stdout


def test_whoever_sends_is_told_to_how_many_it_goes_and_how_to_stop_it(core: Any) -> None:
    words = ("--event", "暴雨", "--headline", "测试", "--channel", "speaker", "--area", "district")
    said = core.run("alert", "send", *words).stdout
    alert_id = core.json("alert", "list")["items"][0]["alert_id"]
    assert f"{alert_id} is accepted: speakers 14." in said
    assert f"tocsin stop {alert_id}" in said
    file_of_cancel = core.run("alert", "show", alert_id, "--xml").stdout
    identifier, sent = (file_of_cancel.split(f"<{name}>")[1].split("<")[0] for name in ("identifier", "sent"))
    sender = file_of_cancel.split("<sender>")[1].split("<")[0]
    head = file_of_cancel.split("<info>")[0]
    cancel = head.replace("<msgType>Alert", "<msgType>Cancel").replace(identifier, f"cancel-{identifier}")
    cancel += f"<references>{sender},{identifier},{sent}</references></alert>"
    assert "The Cancel is accepted" in core.run("alert", "send", "-", given=cancel).stdout


def test_a_headline_is_shown_as_it_was_written(core: Any, send: Send) -> None:
    core.run("alert", "send", "--event", "rain", "--headline", "Rain[/red]", "--area", "district")
    alert_id = core.json("alert", "list")["items"][0]["alert_id"]
    for command in (("list",), ("show", alert_id), ("report", alert_id)):
        assert "Rain[/red]" in core.run("alert", *command).stdout


def test_a_language_that_is_none_is_exit_code_2_in_one_sentence(core: Any) -> None:
    words = ("--event", "暴雨", "--headline", "测试", "--area", "district", "--language", "chinese_")
    assert "chinese_ is not a language code" in core.run("alert", "send", *words, code=2).stderr


def test_a_zone_that_is_none_says_where_the_zones_are(core: Any) -> None:
    words = ("--event", "暴雨", "--headline", "测试", "--area", "zone:000")
    assert "tocsin registry show" in core.run("alert", "send", *words, code=2).stderr


def test_a_file_goes_in_unchanged_and_options_stand_over_what_it_asks_for(
    core: Any, send: Send, tmp_path: Path
) -> None:
    file = tmp_path / "alert.xml"
    file.write_text(core.run("alert", "show", send("--volume", "40"), "--xml").stdout)
    text = file.read_text()
    file.write_text(text.replace("<identifier>cli-", "<identifier>file-"))
    key = ("--idempotency-key", "one")
    first = core.json("alert", "send", str(file), "--area", "district", *key)
    again = core.json("alert", "send", str(file), "--area", "district", *key)
    assert (again["alert_id"], again["repeated"]) == (first["alert_id"], True)
    assert wishes(core, first["alert_id"])["tocsin:volume"] == "40"
    file.write_text(text.replace("<identifier>cli-", "<identifier>louder-"))
    louder = core.json("alert", "send", str(file), "--area", "district", "--volume", "90")
    assert wishes(core, louder["alert_id"])["tocsin:volume"] == "90"
    for sent in (first, louder):
        core.run("alert", "stop", sent["alert_id"])


def test_standard_input_is_a_file(core: Any, send: Send) -> None:
    text = core.run("alert", "show", send(), "--xml").stdout.replace("<identifier>cli-", "<identifier>stdin-")
    ended = core.run("alert", "send", "-", "--area", "district", "--json", given=text)
    core.run("alert", "stop", json.loads(ended.stdout)["alert_id"])


def test_what_is_refused_is_exit_code_2_with_the_element_and_nothing_on_standard_output(
    core: Any, tmp_path: Path
) -> None:
    without_area = core.run("alert", "send", "--event", "x", "--headline", "y", "--json", code=2)
    assert without_area.stdout == ""
    assert without_area.stderr
    broken = tmp_path / "broken.xml"
    broken.write_text("<alert xmlns='urn:oasis:names:tc:emergency:cap:1.2'><identifier>a</identifier></alert>")
    for more in ((), ("--volume", "50")):  # refused by the core, and before it
        refused = core.run("alert", "send", str(broken), "--area", "district", *more, code=2)
        assert "sender" in refused.stderr


def test_a_lifetime_that_is_none_is_exit_code_2(core: Any) -> None:
    for text in ("3", "0s", "-1m", "soon"):
        core.run("alert", "send", "--event", "x", "--headline", "y", "--lifetime", text, code=2)


def test_neither_file_nor_words_and_both_are_exit_code_2(core: Any, tmp_path: Path) -> None:
    file = tmp_path / "alert.xml"
    file.write_text("<alert/>")
    core.run("alert", "send", code=2)
    core.run("alert", "send", str(file), "--event", "x", code=2)
    core.run("alert", "send", str(tmp_path / "missing.xml"), code=2)


def test_watching_ends_with_the_alert_and_is_exit_code_1_if_not_all_have_finished(core: Any, send: Send) -> None:
    report = core.json("alert", "watch", send("--lifetime", "2s"), code=1)
    assert report["complete"]
    states = report["revisions"][0]["total"]["states"]
    assert states["expired"] + states["failed"] == 14


def test_sending_and_watching_is_one_json_value(core: Any, send: Send) -> None:
    words = ("--event", "x", "--headline", "y", "--channel", "speaker", "--area", "district", "--lifetime", "2s")
    report = core.json("alert", "send", *words, "--watch", code=1)
    assert report["complete"]


def test_a_stop_says_whom_it_told_and_a_second_one_is_refused_in_words(core: Any, send: Send) -> None:
    alert_id = send()
    assert core.json("alert", "stop", alert_id, "--reason", "a test")["alert_id"] == alert_id
    core.run("alert", "stop", "nobody-knows-it", code=1)


def test_the_report_as_csv_has_a_line_for_each_target(core: Any, send: Send, tmp_path: Path) -> None:
    file = tmp_path / "report.csv"
    alert_id = send()
    core.run("alert", "report", alert_id, "--csv", str(file))
    with file.open(encoding="utf-8-sig", newline="") as lines:
        assert len(list(csv.DictReader(lines))) == 14
    assert len(core.json("alert", "report", alert_id)["deliveries"]) == 14
    refused = core.run("alert", "report", alert_id, "--csv", str(tmp_path / "no" / "where.csv"), code=1)
    assert "Traceback" not in refused.stderr


def test_an_unknown_alert_is_exit_code_1(core: Any) -> None:
    core.run("alert", "show", "nobody-knows-it", code=1)


def test_watching_goes_on_across_a_restart_of_the_core(core: Any, send: Send) -> None:
    alert_id = send("--lifetime", "15s")
    command, environment = core.command("alert", "watch", alert_id, "--json")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as watch:
        core.await_connections(2)  # its stream, and the question
        core.end()
        core.start()
        out, errors = watch.communicate(timeout=60)
    assert watch.returncode == 1, errors
    assert json.loads(out)["complete"]


def test_a_core_that_is_not_there_is_exit_code_3_in_one_line(core: Any) -> None:
    core.end()
    try:
        refused = core.run("alert", "list", code=3)
    finally:
        core.start()
    assert len(refused.stderr.splitlines()) == 1
    assert refused.stdout == ""
