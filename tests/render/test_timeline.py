from __future__ import annotations

import time
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from tests.browser.examples import HOSTILE, START, hostile_timeline, order_timeline, several_instances
from xcstore.render.drawing import Drawing
from xcstore.render.timeline import Interval, Link, Point, Snapshot, Timeline, draw_timeline
from xcstore.units import DAY, HOUR, MINUTE, SECOND

SVG = "{http://www.w3.org/2000/svg}"


def group(drawing: Drawing, name: str) -> ElementTree.Element:
    found = ElementTree.fromstring(drawing.svg).find(f".//*[@id='{name}']")
    assert found is not None
    return found


def by_class(drawing: Drawing, name: str) -> list[ElementTree.Element]:
    return [part for part in ElementTree.fromstring(drawing.svg).iter() if name in part.get("class", "").split()]


def title(part: ElementTree.Element) -> str:
    found = part.find(f"{SVG}title")
    return "" if found is None else found.text or ""


def stay(lane: str, start: int, end: int | None, **more: object) -> Interval:
    return Interval(lane=lane, state=lane, start_ms=start, end_ms=end, **more)  # type: ignore[arg-type]


def bar(part: ElementTree.Element) -> tuple[float, float]:
    rect = part.find(f"{SVG}rect[@class='bar']")
    assert rect is not None
    return float(rect.get("x", "")), float(rect.get("width", ""))


def test_bars_are_as_long_as_the_stay() -> None:
    drawing = draw_timeline(Timeline(intervals=(stay("A", 0, 1_000), stay("B", 1_000, 4_000))), width=1_000)
    (left_a, wide_a), (left_b, wide_b) = bar(group(drawing, "b0")), bar(group(drawing, "b1"))
    assert wide_b == pytest.approx(3 * wide_a, rel=0.01)
    assert left_b == pytest.approx(left_a + wide_a, abs=0.1)


def test_a_bar_says_its_state_how_long_and_from_when_to_when_in_the_zone() -> None:
    drawing = draw_timeline(Timeline(intervals=(stay("Paid", START, START + HOUR),)), width=900, zone="Europe/Berlin")
    assert title(group(drawing, "b0")).splitlines() == [
        "Paid",
        "regular · 1 h",
        "from 2026-02-25 07:13:20.000",
        "to 2026-02-25 08:13:20.000",
    ]


def test_a_stay_that_goes_on_reaches_now_and_says_so() -> None:
    timeline = Timeline(intervals=(stay("A", 0, None),), now_ms=5_000)
    part = group(draw_timeline(timeline, width=900), "b0")
    assert "open" in part.get("class", "")
    assert "5 s, still running" in title(part)


def test_long_idle_stretches_are_folded_and_labelled_with_their_length() -> None:
    quick = tuple(stay("A", at * SECOND, (at + 1) * SECOND) for at in range(5))
    later = tuple(stay("A", 3 * DAY + at * SECOND, 3 * DAY + (at + 1) * SECOND) for at in range(5))
    drawing = draw_timeline(Timeline(intervals=quick + later), width=1_000)
    (gap,) = by_class(drawing, "gap")
    assert title(gap).startswith("2 d 23 h idle")
    assert bar(group(drawing, "b0"))[1] > 50


def test_a_pause_for_which_there_is_room_keeps_its_true_length() -> None:
    moments = [*range(0, 20_000, 1_000), 36_000]
    timeline = Timeline(points=tuple(Point(id=str(at), label="x", at_ms=at) for at in moments))
    assert by_class(draw_timeline(timeline, width=1_000), "gap") == []


def test_forty_idle_stretches_leave_half_the_width_to_what_happened() -> None:
    intervals = tuple(stay("A", day * DAY + at, day * DAY + at + 100) for day in range(41) for at in (0, 100, 200, 300))
    drawing = draw_timeline(Timeline(intervals=intervals), width=1_000)
    gaps = by_class(drawing, "gap-band")
    assert len(gaps) == 40
    assert sum(float(gap.get("width", "")) for gap in gaps) < 500


def test_marks_that_would_hide_one_another_become_one_with_their_number() -> None:
    points = tuple(Point(id=f"e{n}", label="RETRY", at_ms=0) for n in range(12))
    far = Point(id="far", label="DONE", at_ms=1_000)
    drawing = draw_timeline(Timeline(points=(*points, far)), width=1_000)
    (crowd,) = by_class(drawing, "many")
    assert title(crowd).splitlines()[0] == "12 events"
    assert drawing.ids[crowd.get("id", "")] == "e0"
    assert "far" in drawing.ids.values()


def test_the_selected_event_stays_within_reach_in_a_crowd() -> None:
    points = tuple(Point(id=f"e{n}", label="RETRY", at_ms=0) for n in range(12))
    drawing = draw_timeline(Timeline(points=points), width=1_000, selected="e7")
    assert list(drawing.ids.values()) == ["e7"]


def test_a_thousand_even_events_are_all_counted_and_no_mark_hides_another() -> None:
    points = tuple(Point(id=f"e{n}", label="TICK", at_ms=n * 100) for n in range(1_000))
    drawing = draw_timeline(Timeline(points=points), width=1_000)
    marks = by_class(drawing, "point")
    numbers = [int(title(mark).split()[0].replace(",", "")) if "many" in mark.get("class", "") else 1 for mark in marks]
    places = sorted(float(dot.get("cx", "")) for dot in by_class(drawing, "dot"))
    assert sum(numbers) == 1_000
    assert min(b - a for a, b in pairwise(places)) >= 10


def test_wide_and_narrow_pictures_agree_on_ids() -> None:
    drawing = draw_timeline(order_timeline())
    narrow = draw_timeline(order_timeline(), width=860)
    assert drawing.alternatives[-1] == narrow.svg
    assert all(drawing.ids[name] == own for name, own in narrow.ids.items())


def test_snapshots_are_marked_on_the_axis_and_can_be_clicked() -> None:
    timeline = Timeline(intervals=(stay("A", 0, 1_000),), snapshots=(Snapshot(at_ms=500, id="snap"),))
    drawing = draw_timeline(timeline, width=900)
    assert drawing.ids["s0"] == "snap"
    assert title(group(drawing, "s0")).startswith("snapshot")


def test_a_lane_per_instance_names_the_state_in_the_bar() -> None:
    words = [part.text for part in by_class(draw_timeline(several_instances(), width=1_100), "bar-label")]
    assert "Running · 25 min" in words


def test_links_are_drawn_between_the_marks_of_their_events() -> None:
    edges = by_class(draw_timeline(several_instances(), width=1_100), "edge")
    kinds = [edge.get("class", "").split()[1] for edge in edges]
    assert kinds == ["edge-recorded", "edge-recorded", "edge-inferred", "edge-doubtful"]


def test_links_within_one_mark_are_not_drawn_and_parallel_ones_are_one() -> None:
    points = [Point(id=f"a{n}", label="A", at_ms=0) for n in range(3)] + [Point(id="b", label="B", at_ms=1_000)]
    links = (Link(source="a0", target="a1"), Link(source="a1", target="b"), Link(source="a2", target="b"))
    (edge,) = by_class(draw_timeline(Timeline(points=tuple(points), links=links), width=900), "edge")
    assert title(edge).splitlines() == ["recorded cause", "2 links"]


def test_where_colour_tells_the_component_the_kind_is_told_by_a_mark() -> None:
    signs = {part.get("class") for part in by_class(draw_timeline(several_instances(), width=1_100), "bar-sign")}
    assert {"bar-sign state-entry", "bar-sign state-final", "bar-sign state-error"} == signs


def test_the_day_is_written_where_it_changes_in_the_zone() -> None:
    late = 1_772_058_000_000  # 2026-02-25 22:20 UTC: 23:20 in Berlin
    drawing = draw_timeline(Timeline(intervals=(stay("A", late, late + 3 * HOUR),)), width=1_100, zone="Europe/Berlin")
    assert [part.text for part in by_class(drawing, "axis-day")] == ["2026-02-25", "2026-02-26"]


@pytest.mark.parametrize("span", [0, 1, 7, 950, 59 * SECOND, 3 * MINUTE, 5 * HOUR, 3 * DAY, 90 * DAY, 9_000 * DAY])
def test_ticks_are_few_and_do_not_overlap_at_any_span(span: int) -> None:
    timeline = Timeline(intervals=(stay("A", START, START + span),))
    labels = by_class(draw_timeline(timeline, width=1_100), "axis-label")
    places = [float(label.get("x", "")) for label in labels]
    assert 1 <= len(places) <= 14
    assert all(b - a > 30 for a, b in pairwise(places))


@pytest.mark.parametrize("at", [10**30, -(10**30), 0])
def test_times_outside_the_calendar_are_drawn_with_their_number(at: int) -> None:
    timeline = Timeline(
        intervals=(stay("A", at, at + 1_000),), points=(Point(id="p", label="x", at_ms=at),), now_ms=at + 2_000
    )
    drawing = draw_timeline(timeline, width=900, zone="Asia/Tokyo")
    ElementTree.fromstring(drawing.svg)
    assert at == 0 or f"epoch ms {at}" in title(group(drawing, "p0"))


def test_a_stay_that_ends_before_it_starts_is_drawn_with_its_negative_length() -> None:
    drawing = draw_timeline(Timeline(intervals=(stay("A", 5_000, 1_000),)), width=900)
    assert "−4 s" in title(group(drawing, "b0"))


def test_nothing_at_all_is_an_empty_picture() -> None:
    drawing = draw_timeline(Timeline())
    assert drawing.ids == {}
    ElementTree.fromstring(drawing.svg)


def test_hostile_text_is_shown_as_text() -> None:
    drawing = draw_timeline(hostile_timeline())
    root = ElementTree.fromstring(drawing.svg)
    allowed = {f"{SVG}{name}" for name in ("svg", "g", "title", "rect", "path", "circle", "line", "text")}
    assert {part.tag for part in root.iter()} <= allowed
    assert len([part for part in root.iter() if part.get("class", "").startswith("lane")]) == len(HOSTILE)


def test_equal_timelines_give_equal_text() -> None:
    assert draw_timeline(order_timeline()) == draw_timeline(order_timeline())


def test_ten_thousand_events_are_drawn_in_a_moment_and_stay_small() -> None:
    points = tuple(Point(id=f"e{n}", label="TICK", at_ms=START + n * 997) for n in range(10_000))
    began = time.perf_counter()
    drawing = draw_timeline(Timeline(points=points))
    assert time.perf_counter() - began < 5
    assert len(drawing.svg) < 200_000
