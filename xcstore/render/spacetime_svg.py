"""A space-time diagram as a file or in a notebook: `spacetime_svg(picture, mode='auto') -> str`.

The SVG stands alone: no script, no font, no style sheet from elsewhere; every text is escaped, shortened and without
hidden characters. Same picture, same text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import atan2, cos, degrees, hypot, sin
from typing import Final, Literal
from xml.sax.saxutils import escape

from xcstore.render.drawing import tag, title
from xcstore.render.labels import compact_count, count_text, moment_text, text_width, visible_text
from xcstore.render.spacetime import (
    ARROW_KINDS,
    MARK_WORDS,
    Arrow,
    Lane,
    Mark,
    SpaceTime,
    legend_kinds,
    mark_lines,
    via_text,
)
from xcstore.render.spacetime_layout import Layout, lay_out
from xcstore.render.theme import ACCENTS, EDGE_KINDS, PROVENANCES

__all__ = ["MAX_MARKS", "spacetime_svg"]

Mode = Literal["light", "dark", "auto"]

MAX_MARKS: Final = 2_000
"""Of a picture with more marks the first ones are drawn, and it says so: a notebook would choke on the rest."""

_AXIS: Final = 100
_HEAD: Final = 48
_FOOT: Final = 34
_INSET: Final = 26
_LANE: Final = (130.0, 250.0)
_RIGHT: Final = 16
_TICKS: Final = 28
_ASIDE: Final = 8
_LINE: Final = 13
_INKS: Final = {
    "ink": ("#1d2430", "#e3e7ec"),
    "paper": ("#ffffff", "#14181e"),
    "muted": ("#5d6571", "#a5adb8"),
    "rule": ("#d9dde3", "#343c47"),
    "soft": ("#f3f5f7", "#1e242c"),
}
_HUES: Final = {
    name: look for look, name in zip(ACCENTS, (f"a{number}" for number in range(len(ACCENTS))), strict=True)
}


def spacetime_svg(
    picture: SpaceTime, *, mode: Mode = "auto", width: int | None = None, max_marks: int = MAX_MARKS
) -> str:
    """The picture as SVG text.

    Parameters
    ----------
    mode : {'light', 'dark', 'auto'}
        Its colours; 'auto' follows the reader's system.
    width : int, optional
        In px; without it the lanes are as wide as their names and events need.
    max_marks : int
        Most marks to draw, from the top.
    """
    dropped = max(len(picture.marks) - max_marks, 0)
    picture = _first(picture, max_marks) if dropped else picture
    layout = lay_out(picture)
    lane = _lane_width(picture, width)
    wide = _AXIS + lane * max(len(picture.lanes), 1) + _RIGHT
    notes = list(picture.notes)
    if dropped:
        notes.insert(0, f"shown {len(picture.marks):,} of {count_text(len(picture.marks) + dropped, 'mark')}")
    tall = _HEAD + layout.height + _FOOT + (18 if notes else 0)
    at = _Places(picture, layout, lane)
    parts = [
        tag("style", {}, _style(mode)),
        tag("rect", {"class": "f-paper", "width": float(wide), "height": tall}),
        *_lanes(picture, at, layout.height),
        *_breaks(layout, wide),
        *_axis(picture, layout),
        *(_arrow(arrow, number, picture, at) for number, arrow in enumerate(picture.arrows)),
        *(_mark(mark, number, picture, at) for number, mark in enumerate(picture.marks)),
        *_legend(picture, tall - _FOOT / 2 - (18 if notes else 0), wide),
    ]
    if notes:
        text = escape(visible_text("; ".join(notes), 200))
        parts.append(tag("text", {"class": "t f-muted", "x": 12, "y": tall - 10}, text))
    return tag(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "class": f"xcs xcs-{mode}",
            "viewBox": f"0 0 {wide:.0f} {tall}",
            "width": round(wide),
            "height": tall,
            "role": "img",
            "font-family": "Source Sans, Source Sans Pro, Helvetica, Arial, sans-serif",
        },
        title([picture.name]) + "".join(parts),
    )


class _Places:
    """Where lanes and marks are."""

    def __init__(self, picture: SpaceTime, layout: Layout, lane: float) -> None:
        self.lane = lane
        self.x = [_AXIS + number * lane + _INSET for number in range(len(picture.lanes))]
        self.spots = [(self.x[mark.lane], float(_HEAD + y)) for mark, y in zip(picture.marks, layout.y, strict=True)]
        self.rank: list[int] = [0] * len(picture.marks)
        columns: dict[int, list[int]] = {}
        for number in sorted(range(len(picture.marks)), key=lambda number: self.spots[number][1]):
            column = columns.setdefault(picture.marks[number].lane, [])
            self.rank[number] = len(column)
            column.append(number)
        self.shift = layout.shifts
        self.bows = layout.bows
        self.labels = dict(self._labels(columns.values(), layout.asides))

    def _labels(self, columns: Iterable[list[int]], asides: Sequence[int]) -> Iterator[tuple[int, float]]:
        """How far from its mark, in px, each label stands that no other one is in the way of."""
        for column in columns:
            last = -99.0
            for number in column:
                y = self.spots[number][1]
                for aside in (asides[number] * _ASIDE, _ASIDE):
                    if y + aside - last >= _LINE:
                        last = y + aside
                        yield number, aside
                        break


def _first(picture: SpaceTime, most: int) -> SpaceTime:
    return replace(
        picture,
        marks=picture.marks[:most],
        arrows=tuple(arrow for arrow in picture.arrows if arrow.source < most and arrow.target < most),
    )


def _lane_width(picture: SpaceTime, width: int | None) -> float:
    if width is not None:
        return max((width - _AXIS - _RIGHT) / max(len(picture.lanes), 1), 24.0)
    labels = {visible_text(mark.label, 40) for mark in picture.marks}
    names = {visible_text(lane.label, 40) for lane in picture.lanes}
    widest = max((text_width(text, 12) for text in labels | names), default=0.0)
    return min(max(widest + _INSET + 40, _LANE[0]), _LANE[1])


def _style(mode: Mode) -> str:
    def colours(which: int) -> Iterator[str]:
        scope = f".xcs-{mode}"
        for name, shades in _INKS.items():
            yield f"{scope} .f-{name}{{fill:{shades[which]}}}{scope} .s-{name}{{stroke:{shades[which]}}}"
        for name, look in _HUES.items():
            shade = look.dark if which else look.light
            yield f"{scope} .f-{name}{{fill:{shade}}}{scope} .s-{name}{{stroke:{shade}}}"
        for kind in ARROW_KINDS:
            shade = PROVENANCES[kind].dark if which else PROVENANCES[kind].light
            yield f"{scope} .f-{kind}{{fill:{shade}}}{scope} .s-{kind}{{stroke:{shade}}}"

    text = "".join(colours(1 if mode == "dark" else 0)) + ".xcs .t{font-size:11px}.xcs .b{font-size:12px}"
    if mode == "auto":
        text += "@media (prefers-color-scheme:dark){" + "".join(colours(1)) + "}"
    return text


def _hue(lane: Lane) -> str:
    return "recorded" if lane.accent is None else f"a{lane.accent % len(ACCENTS)}"


def _lanes(picture: SpaceTime, at: _Places, height: int) -> Iterator[str]:
    for number, lane in enumerate(picture.lanes):
        x, left = at.x[number], _AXIS + number * at.lane
        hue = _hue(lane)
        room = at.lane - 14
        inner = title([lane.label, lane.sublabel, count_text(lane.count, "event")])
        inner += tag("rect", {"class": f"f-{hue}", "x": left, "y": _HEAD - 8, "width": at.lane - 6, "height": 2})
        name = escape(_fitting(lane.label, room, 12))
        inner += tag("text", {"class": "b f-ink", "font-weight": 600, "x": left + 2, "y": 18}, name)
        sub = escape(_fitting(lane.sublabel or count_text(lane.count, "event"), room, 11))
        inner += tag("text", {"class": "t f-muted", "x": left + 2, "y": 33}, sub)
        line = {"class": "s-rule", "x1": x, "x2": x, "y1": _HEAD, "y2": _HEAD + height}
        yield tag("line", line) + tag("g", {}, inner)
    for mark_lane, top, bottom in _lives(picture, at):
        life = {"class": f"s-{_hue(picture.lanes[mark_lane])}", "stroke-width": 3, "stroke-opacity": 0.28}
        yield tag("line", {**life, "x1": at.x[mark_lane], "x2": at.x[mark_lane], "y1": top, "y2": bottom})


def _lives(picture: SpaceTime, at: _Places) -> Iterator[tuple[int, float, float]]:
    """From where to where each instance acts."""
    found: dict[tuple[int, str], list[float]] = {}
    for mark, (_, y) in zip(picture.marks, at.spots, strict=True):
        found.setdefault((mark.lane, mark.instance_id), []).append(y)
    for (lane, _), ys in found.items():
        if len(ys) > 1:
            yield lane, min(ys), max(ys)


def _breaks(layout: Layout, wide: float) -> Iterator[str]:
    for gap in layout.breaks:
        top, height = _HEAD + gap.top + 5, gap.bottom - gap.top - 10
        box = {"class": "f-soft", "x": _AXIS, "y": top, "width": wide - _AXIS - _RIGHT, "height": height}
        words = {"class": "t f-muted", "x": _AXIS + _INSET + 12, "y": top + height / 2 + 4}
        yield tag("rect", box) + tag("text", words, escape(gap.label))


def _axis(picture: SpaceTime, layout: Layout) -> Iterator[str]:
    heading = "Causal order" if picture.order == "causal" else f"Time ({visible_text(picture.zone, 12)})"
    yield tag("text", {"class": "t f-muted", "x": _AXIS - 10, "y": 33, "text-anchor": "end"}, escape(heading))
    last, day = -_TICKS * 2, ""
    for number in sorted(range(len(picture.marks)), key=lambda number: (layout.y[number], number)):
        text = f"step {layout.steps[number]}" if layout.steps else ""
        text = text or moment_text(picture.marks[number].at_ms, picture.zone, millis=True)
        today, _, clock = text.partition(" ")
        dated = not layout.steps and clock[2:3] == ":"
        fresh = dated and today != day
        y = layout.y[number]
        if y - last < (_TICKS + 14 if fresh else _TICKS):
            continue
        last, day = y, today
        at = {"class": "t f-muted", "x": _AXIS - 10, "y": _HEAD + y + 4, "text-anchor": "end"}
        yield tag("text", at, escape(clock if dated else text))
        if fresh:
            yield tag("text", {**at, "class": "t f-ink", "y": _HEAD + y - 10}, escape(today))


def _mark(mark: Mark, number: int, picture: SpaceTime, at: _Places) -> str:
    x, y = at.spots[number]
    hue = _hue(picture.lanes[mark.lane])
    inner = title(mark_lines(mark, picture.zone))
    if mark.root:
        inner += tag("circle", {"class": "s-ink", "cx": x, "cy": y, "r": 9, "fill": "none", "stroke-width": 1.5})
    if mark.kind == "run":
        box = {"x": x - 13, "y": y - 8, "width": 26, "height": 16, "rx": 8}
        inner += tag("rect", {"class": f"f-paper s-{hue}", **box, "stroke-width": 1.4})
        words = {"class": "f-ink", "x": x, "y": y + 3.5, "text-anchor": "middle", "font-size": 10}
        inner += tag("text", words, f"×{compact_count(mark.count)}")
    elif mark.kind == "event":
        inner += tag("path", {"class": f"f-{hue}", "d": f"M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6Z"})
    else:
        looks = {"class": f"f-paper s-{hue}", "stroke-width": 1.5} if mark.kind == "timer" else {"class": f"f-{hue}"}
        inner += tag("circle", {**looks, "cx": x, "cy": y, "r": 5})
        if mark.kind == "timer":
            hands = {"class": f"s-{hue}", "d": f"M{x:.1f} {y - 3:.1f}V{y:.1f}H{x + 2.5:.1f}", "fill": "none"}
            inner += tag("path", hands)
    if number in at.labels:
        start = x + (18 if mark.kind == "run" else 12)
        room = at.lane - _INSET - 18
        name = _fitting(mark.label or "(no type)", room, 12)
        shown = {"class": "b f-ink s-paper", "paint-order": "stroke", "stroke-width": 5, "stroke-linejoin": "round"}
        weight = 700 if mark.root else 500
        inner += tag("text", {**shown, "font-weight": weight, "x": start, "y": y + at.labels[number] + 4}, escape(name))
    return tag("g", {}, inner)


def _arrow(arrow: Arrow, number: int, picture: SpaceTime, at: _Places) -> str:
    x2, y2 = at.spots[arrow.target]
    near = 10 if picture.marks[arrow.target].kind == "run" else 7
    kind, shift = arrow.kind, at.shift[number]
    line = {
        "class": f"s-{kind}",
        "fill": "none",
        "stroke-width": 1.25,
        "stroke-dasharray": EDGE_KINDS[kind].dash or None,
    }
    ghost = ""
    if arrow.source < 0:
        x1, y1 = x2 - 17, y2 - 12 + 2 * shift
        ring = {"class": f"f-paper s-{kind}", "cx": x1, "cy": y1, "r": 4, "stroke-dasharray": "2 2"}
        ghost = tag("circle", ring)
    else:
        x1, y1 = at.spots[arrow.source]
        if far := hypot(x2 - x1, y2 - y1):
            dx, dy = -(y2 - y1) / far * shift, (x2 - x1) / far * shift
            x1, y1, x2, y2 = x1 + dx, y1 + dy, x2 + dx, y2 + dy
    same = arrow.source >= 0 and picture.marks[arrow.source].lane == picture.marks[arrow.target].lane
    down = 1 if y2 >= y1 else -1
    bow = at.bows[number]
    if bow:
        middle = ((x1 + x2) / 2, (y1 + y2) / 2 + 2 * bow)
        angle = atan2(y2 - middle[1], x2 - middle[0])
        tip = (x2 - cos(angle) * near, y2 - sin(angle) * near)
        d = f"M{x1:.1f} {y1:.1f}Q{middle[0]:.1f} {middle[1]:.1f} {tip[0]:.1f} {tip[1]:.1f}"
    elif not same:
        angle = atan2(y2 - y1, x2 - x1)
        tip = (x2 - cos(angle) * near, y2 - sin(angle) * near)
        d = f"M{x1:.1f} {y1:.1f}L{tip[0]:.1f} {tip[1]:.1f}"
    elif arrow.source == arrow.target:
        angle, tip = -0.6, (x2 - 4.0, y2 + near - 1.0)
        one, two = f"{x1 - 20:.1f} {y1 - 16:.1f}", f"{x1 - 22:.1f} {y1 + 14:.1f}"
        d = f"M{x1 - 3:.1f} {y1 - near:.1f}C{one} {two} {tip[0]:.1f} {tip[1]:.1f}"
    elif abs(at.rank[arrow.source] - at.rank[arrow.target]) == 1:
        angle, tip = 1.5708 * down, (x2, y2 - near * down)
        d = f"M{x1:.1f} {y1:.1f}L{tip[0]:.1f} {tip[1]:.1f}"
    else:
        bend = min(8 + abs(y2 - y1) * 0.06, _INSET - 5.0)
        tip = (x2 - near * 0.75, y2 - near * 0.6 * down)
        angle = atan2(9 * down, bend * 0.8)
        one, two = f"{x1 - bend * 1.3:.1f} {y1 + 14 * down:.1f}", f"{x2 - bend * 1.3:.1f} {y2 - 14 * down:.1f}"
        d = f"M{x1 - 3:.1f} {y1 + 3 * down:.1f}C{one} {two} {tip[0]:.1f} {tip[1]:.1f}"
    inner = title(arrow.tooltip) + tag("path", {**line, "d": d}) + _head(tip, angle, kind) + ghost
    if arrow.via and hypot(x2 - x1, y2 - y1) > 30:
        words = {"class": f"f-{kind} s-paper", "paint-order": "stroke", "stroke-width": 3, "font-size": 10.5}
        place = {"x": x1 + 12 if same else (x1 + x2) / 2, "y": (y1 + y2) / 2 + bow + 3}
        words["text-anchor"] = "start" if same else "middle"
        inner += tag("text", {**words, **place}, escape(via_text(arrow.via)))
    return tag("g", {}, inner)


def _head(tip: tuple[float, float], angle: float, kind: str) -> str:
    turn = f"translate({tip[0]:.1f} {tip[1]:.1f}) rotate({degrees(angle):.1f})"
    return tag("path", {"class": f"f-{kind}", "d": "M0 0L-7 3L-7 -3Z", "transform": turn})


def _legend(picture: SpaceTime, y: float, wide: float) -> Iterator[str]:
    marks, arrows = legend_kinds(picture)
    signs = {"event": "◆", "created": "●", "timer": "◔", "run": "×N"}
    words = [f"{signs[kind]} {MARK_WORDS[kind]}" for kind in marks]
    x = 12.0
    yield tag("line", {"class": "s-rule", "x1": 0, "x2": float(wide), "y1": y - 14, "y2": y - 14})
    for text in words:
        yield tag("text", {"class": "t f-muted", "x": x, "y": y + 4}, escape(text))
        x += text_width(text, 11) + 14
    for kind in arrows:
        line = {
            "class": f"s-{kind}",
            "x1": x,
            "x2": x + 22,
            "y1": y,
            "y2": y,
            "stroke-dasharray": EDGE_KINDS[kind].dash or None,
        }
        yield tag("line", line) + _head((x + 28, y), 0, kind)
        yield tag("text", {"class": "t f-muted", "x": x + 33, "y": y + 4}, escape(EDGE_KINDS[kind].word))
        x += text_width(EDGE_KINDS[kind].word, 11) + 47


def _fitting(text: str, room: float, size: float) -> str:
    """As much of it as there is room for."""
    shown = visible_text(text, 80)
    if text_width(shown, size) <= room:
        return shown
    while shown and text_width(f"{shown}…", size) > room:
        shown = shown[:-1]
    return f"{shown.rstrip()}…"
