"""The OpenAPI document, the page that shows it, and whether the API is what it says: schemathesis asks and checks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from jsonschema import Draft202012Validator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.api_serving import get, served
from xcstore.api import create_api
from xcstore.api.docs_page import docs_page
from xcstore.api.openapi import openapi
from xcstore.api.routes import ROUTES
from xcstore.config import Settings
from xcstore.demo.generator import generate_demo
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores

DOCUMENT = openapi(ROUTES, "/api")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]


def resolved(schema: object) -> dict[str, Any]:
    """The schema, with what it refers to."""
    return {**schema, "components": DOCUMENT["components"]}  # type: ignore[dict-item]


def test_the_document_says_all_routes_and_where_they_are() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["servers"] == [{"url": "/api"}]
    assert set(DOCUMENT["paths"]) == {route.path for route in ROUTES} | {"/metrics"}
    operations = [path["get"]["operationId"] for path in DOCUMENT["paths"].values()]
    assert len(set(operations)) == len(operations)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_each_parameter_in_a_path_is_described(route: Any) -> None:
    named = {part[1:-1] for part in route.path.split("/") if part.startswith("{")}
    assert named == {parameter.name for parameter in route.parameters if parameter.place == "path"}


def test_each_example_is_what_its_schema_says() -> None:
    checked = 0
    for path in DOCUMENT["paths"].values():
        for content in path["get"]["responses"]["200"]["content"].values():
            if "example" in content:
                Draft202012Validator(resolved(content["schema"])).validate(content["example"])
                checked += 1
    for schema in DOCUMENT["components"]["schemas"].values():
        if "example" in schema:
            Draft202012Validator(resolved(schema)).validate(schema["example"])
            checked += 1
    assert checked > 10


def test_the_page_shows_every_route_and_parameter_and_fetches_nothing() -> None:
    page = docs_page(DOCUMENT)

    for route in ROUTES:
        assert f"GET {route.path}" in page
        assert all(f"<code>{parameter.name}</code>" in page for parameter in route.parameters)
    for word in ("<script", "src=", "http-equiv", "@import", "url("):
        assert word not in page
    assert "https://" not in page


def test_what_the_document_says_is_escaped_on_the_page() -> None:
    hostile = {**DOCUMENT, "info": {"title": "<x onerror=1>", "version": '"&', "description": "`<b>`"}}
    page = docs_page(hostile)
    assert "<x onerror" not in page
    assert "<b>" not in page


def test_document_and_page_need_no_token_and_know_where_they_are() -> None:
    with served(lambda: Settings(url="memory://", api_token="t0ken")) as address:
        document = get(f"{address}/openapi.json")
        page = get(f"{address}/docs")
        assert get(f"{address}/components").status == 401

    assert json.loads(document.text)["servers"] == [{"url": "/"}]
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.status == 200


# Asked at random


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """A week of the demo, planted faults included."""
    with open_stores(f"sqlite:///{tmp_path_factory.mktemp('api')}/demo.db", read_only=False) as stores:
        generate_demo(stores, days=7)
        yield stores


@pytest.fixture(scope="module")
def schema(stores: Stores) -> Any:
    # Every name that the document lists is configured: else most answers would be that it is not.
    names = {field: f"memory://{field}" for field in ("url", "database_url", "mongo_uri", "archive")}
    app = create_api(lambda: Settings(**names, demo=__file__), lambda _: stores)  # type: ignore[arg-type]
    return schemathesis.openapi.from_asgi("/openapi.json", app)


# The figures take nothing, so nothing about them can be wrong.
@pytest.mark.parametrize(
    ("path", "mode"),
    [(route.path, mode) for route in ROUTES for mode in ("positive", "negative")] + [("/metrics", "positive")],
)
def test_whatever_is_asked_there_is_no_server_error_and_the_answer_is_as_described(
    schema: Any, path: str, mode: str
) -> None:
    operation = schema[path]["GET"]
    strategy = operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))

    @hypothesis.seed(5)
    @hypothesis.settings(
        max_examples=25,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def ask(case: Any) -> None:
        if mode == "positive":
            case.query.pop("after", None)  # any text is of its kind, and none at random is a page
        case.call_and_validate(checks=CHECKS)

    ask()


def test_real_ids_get_answers_as_described(schema: Any, stores: Stores) -> None:
    """Ids at random are never found; these are."""
    events = [event for _, event in zip(range(40), stores.events.get_all_events(), strict=False)]
    for event in events[::2]:
        held = {"eventId": event.id, "instanceId": event.instance_id, "component": event.component_name}
        for route in ROUTES:
            named = {p.name: held[p.name] for p in route.parameters if p.place == "path"}
            query = {"mode": "both", "direction": "both"} if "eventId" in named else {}
            if not named.get("component", "some"):
                continue
            case = schema[route.path]["GET"].Case(path_parameters=named, query=query)
            answer = case.call_and_validate(checks=CHECKS[:4])
            assert answer.status_code == 200
