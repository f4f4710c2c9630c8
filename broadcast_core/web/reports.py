"""The whole report of an alert, for people, machines and the file."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web

from broadcast_core.aside import aside
from broadcast_core.report import Report, encode_csv, report
from broadcast_core.tokens import TokenScope
from broadcast_core.web.kit import SERVICES
from broadcast_core.web.problem import language_for
from broadcast_core.web.route import PREFIX, Answer, NoQuery, Route

CSV_MEDIA: Final = "text/csv"


async def report_json(request: web.Request, _query: NoQuery) -> web.Response:
    found = await _report(request)
    return web.Response(body=await aside(msgspec.json.encode, found), content_type="application/json")


async def report_csv(request: web.Request, _query: NoQuery) -> web.Response:
    found = await _report(request)
    name = f'attachment; filename="tocsin-{found.alert_id}.csv"'
    return web.Response(
        body=await aside(encode_csv, found),
        content_type=CSV_MEDIA,
        charset="utf-8",
        headers={hdrs.CONTENT_DISPOSITION: name},
    )


async def _report(request: web.Request) -> Report:
    services = request.app[SERVICES]
    return await report(
        services.store, request.match_info["alert_id"], services.registry(), language=language_for(request)
    )


_REPORT: Final = f"{PREFIX}/alerts/{{alert_id}}/report"
_JSON: Final = {HTTPStatus.OK: Answer(says="the report", body=Report)}
_SUMMARY: Final = "Everything that is known of an alert: numbers, times, acts, proof, and every endpoint's evidence"

ROUTES: Final[tuple[Route[Any], ...]] = (
    *(
        Route(
            method="GET",
            path=path,
            query=NoQuery,
            handle=report_json,
            access=TokenScope.READ,
            summary=f"{_SUMMARY}.",
            answers=_JSON,
            refusals=(HTTPStatus.NOT_FOUND,),
        )
        for path in (_REPORT, f"{_REPORT}.json")
    ),
    Route(
        method="GET",
        path=f"{_REPORT}.csv",
        query=NoQuery,
        handle=report_csv,
        access=TokenScope.READ,
        summary=f"{_SUMMARY}, one line for each delivery, for spreadsheets.",
        answers={HTTPStatus.OK: Answer(says="the deliveries", media=(CSV_MEDIA,))},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
