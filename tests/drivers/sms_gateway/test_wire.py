"""Another gateway is another configuration: requests, replies and reports follow it."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import ValidationError

from broadcast_core.config import SmsGateway
from broadcast_core.model import Reason
from drivers.sms_gateway.wire import (
    Account,
    Outcome,
    Report,
    TextMessage,
    build_request,
    classify,
    is_number,
    pick_text,
    redact,
    report_of,
    scrub,
)

ACCOUNT = Account(username="tocsin", password="p&s=", sender="12345")
KANNEL = SmsGateway()


def message(text: str = "暴雨", valid_for: timedelta = timedelta(minutes=30)) -> TextMessage:
    return TextMessage(
        to="+861012345678",
        text=text,
        reference="TOKEN",
        dlr_url="http://127.0.0.1:8792/dlr/S/TOKEN",
        valid_for=valid_for,
    )


def test_kannels_request_of_the_protocol_page() -> None:
    request = build_request(KANNEL, ACCOUNT, message())
    assert request.method == "GET"
    assert request.body is None
    assert request.url == (
        "http://127.0.0.1:13013/cgi-bin/sendsms?username=tocsin&password=p%26s%3D&from=12345&to=%2B861012345678"
        "&text=%E6%9A%B4%E9%9B%A8&charset=UTF-8&coding=2&validity=30&dlr-mask=31"
        "&dlr-url=http%3A%2F%2F127.0.0.1%3A8792%2Fdlr%2FS%2FTOKEN%3Ftype%3D%25d"
    )


@pytest.mark.parametrize(("text", "coding"), [("Storm €5", "0"), ("暴雨", "2"), ("naïve ç", "2")])
def test_coding_follows_the_text(text: str, coding: str) -> None:
    query = dict(parse_qsl(urlsplit(build_request(KANNEL, ACCOUNT, message(text)).url).query))
    assert (query["coding"], query["text"]) == (coding, text)


@pytest.mark.parametrize(("seconds", "minutes"), [(3600, "60"), (119, "1"), (60, "1"), (5, "1")])
def test_the_centre_is_told_to_give_up_before_the_alert_ends(seconds: int, minutes: str) -> None:
    url = build_request(KANNEL, ACCOUNT, message(valid_for=timedelta(seconds=seconds))).url
    assert dict(parse_qsl(urlsplit(url).query))["validity"] == minutes


def test_braces_in_a_text_stay_braces() -> None:
    url = build_request(KANNEL, ACCOUNT, message("{password} {0} {")).url
    assert dict(parse_qsl(urlsplit(url).query))["text"] == "{password} {0} {"


def test_a_gateway_that_takes_a_form_is_configuration() -> None:
    gateway = SmsGateway(
        url="https://sms.example/send?v=2",
        method="POST",
        headers={"Authorization": "Bearer {password}"},
        parameters={"mobile": "{to_digits}", "content": "{text}", "ext": "{reference}"},
    )
    request = build_request(gateway, ACCOUNT, message())
    assert (request.method, request.url) == ("POST", "https://sms.example/send?v=2")
    assert request.headers == {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": "Bearer p&s=",
    }
    assert request.body == b"mobile=861012345678&content=%E6%9A%B4%E9%9B%A8&ext=TOKEN"


def test_a_gateway_that_takes_json_is_configuration() -> None:
    gateway = SmsGateway(
        url="https://sms.example/send", method="POST", body="json", parameters={"to": "{to}", "text": "{text}"}
    )
    request = build_request(gateway, ACCOUNT, message('say "雨"'))
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body or b"") == {"to": "+861012345678", "text": 'say "雨"'}


def test_a_query_in_the_gateways_url_is_kept() -> None:
    gateway = SmsGateway(url="http://g.example/send?smsc=a", parameters={"to": "{to}"})
    assert build_request(gateway, ACCOUNT, message()).url == "http://g.example/send?smsc=a&to=%2B861012345678"


@pytest.mark.parametrize(
    "wrong", [{"parameters": {"to": "{phone}"}}, {"headers": {"X": "{secret}"}}, {"accepted_pattern": "("}]
)
def test_a_wrong_configuration_is_refused_at_the_start(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SmsGateway.model_validate(wrong)


@pytest.mark.parametrize(
    ("status", "body", "outcome", "reason"),
    [
        (202, "0: Accepted for delivery", Outcome.ACCEPTED, None),
        (202, "3: Queued for later delivery", Outcome.ACCEPTED, None),
        (200, "<html>Log in here</html>", Outcome.REFUSED, Reason.GATEWAY_REFUSED),
        (400, "Empty receiver number not allowed, rejected", Outcome.REFUSED, Reason.GATEWAY_REFUSED),
        (403, "Not routable. Do not try again.", Outcome.REFUSED, Reason.GATEWAY_REFUSED),
        (403, "Authorization failed for sendsms", Outcome.RETRY, Reason.GATEWAY_REFUSED),
        (503, "Temporal failure, try again later.", Outcome.RETRY, Reason.GATEWAY_ERROR),
        (500, "", Outcome.RETRY, Reason.GATEWAY_ERROR),
        (429, "slow down", Outcome.RETRY, Reason.GATEWAY_ERROR),
        (500, "0: Accepted for delivery", Outcome.RETRY, Reason.GATEWAY_ERROR),
        (504, "upstream timed out", Outcome.UNKNOWN, Reason.GATEWAY_TIMEOUT),
        (302, "", Outcome.REFUSED, Reason.GATEWAY_REFUSED),
    ],
)
def test_kannels_replies(status: int, body: str, outcome: Outcome, reason: Reason | None) -> None:
    answer = classify(KANNEL, status, body)
    assert (answer.outcome, answer.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("value", "report"),
    [
        ("1", Report.DELIVERED),
        ("2", Report.FAILED),
        ("4", Report.ACCEPTED),
        ("8", Report.ACCEPTED),
        ("16", Report.REFUSED),
        ("", None),
        ("32", None),
    ],
)
def test_kannels_report_types(value: str, report: Report | None) -> None:
    assert report_of(KANNEL, value) is report


TEXTS = (("zh-CN", "暴雨"), ("zh-HK", "暴雨（港）"), ("en-US", "Rainstorm"))


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("zh-HK", "暴雨（港）"),
        ("EN-us", "Rainstorm"),
        ("en", "Rainstorm"),
        ("en-GB", "Rainstorm"),
        ("zh", "暴雨"),
        ("zh_TW", "暴雨"),
        ("fr", "暴雨"),
        (None, "暴雨"),
        ("", "暴雨"),
    ],
)
def test_the_recipients_language_then_its_kin_then_the_first(language: str | None, text: str) -> None:
    assert pick_text(TEXTS, language) == text


@pytest.mark.parametrize("phone", ["+8613800000000", "+1234567", "+123456789012345"])
def test_international_numbers_are_numbers(phone: str) -> None:
    assert is_number(phone)


@pytest.mark.parametrize(
    "phone", [None, "", "13800000000", "+0123456789", "+86 138", "+１２３４５６７８", "+1234567890123456", "+86138\n"]
)
def test_anything_else_is_not(phone: str | None) -> None:
    assert not is_number(phone)


def test_numbers_and_secrets_do_not_reach_a_log() -> None:
    assert redact("+8613812345678") == "+86*********78"
    assert redact("12345") == "***"
    assert scrub("No route\r\nto +8613812345678!") == "No route  to +86*********78!"
    assert "p&s=" not in repr(ACCOUNT)
    assert "861012345678" not in repr(message())
    assert "password" not in repr(build_request(KANNEL, ACCOUNT, message()))
