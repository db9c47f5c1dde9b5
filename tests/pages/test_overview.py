"""The Overview, and what surrounds every page."""

from __future__ import annotations

import re

import pytest
from streamlit.testing.v1 import AppTest

from tests.factories import START, event
from xcstore.model.history import CREATION
from xcstore.store.base import EventQuery, InstanceQuery
from xcstore.store.opening import open_stores

UNESCAPED_LINK = re.compile(r"(?<!\\)\]\(|(?<!\\)!\[|(?<!\\)\$|(?<!\\)<|https?:/")


def metric(app: AppTest, label: str) -> str:
    return next(item.value for item in app.metric if item.label.endswith(label))


def table(app: AppTest, column: str):
    """The table that has this column."""
    return next(frame.value for frame in app.dataframe if column in frame.value)


def links(app: AppTest) -> dict[str, str]:
    """Query of each page link by its label, without the markup of the label."""
    return {
        link.label.removeprefix(":primary[").removesuffix("]"): link.proto.query_string for link in app.get("page_link")
    }


def all_markdown(app: AppTest) -> list[str]:
    return [item.value for kind in ("markdown", "caption", "error", "warning", "info") for item in app.get(kind)]


def test_the_numbers_are_those_of_the_store(open_page, demo_url):
    app = open_page(demo_url)

    with open_stores(demo_url) as stores:
        events = stores.events.count(EventQuery())[0].count
        instances = sum(row.count for row in stores.events.count_instances(InstanceQuery()))
    assert not app.exception
    assert metric(app, "Events") == f"{events:,}"
    assert metric(app, "Instances") == f"{instances:,}"
    by_status = [metric(app, name).replace(",", "") for name in ("active", "completed", "error")]
    assert sum(map(int, by_status)) == instances


def test_every_state_is_in_the_table_with_its_mark_and_word(open_page, demo_url):
    app = open_page(demo_url)
    machines, states = table(app, "completed"), table(app, "means")

    assert set(machines["machine"]) >= {"Order", "Payment", "Parcel"}
    assert "◎ final" in set(states["kind"])
    assert "✓ completed" in set(states["means"])
    assert states["instances"].sum() == machines["instances"].sum()


def test_limiting_to_a_component_limits_numbers_and_table(open_page, demo_url):
    app = open_page(demo_url, component="ShippingComponent")

    assert not app.exception
    assert set(table(app, "completed")["component"]) == {"ShippingComponent"}
    with open_stores(demo_url) as stores:
        events = stores.events.count(EventQuery(components=("ShippingComponent",)))[0].count
    assert metric(app, "Events") == f"{events:,}"


def stuck_store(path):
    """Ten orders that were packed within a minute, and one that was not for five days."""
    url = f"sqlite:///{path / 'stuck.db'}"
    with open_stores(url, read_only=False) as stores:
        for number in range(10):
            start = START + number * 86_400_000
            common = {"instance_id": f"order-{number}", "definition_hash": None}
            stores.events.append_many(
                [
                    event(persisted_at=start, event_type=CREATION, state_before="", state_after="Paid", **common),
                    event(
                        persisted_at=start + 60_000,
                        event_type="PACK",
                        state_before="Paid",
                        state_after="Packed",
                        **common,
                    ),
                ]
            )
        stores.events.append(
            event(
                instance_id="order-late",
                persisted_at=START + 4 * 86_400_000,
                event_type=CREATION,
                state_before="",
                state_after="Paid",
            )
        )
    return url


def test_a_stuck_instance_is_named_with_since_when_by_which_rule_and_what_would_move_it_on(open_page, tmp_path):
    app = open_page(stuck_store(tmp_path))

    assert metric(app, "stuck") == "1"
    label = next(label for label in links(app) if label.startswith("order"))
    assert "waits 5 d" in label
    assert "2026" in label
    assert "instance=order-late" in links(app)[label]
    rule = next(text for text in all_markdown(app) if "would move on by" in text)
    assert "95 % of 10 stays take at most 1 min" in rule
    assert "too long after 3 min" in rule
    assert "PACK → Packed, seen 10×" in rule


def test_instances_that_never_moved_on_are_not_called_stuck_where_no_definition_says_that_they_can(open_page, tmp_path):
    url = stuck_store(tmp_path)
    app = open_page(url)

    packed = table(app, "means").set_index("state").loc["Packed"]
    assert packed["means"] == "? unknown"
    assert metric(app, "stuck") == "1"


def test_an_empty_store_says_what_to_do(open_page, empty_url):
    app = open_page(empty_url)

    assert not app.exception
    assert "no events yet" in app.info[0].value
    assert "python -m xcstore import" in app.code[0].value


@pytest.mark.parametrize("page", ["overview", "events"])
def test_an_unreachable_store_is_one_sentence_without_password_and_the_picker_stays(open_page, unreachable_url, page):
    app = open_page(unreachable_url, page)

    assert not app.exception
    assert len(app.error) == 1
    assert "s3cret" not in str(app)
    assert "127" in app.error[0].value
    assert app.selectbox(key="shell-store").options == ["store"]
    app.button(key="shell-retry").click().run()
    assert len(app.error) == 1


def test_another_store_can_be_chosen_when_one_is_unreachable(open_page, unreachable_url, demo_url, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", demo_url)
    app = open_page(unreachable_url)
    assert app.error

    app.selectbox(key="shell-store").select("database").run()

    assert not app.error
    assert app.query_params["store"] == "database"
    assert int(metric(app, "Events").replace(",", "")) > 0


def test_a_store_that_the_address_names_but_nobody_configured_gives_a_notice_and_the_default(open_page, demo_url):
    app = open_page(demo_url, store="postgresql://evil.example/x")

    assert not app.exception
    assert "not configured" in app.warning[0].value
    assert metric(app, "Events")
    assert "store" not in app.query_params


@pytest.mark.parametrize(
    ("variable", "value"),
    [("XCSTORE_ALLOW_WRITE", "perhaps"), ("XCSTORE_NONSENSE", "1"), ("XCSTORE_URL", "gopher://x/y")],
)
def test_a_setting_that_cannot_be_used_is_one_sentence(open_page, demo_url, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    app = open_page(value if variable == "XCSTORE_URL" else demo_url)

    assert not app.exception
    assert len(app.error) == 1


def test_a_database_that_is_no_store_is_one_sentence(open_page, tmp_path):
    import sqlite3

    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table customers (id integer)")
    app = open_page(f"sqlite:///{path}")

    assert not app.exception
    assert len(app.error) == 1


@pytest.mark.parametrize("page", ["overview", "events"])
def test_stored_text_never_becomes_markup(open_page, hostile_url, page):
    app = open_page(hostile_url, page)

    assert not app.exception
    assert not app.error
    ours = ("**", ":gray-badge[")
    for text in all_markdown(app):
        assert not UNESCAPED_LINK.search(text), text
        assert ":red[" not in text.replace("\\:", ""), (text, ours)
    for link in app.get("page_link"):
        assert not UNESCAPED_LINK.search(link.label), link.label


HOSTILE_ADDRESSES = [
    "\x00",
    "%00",
    "<script>",
    "a" * 5_000,
    "../../etc/passwd",
    "'; --",
    "\ufffd\ufffd",
    "NaN",
    "-1",
    "99999999999999999999",
]


@pytest.mark.parametrize("value", HOSTILE_ADDRESSES, ids=lambda value: ascii(value)[:20])
@pytest.mark.parametrize("page", ["overview", "events"])
def test_a_garbled_address_never_breaks_a_page(open_page, demo_url, page, value):
    names = ("store", "tz", "component", "event", "instance", "machine", "type", "state", "from", "to", "q", "path")
    app = open_page(demo_url, page, **dict.fromkeys(names, value))

    assert not app.exception
    assert app.warning or app.error


def test_the_time_zone_of_the_address_is_used_and_kept(open_page, demo_url):
    app = open_page(demo_url, tz="Asia/Tokyo")

    assert app.selectbox(key="shell-tz").value == "Asia/Tokyo"
    in_tokyo = [text.value for text in app.caption if text.value.startswith("as of")]
    app.selectbox(key="shell-tz").select("UTC").run()
    assert "tz" not in app.query_params
    assert [text.value for text in app.caption if text.value.startswith("as of")] != in_tokyo


def test_links_carry_store_zone_and_component_along(open_page, demo_url):
    app = open_page(demo_url, tz="Asia/Tokyo", component="OrderComponent")

    assert links(app)
    for query in links(app).values():
        assert "tz=Asia%2FTokyo" in query
        assert "component=OrderComponent" in query


def test_the_search_box_finds_an_event_an_instance_and_a_business_key(open_page, demo_url):
    with open_stores(demo_url) as stores:
        submitted = stores.events.find(EventQuery(event_types=("SUBMIT",)), limit=1).items[0]
        mention = stores.events.find(EventQuery(text="ORD-"), limit=1).items[0]
    key = re.search(r"ORD-\d+", str(mention.payload)).group()

    app = open_page(demo_url, q=submitted.id)
    assert any(f"event={submitted.id}" in query for query in links(app).values())

    app.text_input(key="shell-search").set_value(submitted.instance_id[:12]).run()
    assert any(f"instance={submitted.instance_id}" in query for query in links(app).values())

    app.text_input(key="shell-search").set_value(key.lower()).run()
    assert app.query_params["q"] == key.lower()
    assert any("Mentioned by" in text for text in all_markdown(app))

    app.button(key="shell-search-close").click().run()
    assert "q" not in app.query_params
    assert not any("Mentioned by" in text for text in all_markdown(app))


def test_a_search_without_result_says_so(open_page, demo_url):
    app = open_page(demo_url, q="no such thing anywhere")

    assert any("Nothing in this store" in text for text in all_markdown(app))


SHOP = """
name: Shop
stateMachines:
- name: Order
  initialState: Paid
  states:
  - {name: Paid, type: entry}
  - {name: Packed, type: final}
  transitions:
  - {from: Paid, to: Packed, event: PACK}
"""


def test_an_uploaded_definition_is_used_and_a_bad_one_is_told_with_file_and_line(open_page, tmp_path):
    app = open_page(stuck_store(tmp_path))
    uploader = app.file_uploader(key="shell-definitions")
    uploader.upload("shop.yaml", SHOP.encode())
    uploader.upload("bad.yaml", b"name: Bad\nstateMachines:\n- name: M\n  initialState: Nowhere\n  states: []\n")
    app.run()

    assert metric(app, "completed") == "10"
    assert any("shop" in text.value and "Shop" in text.value for text in app.caption)
    assert any(re.search(r"bad\\\.yaml\\:\S*\d", text.value) for text in app.error), [e.value for e in app.error]


def test_what_redaction_masks_is_not_found_by_the_search(open_page, tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'cards.db'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append(event(payload={"card": {"number": "4111-secret"}}))
    monkeypatch.setenv("XCSTORE_REDACT", "card.number")
    app = open_page(url, "events", q="4111-secret")

    assert any("Nothing in this store" in text for text in all_markdown(app))
    assert "•••" not in app.query_params
    assert "4111-secret" not in app.dataframe[0].value.to_csv()
