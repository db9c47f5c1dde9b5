"""The Causality page."""

from __future__ import annotations

import pytest

from tests.factories import START, event
from xcstore.store.opening import open_stores


def table(app, label: str):
    return next((item.value for item in app.dataframe if item.proto.alt == label), None)


def links(app):
    app.session_state["causality-tabs"] = "Links"
    return table(app.run(), "Causal links")


def says(app, part: str) -> bool:
    kinds = ("text", "caption", "markdown", "info", "warning")
    return any(part in item.value for kind in kinds for item in app.get(kind))


@pytest.fixture
def chain_url(tmp_path):
    """A chain of 300 causes, with a branch, a cycle, a missing cause, and an effect before its cause."""
    url = f"sqlite:///{tmp_path / 'chain.db'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append_many(
            event(
                id=f"n{number:03}",
                instance_id=f"i{number % 5}",
                component_name=f"C{number % 3}",
                caused_by=(f"n{number - 1:03}",) if number else (),
                persisted_at=START + number * 1_000,
            )
            for number in range(300)
        )
        stores.events.append_many(
            [
                event(id="ring1", caused_by=("ring2",), persisted_at=START),
                event(id="ring2", caused_by=("ring1",), persisted_at=START),
                event(id="ghosted", caused_by=("gone",), persisted_at=START),
                event(id="early", caused_by=("n299",), persisted_at=START),
            ]
        )
    return url


def test_without_an_event_the_newest_ones_can_be_picked(open_page, chain_url):
    app = open_page(chain_url, "causality")

    assert not app.exception
    assert table(app, "Newest events")["event id"][0] == "n299"


def test_causes_and_effects_are_rows_by_distance(open_page, chain_url):
    app = open_page(chain_url, "causality", event="n150", limit="50", links="recorded")

    assert not app.exception
    rows = table(app, "Causes and effects")
    assert len(rows) == 49, "whole levels of two"
    assert rows[rows["is"] == "this event"]["event id"].tolist() == ["n150"]
    assert sorted(rows["step"]) == rows["step"].tolist()
    assert says(app, "Shown 49 of at least")
    assert len(links(app)) == 48


def test_direction_and_limit_are_in_the_address(open_page, chain_url):
    app = open_page(chain_url, "causality", event="n150", direction="causes")
    assert table(app, "Causes and effects")["step"].max() == 0

    app.segmented_control(key="causality-direction").set_value("effects").run()

    assert app.query_params["direction"] == "effects"
    assert table(app, "Causes and effects")["step"].min() == 0


def test_a_trace_can_be_limited_to_a_number_of_steps(open_page, chain_url):
    app = open_page(chain_url, "causality", event="n150", links="recorded", depth="2")
    assert sorted(table(app, "Causes and effects")["step"]) == [-2, -1, 0, 1, 2]

    app.selectbox(key="causality-depth").set_value(1).run()

    assert app.query_params["depth"] == "1"
    assert sorted(table(app, "Causes and effects")["step"]) == [-1, 0, 1]
    assert says(app, "of at least")


def test_a_trace_beyond_what_can_be_drawn_is_a_table_with_a_notice(open_page, tmp_path):
    url = f"sqlite:///{tmp_path / 'fan.db'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append(event(id="root"))
        stores.events.append_many(event(id=f"leaf{number}", caused_by=("root",)) for number in range(700))

    app = open_page(url, "causality", event="root", limit="2000", view="graph")

    assert not app.exception
    assert says(app, "Not drawn: 701 nodes")
    assert len(table(app, "Causes and effects")) == 701


def test_a_cycle_a_missing_cause_and_an_impossible_link_are_shown_and_said(open_page, chain_url):
    ring = open_page(chain_url, "causality", event="ring1", links="recorded")
    assert says(ring, "2 events cause each other")
    assert set(links(ring)["link"]) == {"⚠ doubtful"}

    ghost = open_page(chain_url, "causality", event="ghosted")
    assert says(ghost, "not in this store")

    early = open_page(chain_url, "causality", event="early", direction="causes", limit="50", links="recorded")
    assert "stored before its cause" in links(early)["doubts"][0]


def test_the_critical_path_of_a_trace_is_a_tab(open_page, demo_url):
    with open_stores(demo_url) as stores:
        shipped = next(e.id for e in stores.events.get_all_events() if e.event_type == "BOOK_SHIPMENT")
    app = open_page(demo_url, "causality", event=shipped)
    app.session_state["causality-tabs"] = "Critical path"
    app.run()

    assert not app.exception
    assert len(table(app, "Segments of the critical path"))


@pytest.mark.parametrize("view", ["spacetime", "graph", "map"])
@pytest.mark.parametrize("mode", ["repaired", "recorded", "both"])
def test_each_picture_works_in_each_mode_and_is_in_the_address(open_page, chain_url, view, mode):
    app = open_page(chain_url, "causality", event="n010", view=view, links=mode, limit="50")

    assert not app.exception
    assert app.segmented_control(key="causality-picture").value == view
    assert app.segmented_control(key="causality-mode").value == mode
    assert "Download DOT" in [button.proto.label for button in app.get("download_button")]


def test_an_unknown_event_is_said_to_be_unknown_and_another_can_be_picked(open_page, chain_url):
    app = open_page(chain_url, "causality", event="nobody")

    assert not app.exception
    assert says(app, "No event")
    app.button(key="causality-other").click().run()
    assert table(app, "Newest events") is not None


def test_how_far_links_can_be_trusted_depends_on_who_wrote_the_events(open_page, chain_url, demo_url):
    assert says(open_page(chain_url, "causality", event="n001", links="recorded"), "and may be wrong")
    with open_stores(demo_url) as stores:
        own = next(stored.id for stored in stores.events.get_all_events() if stored.event_type == "BOOK_SHIPMENT")
    assert says(open_page(demo_url, "causality", event=own), "Links are causes as the runtime recorded them")


def test_an_empty_store_says_what_to_do(open_page, empty_url):
    app = open_page(empty_url, "causality")

    assert not app.exception
    assert says(app, "This store holds no events yet")


def test_an_unreachable_store_is_one_sentence_without_the_password(open_page, unreachable_url):
    app = open_page(unreachable_url, "causality", event="x")

    assert not app.exception
    assert app.error
    assert not any("s3cret" in item.value for item in app.error)


def test_hostile_text_is_shown_as_text(open_page, hostile_url):
    with open_stores(hostile_url) as stores:
        ids = [stored.id for stored in stores.events.get_all_events()]
    for event_id in ids:
        app = open_page(hostile_url, "causality", event=event_id, view="graph", group="instance")
        assert not app.exception
        for kind in ("markdown", "caption", "subheader", "info", "warning"):
            for item in app.get(kind):
                assert "<img src=x" not in item.value
                assert "](javascript" not in item.value
                assert "](https://evil" not in item.value
    assert not open_page(hostile_url, "causality").exception


def test_the_demo_crosses_components_in_one_picture(open_page, demo_url):
    with open_stores(demo_url) as stores:
        events = [stored for stored in stores.events.get_all_events() if stored.event_type == "BOOK_SHIPMENT"]
    app = open_page(demo_url, "causality", event=events[0].id)

    assert not app.exception
    assert len(set(table(app, "Causes and effects")["component"])) == 3
