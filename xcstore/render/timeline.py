"""When was what: intervals, events and snapshots on one time axis, idle stretches folded away.

    draw_timeline(timeline, *, width=None, zone='UTC', selected=None) -> Drawing

    Timeline(lanes=('Created', 'Paid'), intervals=(Interval(lane, state, start_ms, end_ms, ...), ...),
             points=(Point(id, label, at_ms, ...), ...), links=(Link(source, target), ...),
             snapshots=(Snapshot(at_ms, ...), ...), now_ms=None)

One lane per state tells the story of one instance; one lane per instance compares several. Pure: `now_ms` comes from
the caller. Times are epoch milliseconds of any size. Show it with `ui.viewer.show(drawing, fit='width', ...)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from itertools import pairwise
from statistics import median
from typing import Final
from xml.sax.saxutils import escape

from xcstore.render.diagram import LegendItem
from xcstore.render.drawing import Drawing, state_mark, tag, title
from xcstore.render.labels import (
    clean_zone,
    compact_count,
    count_text,
    duration_text,
    moment_text,
    text_width,
    visible_text,
)
from xcstore.render.theme import ACCENTS, EDGE_KINDS, STATE_KINDS, EdgeKind, StateKind
from xcstore.units import DAY, HOUR, MINUTE, SECOND, EpochMs, to_utc

__all__ = ["Interval", "Link", "Point", "Snapshot", "Timeline", "draw_timeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A stay in a state. `lane` is the row it is drawn in, usually the state or the instance."""

    lane: str
    state: str
    start_ms: int
    end_ms: int | None
    """None while it goes on."""
    kind: StateKind = "regular"
    id: str = ""
    """Own id for clicks; '' when it cannot be clicked."""
    accent: int | None = None
    """Colour of its component (`theme.accents`); None takes the colour of its kind."""
    group: str = ""
    """Name that goes with `accent` in the legend."""
    tooltip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """An event. With `lane` '' it is drawn in the row of events at the top."""

    id: str
    label: str
    at_ms: int
    lane: str = ""
    tooltip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An arrow from one event to another, by the ids of their points."""

    source: str
    target: str
    kind: EdgeKind = "recorded"
    tooltip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A mark on the axis: a snapshot was taken."""

    at_ms: int
    label: str = "snapshot"
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Rows in order, and what is in them. Intervals of a lane that is not in `lanes` get a row below."""

    lanes: tuple[str, ...] = ()
    intervals: tuple[Interval, ...] = ()
    points: tuple[Point, ...] = ()
    links: tuple[Link, ...] = ()
    """Links with an end that is not among the points are left out."""
    snapshots: tuple[Snapshot, ...] = ()
    now_ms: int | None = None
    """Up to where an open interval is drawn; the last moment known without it."""
    name: str = "timeline"


GAP_FACTOR: Final = 12
"""A stretch in which nothing happens can be folded when it is so many times the median stretch."""

_WIDTHS: Final = (1_700, 1_200, 860)
_ROW: Final = 30
_BAR: Final = 18
_EVENTS: Final = 36
_AXIS: Final = 40
_TOP: Final = 8
_RIGHT: Final = 26
_NEAR: Final = 9.5  # px; marks closer than this would hide one another
_CROWD: Final = 20.0
_GUTTER: Final = (90.0, 210.0)
_MOST_LINES: Final = 12


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of time drawn linearly; `idle` ones are folded to a fixed width."""

    start: int
    end: int
    left: float
    right: float
    idle: bool


def draw_timeline(
    timeline: Timeline, *, width: int | None = None, zone: str | tzinfo = "UTC", selected: str | None = None
) -> Drawing:
    """The picture of `timeline`; times in `zone`.

    `width` is in px. Without it several pictures are made, from wide to narrow pages, and the viewer chooses.
    `selected` is the id of the event that stays within reach where several are drawn as one mark.
    """
    if width is not None:
        return _draw(timeline, width, clean_zone(zone), selected)
    wide, *narrower = (_draw(timeline, width, clean_zone(zone), selected) for width in _WIDTHS)
    ids = {name: own for drawing in (*narrower, wide) for name, own in drawing.ids.items()}
    return replace(wide, ids=ids, alternatives=tuple(drawing.svg for drawing in narrower))


def _draw(timeline: Timeline, width: int, zone: tzinfo, selected: str | None) -> Drawing:
    named = (*(item.lane for item in timeline.intervals), *(point.lane for point in timeline.points if point.lane))
    lanes = list(dict.fromkeys([*timeline.lanes, *named]))
    gutter = min(max([text_width(visible_text(lane), 12) + 34 for lane in lanes] + [_GUTTER[0]]), _GUTTER[1])
    axis = _Axis(_moments(timeline), gutter, float(max(width, 320) - _RIGHT), zone)
    events_tall = _EVENTS if any(not point.lane for point in timeline.points) else 0
    rows = {lane: _TOP + events_tall + _ROW * number for number, lane in enumerate(lanes)}
    bottom = _TOP + events_tall + _ROW * len(lanes)
    ids: dict[str, str] = {}
    parts = [title([timeline.name])]
    parts += _bands(rows, timeline, gutter, width)
    parts += axis.ticks(_TOP, bottom)
    if timeline.now_ms is not None:
        x = axis.x(timeline.now_ms)
        parts.append(tag("line", {"class": "now", "x1": x, "x2": x, "y1": _TOP, "y2": bottom}))
    parts += _steps(timeline, rows, axis)
    end = timeline.now_ms if timeline.now_ms is not None else axis.end
    for number, interval in enumerate(timeline.intervals):
        parts.append(_bar(number, interval, rows[interval.lane], axis, end))
        if interval.id:
            ids[f"b{number}"] = interval.id
    # Over the bars, which look washed out where time is folded; under what is written on them.
    parts += axis.folds(_TOP, bottom)
    parts += [_bar_text(interval, rows[interval.lane], axis, end) for interval in timeline.intervals]
    # By identity: an id may occur twice in a damaged store.
    numbers = {id(point): number for number, point in enumerate(timeline.points)}
    spots: dict[str, tuple[float, float]] = {}
    marks: list[str] = []
    for lane in ["", *lanes]:
        middle = _TOP + _EVENTS / 2 if not lane else rows[lane] + _ROW - (_ROW - _BAR) / 2
        here = [point for point in timeline.points if point.lane == lane]
        for marked in _together(here, axis):
            own = next((point for point in marked if point.id == selected), marked[0])
            name = f"p{numbers[id(own)]}"
            ids[name] = own.id
            marks.append(_mark(name, marked, middle, axis, here if not lane else []))
            x = (axis.x(marked[0].at_ms) + axis.x(marked[-1].at_ms)) / 2
            spots.update((point.id, (x, middle)) for point in marked)
    parts += _arrows(timeline.links, spots)
    parts += marks
    for number, snapshot in enumerate(timeline.snapshots):
        parts.append(_snapshot(f"s{number}", snapshot, bottom, axis))
        if snapshot.id:
            ids[f"s{number}"] = snapshot.id
    tall = bottom + _AXIS
    attributes = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {width} {tall}"}
    svg = tag("svg", {**attributes, "width": width, "height": tall, "role": "group"}, "\n".join(parts))
    return Drawing(svg, ids, float(width), float(tall), _legend(timeline, axis))


def _idle(stretches: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """The stretches to fold: far longer than most, and longer than all that would be drawn without them.

    The second condition leaves a pause its true length where there is room for it: what is drawn linearly can be
    compared by eye.
    """
    typical = median(b - a for a, b in stretches)
    long = sorted((pair for pair in stretches if pair[1] - pair[0] > GAP_FACTOR * typical), key=lambda p: p[1] - p[0])
    shown = sum(b - a for a, b in stretches) - sum(b - a for a, b in long)
    for number, (a, b) in enumerate(long):
        if b - a > shown:
            return set(long[number:])
        shown += b - a
    return set()


def _moments(timeline: Timeline) -> list[int]:
    moments = {interval.start_ms for interval in timeline.intervals}
    moments |= {interval.end_ms for interval in timeline.intervals if interval.end_ms is not None}
    moments |= {point.at_ms for point in timeline.points} | {snapshot.at_ms for snapshot in timeline.snapshots}
    if timeline.now_ms is not None:
        moments.add(timeline.now_ms)
    return sorted(moments)


class _Axis:
    """From moments to px: linear pieces with folded idle stretches between them."""

    def __init__(self, moments: Sequence[int], left: float, right: float, zone: tzinfo) -> None:
        self.zone = zone
        self.left, self.right = left + 10, right
        self.start = moments[0] if moments else 0
        self.end = max(moments[-1] if moments else 0, self.start + 1)
        self.pieces = self._fold([*moments, self.end] if len(moments) > 1 else [self.start, self.end])

    def _fold(self, moments: Sequence[int]) -> list[_Piece]:
        stretches = [(a, b) for a, b in pairwise(moments) if b > a]
        idle = _idle(stretches)
        room = self.right - self.left
        fold = min(74.0, room * 0.5 / len(idle)) if idle else 0.0
        busy = sum(b - a for a, b in stretches if (a, b) not in idle)
        scale = (room - fold * len(idle)) / busy
        pieces: list[_Piece] = []
        x = self.left
        for a, b in stretches:
            quiet = (a, b) in idle
            to = x + (fold if quiet else (b - a) * scale)
            if pieces and not quiet and not pieces[-1].idle:
                last = pieces.pop()
                pieces.append(_Piece(last.start, b, last.left, to, False))
            else:
                pieces.append(_Piece(a, b, x, to, quiet))
            x = to
        return pieces

    def x(self, moment: int) -> float:
        """Where `moment` is, held within the axis."""
        moment = min(max(moment, self.start), self.end)
        piece = next((piece for piece in self.pieces if moment <= piece.end), self.pieces[-1])
        return piece.left + (piece.right - piece.left) * ((moment - piece.start) / (piece.end - piece.start))

    def folds(self, top: float, bottom: float) -> list[str]:
        """The folded stretches: a band with broken edges and how long it lasts."""
        parts = []
        for piece in (piece for piece in self.pieces if piece.idle):
            wide = piece.right - piece.left
            text = duration_text(piece.end - piece.start)
            span = f"{moment_text(piece.start, self.zone)} to {moment_text(piece.end, self.zone)}"
            inner = title([f"{text} idle: nothing was recorded", span])
            box = {"x": piece.left, "y": top, "width": wide, "height": bottom - top}
            inner += tag("rect", {"class": "gap-band", **box})
            for x in (piece.left, piece.right):
                inner += tag("path", {"class": "gap-edge", "d": _zigzag(x, top, bottom)})
            middle = (piece.left + piece.right) / 2
            if text_width(f"{text} idle", 10.5) <= wide + 8:
                inner += tag("text", {"class": "note middle", "x": middle, "y": bottom + 16}, escape(f"{text} idle"))
            inner += tag("rect", {"class": "hit", "x": piece.left, "y": bottom, "width": wide, "height": 24})
            parts.append(tag("g", {"class": "gap"}, inner))
        return parts

    def fold_labels(self) -> list[tuple[float, float, str]]:
        """Left, right and text of what stands under each folded stretch, where it fits."""
        labels = []
        for piece in (piece for piece in self.pieces if piece.idle):
            text = f"{duration_text(piece.end - piece.start)} idle"
            wide = text_width(text, 10.5)
            if wide <= piece.right - piece.left + 8:
                middle = (piece.left + piece.right) / 2
                labels.append((middle - wide / 2, middle + wide / 2, text))
        return labels

    def ticks(self, top: float, bottom: float) -> list[str]:
        """The axis: line, marks at round times of the zone, the day where it changes, idle times."""
        line = {"class": "axis-line", "x1": self.left - 10, "x2": self.right + 10, "y1": bottom, "y2": bottom}
        parts = [tag("line", line)]
        taken = self.fold_labels()
        day = ""
        day_edge = float("-inf")
        for piece in (piece for piece in self.pieces if not piece.idle):
            for moment in self._round_times(piece):
                x = piece.left + (piece.right - piece.left) * ((moment - piece.start) / (piece.end - piece.start))
                text, date = self._tick_text(moment, piece)
                wide = text_width(text, 11)
                if any(x - wide / 2 < right + 6 and x + wide / 2 > left - 6 for left, right, _ in taken):
                    continue
                if x - wide / 2 < self.left - 30 or x + wide / 2 > self.right + 24:
                    continue
                taken.append((x - wide / 2, x + wide / 2, text))
                parts.append(tag("line", {"class": "grid", "x1": x, "x2": x, "y1": top, "y2": bottom}))
                parts.append(tag("text", {"class": "axis-label middle", "x": x, "y": bottom + 16}, escape(text)))
                if date != day and x - wide / 2 > day_edge:
                    parts.append(tag("text", {"class": "axis-day", "x": x - wide / 2, "y": bottom + 31}, escape(date)))
                    day, day_edge = date, x - wide / 2 + text_width(date, 11) + 8
        parts.append(tag("text", {"class": "note", "x": 10, "y": bottom + 16}, escape(str(self.zone))))
        return parts

    def _round_times(self, piece: _Piece) -> list[int]:
        wide = piece.right - piece.left
        if wide < 70:
            return [piece.start]
        step = next((step for step in _STEPS if (piece.end - piece.start) / step * 84 <= wide), None)
        if step is None:  # longer than calendars reach
            return [piece.start, piece.end]
        shift = _offset_ms(piece.start, self.zone)
        first = -(-(piece.start + shift) // step) * step - shift
        return list(range(first, piece.end + 1, step)) or [piece.start]

    def _tick_text(self, moment: int, piece: _Piece) -> tuple[str, str]:
        text = moment_text(moment, self.zone, millis=True)
        if " " not in text or text.startswith("epoch"):
            return text, ""
        date, clock = text.split(" ")
        span = piece.end - piece.start
        if span >= 4 * DAY:
            return date[5:], date[:4]
        if clock.endswith(":00.000") and span >= 2 * MINUTE:
            return clock[:5], date
        return (clock[:8] if clock.endswith(".000") or span >= 5 * SECOND else clock), date


_STEPS: Final = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(n * SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * HOUR for n in (1, 2, 3, 6, 12)),
    *(n * DAY for n in (1, 2, 7, 14, 28, 91, 182, 365, 1826, 3652, 36524, 365240)),
)


def _offset_ms(moment: int, zone: tzinfo) -> int:
    utc = to_utc(EpochMs(moment))
    if utc is None:
        return 0
    try:
        offset = utc.astimezone(zone).utcoffset()
    except OverflowError:
        return 0
    return round(offset.total_seconds() * 1000) if offset else 0


def _zigzag(x: float, top: float, bottom: float) -> str:
    points = [f"M{x:.1f} {top:.1f}"]
    y, side = top, 2.0
    while y < bottom:
        y = min(y + 5, bottom)
        points.append(f"L{x + side:.1f} {y:.1f}")
        side = -side
    return "".join(points)


def _bands(rows: dict[str, int], timeline: Timeline, gutter: float, width: int) -> list[str]:
    parts = []
    first: dict[str, Interval] = {}
    for interval in timeline.intervals:
        first.setdefault(interval.lane, interval)
    if any(not point.lane for point in timeline.points):
        parts.append(tag("text", {"class": "note", "x": 10, "y": _TOP + _EVENTS / 2 + 4}, "events"))
    for number, (lane, y) in enumerate(rows.items()):
        if number % 2 == 0:
            parts.append(tag("rect", {"class": "row-band", "x": 0, "y": y, "width": width, "height": _ROW}))
        # The row is one state's when it is named after it; then its kind's mark stands before the name.
        kind = first[lane].kind if lane in first and first[lane].state == lane else None
        inner = title([lane, STATE_KINDS[kind].word if kind is not None and kind in STATE_KINDS else ""])
        if kind is not None:
            inner += state_mark(kind, 15, y + _ROW / 2)
        at = {"class": "row-label", "x": 26 if kind is not None else 10, "y": y + _ROW / 2 + 4}
        inner += tag("text", at, escape(_fitting(visible_text(lane, 200), gutter - 32, 12)))
        name = f"lane state-{kind}" if kind in STATE_KINDS else "lane"
        parts.append(tag("g", {"class": name}, inner))
    return parts


def _fitting(text: str, room: float, size: float) -> str:
    """`text`, cut with an ellipsis to fit `room` px; '' where not even a few characters do."""
    if text_width(text, size) <= room:
        return text
    while text and text_width(text + "…", size) > room:
        text = text[: int(len(text) * 0.9)] if len(text) > 40 else text[:-1]
    return text.rstrip() + "…" if len(text) > 3 else ""


def _steps(timeline: Timeline, rows: dict[str, int], axis: _Axis) -> list[str]:
    """Thin lines from the end of one stay to the start of the next, where they meet in time."""
    parts = []
    for a, b in pairwise(timeline.intervals):
        if a.lane != b.lane and a.end_ms == b.start_ms and a.state == a.lane and b.state == b.lane:
            x = axis.x(b.start_ms)
            ends = {"y1": rows[a.lane] + _ROW / 2, "y2": rows[b.lane] + _ROW / 2}
            parts.append(tag("line", {"class": "link", "x1": x, "x2": x, **ends}))
    return parts


def _bar(number: int, interval: Interval, top: float, axis: _Axis, end: int) -> str:
    running = interval.end_ms is None
    until = max(end, interval.start_ms) if interval.end_ms is None else interval.end_ms
    left, right = axis.x(min(interval.start_ms, until)), axis.x(max(interval.start_ms, until))
    wide = max(right - left, 3.0)
    kind = interval.kind if interval.kind in STATE_KINDS else "unknown"
    lasted = duration_text(until - interval.start_ms)
    lines = [
        interval.state or "(no state)",
        f"{STATE_KINDS[kind].word} · {lasted}{', still running' if running else ''}",
        f"from {moment_text(interval.start_ms, axis.zone, millis=True)}",
        "" if running else f"to {moment_text(interval.end_ms, axis.zone, millis=True)}",
        *interval.tooltip.splitlines(),
    ]
    y = top + (_ROW - _BAR) / 2
    inner = title(lines)
    inner += tag("rect", {"class": "bar", "x": left, "y": y, "width": wide, "height": _BAR, "rx": min(3.0, wide / 2)})
    inner += tag("rect", {"class": "bar-cap", "x": left, "y": y, "width": min(3.0, wide), "height": _BAR, "rx": 1.5})
    classes = ["stay", f"state-{kind}"] + (["open"] if running else [])
    if interval.accent is not None:
        classes += ["accented", f"accent-{interval.accent % len(ACCENTS)}"]
    return tag("g", {"id": f"b{number}", "class": " ".join(classes)}, inner)


def _bar_text(interval: Interval, top: float, axis: _Axis, end: int) -> str:
    """How long it lasted, and the state where the lane does not say it; '' where there is no room."""
    until = max(end, interval.start_ms) if interval.end_ms is None else interval.end_ms
    left, right = axis.x(min(interval.start_ms, until)), axis.x(max(interval.start_ms, until))
    own_lane = interval.state == interval.lane
    lasted = duration_text(until - interval.start_ms)
    text = lasted if own_lane else f"{visible_text(interval.state, 80)} · {lasted}"
    room = right - left - 14
    # Where colour tells the component, the kind of state is told by its mark.
    sign = interval.accent is not None and not own_lane and interval.kind in ("entry", "final", "error", "unknown")
    shift = 14 if sign and room > 14 else 0
    if text_width(text, 11) > room - shift:
        text = "" if own_lane else _fitting(visible_text(interval.state, 80), room - shift, 11)
    at = {"class": "bar-label", "x": left + 8 + shift, "y": top + (_ROW - _BAR) / 2 + 13}
    shown = tag("text", at, escape(text)) if text else ""
    if shift:
        kind = f"bar-sign state-{interval.kind}"
        shown += tag("g", {"class": kind}, state_mark(interval.kind, left + 13, top + _ROW / 2))
    return shown


def _together(points: Sequence[Point], axis: _Axis) -> Iterable[list[Point]]:
    """Points in order of time, those that would hide one another in one list."""
    marked: list[Point] = []
    start = last = 0.0
    crowded = False
    for point in sorted(points, key=lambda point: point.at_ms):  # stable: equal times keep the stream's order
        x = axis.x(point.at_ms)
        # A crowd takes in what is within _CROWD of its start, so that its number can be read.
        if marked and (x - last > _NEAR or x - start > _CROWD) and not (crowded and x - start <= _CROWD):
            yield marked
            marked, crowded = [], False
        if not marked:
            start = x
        else:
            crowded = True
        marked.append(point)
        last = x
    if marked:
        yield marked


def _mark(name: str, marked: list[Point], middle: float, axis: _Axis, row: Sequence[Point]) -> str:
    first, last = axis.x(marked[0].at_ms), axis.x(marked[-1].at_ms)
    x = (first + last) / 2
    if len(marked) == 1:
        point = marked[0]
        lines = [point.label or "(no type)", moment_text(point.at_ms, axis.zone, millis=True)]
        inner = title([*lines, *point.tooltip.splitlines()])
        inner += tag("circle", {"class": "dot", "cx": x, "cy": middle, "r": 3.5 if point.lane else 4.5})
        after = [axis.x(other.at_ms) for other in row if other.at_ms > point.at_ms]
        room = min(after, default=axis.right + 20) - x - 18
        if row and (shown := _fitting(visible_text(point.label, 200), min(room, 150.0), 11)):
            inner += tag("text", {"class": "note", "x": x + 8, "y": middle + 4}, escape(shown))
    else:
        ends = (moment_text(point.at_ms, axis.zone, millis=True) for point in (marked[0], marked[-1]))
        span = " to ".join(ends)
        listed = [f"{visible_text(point.label, 80)}" for point in marked[:_MOST_LINES]]
        more = [f"and {count_text(len(marked) - _MOST_LINES)} more"] if len(marked) > _MOST_LINES else []
        inner = title([count_text(len(marked), "event"), span, *listed, *more])
        inner += tag("circle", {"class": "dot", "cx": x, "cy": middle, "r": 4 if marked[0].lane else 5})
        inner += tag("text", {"class": "many-count", "x": x, "y": middle - 8}, compact_count(len(marked)))
    inner += tag("circle", {"class": "hit", "cx": x, "cy": middle, "r": 8})
    return tag("g", {"id": name, "class": "point many" if len(marked) > 1 else "point"}, inner)


def _arrows(links: Sequence[Link], spots: dict[str, tuple[float, float]]) -> list[str]:
    """A curve for each link between different marks; links between the same two marks are one curve."""
    joined: dict[tuple[tuple[float, float], tuple[float, float], str], list[Link]] = {}
    for link in links:
        if link.source in spots and link.target in spots and spots[link.source] != spots[link.target]:
            joined.setdefault((spots[link.source], spots[link.target], link.kind), []).append(link)
    return [_arrow(start, end, same) for (start, end, _), same in joined.items()]


def _arrow(start: tuple[float, float], end: tuple[float, float], links: list[Link]) -> str:
    (x1, y1), (x2, y2) = start, end
    kind = links[0].kind if links[0].kind in EDGE_KINDS else "recorded"
    # Within a row the curve hangs below it; between rows it leaves and arrives upright, so that times stay readable.
    down = 1 if y2 >= y1 else -1
    bend = min(14 + abs(x2 - x1) * 0.08, 26.0) if y1 == y2 else max(abs(y2 - y1) * 0.5, 12.0)
    stop = y2 + 5 if y1 == y2 else y2 - 5 * down
    last = y2 + bend if y1 == y2 else y2 - bend * down
    d = f"M{x1:.1f} {y1:.1f}C{x1:.1f} {y1 + bend * down:.1f} {x2:.1f} {last:.1f} {x2:.1f} {stop:.1f}"
    tail = 6 if y1 == y2 else -6 * down
    head = f"{x2:.1f},{stop:.1f} {x2 - 3:.1f},{stop + tail:.1f} {x2 + 3:.1f},{stop + tail:.1f}"
    many = [count_text(len(links), "link")] if len(links) > 1 else []
    inner = title([EDGE_KINDS[kind].word, *many, *(line for link in links[:_MOST_LINES] for line in [link.tooltip])])
    inner += tag("path", {"class": "line", "d": d})
    return tag("g", {"class": f"edge edge-{kind}"}, inner + tag("polygon", {"class": "head", "points": head}))


def _snapshot(name: str, snapshot: Snapshot, bottom: float, axis: _Axis) -> str:
    x = axis.x(snapshot.at_ms)
    inner = title([snapshot.label, moment_text(snapshot.at_ms, axis.zone, millis=True)])
    inner += tag("path", {"d": f"M{x:.1f} {bottom - 6:.1f}l5 6l-5 6l-5 -6Z"})
    return tag("g", {"id": name, "class": "snapshot"}, inner)


def _legend(timeline: Timeline, axis: _Axis) -> tuple[LegendItem, ...]:
    # Where colour tells the component, a regular state has no sign of its own to explain.
    kinds = {interval.kind for interval in timeline.intervals if interval.accent is None or interval.kind != "regular"}
    items = [LegendItem("state", kind, look.word) for kind, look in STATE_KINDS.items() if kind in kinds]
    if timeline.points:
        items.append(LegendItem("note", "point", "event"))
    ids = {point.id for point in timeline.points}
    links = {link.kind for link in timeline.links if {link.source, link.target} <= ids}
    items += [LegendItem("edge", kind, look.word) for kind, look in EDGE_KINDS.items() if kind in links]
    groups = {item.accent % len(ACCENTS): item.group for item in timeline.intervals if item.accent is not None}
    items += [LegendItem("accent", str(accent), group) for accent, group in sorted(groups.items()) if group]
    if timeline.snapshots:
        items.append(LegendItem("note", "snapshot", "snapshot"))
    if any(piece.idle for piece in axis.pieces):
        items.append(LegendItem("note", "gap", "idle time, folded"))
    return tuple(items)
