"""The open tab is in the address: a link shows what its sender saw, and what is not open costs nothing."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from xcstore.store.base import EventQuery
from xcstore.store.opening import open_stores

PLACES: list[tuple[str, dict[str, str], str, dict[str, str]]] = [
    ("instances", {"instance": "INSTANCE"}, "instances-panel", {
        "moves": "What would move it on",
        "events": "Events",
        "field": "Who set a field",
        "snapshots": "Snapshots",
        "children": "Instances it created",
    }),
    ("causality", {"event": "EVENT"}, "causality-tabs", {
        "events": "Events",
        "links": "Links",
        "path": "Critical path",
    }),
    ("replay", {"instance": "INSTANCE"}, "replay-tabs", {
        "everybody": "Everybody at this step",
        "around": "Causes and effects",
        "steps": "Steps",
    }),
    ("replay", {}, "replay-picker", {
        "instances": "Recent instances",
        "events": "Recent events",
        "range": "A range of time",
    }),
    ("compare", {"what": "traces", "left": "EVENT", "right": "OTHER"}, "compare-tabs", {
        "over": "Laid over each other",
        "time": "Over time",
    }),
]  # fmt: skip
"""Page, address, key of the tabs, and their names in the address with what they are called."""
CASES = [(page, address, key, name) for page, address, key, names in PLACES for name in names]


def filled(address: dict[str, str], url: str) -> dict[str, str]:
    with open_stores(url) as stores:
        first, second, *_ = (one for one in stores.events.find(EventQuery(), limit=100).items if one.payload)
    found = {"INSTANCE": first.instance_id, "EVENT": first.id, "OTHER": second.id}
    return {name: found.get(value, value) for name, value in address.items()}


def opened(app: AppTest, key: str) -> Any:
    return app.session_state[key]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place[2])
def test_the_address_opens_a_tab_and_a_tab_that_is_opened_is_in_the_address(open_page, demo_url, place):
    page, address, key, names = place
    address = filled(address, demo_url)
    first, *_, last = names
    app = open_page(demo_url, page, **address, tab=last)
    assert not app.exception
    assert opened(app, key) == names[last]

    app.session_state[key] = names[first]
    app.run()
    assert not app.exception
    assert opened(app, key) == names[first]
    assert "tab" not in app.query_params

    app.session_state[key] = names[last]
    app.run()
    assert app.query_params["tab"] in (last, [last])


def test_what_is_no_tab_is_passed_over(open_page, demo_url):
    app = open_page(demo_url, "machines", machine="Order", tab="<b>")

    assert not app.exception
    assert [item.proto.alt for item in app.dataframe] == ["States of Order"]


def test_a_field_that_is_picked_opens_its_tab_and_the_tab_stays_when_it_is_taken_away(open_page, demo_url):
    address = filled({"instance": "INSTANCE"}, demo_url)
    app = open_page(demo_url, "instances", **address, field="nothing")
    assert opened(app, "instances-panel") == "Who set a field"

    app.selectbox(key="instances-field").set_value(None).run()
    assert not app.exception
    assert opened(app, "instances-panel") == "Who set a field"
    assert "field" not in app.query_params


def test_another_instance_begins_with_its_own_first_tab(open_page, demo_url):
    address = filled({"instance": "INSTANCE"}, demo_url)
    app = open_page(demo_url, "instances", **address, tab="snapshots")
    app.button(key="instances-all").click().run()

    assert not app.exception
    assert "tab" not in app.query_params


@pytest.mark.parametrize(
    ("page", "address", "key", "name"), CASES, ids=lambda value: value if type(value) is str else ""
)
def test_hostile_text_stays_text_in_every_tab(open_page, hostile_url, page, address, key, name):
    app = open_page(hostile_url, page, **filled(address, hostile_url), tab=name)

    assert not app.exception
    shown = " ".join(item.value for item in app.markdown if "<style>" not in item.value)
    assert "<img src=x" not in shown.replace("\\<", "")
    assert "](javascript:" not in shown.replace("\\]", "").replace("\\(", "")
