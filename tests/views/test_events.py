"""The Events page in words."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from tests.factories import START, event
from xcstore.queries.events import EventDetail
from xcstore.store.base import Cursor, Page
from xcstore.units import MINUTE
from xcstore.views import events as views

TOKYO = ZoneInfo("Asia/Tokyo")


def test_a_row_tells_when_what_and_where_in_the_chosen_zone():
    row = views.table([event(id="e", persisted_at=START + 250)], TOKYO).iloc[0]

    assert row["stored"] == "2026-01-01 09:00:00.250"
    assert row["change"] == "Created → Paid"
    assert row["payload"] == "amount: 10"
    assert (row["odd"], row["causes"], row["id"]) == ("", 0, "e")


def test_an_odd_event_carries_the_mark():
    assert views.table([event(faults=("payload is not JSON",))], UTC).iloc[0]["odd"] == views.ODD


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"a": {"b": 1}, "c": [1, 2], "d": None, "e": True}, "a: {…}, c: [2], d: null, e: true"),
        ([1, 2, 3], "[3]"),
        ("text", "text"),
        (None, "null"),
        (0.5, "0.5"),
        ({}, ""),
        ({"a": "x\ny\u202e"}, "a: x↵y⟨U+202E⟩"),
    ],
)
def test_a_payload_of_any_kind_is_one_line_in_which_nothing_hides(payload, text):
    assert views.table([event(payload=payload)], UTC).iloc[0]["payload"] == text


def test_a_moment_that_no_calendar_reaches_is_shown_as_a_number():
    assert views.table([event(persisted_at=10**18)], UTC).iloc[0]["stored"] == f"epoch ms {10**18}"


def test_no_events_are_a_table_without_rows():
    table = views.table([], UTC)
    assert list(table.columns) == list(views.TABLE_COLUMNS)
    assert len(table) == 0


def page(count, *, more=False, searched_to=None):
    items = tuple(event(persisted_at=START - number * MINUTE) for number in range(count))
    return Page(items=items, next=Cursor("c") if more else None, searched_to=searched_to)


@pytest.mark.parametrize(
    ("found", "before", "total", "text"),
    [
        (page(100, more=True), 0, 250, "shown 1–100 of 250 events"),
        (page(50), 200, 250, "shown 201–250 of 250 events"),
        (page(0), 0, 0, "no events fit"),
        (page(0), 0, None, "no events fit"),
        (page(3), 0, None, "shown 1–3 of 3 events"),
        (page(3, more=True), 0, None, "shown 1–3 · searched back to 2025-12-31 23:58:00"),
        (
            page(1, more=True, searched_to=START - 60 * MINUTE),
            0,
            None,
            "shown 1–1 · searched back to 2025-12-31 23:00:00",
        ),
        (page(0, more=True, searched_to=START), 0, None, "none found yet · searched back to 2026-01-01 00:00:00"),
    ],
)
def test_how_much_is_shown_is_always_said(found, before, total, text):
    assert views.shown_text(found, before, total, UTC) == text


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("order.lines[0].sku", ("order", "lines", "0", "sku")),
        ("order.lines.0.sku", ("order", "lines", "0", "sku")),
        ("amount", ("amount",)),
        ("", ()),
        ("..", ()),
    ],
)
def test_a_payload_path_is_keys_joined_by_dots(text, path):
    assert views.parse_path(text) == path


@pytest.mark.parametrize("zone", [UTC, TOKYO])
@pytest.mark.parametrize("moment", [START, START + 1, START + 3_600_000 + 250, 0, 10**18, -(10**15)])
def test_a_moment_written_into_a_filter_reads_back_as_itself(moment, zone):
    assert views.moment_in(views.written_moment(moment, zone), zone) == moment


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "99:00", "1e5", "٣٣٣٣٣٣٣٣٣٣", "0001-01-01T00:00:00+14:00"]
)
def test_what_is_no_time_is_none(text):
    found = views.moment_in(text, UTC)
    assert found is None or isinstance(found, int)
    if not text.startswith("0001"):
        assert found is None


def test_an_event_in_full_tells_its_fields_and_its_neighbours():
    cause, effect = event(id="c", event_type="SUBMIT"), event(id="f", event_type="SHIP")
    shown = event(id="e", timestamp=START, persisted_at=START + 1_500, source_component_name="Web")
    detail = EventDetail(
        event=shown,
        document="{}",
        causes=(cause,),
        missing_causes=("gone\u202e",),
        effects=(effect,),
        more_effects=True,
    )
    view = views.build_event(detail, UTC)

    fields = dict(view.fields)
    assert fields["state"] == "Created → Paid"
    assert fields["made at"] == "2026-01-01 00:00:00.000, 1.5 s before"
    assert fields["from component"] == "Web"
    assert view.causes[0][0] == "c"
    assert view.causes[0][1].startswith("SUBMIT · Order · Created → Paid")
    assert view.missing_causes == ("gone⟨U+202E⟩",)
    assert view.more_effects


def test_what_is_not_recorded_is_said_to_be_so():
    detail = EventDetail(event=event(component_name="", timestamp=None), document="{}")

    fields = dict(views.build_event(detail, UTC).fields)
    assert fields["component"] == "not recorded"
    assert fields["made at"] == "not recorded"
