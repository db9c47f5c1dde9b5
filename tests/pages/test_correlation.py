"""The part of the Causality page that follows a business key."""

from __future__ import annotations

import pytest

from tests.factories import START, event
from tests.pages.test_overview import links
from xcstore.model.history import CREATION
from xcstore.store.opening import open_stores

KEY = "causality-key"
PATH = "causality-path"


def rows(app, label: str):
    return next((item.value for item in app.dataframe if item.proto.alt == label), None)


def instances(app) -> set[str]:
    found = rows(app, "Instances that this business key touched")
    return set() if found is None else set(found["Instance"])


def says(app, part: str) -> bool:
    kinds = ("text", "caption", "markdown", "info", "warning")
    return any(part in item.value.replace("\\", "") for kind in kinds for item in app.get(kind))


@pytest.fixture
def numbers_url(tmp_path):
    """Order 42, and another one of 42 pieces whose customer sits deeper."""
    url = f"sqlite:///{tmp_path / 'numbers.db'}"
    with open_stores(url, read_only=False) as stores:
        for name, initial in (
            ("order", {"orderId": "42"}),
            ("pieces", {"orderId": "7", "items": [{"pieces": "42"}]}),
        ):
            stores.events.append(
                event(
                    instance_id=name,
                    event_type=CREATION,
                    state_before="",
                    payload={"initialContext": initial, "card": {"number": "4111"}},
                    persisted_at=START,
                )
            )
        stores.events.append(
            event(id="sent", instance_id="other", payload={"orderId": "42"}, caused_by=("gone",), persisted_at=START)
        )
    return url


def test_a_key_that_is_typed_is_followed_at_once(open_page, numbers_url):
    app = open_page(numbers_url, "causality")

    app.text_input(key=KEY).set_value("42").run()

    assert not app.exception
    assert instances(app) == {"order", "pieces", "other"}
    assert app.query_params["key"] == "42"
    app.text_input(key=KEY).set_value("7").run()
    assert instances(app) == {"pieces"}


def test_what_a_key_touched_can_be_replayed(open_page, numbers_url):
    app = open_page(numbers_url, "causality", key="42")
    assert "key=42" in links(app)["Replay all of it, step by step"]

    app = open_page(numbers_url, "causality", key="42", path="items.0.pieces")
    assert "Replay all of it, step by step" not in links(app)  # the replay is of more than is listed here
    assert "key=42" in links(app)["Replay all that mentions it, at any path"]


def test_what_the_search_box_found_can_be_replayed(open_page, numbers_url):
    app = open_page(numbers_url, "events", q="42")

    assert "key=42" in links(app)["Replay all of it, step by step"]


def test_a_path_narrows_the_search_and_stays_in_the_address(open_page, numbers_url):
    app = open_page(numbers_url, "causality", key="42", path="items.0.pieces")

    assert not app.exception
    assert instances(app) == {"pieces"}
    assert says(app, "looked for at items.0.pieces")
    assert app.query_params["path"] == "items.0.pieces"

    app.selectbox(key=PATH).set_value(None).run()
    assert instances(app) == {"order", "pieces", "other"}
    assert "path" not in app.query_params


def test_the_places_where_it_was_found_can_be_chosen(open_page, numbers_url):
    app = open_page(numbers_url, "causality", key="42")

    assert app.selectbox(key=PATH).options == ["orderId", "items.0.pieces"]
    assert says(app, "found at orderId (2 events), items.0.pieces (1 event)")

    app.selectbox(key=PATH).set_value("orderId").run()
    assert instances(app) == {"order", "other"}
    assert app.query_params["path"] == "orderId"


def test_causes_outside_the_picture_are_counted(open_page, numbers_url):
    assert says(open_page(numbers_url, "causality", key="42"), "1 event is named as a cause by what is shown")


def test_a_path_without_the_value_says_so(open_page, numbers_url):
    app = open_page(numbers_url, "causality", key="42", path="nowhere.to.be.found")

    assert not app.exception
    assert says(app, "No payload holds exactly this value at that path")


def test_masked_values_are_neither_found_nor_shown(open_page, numbers_url, monkeypatch):
    monkeypatch.setenv("XCSTORE_REDACT", "card.number")

    masked = open_page(numbers_url, "causality", key="4111", path="card.number")
    assert not masked.exception
    assert says(masked, "is masked")
    assert instances(masked) == set()
    assert instances(open_page(numbers_url, "causality", key="4111")) == set()
    assert instances(open_page(numbers_url, "causality", key="•••")) == set()


@pytest.mark.parametrize("path", ["<img src=x onerror=alert(1)>", "a..b", '["a', "\u202eab", "x" * 3_000, "[0][1]"])
def test_an_odd_path_in_the_address_is_text_like_any_other(open_page, numbers_url, path):
    app = open_page(numbers_url, "causality", key="42", path=path)

    assert not app.exception
    assert all("<img" not in item.value for kind in ("markdown", "caption", "info") for item in app.get(kind))


@pytest.mark.parametrize("picture", ["time", "spacetime", "map"])
def test_hostile_names_are_text_in_every_picture_of_a_key(open_page, hostile_url, picture):
    for key in ("<img src=x onerror=alert(1)>", "[click](javascript:alert(1))", "\u202etxet \u200b"):
        app = open_page(hostile_url, "causality", key=key, view=picture)

        assert not app.exception
        assert len(instances(app)) == 1
        for kind in ("markdown", "caption", "subheader", "info", "warning"):
            for item in app.get(kind):
                assert "<img src=x" not in item.value
                assert "](javascript" not in item.value
                assert "\u202e" not in item.value


def test_hostile_keys_of_payloads_are_suggested_as_text_and_can_be_followed(open_page, hostile_url):
    app = open_page(hostile_url, "causality", key="{{7*7}} %s ${x}")

    assert not app.exception
    assert len(instances(app)) == 1
    for path in app.selectbox(key=PATH).options:
        followed = open_page(hostile_url, "causality", key="{{7*7}} %s ${x}", path=path)
        assert not followed.exception
        assert len(instances(followed)) == 1


@pytest.mark.parametrize("picture", ["", "spacetime", "map", "<nonsense>"])
def test_what_a_key_touched_is_shown_in_each_picture_with_its_critical_path(open_page, demo_url, picture):
    shown = {"key": "ORD-00001", **({"view": picture} if picture else {})}
    path = open_page(demo_url, "causality", **shown, tab="path")
    assert {"from", "to", "why"} <= set(rows(path, "Segments of the critical path"))

    app = open_page(demo_url, "causality", **shown)

    assert not app.exception
    assert len(rows(app, "Instances that this business key touched")) > 3
    assert (rows(app, "Links from place to place") is not None) == (picture == "map")
