"""The OpenAPI document of the routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from xcstore.api.parameters import Parameter
from xcstore.api.routes import Route
from xcstore.api.schemas import SCHEMAS, envelope, reference

__all__ = ["API_VERSION", "openapi"]

API_VERSION: Final = "1.0.0"

_ABOUT: Final = (
    "Read the event histories of state machines: events, instances, and what caused what.\n\n"
    'Every answer is JSON, `{"success": true, "data": …}` or `{"success": false, "error": …}`. Lists are pages: '
    "`limit` bounds them, `next` is the `after` of the following one. Nothing here writes. Ids in a path are "
    "percent-encoded. Where the settings hold a token, requests need the header `Authorization: Bearer TOKEN`."
)
_FAILURES: Final = {
    "400": "a parameter that cannot be used; the sentence says what would be right",
    "401": "the header Authorization: Bearer TOKEN is missing or not right",
    "404": "nothing is stored under that id or name",
    "503": "the store cannot be reached or read",
    "504": "the store took longer than the time limit",
}


def openapi(routes: Iterable[Route], server: str) -> Mapping[str, Any]:
    """The document, OpenAPI 3.1.

    Parameters
    ----------
    server : str
        What paths are beneath, such as '/api'.
    """
    return {
        "openapi": "3.1.0",
        "info": {"title": "xcstore", "version": API_VERSION, "description": _ABOUT},
        "servers": [{"url": server or "/"}],
        "security": [{}, {"bearer": []}],
        "paths": {route.path: {"get": _operation(route)} for route in routes} | _METRICS,
        "components": {
            "schemas": dict(SCHEMAS),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> Mapping[str, Any]:
    content: dict[str, Any] = {"schema": envelope(route.data)}
    if route.example is not None:
        content["example"] = {"success": True, "data": route.example}
    return {
        "operationId": route.name,
        "summary": route.summary,
        "description": route.meaning,
        "parameters": [_parameter(parameter) for parameter in route.parameters],
        "responses": {
            "200": {"description": "what was asked for", "content": {"application/json": content}},
            **{status: _failure(meaning) for status, meaning in _FAILURES.items()},
        },
    }


def _parameter(parameter: Parameter) -> Mapping[str, Any]:
    found: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.meaning,
        "schema": parameter.schema,
    }
    if parameter.place == "path":
        found["required"] = True
    if parameter.example is not None:
        found["example"] = parameter.example
    return found


def _failure(meaning: str) -> Mapping[str, Any]:
    return {"description": meaning, "content": {"application/json": {"schema": reference("Error")}}}


_METRICS: Final = {
    "/metrics": {
        "get": {
            "operationId": "metrics",
            "summary": "Figures for Prometheus",
            "description": "How each configured store is, and how long this process waited for it.",
            "responses": {
                "200": {
                    "description": "at most 10 seconds old",
                    "content": {"text/plain": {"schema": {"type": "string"}}},
                },
                "401": _failure(_FAILURES["401"]),
            },
        }
    }
}
