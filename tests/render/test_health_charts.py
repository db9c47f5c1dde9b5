"""The charts of the Health page."""

from __future__ import annotations

import json
from typing import Any

import altair

from xcstore.render.charts import day_bars, latency_points
from xcstore.render.theme import ACCENTS
from xcstore.units import DAY


def spec_of(chart: dict[str, object]) -> Any:
    """As the browser receives it; altair's copy of the Vega-Lite schema says whether it is one."""
    altair.Chart.from_dict(chart)
    return json.loads(json.dumps(chart))


def test_a_day_is_one_bar_of_the_utc_calendar() -> None:
    rows = spec_of(day_bars([(0, 3), (DAY, 0)]))["data"]["values"]

    assert [(row["from"], row["to"], row["count"], row["day"]) for row in rows] == [
        (0, DAY, 3, "1970-01-01"),
        (DAY, 2 * DAY, 0, "1970-01-02"),
    ]


def test_calls_run_towards_now_and_the_limit_is_a_line() -> None:
    rule, marks = spec_of(latency_points([(30.0, "find", "question", 2.5)], limit_ms=100))["layer"]

    assert rule["data"]["values"] == [{"ms": 100}]
    assert marks["data"]["values"] == [{"ago": -30.0, "what": "find", "kind": "question", "ms": 2.5}]
    assert marks["encoding"]["y"]["scale"] == {"type": "log"}


def test_what_took_no_time_has_a_place_on_the_logarithmic_scale() -> None:
    rule, marks = spec_of(latency_points([(0.0, "find", "question", 0.0)], limit_ms=0))["layer"]

    assert rule["data"]["values"][0]["ms"] > 0
    assert marks["data"]["values"][0]["ms"] > 0


def test_questions_and_writes_differ_in_shape_and_keep_their_colours_alone_and_together() -> None:
    def looks(*kinds: str, dark: bool = False) -> dict[str, tuple[str, str]]:
        points = [(0.0, "x", kind, 1.0) for kind in kinds]
        encoding = spec_of(latency_points(points, limit_ms=1, dark=dark))["layer"][1]["encoding"]
        colour, shape = encoding["color"]["scale"], encoding["shape"]["scale"]
        assert colour["domain"] == shape["domain"]
        return dict(zip(colour["domain"], zip(colour["range"], shape["range"], strict=True), strict=True))

    both = looks("write", "question")
    assert both["question"] == (ACCENTS[0].light, "circle")
    assert both["write"] == (ACCENTS[1].light, "triangle-up")
    assert looks("write")["write"] == both["write"]
    assert looks("write", dark=True)["write"] == (ACCENTS[1].dark, "triangle-up")
