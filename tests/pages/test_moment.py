"""The As of page."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from streamlit.testing.v1 import AppTest

from tests.factories import START, event
from xcstore.model.history import CREATION
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs, to_utc


def table(app: AppTest, label: str) -> Any:
    return next((item.value for item in app.dataframe if item.proto.alt == label), None)


def says(app: AppTest, part: str) -> bool:
    kinds = ("caption", "markdown", "info", "warning", "success")
    return any(part in item.value for kind in kinds for item in app.get(kind))


def links(app: AppTest) -> list[str]:
    return [item.proto.label.removeprefix(":primary[").removesuffix("]") for item in app.get("page_link")]


def leads_to(app: AppTest, label: str) -> str:
    return next(item.proto.query_string for item in app.get("page_link") if label in item.proto.label)


def history(tmp_path: Any) -> str:
    """A is made and paid; the other component stores what followed half a second before its cause."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    ours: dict[str, Any] = {"definition_hash": "h"}
    with open_stores(url, read_only=False) as stores:
        stores.events.append_many(
            [
                event(id="made", event_type=CREATION, state_before="", state_after="Created", persisted_at=START,
                      **ours),
                event(id="booked", instance_id="i2", component_name="Bank", machine_name="Account", event_type=CREATION,
                      state_before="", state_after="Open", persisted_at=START + 9_500, caused_by=("paid",), **ours),
                event(id="paid", state_before="Created", state_after="Paid", persisted_at=START + 10_000, **ours),
            ]
        )  # fmt: skip
    return url


def iso(ms: int) -> str:
    moment = to_utc(EpochMs(START + ms))
    assert moment is not None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_without_a_time_it_is_the_newest_event(open_page, demo_url):
    app = open_page(demo_url, "moment")

    assert not app.exception
    assert says(app, "Consistent and quiet")
    states = table(app, "Instances by state, then and now")
    assert list(states["then"]) == list(states["now"])
    assert len(table(app, "Instances as of the moment")) == 25
    assert not app.query_params.get("at")


def test_a_moment_shows_states_then_and_now(open_page, tmp_path):
    app = open_page(history(tmp_path), "moment", at=iso(1_000))

    states = table(app, "Instances by state, then and now")
    assert {row["state"][2:]: (row["then"], row["now"]) for _, row in states.iterrows()} == {
        "Created": (1, 0), "Paid": (0, 1), "Open": (0, 1),
    }  # fmt: skip
    rows = table(app, "Instances as of the moment")
    assert [(row["instance"], row["state then"][2:], row["state now"][2:]) for _, row in rows.iterrows()] == [
        ("i1", "Created", "Paid")
    ]


def test_a_moment_that_cuts_an_effect_from_its_cause_says_so_and_leads_to_better_ones(open_page, tmp_path):
    app = open_page(history(tmp_path), "moment", at=iso(9_700))

    assert says(app, "This moment cuts 1 effect from the cause")
    torn = table(app, "Effects without their cause")
    assert (torn["cause id"][0], torn["effect id"][0], torn["after"][0]) == ("paid", "booked", "-500 ms")
    assert [label.partition("\\:")[0] for label in links(app) if "onsistent" in label] == [
        "Consistent, before", "Consistent, after",
    ]  # fmt: skip
    assert f"at={iso(9_499).replace(':', '%3A')}" in leads_to(app, "Consistent, before")
    assert f"at={iso(10_000).replace(':', '%3A')}" in leads_to(app, "Consistent, after")


def test_the_slider_moves_the_moment(open_page, tmp_path):
    app = open_page(history(tmp_path), "moment", at=iso(1_000))

    slider = app.slider(key="moment-slider")
    assert slider.value == datetime(2026, 1, 1, 0, 0, 1)  # wall time of the chosen zone
    slider.set_value(slider.value + timedelta(milliseconds=8_500)).run()

    assert iso(9_500) in app.query_params["at"]
    assert says(app, "This moment cuts")


def test_a_state_narrows_the_instances_and_an_instance_leads_on(open_page, tmp_path):
    url = history(tmp_path)

    app = open_page(url, "moment", at=iso(10_000), machine="Order", state="Paid", instance="i1")

    assert list(table(app, "Instances as of the moment")["instance"]) == ["i1"]
    assert says(app, "of Order in Paid, latest entry first")
    assert {"Replay it up to here", "Open the instance", "All machines and states"} <= set(links(app))
    assert "instance=i1" in leads_to(app, "Replay it up to here")
    assert "event=paid" in leads_to(app, "Replay it up to here")


def test_a_state_is_that_of_its_component(open_page, tmp_path):
    url = history(tmp_path)
    with open_stores(url, read_only=False) as stores:
        stores.events.append(event(id="b", instance_id="i3", component_name="Bank", persisted_at=START + 10_000))

    both = open_page(url, "moment", at=iso(10_000), machine="Order", state="Paid")
    one = open_page(url, "moment", at=iso(10_000), machine="Order", state="Paid", machine_component="Bank")

    assert set(table(both, "Instances as of the moment")["instance"]) == {"i1", "i3"}
    assert set(table(one, "Instances as of the moment")["instance"]) == {"i3"}


def test_a_moment_before_the_first_event_is_empty_and_says_so(open_page, tmp_path):
    app = open_page(history(tmp_path), "moment", at=iso(-1_000))

    assert not app.exception
    assert says(app, "No instance is found here as of this moment.")


def test_what_is_no_time_is_ignored_and_said(open_page, demo_url):
    app = open_page(demo_url, "moment", at="yesterday")

    assert not app.exception
    assert any("is not a time" in item.value for item in app.warning)


def test_an_empty_store_says_what_to_do(open_page, empty_url):
    assert any("no events yet" in item.value for item in open_page(empty_url, "moment").info)


def test_stored_text_is_text(open_page, hostile_url):
    app = open_page(hostile_url, "moment")

    assert not app.exception
    states = table(app, "Instances by state, then and now")
    assert len(states)
    for item in (*app.markdown, *app.caption, *app.info):
        assert "<img" not in item.value.replace("\\<", "")
