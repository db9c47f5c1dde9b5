"""The Instances page: the list, and one instance."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.factories import START, event, snapshot
from tests.pages.conftest import HOSTILE
from xcstore.model.history import CREATION
from xcstore.store.base import InstanceQuery
from xcstore.store.opening import open_stores

DEFINITIONS = Path(__file__).parents[2] / "xcstore" / "demo" / "components"


def table(app, label: str):
    """The table of that accessible name; None where it is not on the page."""
    return next((item.value for item in app.dataframe if item.proto.alt == label), None)


def texts(app) -> list[str]:
    return [
        item.value for kind in ("text", "caption", "markdown", "subheader", "info", "warning") for item in app.get(kind)
    ]


def says(app, part: str) -> bool:
    return any(part in text for text in texts(app))


@pytest.fixture
def shop_url(tmp_path):
    """150 orders of which every third was paid, the first of them with a story; carts in a state of the same name."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    with open_stores(url, read_only=False) as stores:
        for number in range(150):
            common = {"instance_id": f"order-{number:03}", "machine_name": "Order" if number % 2 else "Cart"}
            at = START + number * 60_000
            stores.events.append(
                event(
                    id=f"c{number:03}",
                    event_type=CREATION,
                    state_before="",
                    state_after="Created",
                    payload={"initialContext": {"amount": number, "customer": {"name": "Ann"}}},
                    persisted_at=at,
                    **common,
                )
            )
            if number % 3 == 0:
                stores.events.append(
                    event(id=f"p{number:03}", payload={"amount": 7, "by": "Bob"}, persisted_at=at + 1_000, **common)
                )
        stores.events.append(
            event(
                id="child",
                instance_id="parcel-1",
                machine_name="Parcel",
                event_type=CREATION,
                state_before="",
                state_after="Open",
                payload={"parentInstanceId": "order-000", "parentMachineName": "Cart"},
                caused_by=("p000",),
                persisted_at=START + 2_000,
            )
        )
        stores.snapshots.save_snapshot(
            snapshot(
                id="order-000", current_state="Created", last_event_id="c000", context={"amount": 1}, status="error"
            )
        )
    return url


def test_the_list_shows_the_latest_instances_and_how_many_there_are(open_page, shop_url):
    app = open_page(shop_url, "instances")

    assert not app.exception
    assert says(app, "shown 1 to 100 of 151 instances")
    rows = table(app, "Instances, latest first")
    assert list(rows["instance"][:2]) == ["order-149", "order-148"]

    app.button(key="instances-page-on").click().run()
    assert says(app, "shown 101 to 151 of 151 instances")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"machine": "Order"}, 75),
        ({"state": "Paid"}, 50),
        ({"machine": "Order", "state": "Paid"}, 25),
        ({"prefix": "order-00"}, 10),
        ({"from": "2026-01-01T02:29:00Z"}, 1),
        ({"to": "2026-01-01T00:00:01Z"}, 1),
        ({"status": "active"}, 100),
        ({"status": "unknown", "state": "Open"}, 1),
        ({"component": "Nothing"}, 0),
    ],
)
def test_filters_are_in_the_address_and_in_the_count(open_page, shop_url, params, expected):
    app = open_page(shop_url, "instances", **params)

    assert not app.exception
    if expected:
        assert says(app, f"of {expected} instance")
    else:
        assert says(app, "No instance belongs to the components")


def test_a_filter_typed_on_the_page_goes_into_the_address(open_page, shop_url):
    app = open_page(shop_url, "instances")

    app.text_input(key="instances-prefix").set_value("order-00").run()

    assert app.query_params["prefix"] == "order-00"
    assert says(app, "of 10 instances")


def test_one_instance_says_where_it_is_since_when_and_how_long_that_normally_lasts(open_page, shop_url):
    app = open_page(shop_url, "instances", instance="order-000")

    assert not app.exception
    assert app.subheader[0].value == "? Paid"
    assert says(app, "since 2026-01-01 00:00:01")
    assert says(app, "Here for 2 h 28 min as of 2026-01-01 02:29:00")
    assert says(app, "normally lasts is not known")


def test_an_event_shows_what_it_changed_and_the_values_after_it(open_page, shop_url):
    app = open_page(shop_url, "instances", instance="order-000", event="p000")

    changes = table(app, "Fields this event changed")
    assert changes.to_dict("records") == [
        {"field": "amount", "change": "± changed", "before": "0", "after": "7"},
        {"field": "by", "change": "+ added", "before": "", "after": '"Bob"'},
    ]
    values = open_page(shop_url, "instances", instance="order-000", event="p000", event_tab="values")
    assert any('"by": "Bob"' in code.value for code in values.code)

    app.button(key="instances-previous").click().run()
    assert app.query_params["event"] == "c000"
    assert table(app, "Fields this event changed")["field"].tolist() == ["amount", "customer.name"]


def test_who_set_a_field_lists_the_events_and_where_in_the_payload_the_value_was(open_page, shop_url):
    app = open_page(shop_url, "instances", instance="order-000", field="amount")

    rows = table(app, "Events that set amount")
    assert rows[["value", "set by event", "where the value came from"]].to_numpy().tolist() == [
        ["7", "PAY", "payload.amount"],
        ["0", CREATION, "payload.initialContext.amount"],
    ]

    app.selectbox(key="instances-field").select("customer.name").run()
    assert app.query_params["field"] == "customer.name"
    assert table(app, "Events that set customer.name")["value"].tolist() == ['"Ann"']


def test_where_a_value_came_from_is_told_for_the_event_in_the_address(open_page, shop_url):
    newest = open_page(shop_url, "instances", instance="order-000", field="amount")
    oldest = open_page(shop_url, "instances", instance="order-000", field="amount", event="c000")

    rows = [table(app, "Where this value came from").to_dict("records") for app in (newest, oldest)]
    assert [[(row["field"], row["value"], row["set by event"]) for row in some] for some in rows] == [
        [("amount", "7", "PAY")],
        [("amount", "0", CREATION)],
    ]
    assert says(oldest, "The value came from outside with INSTANCE")


def test_why_an_instance_waits_is_said_in_a_sentence(open_page, shop_url):
    app = open_page(shop_url, "instances", instance="order-003")

    assert not says(app, "Why it waits")  # nothing was ever seen to leave Paid
    app = open_page(shop_url, "instances", instance="order-001")
    assert says(app, "Why it waits")
    assert says(app, "waits in **Created** since")
    assert says(app, "for **PAY**")


def test_a_field_in_the_address_that_is_no_path_or_was_never_held_is_said_so(open_page, shop_url):
    assert says(open_page(shop_url, "instances", instance="order-000", field="a..b"), "is not a field path")
    assert says(
        open_page(shop_url, "instances", instance="order-000", field="nothing"), "No loaded event set this field"
    )


def open_panel(app, name: str):
    app.session_state["instances-panel"] = name
    return app.run()


def links(app) -> str:
    return " ".join(link.value for link in app.get("page_link"))


def test_snapshots_are_compared_with_the_events(open_page, shop_url):
    app = open_panel(open_page(shop_url, "instances", instance="order-000"), "Snapshots")

    found = table(app, "Snapshots")
    assert found[["events since", "state as the events say", "values as the events say"]].to_numpy().tolist() == [
        [1, "✓ yes", "✕ no"]
    ]


def test_what_it_created_set_in_motion_and_was_created_by_can_be_opened(open_page, shop_url):
    app = open_page(shop_url, "instances", instance="order-000")
    assert table(app, "Instances set in motion")["instance"].tolist() == ["parcel-1"]
    assert "Parcel parcel" in links(open_panel(app, "Instances it created"))

    child = open_page(shop_url, "instances", instance="parcel-1")
    assert "Created by Cart" in links(child)


def test_an_event_of_another_instance_in_the_address_is_said_to_be_elsewhere(open_page, shop_url):
    app = open_page(shop_url, "instances", instance="order-000", event="c001")

    assert not app.exception
    assert says(app, "is not among the loaded events")


def test_an_unknown_instance_is_said_to_be_unknown(open_page, shop_url):
    app = open_page(shop_url, "instances", instance="nobody")

    assert not app.exception
    assert says(app, "no instance")
    app.button(key="instances-all").click().run()
    assert says(app, "shown 1 to 100 of 151 instances")


def test_a_long_instance_is_cut_and_says_so_and_loads_older_events(open_page, tmp_path, monkeypatch):
    monkeypatch.setattr("xcstore.queries.instances.MAX_EVENTS", 50)
    url = f"sqlite:///{tmp_path / 'long.db'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append_many(
            event(id=f"n{n:04}", instance_id="long", state_before="A", state_after="A", persisted_at=START + n)
            for n in range(320)
        )

    app = open_page(url, "instances", instance="long")
    assert says(app, "shown 50 of 320 events, the latest")

    app.button(key="instances-load-older").click().run()
    assert says(app, "shown 100 of 320 events, the latest")


def test_an_empty_store_says_what_to_do(open_page, empty_url):
    app = open_page(empty_url, "instances")

    assert not app.exception
    assert says(app, "This store holds no events yet")
    assert says(open_page(empty_url, "instances", instance="x"), "no instance")


def test_an_unreachable_store_is_one_sentence_without_the_password(open_page, unreachable_url):
    app = open_page(unreachable_url, "instances", instance="x")

    assert not app.exception
    assert app.error
    assert not any("s3cret" in item.value for item in app.error)


def test_hostile_text_is_shown_as_text_on_every_instance(open_page, hostile_url):
    app = open_page(hostile_url, "instances")
    assert not app.exception
    with open_stores(hostile_url) as stores:
        items = stores.events.instances(InstanceQuery()).items
    for item in items:
        one = open_page(hostile_url, "instances", instance=item.instance_id)
        assert not one.exception
        for text in [
            t.value for kind in ("markdown", "caption", "subheader", "warning", "info") for t in one.get(kind)
        ]:
            assert "<img src=x" not in text
            assert "](javascript" not in text
            assert "](https://evil" not in text
    assert len(items) == len(HOSTILE)


def test_the_demo_shows_its_instances_with_and_without_definitions(open_page, demo_url, monkeypatch):
    with open_stores(demo_url) as stores:
        items = stores.events.instances(InstanceQuery(), limit=400).items
    chosen = {(item.machine_name, item.state): item.instance_id for item in items}
    for instance_id in list(chosen.values())[:8]:
        assert not open_page(demo_url, "instances", instance=instance_id).exception

    monkeypatch.setenv("XCSTORE_DEFINITIONS", str(DEFINITIONS))
    for (_, state), instance_id in list(chosen.items())[:8]:
        app = open_page(demo_url, "instances", instance=instance_id)
        assert not app.exception
        assert state in app.subheader[0].value
    app = open_page(demo_url, "instances", status="error")
    assert set(table(app, "Instances, latest first")["status"]) == {"✕ error"}
