"""The OpenAPI 3.1 document, made from the routes themselves and from the types they read and write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import msgspec

from broadcast_core.tokens import TokenScope
from broadcast_core.web.problem import MEDIA_TYPE, Problem
from broadcast_core.web.route import Access, Answer, Body, Route

_JSON: Final = "application/json"
_REFERENCE: Final = "#/components/schemas/{name}"
_IN_PATH: Final = re.compile(r"{(\w+)}")
_BEARER: Final = "bearer"


def document(routes: Sequence[Route[Any]]) -> dict[str, Any]:
    """The document as what JSON holds."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tocsin",
            "version": version("tocsin"),
            "description": "Emergency broadcast for a district. Errors are problem+json (RFC 9457) with a type from "
            "a closed list; instants are UTC.",
        },
        "security": [{_BEARER: []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(routes),
            "securitySchemes": {_BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "tcs_<id>_<secret>"}},
        },
    }


def _operation(route: Route[Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handle.__name__ + ("_" + route.path.rsplit(".", 1)[1] if "." in route.path else ""),
        "summary": route.summary,
        "description": _access(route.access),
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)],
        "responses": {
            **{str(status.value): _answer(answer) for status, answer in route.answers.items()},
            **{str(status.value): _refusal(status) for status in _refusals(route)},
        },
    }
    if route.body is not None:
        operation["requestBody"] = _request_body(route.body)
    if route.access is Access.ANYBODY:
        operation["security"] = []
    return operation


def _access(access: TokenScope | Access) -> str:
    match access:
        case Access.ANYBODY:
            return "Needs no token."
        case Access.ANY_TOKEN:
            return "Needs any valid token."
        case scope:
            return f"Needs a token with the scope `{scope.value}`."


def _refusals(route: Route[Any]) -> list[HTTPStatus]:
    """Beside the route's own: what the guard, the query and the database may say to any."""
    found = {HTTPStatus.UNPROCESSABLE_ENTITY, *route.refusals}
    if route.access is not Access.ANYBODY:
        found |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE}
    if isinstance(route.access, TokenScope):
        found.add(HTTPStatus.FORBIDDEN)
    return sorted(found - route.answers.keys())


def _path_parameters(route: Route[Any]) -> Iterable[dict[str, Any]]:
    for name in _IN_PATH.findall(route.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(route: Route[Any]) -> Iterable[dict[str, Any]]:
    """The fields of the type by which the query is read."""
    _reference, schemas = msgspec.json.schema_components((route.query,), ref_template=_REFERENCE)
    for name, schema in schemas[route.query.__name__]["properties"].items():
        parameter = {"name": name, "in": "query", "schema": schema}
        description = schema.get("description") or next(
            (option["description"] for option in schema.get("anyOf", ()) if "description" in option), None
        )
        yield parameter if description is None else parameter | {"description": description}


def _header_parameters(route: Route[Any]) -> Iterable[dict[str, Any]]:
    for name, description in route.headers.items():
        yield {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _request_body(body: Body) -> dict[str, Any]:
    schema = {} if body.kind is None else {"schema": _schema_of(body.kind)}
    return {"required": body.required, "content": dict.fromkeys(body.media, schema)}


def _answer(answer: Answer) -> dict[str, Any]:
    response: dict[str, Any] = {"description": answer.says}
    schema = {"type": "string"} if answer.body is None else _schema_of(answer.body)
    response["content"] = {media: {"schema": schema} for media in answer.media}
    if answer.headers:
        response["headers"] = {
            name: {"description": says, "schema": {"type": "string"}} for name, says in answer.headers.items()
        }
    return response


def _refusal(status: HTTPStatus) -> dict[str, Any]:
    return {"description": status.phrase, "content": {MEDIA_TYPE: {"schema": _schema_of(Problem)}}}


def _schema_of(kind: Any) -> Mapping[str, Any]:
    (reference,), _schemas = msgspec.json.schema_components((kind,), ref_template=_REFERENCE)
    return reference


def _schemas(routes: Iterable[Route[Any]]) -> dict[str, Any]:
    """Everything that a body or a parameter refers to."""
    kinds: dict[Any, None] = {Problem: None}
    inner: dict[str, Any] = {}
    for route in routes:
        kinds |= {answer.body: None for answer in route.answers.values() if answer.body is not None}
        if route.body is not None and route.body.kind is not None:
            kinds[route.body.kind] = None
        _reference, schemas = msgspec.json.schema_components((route.query,), ref_template=_REFERENCE)
        inner |= {name: schema for name, schema in schemas.items() if name != route.query.__name__}
    _references, schemas = msgspec.json.schema_components(tuple(kinds), ref_template=_REFERENCE)
    return inner | schemas
