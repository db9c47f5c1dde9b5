from __future__ import annotations

import json
from typing import Any

import altair
import pytest

from tests.browser.examples import HOSTILE
from xcstore.render.charts import count_bars, events_over_time, time_bar
from xcstore.render.theme import ACCENTS, SPENT, STATUSES
from xcstore.units import DAY, HOUR, MAX_UTC


def spec_of(chart: dict[str, object]) -> Any:
    """As the browser receives it; altair's copy of the Vega-Lite schema says whether it is one."""
    altair.Chart.from_dict(chart)
    return json.loads(json.dumps(chart))


def test_bars_stand_at_the_wall_clock_of_the_zone() -> None:
    spec = spec_of(events_over_time([(0, "Orders", 3)], bucket_ms=HOUR, zone="Europe/Berlin"))
    (row,) = spec["data"]["values"]
    assert (row["from"], row["to"], row["count"]) == (HOUR, 2 * HOUR, 3)
    assert row["when"] == "1970-01-01 01:00:00 – 1970-01-01 02:00:00"
    assert spec["encoding"]["x"]["scale"] == {"type": "utc"}


def test_components_have_the_colours_that_diagrams_give_them() -> None:
    spec = spec_of(events_over_time([(0, "b", 1), (0, "a", 1)], bucket_ms=HOUR, dark=True))
    scale = spec["encoding"]["color"]["scale"]
    assert scale["domain"] == ["a", "b"]
    assert scale["range"] == [ACCENTS[0].dark, ACCENTS[1].dark]


def test_components_stand_on_one_another_in_each_stretch_of_time() -> None:
    rows = spec_of(events_over_time([(0, "b", 2), (0, "a", 3), (HOUR, "b", 1)], bucket_ms=HOUR))["data"]["values"]
    assert [(row["component"], row["low"], row["high"]) for row in rows] == [("a", 0, 3), ("b", 3, 5), ("b", 0, 1)]


def test_events_outside_the_calendar_are_counted_not_hidden() -> None:
    spec = spec_of(events_over_time([(MAX_UTC + 5, "a", 2), (10**30, "a", 1), (0, "a", 1)], bucket_ms=HOUR))
    assert len(spec["data"]["values"]) == 1
    assert spec["title"]["subtitle"].startswith("3 events at times outside the calendar")


@pytest.mark.parametrize("chart", [events_over_time([(0, "a", 1)], bucket_ms=HOUR), count_bars([("a", 1)])])
def test_a_chart_names_no_other_place(chart: dict[str, object]) -> None:
    assert "http" not in json.dumps(chart)
    assert "url" not in json.dumps(chart)


def test_known_names_have_mark_and_colour_of_the_theme() -> None:
    spec = spec_of(count_bars([("error", 4), ("odd", 1)], looks=STATUSES))
    first, second = spec["data"]["values"]
    assert (first["name"], first["colour"]) == ("✕ error", STATUSES["error"].light)
    assert second["name"] == "odd"


def test_empty_charts_are_charts() -> None:
    spec_of(events_over_time([], bucket_ms=HOUR))
    spec_of(count_bars([]))


def test_a_hostile_name_cannot_leave_its_literal_in_an_expression() -> None:
    names = [*HOSTILE, "'+alert(1)+'", "\\'", "]"]
    spec = spec_of(count_bars([(name, 1) for name in names]))
    expression = spec["encoding"]["y"]["axis"]["labelExpr"]
    assert expression.count("'") == 2 * len(names)
    assert not set(expression) & set('<>(){}+$`"\n')


def test_the_parts_of_a_time_bar_stand_one_after_the_other_with_their_words() -> None:
    spec = spec_of(time_bar([("working", HOUR, "a"), ("timer", 2 * HOUR, "b"), ("working", 1, "c")], looks=SPENT))
    rows = spec["data"]["values"]
    assert [(row["from"], row["to"], row["label"]) for row in rows] == [
        (0, HOUR, "1 h"),
        (HOUR, 3 * HOUR, "2 h"),
        (3 * HOUR, 3 * HOUR + 1, ""),
    ]
    scale = spec["layer"][0]["encoding"]["color"]["scale"]
    assert scale["domain"] == ["▶ working", "◷ waiting for a timer"]
    assert scale["range"] == [SPENT["working"].light, SPENT["timer"].light]


@pytest.mark.parametrize("total", [0, 1, 7, 999, 60_000, HOUR, 40 * DAY, 9_000 * DAY, 2**63])
def test_a_time_bar_has_a_few_round_marks_whatever_its_length(total: int) -> None:
    marks = spec_of(time_bar([("event", total, "x")], looks=SPENT))["layer"][0]["encoding"]["x"]["axis"]["values"]
    assert marks[0] == 0
    assert 1 <= len(marks) <= 6
    assert marks[-1] <= total


def test_hostile_text_in_a_time_bar_is_visible_text() -> None:
    for text in HOSTILE:
        (row,) = spec_of(time_bar([("event", 5, text)], looks=SPENT))["data"]["values"]
        assert row["what"].isprintable()
