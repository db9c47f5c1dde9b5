"""What one business key touched, as a picture and rows."""

from __future__ import annotations

from datetime import UTC

import pytest

from tests.queries.test_correlation import store_of_two_orders_and_an_article
from xcstore.queries.correlation import Correlation, correlation
from xcstore.units import EpochMs
from xcstore.views.correlation import CorrelationView, build, path_from_text, path_text

NOW = EpochMs(2_000_000_000_000)


def view_of(found: Correlation) -> CorrelationView:
    return build(found, lambda component, machine: None, now=NOW, zone=UTC)


def test_each_instance_has_a_lane_and_each_event_a_mark() -> None:
    view = view_of(correlation(store_of_two_orders_and_an_article(), "ORD-1"))

    assert [lane.split(" ")[0] for lane in view.timeline.lanes] == ["Order", "Article"]
    assert {point.id for point in view.timeline.points} == set(view.event_ids)
    assert [link.target for link in view.timeline.links] == [view.event_ids[-1]]
    assert view.instance_ids == ("order-1", "article")
    assert "2 instances · 2 components · 3 events" in view.summary


def test_what_is_only_touched_has_no_state_of_its_own_in_the_picture() -> None:
    view = view_of(correlation(store_of_two_orders_and_an_article(), "ORD-1"))

    assert {interval.lane.split(" ")[0] for interval in view.timeline.intervals} == {"Order"}
    assert view.instances[1]["State"] == ""
    assert any("only the events that do are shown" in note for note in view.notes)


def test_nothing_found_is_an_empty_view() -> None:
    view = view_of(Correlation(key="x", participants=(), links=()))

    assert (view.summary, view.instances, view.events, view.notes) == ("", (), (), ())


def test_where_it_was_looked_for_and_found_is_said() -> None:
    stores = store_of_two_orders_and_an_article()

    assert view_of(correlation(stores, "ORD-1")).where == "looked for anywhere in payloads; found at orderId (2 events)"
    assert view_of(correlation(stores, "ORD-1", ("orderId",))).where.startswith("looked for at orderId;")
    assert view_of(correlation(stores, "ORD-1")).paths == ("orderId",)


@pytest.mark.parametrize(
    "path",
    [
        ("orderId",),
        ("order", "id"),
        ("items", "0", "sku"),
        ("a.b", "c"),
        ("",),
        ("a", ""),
        ("[0]",),
        ('["a"]',),
        (" a ",),
        ("\u202etxet",),
        ("a\nb", "\ud800"),
        ("<img src=x onerror=alert(1)>",),
        (),
    ],
)
def test_a_path_is_read_back_as_it_was_written_whatever_its_keys_are(path: tuple[str, ...]) -> None:
    text = path_text(path)

    assert path_from_text(text) == path
    assert text.isprintable()


def test_a_path_that_a_person_writes_may_have_brackets_and_half_a_list_is_a_path_too() -> None:
    assert path_from_text("order.lines[0].sku") == ("order", "lines", "0", "sku")
    assert path_from_text('["a') == ('"a',)
    assert path_from_text("[1, 2]") == ("1, 2",)
