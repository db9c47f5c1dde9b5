"""What one business key touched, as a picture and rows."""

from __future__ import annotations

from datetime import UTC

from tests.queries.test_correlation import store_of_two_orders_and_an_article
from xcstore.queries.correlation import Correlation, correlation
from xcstore.units import EpochMs
from xcstore.views.correlation import CorrelationView, build

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
