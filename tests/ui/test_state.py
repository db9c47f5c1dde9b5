"""What the address may say, and what is made of it."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.factories import START
from xcstore.ui import state
from xcstore.units import EpochMs


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-01T00:00:00Z", START),
        ("2026-01-01T00:00:00.000Z", START),
        ("2026-01-01", START),
        ("2026-01-01 09:00:00+09:00", START),
        (str(START), START),
        ("-62135596800000", -62_135_596_800_000),
        ("yesterday", None),
        ("2026-99-01", None),
        ("", None),
        ("-", None),
        ("--123456", None),
        ("9" * 40, None),
    ],
)
def test_times_in_the_address_are_iso_or_milliseconds(text, moment):
    assert state.from_text(text) == moment


@pytest.mark.parametrize("moment", [0, START, START + 1, -1, 10**15, 253_402_300_799_999])
def test_a_time_written_into_the_address_reads_back_as_itself(moment):
    assert state.from_text(state.to_text(EpochMs(moment))) == moment


def page():
    import streamlit as st

    from xcstore.ui import state

    st.text(repr(state.text("machine")))
    st.text(repr(state.texts("type")))
    st.text(repr(state.components()))
    st.text(str(state.zone()))
    st.text(repr(list(state.take_notices())))


def shown(**params):
    app = AppTest.from_function(page)
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return [eval(item.value) if item.value[0] in "'\"([" else item.value for item in app.text]


def test_an_address_without_values_gives_empty_ones():
    assert shown() == ["", (), (), "UTC", []]


def test_values_come_back_as_they_are_written_and_none_is_the_component_without_name():
    assert shown(machine="Order & Co <b>", type=["A", "B"], component=["(none)", "Shop"], tz="Asia/Tokyo") == [
        "Order & Co <b>",
        ("A", "B"),
        ("", "Shop"),
        "Asia/Tokyo",
        [],
    ]


def test_a_value_that_cannot_be_right_is_left_out_and_said_once():
    machine, types, _, zone, notices = shown(machine="x\x00y", type=["A", "B" * 2_000], tz="Mars/Olympus")

    assert (machine, types, zone) == ("", ("A",), "UTC")
    assert len(notices) == 3
    assert not any("\x00" in notice for notice in notices)


def test_more_values_than_anybody_can_mean_are_cut_with_a_notice():
    _, types, _, _, notices = shown(type=[f"t{number}" for number in range(80)])

    assert len(types) == 50
    assert "80 values" in notices[0]


def address_page():
    import streamlit as st

    from xcstore.ui import widgets

    picked = widgets.choices("Machine", "m", "machine", [("Order", 3), ("Parcel", 2)])
    typed = widgets.line("Text", "t", "text")
    st.text(repr((picked, typed)))


def test_a_widget_follows_the_address_and_the_address_follows_the_widget():
    app = AppTest.from_function(address_page)
    app.query_params["machine"] = ["Order"]
    app.run()
    assert app.multiselect(key="m").value == ["Order"]

    app.multiselect(key="m").select("Parcel").run()
    assert app.query_params["machine"] == ["Order", "Parcel"]

    app.query_params["machine"] = ["Parcel"]  # as after the browser's back button
    app.run()
    assert app.multiselect(key="m").value == ["Parcel"]

    app.text_input(key="t").set_value("  x ").run()
    assert app.query_params["text"] == "x"
    app.text_input(key="t").set_value("").run()
    assert "text" not in app.query_params
