"""The Events page."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from tests.factories import START, event
from xcstore.store.base import EventQuery
from xcstore.store.opening import open_stores


def rows(app: AppTest):
    return app.dataframe[0].value


def shown(app: AppTest) -> str:
    return next(item.value for item in app.markdown if item.value.startswith(("shown", "no events", "none found")))


@pytest.fixture
def shop_url(tmp_path):
    """250 events of 50 instances; every tenth one is a refund."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append_many(
            event(
                id=f"n{number:03}",
                instance_id=f"order-{number % 50}",
                event_type="REFUND" if number % 10 == 0 else "PAY",
                state_after="Refunded" if number % 10 == 0 else "Paid",
                payload={"order": {"id": f"ORD-{number:03}", "lines": [{"sku": f"s{number}"}]}, "amount": number},
                caused_by=(f"n{number - 1:03}",) if number else ("gone",),
                persisted_at=START + number * 60_000,
            )
            for number in range(250)
        )
    return url


def test_the_first_page_shows_the_newest_events_and_how_many_there_are(open_page, shop_url):
    app = open_page(shop_url, "events")

    assert not app.exception
    assert shown(app) == "shown 1–100 of 250 events"
    assert list(rows(app)["id"][:2]) == ["n249", "n248"]


def test_paging_goes_to_the_end_and_back_without_gap_or_repeat(open_page, shop_url):
    app = open_page(shop_url, "events")
    seen = list(rows(app)["id"])
    while not app.button(key="events-pages-on").disabled:
        app.button(key="events-pages-on").click().run()
        seen += list(rows(app)["id"])

    assert seen == [f"n{number:03}" for number in reversed(range(250))]
    assert shown(app) == "shown 201–250 of 250 events"

    app.button(key="events-pages-back").click().run()
    app.button(key="events-pages-back").click().run()
    assert rows(app)["id"][0] == "n249"
    assert app.button(key="events-pages-back").disabled


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"type": "REFUND"}, 25),
        ({"type": ["REFUND", "PAY"]}, 250),
        ({"state": "Refunded"}, 25),
        ({"machine": "Order"}, 250),
        ({"instance": "order-7"}, 5),
        ({"instance": "order-7, order-8"}, 10),
        ({"from": "2026-01-01T04:00:00Z"}, 10),
        ({"to": "2026-01-01T00:09:00Z"}, 10),
        ({"from": "2026-01-01T01:00:00Z", "to": "2026-01-01T01:00:00Z"}, 1),
        ({"component": "Shop"}, 250),
        ({"type": "REFUND", "instance": "order-0"}, 5),
    ],
)
def test_each_filter_in_the_address_limits_the_events(open_page, shop_url, params, expected):
    app = open_page(shop_url, "events", **params)
    # The first minutes of the fixture are those of START, whatever the number that factories count.
    assert not app.exception
    assert shown(app).endswith(f"of {expected:,} event{'s' if expected != 1 else ''}")


@pytest.mark.parametrize(
    ("params", "ids"),
    [
        ({"text": "ord-123"}, ["n123"]),
        ({"path": "order.id", "value": "ORD-042"}, ["n042"]),
        ({"path": "order.lines[0].sku", "value": "s17"}, ["n017"]),
        ({"path": "amount", "value": "249"}, ["n249"]),
        ({"path": "order.id", "value": "nowhere"}, []),
    ],
)
def test_text_and_payload_filters_find_what_is_inside(open_page, shop_url, params, ids):
    app = open_page(shop_url, "events", **params)

    assert not app.exception
    assert list(rows(app)["id"] if app.dataframe else []) == ids


def test_using_a_filter_writes_it_into_the_address(open_page, shop_url):
    app = open_page(shop_url, "events")

    app.multiselect(key="events-type").select("REFUND").run()
    assert app.query_params["type"] == "REFUND"
    app.text_input(key="events-text").set_value("ord-1").run()
    assert app.query_params["text"] == "ord-1"
    app.text_input(key="events-from").set_value("2026-01-01 02:00").run()
    assert app.query_params["from"] == "2026-01-01T02:00:00.000Z"
    assert len(rows(app)) == 8

    app.multiselect(key="events-type").unselect("REFUND").run()
    assert "type" not in app.query_params


def test_a_time_is_read_in_the_chosen_zone(open_page, shop_url):
    app = open_page(shop_url, "events", tz="Asia/Tokyo")

    app.text_input(key="events-to").set_value("2026-01-01 09:00").run()

    assert app.query_params["to"] == "2026-01-01T00:00:00.000Z"
    assert shown(app) == "shown 1–1 of 1 event"


def test_changing_a_filter_starts_at_the_first_page(open_page, shop_url):
    app = open_page(shop_url, "events")
    app.button(key="events-pages-on").click().run()

    app.multiselect(key="events-type").select("PAY").run()

    assert shown(app) == "shown 1–100 of 225 events"


def test_a_value_that_no_event_has_stays_in_the_filter_and_finds_nothing(open_page, shop_url):
    app = open_page(shop_url, "events", type="NEVER_SEEN")

    assert not app.exception
    assert app.multiselect(key="events-type").value == ["NEVER_SEEN"]
    assert "No event fits" in app.info[0].value

    app.button(key="events-clear").click().run()
    assert shown(app) == "shown 1–100 of 250 events"


def test_an_event_in_the_address_is_opened_with_its_fields_payload_causes_and_effects(open_page, shop_url):
    app = open_page(shop_url, "events", event="n100")

    fields = app.table[0].value
    assert "n100" in [code.value for code in app.code]
    assert "REFUND" in str(fields)
    assert '"ORD-100"' in app.json[0].value
    here = {link.proto.query_string for link in app.get("page_link")}
    assert "event=n099" in here
    assert "event=n101" in here
    assert "instance=order-0&event=n100" in here
    assert any('"causedBy"' in code.value for code in app.code)


def test_a_cause_that_is_not_in_the_store_is_said_so(open_page, shop_url):
    app = open_page(shop_url, "events", event="n000")

    assert any(item.value.startswith("gone is named as a cause, but is not") for item in app.caption)


def test_an_unknown_event_is_one_sentence_beside_the_table(open_page, shop_url):
    app = open_page(shop_url, "events", event="nobody")

    assert not app.exception
    assert len(app.error) == 1
    assert "nobody" in app.error[0].value
    assert len(rows(app)) == 100


def test_an_odd_event_carries_its_mark_and_says_what_is_odd(open_page, reference_like_url):
    app = open_page(reference_like_url, "events", event="odd-1")

    assert list(rows(app).set_index("id")["odd"]) == ["▲"]
    assert app.expander[0].label.startswith(":orange[▲]")
    assert app.expander[0].text[0].value


@pytest.fixture
def reference_like_url(tmp_path):
    """A store of another writer (documented columns, no tables of ours) with a row that is odd."""
    import sqlite3

    path = tmp_path / "foreign.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "create table fsm_events (id text primary key, instance_id text, machine_name text, component_name text,"
            " event_type text, event_payload text, state_before text, state_after text, persisted_at integer,"
            " caused_by text, caused text, source_component_name text, target_component_name text)"
        )
        connection.execute(
            "insert into fsm_events values ('odd-1','i1','Order','Shop','PAY','{not json','New','Paid',1767225600000,"
            "'[]','[]',null,null)"
        )
    return f"sqlite:///{path}"


def test_following_counts_what_came_and_shows_it_on_demand(open_page, shop_url):
    app = open_page(shop_url, "events", event="n249")
    app.toggle(key="events-follow").set_value(True).run()
    assert any("nothing new" in item.value for item in app.caption)

    with open_stores(shop_url, read_only=False) as stores:
        stores.events.append_many(
            event(id=f"new-{number}", persisted_at=START + 300 * 60_000 + number) for number in range(3)
        )
    app.run()
    assert app.button(key="events-show-new").label == "Show 3 new events"
    assert rows(app)["id"][0] == "n249"  # nothing moves while an event is open

    app.button(key="events-show-new").click().run()
    assert list(rows(app)["id"][:3]) == ["new-2", "new-1", "new-0"]


def test_following_with_no_event_open_shows_new_events_at_once(open_page, shop_url):
    app = open_page(shop_url, "events")
    app.toggle(key="events-follow").set_value(True).run()
    with open_stores(shop_url, read_only=False) as stores:
        stores.events.append(event(id="new", persisted_at=START + 300 * 60_000))

    app.run()

    assert rows(app)["id"][0] == "new"
    assert shown(app) == "shown 1–100 of 251 events"


def test_the_export_says_how_many_it_holds_before_and_after(open_page, shop_url):
    app = open_page(shop_url, "events", type="REFUND")
    assert any(item.value == "Exporting 25 events, newest first." for item in app.caption)

    app.button(key="events-export-prepare").click().run()

    assert not app.exception
    assert app.get("download_button")[0].label == "Download 25 events"


def test_an_export_beyond_the_cap_says_so(open_page, shop_url, monkeypatch):
    monkeypatch.setattr("xcstore.queries.events.EXPORT_CAP", 100)
    app = open_page(shop_url, "events")

    assert any(item.value.startswith("Exporting 100 of 250 events") for item in app.caption)
    app.button(key="events-export-prepare").click().run()
    assert app.get("download_button")[0].label == "Download 100 events"


def test_an_empty_store_says_what_to_do(open_page, empty_url):
    app = open_page(empty_url, "events")

    assert not app.exception
    assert "no events yet" in app.info[0].value


def test_masked_values_stay_masked_in_table_panel_and_document(open_page, shop_url, monkeypatch):
    monkeypatch.setenv("XCSTORE_REDACT", "order.id")
    app = open_page(shop_url, "events", event="n100")

    everything = rows(app).to_csv() + "".join(code.value for code in app.code) + app.json[0].value
    assert "ORD-100" not in everything
    assert json.loads(app.json[0].value)["order"]["id"] == "•••"


def test_the_table_limits_itself_to_a_page_whatever_the_size_of_the_store(open_page, demo_url):
    app = open_page(demo_url, "events")

    with open_stores(demo_url) as stores:
        total = stores.events.count(EventQuery())[0].count
    assert len(rows(app)) == 100
    assert shown(app).endswith(f"of {total:,} events")
