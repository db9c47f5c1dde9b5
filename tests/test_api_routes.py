"""What `/api` answers about events, instances and causality, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.api_serving import get, served
from tests.factories import START, event, snapshot
from xcstore.api import json_body
from xcstore.api.parameters import names, read
from xcstore.api.routes import ROUTES
from xcstore.config import Settings
from xcstore.errors import StoreTimeoutError, StoreUnavailableError
from xcstore.model.history import CREATION
from xcstore.redaction import Redaction
from xcstore.store.base import StoredDefinition, Stores
from xcstore.store.codec import event_to_document
from xcstore.store.opening import open_stores

DEAD = "postgresql://app:s3cret@127.0.0.1:1/history"
ODD = 'a/b?c#d%&e é \u202e"<x>'
SHOP = {
    "name": "Shop",
    "version": "1",
    "stateMachines": [
        {
            "name": "Order",
            "initialState": "Created",
            "states": [{"name": "Created", "type": "entry"}, {"name": "Paid", "type": "final"}],
            "transitions": [{"from": "Created", "to": "Paid", "event": "PAY", "type": "triggerable"}],
        }
    ],
}

# One order: created, paid, and what the payment set in motion in another component.
EVENTS = (
    event(id="a", instance_id="o1", event_type=CREATION, state_before="", state_after="Created", persisted_at=START,
          payload={"orderId": "ORD-1"}),
    event(id="b", instance_id="o1", persisted_at=START + 1_000, caused_by=("a",)),
    event(id="c", instance_id="s1", component_name="Shipping", machine_name="Parcel", event_type=CREATION,
          state_before="", state_after="Packed", persisted_at=START + 2_000, caused_by=("b",)),
    event(id="d", instance_id="s1", component_name="Shipping", machine_name="Parcel", event_type="SEND",
          state_before="Packed", state_after="Sent", persisted_at=START + 3_000, caused_by=("c", "gone")),
    event(id=ODD, instance_id=f"i {ODD}", component_name="Odd/One", machine_name="Order", persisted_at=START + 4_000),
)  # fmt: skip


class Api:
    def __init__(self, address: str) -> None:
        self.address = address

    def answer(self, path: str, **query: object) -> tuple[int, dict[str, Any]]:
        found = get(f"{self.address}{path}{'?' if query else ''}{urlencode(query, doseq=True)}")
        assert found.headers["content-type"] == "application/json"
        return found.status, json.loads(found.text)

    def data(self, path: str, **query: object) -> Any:
        status, answer = self.answer(path, **query)
        assert (status, answer["success"]) == (200, True), answer
        return answer["data"]

    def error(self, path: str, **query: object) -> tuple[int, str]:
        status, answer = self.answer(path, **query)
        assert answer.keys() == {"success", "error"}
        assert answer["success"] is False
        return status, answer["error"]


def ids(documents: list[dict[str, Any]]) -> list[str]:
    return [document["id"] for document in documents]


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    file = tmp_path_factory.mktemp("api") / "events.db"
    with open_stores("memory://" if request.param == "memory" else f"sqlite:///{file}", read_only=False) as opened:
        opened.events.append_many(EVENTS)
        opened.snapshots.save_snapshot(snapshot(id="o1", current_state="Created", last_event_id="a"))
        opened.definitions.save_definition(StoredDefinition(hash="h1", component_name="Shop", document=SHOP))
        yield opened


@pytest.fixture(scope="module")
def api(stores: Stores) -> Iterator[Api]:
    with served(lambda: Settings(url="memory://given"), opener=lambda _: stores) as address:
        yield Api(address)


# Causality


def test_a_trace_has_what_the_event_caused_as_the_typescript_runtime_writes_events(api: Api, stores: Stores) -> None:
    data = api.data("/cross-component/causality/b")

    assert data["causality"] == [event_to_document(stores.events.get_event(name)) for name in ("b", "c", "d")]
    assert data["count"] == 3
    assert data["depths"] == {"b": 0, "c": 1, "d": 2}
    assert (data["truncated"], data["unread"]) == (False, 0)


def test_each_link_says_who_made_it_and_what_is_known_of_it(api: Api) -> None:
    links = {(link["causeId"], link["effectId"]): link for link in api.data("/cross-component/causality/b")["links"]}

    assert links["b", "c"]["provenance"] == "recorded"
    assert links["b", "c"]["crossesComponent"] is True
    assert links["b", "c"]["sameInstance"] is False
    assert links["b", "c"]["gapMs"] == 1_000
    assert isinstance(links["b", "c"]["doubts"], list)
    assert links["gone", "d"]["gapMs"] is None


def test_a_cause_that_is_not_stored_is_said_to_be_missing(api: Api) -> None:
    assert "gone" in api.data("/cross-component/causality/d")["missing"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"direction": "causes"}, ["b", "a"]),
        ({"direction": "both"}, ["a", "b", "c", "d"]),
        ({"maxDepth": 1}, ["b", "c"]),
        ({"maxDepth": 0}, ["b"]),
        ({"maxEvents": 2}, ["b", "c"]),
    ],
)
def test_a_trace_goes_where_and_as_far_as_was_asked(api: Api, query: dict[str, object], expected: list[str]) -> None:
    data = api.data("/cross-component/causality/b", **query)

    assert sorted(ids(data["causality"])) == sorted(expected)
    assert data["causality"][0]["id"] == "b"
    assert data["truncated"] is ("maxEvents" in query or "maxDepth" in query)
    assert data["truncated"] is (data["unread"] > 0)


def test_an_event_is_traced_from_its_own_component_only(api: Api) -> None:
    assert ids(api.data("/Shop/causality/b")["causality"]) == ["b", "c", "d"]
    assert api.error("/Shipping/causality/b")[0] == 404


# Events, histories, instances


def test_events_come_page_by_page_each_once(api: Api) -> None:
    found, after = [], {}
    while True:
        data = api.data("/cross-component/events", limit=2, **after)
        found += ids(data["events"])
        assert data["count"] == len(data["events"]) <= 2
        if data["next"] is None:
            break
        after = {"after": data["next"]}

    assert found == [one.id for one in EVENTS]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"component": "Shipping"}, ["c", "d"]),
        ({"component": ["Shipping", "Odd/One"], "order": "newest"}, [ODD, "d", "c"]),
        ({"component": ""}, []),
        ({"machine": "Order", "state": "Paid"}, ["b", ODD]),
        ({"eventType": "SEND"}, ["d"]),
        ({"stateBefore": "Created", "instanceId": "o1"}, ["b"]),
        ({"from": START + 1_000, "to": START + 2_000}, ["b", "c"]),
        ({"from": "2026-01-01T00:00:02Z", "to": "2026-01-01T01:00:03+01:00"}, ["c", "d"]),
        ({"text": "ord-1"}, ["a"]),
        ({"payloadPath": "orderId", "payloadValue": "ORD-1"}, ["a"]),
    ],
)
def test_events_are_found_by_what_is_asked_for(api: Api, query: dict[str, object], expected: list[str]) -> None:
    assert ids(api.data("/cross-component/events", **query)["events"]) == expected


def test_a_zone_written_by_hand_with_a_plus_is_understood(api: Api) -> None:
    answer = get(f"{api.address}/cross-component/events?from=2026-01-01T01:00:03+01:00")
    assert ids(json.loads(answer.text)["data"]["events"]) == ["d", ODD]


def test_a_history_is_the_stream_of_one_instance(api: Api) -> None:
    data = api.data("/cross-component/instance/o1/history")

    assert ids(data["history"]) == ["a", "b"]
    assert data["next"] is None
    assert api.data("/Shop/instance/o1/history") == data
    assert api.error("/Shipping/instance/o1/history")[0] == 404


def test_a_long_history_comes_in_pages(api: Api) -> None:
    first = api.data("/cross-component/instance/o1/history", limit=1)
    second = api.data("/cross-component/instance/o1/history", limit=1, after=first["next"])

    assert ids(first["history"]) + ids(second["history"]) == ["a", "b"]


def test_an_instance_comes_with_its_snapshot(api: Api) -> None:
    data = api.data("/cross-component/instance/o1")

    assert data["instance"]["currentState"] == "Paid"
    assert data["instance"]["eventCount"] == 2
    assert data["snapshot"]["instance"]["currentState"] == "Created"
    assert api.data("/Shop/instance/o1") == data
    assert api.data("/cross-component/instance/s1")["snapshot"] is None


def test_instances_are_listed_latest_first(api: Api) -> None:
    assert ids(api.data("/instances")["instances"]) == [f"i {ODD}", "s1", "o1"]
    assert ids(api.data("/instances", state="Paid", order="oldest")["instances"]) == ["o1", f"i {ODD}"]
    assert ids(api.data("/Shipping/instances")["instances"]) == ["s1"]
    first = api.data("/instances", limit=1)
    assert ids(api.data("/instances", limit=1, after=first["next"])["instances"]) == ["s1"]


def test_components_machines_and_definitions(api: Api) -> None:
    components = {row["name"]: row for row in api.data("/components")["components"]}
    assert components["Shop"] == {"name": "Shop", "eventCount": 2, "defined": True}
    assert components["Shipping"] == {"name": "Shipping", "eventCount": 2, "defined": False}
    assert api.data("/Shop/machines")["machines"] == [
        {"name": "Order", "componentName": "Shop", "eventCount": 2, "states": {"Paid": 1}, "defined": True}
    ]
    assert api.data("/Shop/definition")["component"] == SHOP
    assert api.error("/Shipping/definition")[0] == 404


# Odd names


def test_an_id_may_hold_any_character(api: Api) -> None:
    encoded = quote(ODD, safe="")

    assert ids(api.data(f"/cross-component/causality/{encoded}")["causality"]) == [ODD]
    assert ids(api.data(f"/cross-component/instance/i%20{encoded}/history")["history"]) == [ODD]
    assert ids(api.data("/Odd%2FOne/events")["events"]) == [ODD]


def test_a_slash_need_not_be_encoded_in_an_id() -> None:
    with open_stores("memory://", read_only=False) as stores:
        stores.events.append(event(id="x/y", instance_id="p/q", persisted_at=START))
        with served(lambda: Settings(url="memory://given"), opener=lambda _: stores) as address:
            assert ids(Api(address).data("/cross-component/causality/x/y")["causality"]) == ["x/y"]
            assert ids(Api(address).data("/cross-component/instance/p/q/history")["history"]) == ["x/y"]


def test_half_a_surrogate_pair_and_nul_go_in_and_out() -> None:
    """Our stores refuse to write them; dumps and databases of others hold them."""
    name = "half \ud83d and \0"
    (row,) = (parameter for parameter in ROUTES[0].parameters if parameter.name == "eventId")

    assert read([row], {"eventId": "half%20%ED%A0%BD%20and%20%00"}, b"") == {"eventId": name}
    assert read([names("text", "")], {}, b"text=half+%ED%A0%BD+and+%00") == {"text": (name,)}
    (text,) = json_body.event_texts([event(id=name)], 10**6)
    text.encode()
    assert json.loads(text)["id"] == name


@pytest.mark.parametrize("odd", ["%00", "%ED%A0%80", "%F0%9F%92%A9", "..%2f..%2fetc", "%E2%80%AE", "a%0d%0ab", ""])
@pytest.mark.parametrize("path", ["/cross-component/causality/{}", "/cross-component/instance/{}/history"])
def test_odd_ids_that_nobody_stored_are_not_found(api: Api, path: str, odd: str) -> None:
    assert api.error(path.format(odd))[0] == 404


def test_bytes_that_are_no_text_are_refused(api: Api) -> None:
    for path in ("/cross-component/causality/%ff", "/cross-component/events?text=%ff"):
        status, sentence = api.error(path)
        assert status == 400
        assert "UTF-8" in sentence


# What cannot be answered


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/cross-component/causality/nix", "no event 'nix'"),
        ("/cross-component/instance/nix", "no instance 'nix'"),
        ("/cross-component/instance/nix/history", "no instance 'nix'"),
        ("/nix/events", "no component 'nix'"),
        ("/nix/instances", "no component 'nix'"),
        ("/nix/machines", "no component 'nix'"),
        ("/cross-component/events?store=mongodb&text=x", "no store 'mongodb' is configured"),
    ],
)
def test_what_is_unknown_is_not_found_and_named(api: Api, path: str, words: str) -> None:
    status, sentence = api.error(path)
    assert status == 404
    assert words in sentence


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=0", "limit is '0'; it must be a whole number from 1 to 1000"),
        ("limit=1001", "from 1 to 1000"),
        ("limit=1e2", "from 1 to 1000"),
        ("limit=%D9%A3", "from 1 to 1000"),
        ("limit=5&limit=6", "limit is given more than once"),
        ("order=up", "order is 'up'; it must be one of oldest, newest"),
        ("from=yesterday", "ISO 8601 such as 2026-01-31T12:00:00Z"),
        (f"to={10**30}", "milliseconds since 1970"),
        ("after=nonsense", "start again from the first page"),
        ("limt=3", "this has no parameter 'limt'; there are component, machine"),
        ("payloadPath=a", "payloadPath and payloadValue go together"),
        ("payloadValue=a", "payloadPath and payloadValue go together"),
        ("store=mine", "store is 'mine'; it must be one of store, database"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_refused_with_what_would_be_right(api: Api, query: str, words: str) -> None:
    status, sentence = api.error(f"/cross-component/events?{query}")
    assert status == 400
    assert words in sentence


def test_a_trace_refuses_what_it_cannot_do(api: Api) -> None:
    for query in (
        "direction=up",
        "mode=true",
        "maxEvents=0",
        "maxEvents=10001",
        "maxDepth=-1",
        "maxEvents=1001&mode=both",
    ):
        assert api.error(f"/cross-component/causality/b?{query}")[0] == 400


@pytest.mark.parametrize(
    ("error", "status"),
    [(StoreUnavailableError("nobody answers"), 503), (StoreTimeoutError("longer than 10 s"), 504)],
)
def test_a_store_that_fails_is_said_so(error: Exception, status: int) -> None:
    with open_stores("memory://", read_only=False) as stores:

        class Failing:
            identity = "memory://failing"

            def __getattr__(self, name: str) -> Any:
                raise error

        failing = Stores(events=Failing(), snapshots=stores.snapshots, definitions=stores.definitions)  # type: ignore[arg-type]
        with served(lambda: Settings(url="memory://given"), opener=lambda _: failing) as address:
            for path in ("/cross-component/events", "/cross-component/causality/x", "/components", "/instances"):
                assert Api(address).error(path) == (status, str(error))


def test_a_store_that_cannot_be_reached_is_unavailable_and_its_password_is_nowhere() -> None:
    with served(lambda: Settings(url=DEAD)) as address:
        status, sentence = Api(address).error("/cross-component/events")

    assert status == 503
    assert "s3cret" not in sentence


def test_a_defect_shows_no_trace_of_the_code() -> None:
    def broken(_: str) -> Stores:
        raise ZeroDivisionError("inner detail")

    with served(lambda: Settings(url="memory://given"), opener=broken) as address:
        status, sentence = Api(address).error("/components")

    assert status == 500
    assert "inner detail" not in sentence
    assert "ZeroDivision" not in sentence


# Which store


def test_another_store_is_chosen_by_its_name(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("a", "b")]
    for url in urls:
        with open_stores(url, read_only=False) as stores:
            stores.events.append(event(id=url[-4], persisted_at=START))

    with served(lambda: Settings(url=urls[0], database_url=urls[1], demo="/nowhere.db")) as address:
        api = Api(address)
        assert ids(api.data("/cross-component/events")["events"]) == ["a"]
        assert ids(api.data("/cross-component/events", store="store")["events"]) == ["a"]
        assert ids(api.data("/cross-component/events", store="database")["events"]) == ["b"]


def test_masked_values_are_masked_here_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append(event(id="a", instance_id="i", payload={"card": {"number": "4242"}}, persisted_at=START))
        stores.snapshots.save_snapshot(snapshot(id="i", context={"card": {"number": "4242"}}))

    with served(lambda: Settings(url=url, redact=Redaction.parse("card.number"), demo="/nowhere.db")) as address:
        for path in ("events", "causality/a", "instance/i", "instance/i/history"):
            answer = get(f"{address}/cross-component/{path}").text
            assert "4242" not in answer
            assert "•••" in answer
        assert Api(address).data("/cross-component/events", text="4242")["count"] == 0


# Bodies


def test_answers_are_strict_json_whatever_is_stored() -> None:
    deep: object = 1
    for _ in range(2_000):
        deep = [deep]
    texts = json_body.event_texts(
        [event(payload={"n": 2**70, "f": float("inf")}), event(id="deep", payload={"a": deep}), event(id="after")],
        10**6,
    )

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    found = json.loads(json_body.body({"events": texts, "nan": float("nan")}), parse_constant=refuse)["data"]
    assert found["events"][0]["event"]["payload"] == {"n": 2**70, "f": None}
    assert [one["id"] for one in found["events"][1:]] == ["deep", "after"]
    assert "not shown" in found["events"][1]["event"]["payload"]
    assert found["nan"] is None


def test_an_answer_is_bounded_in_size_and_the_next_page_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xcstore.api.answers.MAX_BYTES", 5_000)
    with open_stores("memory://", read_only=False) as stores:
        for number in range(9):
            stores.events.append(
                event(id=f"e{number}", persisted_at=START + number, payload={"x": "y" * 1_000},
                      caused_by=(f"e{number - 1}",) if number else ())
            )  # fmt: skip
        with served(lambda: Settings(url="memory://given"), opener=lambda _: stores) as address:
            api = Api(address)
            first = api.data("/cross-component/events")
            second = api.data("/cross-component/events", after=first["next"])
            trace = api.data("/cross-component/causality/e0")

    assert ids(first["events"]) + ids(second["events"]) == [f"e{number}" for number in range(2 * first["count"])]
    assert first["count"] == second["count"] == 4
    assert ids(trace["causality"]) == ["e0", "e1", "e2", "e3"]
    assert trace["truncated"] is True
    assert trace["unread"] == 5
    assert {link["effectId"] for link in trace["links"]} == {"e1", "e2", "e3"}


# Methods and who may ask


def test_other_methods_are_told_what_there_is(api: Api) -> None:
    head = get(f"{api.address}/components", method="HEAD")
    assert (head.status, head.text) == (200, "")
    options = get(f"{api.address}/components", method="OPTIONS")
    assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        refused = get(f"{api.address}/cross-component/events", method=method)
        assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert json.loads(refused.text)["success"] is False


@pytest.mark.parametrize("path", ["/components", "/cross-component/events", "/instances", "/docs/", "/x/../docs/x",
                                  "/openapi.json/events", "/docs/events", "/%64ocs/events"])  # fmt: skip
def test_the_token_guards_all_that_is_stored(stores: Stores, path: str) -> None:
    with served(lambda: Settings(url="memory://given", api_token="t0ken"), opener=lambda _: stores) as address:
        assert get(f"{address}{path}").status == 401
        assert get(f"{address}/components", "Bearer t0ken").status == 200
