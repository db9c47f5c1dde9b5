"""Vega-Lite specifications, as plain dictionaries for `st.vega_lite_chart`. Data inline, nothing loaded from anywhere.

    events_over_time(buckets, *, bucket_ms, zone='UTC', dark=False, height=180) -> dict
        Stacked bars: `buckets` is (start in epoch ms, component, count).
    count_bars(counts, *, looks=None, dark=False, noun='event') -> dict
        One horizontal bar per name, its number beside it: `counts` is (name, count), in the order to show.
    day_bars(days, *, dark=False, height=180) -> dict
        A bar for each UTC day: `days` is (start in epoch ms, events).
    latency_points(points, *, limit_ms, dark=False, height=200) -> dict
        A mark for each call, on a logarithmic scale: `points` is (seconds ago, what, kind, ms).
    time_bar(parts, *, looks, dark=False) -> dict
        What a stretch of time was spent on, one part after the other: `parts` is (kind, ms, what).

`dark` picks the row of colours (`st.context.theme.type == 'dark'`). Components keep the colours of the diagrams.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import tzinfo

from xcstore.render.labels import clean_zone, count_text, duration_text, moment_text, visible_text
from xcstore.render.theme import ACCENTS, STATE_KINDS, Look, accents, find_look
from xcstore.units import DAY, HOUR, MINUTE, SECOND, EpochMs, to_utc

__all__ = ["count_bars", "day_bars", "events_over_time", "latency_points", "time_bar"]

Spec = dict[str, object]
_NAME_LIMIT = 40
_INK = {False: "#3c4754", True: "#c5ced8"}


def events_over_time(
    buckets: Iterable[tuple[int, str, int]],
    *,
    bucket_ms: int,
    zone: str | tzinfo = "UTC",
    dark: bool = False,
    height: int = 180,
    components: Iterable[str] = (),
) -> Spec:
    """Events per stretch of `bucket_ms`, stacked by component; `components` are all of the store (`theme.accents`).

    Times that no calendar holds are not drawn, and the chart says how many events that leaves out.
    """
    where = clean_zone(zone)
    outside = 0
    drawn: list[tuple[int, str, int, int, int]] = []
    for start, component, count in buckets:
        left, right = _wall_clock(start, where), _wall_clock(start + bucket_ms, where)
        if left is None or right is None:
            outside += count
        else:
            drawn.append((start, component, count, left, max(right, left + 1)))
    numbers = accents((component for _, component, _, _, _ in drawn), components)
    # Stacked here: Vega-Lite stacks bars by category, and between two times it would have to guess their direction.
    tops: dict[int, int] = defaultdict(int)
    rows: list[dict[str, object]] = []
    for start, component, count, left, right in sorted(drawn, key=lambda row: (row[0], numbers[row[1]])):
        low = tops[start]
        tops[start] = low + count
        rows.append(
            {
                "from": left,
                "to": right,
                "low": low,
                "high": tops[start],
                "component": _name(component),
                "count": count,
                "when": f"{moment_text(start, where)} – {moment_text(start + bucket_ms, where)}",
            }
        )
    spec: Spec = {
        "data": {"values": rows},
        "config": _config(dark),
        "height": height,
        "mark": {"type": "rect", "x2Offset": -1},
        "encoding": {
            # Wall-clock time of the chosen zone on a UTC scale: Vega knows only UTC and the browser's own zone.
            "x": {
                "field": "from",
                "type": "temporal",
                "scale": {"type": "utc"},
                "axis": {
                    "title": None,
                    "grid": False,
                    "tickCount": 8,
                    "labelOverlap": True,
                    "labelExpr": _tick(rows),
                },
            },
            "x2": {"field": "to"},
            "y": {
                "field": "low",
                "type": "quantitative",
                "axis": {"title": None, "tickCount": 4, "tickMinStep": 1, "format": ",d"},
            },
            "y2": {"field": "high"},
            "color": {
                "field": "component",
                "type": "nominal",
                "scale": {
                    "domain": [_name(name) for name in numbers],
                    "range": [_colour(ACCENTS[number % len(ACCENTS)], dark) for number in numbers.values()],
                },
                "legend": {"title": None, "orient": "top", "columns": 6, "offset": 6} if len(numbers) > 1 else None,
            },
            "tooltip": [
                {"field": "when", "type": "nominal", "title": "when"},
                {"field": "component", "type": "nominal", "title": "component"},
                {"field": "count", "type": "quantitative", "title": "events", "format": ",d"},
            ],
        },
    }
    if outside:
        text = f"{count_text(outside, 'event')} at times outside the calendar not drawn"
        spec["title"] = {"text": "", "subtitle": text, "anchor": "start"}
    return spec


def count_bars(
    counts: Iterable[tuple[str, int]],
    *,
    looks: Mapping[str, Look] | None = None,
    dark: bool = False,
    noun: str = "event",
) -> Spec:
    """A bar for each name in the given order. `looks` (such as `theme.STATUSES`) gives known names their colour."""
    rows: list[dict[str, object]] = []
    for number, (name, count) in enumerate(counts):
        look = (looks or {}).get(name, STATE_KINDS["regular"])
        text = f"{look.mark} {_name(name)}" if looks and name in looks else _name(name)
        # The place keeps two names apart that look the same when shortened.
        rows.append({"place": number, "name": text, "count": count, "colour": _colour(look, dark)})
    y = {
        "field": "place",
        "type": "ordinal",
        "sort": None,
        "axis": {
            "title": None,
            "domain": False,
            "ticks": False,
            "labelLimit": 220,
            "labelExpr": f"{_quoted([str(row['name']) for row in rows])}[datum.value]",
        },
    }
    x = {"field": "count", "type": "quantitative", "axis": None}
    tooltip = [
        {"field": "name", "type": "nominal", "title": "name"},
        {"field": "count", "type": "quantitative", "title": f"{noun}s", "format": ",d"},
    ]
    return {
        "data": {"values": rows},
        "config": _config(dark),
        "height": {"step": 22},
        "encoding": {"y": y, "x": x, "tooltip": tooltip},
        "layer": [
            {
                "mark": {"type": "bar", "cornerRadiusEnd": 2, "height": 14},
                "encoding": {"color": {"field": "colour", "type": "nominal", "scale": None}},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 5, "color": _INK[dark]},
                "encoding": {"text": {"field": "count", "type": "quantitative", "format": ",d"}},
            },
        ],
    }


def day_bars(days: Iterable[tuple[int, int]], *, dark: bool = False, height: int = 180) -> Spec:
    """Events of each UTC day. The days are of the backend's counting, so they do not follow the chosen zone."""
    rows: list[dict[str, object]] = [
        {"from": start, "to": start + DAY, "count": count, "day": moment_text(start)[:10]} for start, count in days
    ]
    return {
        "data": {"values": rows},
        "config": _config(dark),
        "height": height,
        "mark": {"type": "rect", "x2Offset": -2, "color": _colour(STATE_KINDS["regular"], dark)},
        "encoding": {
            "x": {
                "field": "from",
                "type": "temporal",
                "scale": {"type": "utc"},
                "axis": {"title": None, "grid": False, "tickCount": 8, "labelOverlap": True, "format": "%m-%d"},
            },
            "x2": {"field": "to"},
            "y": {
                "field": "count",
                "type": "quantitative",
                "axis": {"title": None, "tickCount": 4, "tickMinStep": 1, "format": ",d"},
            },
            "tooltip": [
                {"field": "day", "type": "nominal", "title": "day (UTC)"},
                {"field": "count", "type": "quantitative", "title": "events", "format": ",d"},
            ],
        },
    }


def latency_points(
    points: Iterable[tuple[float, str, str, float]], *, limit_ms: float, dark: bool = False, height: int = 200
) -> Spec:
    """Calls by how long ago they were and how long they took; a line is the limit from which they are slow.

    Kinds differ in shape and colour. What took no time at all is drawn at a microsecond: the scale has no zero.
    """
    rows: list[dict[str, object]] = [
        {"ago": -seconds, "what": what, "kind": kind, "ms": max(ms, 0.001)} for seconds, what, kind, ms in points
    ]
    kinds = sorted({str(row["kind"]) for row in rows})
    looks = {kind: ACCENTS[number % len(ACCENTS)] for number, kind in enumerate(("question", "write"))}
    shown = [looks.get(kind, STATE_KINDS["unknown"]) for kind in kinds]
    shape = {"question": "circle", "write": "triangle-up"}
    y = {
        "field": "ms",
        "type": "quantitative",
        "scale": {"type": "log"},
        "axis": {"title": "ms", "values": [10.0**power for power in range(-3, 6)], "format": "~g"},
    }
    return {
        "config": _config(dark),
        "height": height,
        "layer": [
            {
                "data": {"values": [{"ms": max(limit_ms, 0.001)}]},
                "mark": {"type": "rule", "strokeDash": [5, 4], "color": _INK[dark], "opacity": 0.6},
                "encoding": {"y": y},
            },
            {
                "data": {"values": rows},
                "mark": {"type": "point", "filled": True, "size": 36, "opacity": 0.75},
                "encoding": {
                    "x": {
                        "field": "ago",
                        "type": "quantitative",
                        "scale": {"zero": False, "nice": False},
                        "axis": {
                            "title": "seconds ago",
                            "grid": False,
                            "tickCount": 8,
                            "labelExpr": "format(-datum.value, ',.2~f')",
                        },
                    },
                    "y": y,
                    "color": {
                        "field": "kind",
                        "type": "nominal",
                        "scale": {"domain": kinds, "range": [_colour(look, dark) for look in shown]},
                        "legend": {"title": None, "orient": "top", "offset": 6},
                    },
                    "shape": {
                        "field": "kind",
                        "type": "nominal",
                        "scale": {"domain": kinds, "range": [shape.get(kind, "square") for kind in kinds]},
                        "legend": {"title": None, "orient": "top", "offset": 6},
                    },
                    "tooltip": [
                        {"field": "what", "type": "nominal", "title": "what"},
                        {"field": "ms", "type": "quantitative", "title": "ms", "format": ",.2f"},
                    ],
                },
            },
        ],
    }


def time_bar(parts: Iterable[tuple[str, int, str]], *, looks: Mapping[str, Look], dark: bool = False) -> Spec:
    """One bar, from left to right what the time was spent on; the word stands in the parts that have room for it."""
    rows: list[dict[str, object]] = []
    start = 0
    for kind, ms, what in parts:
        rows.append(
            {
                "from": start,
                "to": start + ms,
                "middle": start + ms / 2,
                "kind": find_look(looks, kind).text,
                "time": duration_text(ms),
                "what": visible_text(what, 200),
                "ms": ms,
            }
        )
        start += ms
    total = start
    for row in rows:
        row["label"] = row["time"] if total and int(str(row["ms"])) > total * 0.07 else ""
    shown = list(dict.fromkeys(str(row["kind"]) for row in rows))
    by_text = {look.text: look for look in looks.values()}
    marks = _duration_ticks(total)
    tooltip = [
        {"field": "kind", "type": "nominal", "title": "spent on"},
        {"field": "time", "type": "nominal", "title": "time"},
        {"field": "what", "type": "nominal", "title": "until"},
    ]
    x = {
        "field": "from",
        "type": "quantitative",
        "scale": {"domain": [0, max(total, 1)], "nice": False},
        "axis": {
            "title": None,
            "grid": False,
            "values": marks,
            "labelExpr": f"{_quoted([duration_text(mark) for mark in marks])}[indexof({marks}, datum.value)]",
            "labelFlush": True,
        },
    }
    return {
        "data": {"values": rows},
        "config": _config(dark),
        "height": 96,  # legend and axis included, as Streamlit fits charts into their box
        "layer": [
            {
                "mark": {"type": "rect", "x2Offset": -1, "cornerRadius": 1},
                "encoding": {
                    "x": x,
                    "x2": {"field": "to"},
                    "color": {
                        "field": "kind",
                        "type": "nominal",
                        "scale": {"domain": shown, "range": [_colour(by_text[text], dark) for text in shown]},
                        "legend": {"title": None, "orient": "top", "offset": 6, "symbolType": "square"},
                    },
                    "tooltip": tooltip,
                },
            },
            {
                "mark": {"type": "text", "color": "#10151b" if dark else "#ffffff"},
                "encoding": {
                    "x": {"field": "middle", "type": "quantitative"},
                    "text": {"field": "label", "type": "nominal"},
                    "tooltip": tooltip,
                },
            },
        ],
    }


def _duration_ticks(total: int) -> list[int]:
    """About five round lengths of time from 0 to `total`."""
    steps = [
        *(n * 10**power for power in range(3) for n in (1, 2, 5)),
        *(unit * n for unit in (SECOND, MINUTE) for n in (1, 2, 5, 10, 15, 30)),
        *(HOUR * n for n in (1, 2, 3, 6, 12)),
        *(DAY * n * 10**power for power in range(12) for n in (1, 2, 5)),  # stored times may be of any size
    ]
    step = next((step for step in steps if step * 5 >= total), steps[-1])
    return list(range(0, total + 1, step))


def _config(dark: bool) -> Spec:
    """Colours of axes and legend, so that a chart can be read with and without Streamlit's own chart theme."""
    rule = "#8b97a355"
    return {
        "background": "transparent",
        "view": {"stroke": None},
        "axis": {"labelColor": _INK[dark], "gridColor": rule, "domainColor": rule, "tickColor": rule},
        "legend": {"labelColor": _INK[dark]},
        "title": {"subtitleColor": _INK[dark]},
    }


def _tick(rows: list[dict[str, object]]) -> str:
    """Days as dates, hours by the 24-hour clock: Vega's own labels are American."""
    moments = [row["from"] for row in rows]
    numbers = [moment for moment in moments if isinstance(moment, int)]
    day = "%Y-%m-%d" if numbers and max(numbers) - min(numbers) > 300 * DAY else "%m-%d"
    clock = "utcFormat(datum.value, '%H:%M')"
    return f"{clock} == '00:00' ? utcFormat(datum.value, '{day}') : {clock}"


def _name(name: str) -> str:
    return visible_text(name, _NAME_LIMIT) or "(none)"


def _colour(look: Look, dark: bool) -> str:
    return look.dark if dark else look.light


def _wall_clock(moment: int, zone: tzinfo) -> int | None:
    utc = to_utc(EpochMs(moment))
    if utc is None:
        return None
    try:
        offset = utc.astimezone(zone).utcoffset()
    except OverflowError:
        return None
    return moment + (round(offset.total_seconds() * 1000) if offset else 0)


def _quoted(names: list[str]) -> str:
    """A list of string literals of Vega's expression language; stored text cannot end the literal."""
    plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_- "
    units = (name.encode("utf-16-be") for name in names)
    literals = [
        "".join(chr(unit) if chr(unit) in plain else f"\\u{unit:04x}" for unit in _pairs(encoded)) for encoded in units
    ]
    return "[" + ",".join(f"'{literal}'" for literal in literals) + "]"


def _pairs(encoded: bytes) -> Iterable[int]:
    return (int.from_bytes(encoded[at : at + 2], "big") for at in range(0, len(encoded), 2))
