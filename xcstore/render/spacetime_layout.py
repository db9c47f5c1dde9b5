"""How far down each mark of a space-time diagram stands: `lay_out(picture) -> Layout`.

In order of time, a longer gap takes more room, by its logarithm; a gap much longer than the rest is cut to one fixed
height and labelled. In causal order every mark stands below all its causes. Positions are px, deterministic, and
take O(marks + arrows) besides one sort. How far to the right is up to who draws: lanes share the width there is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from math import log10
from typing import Final

import rustworkx as rx

from xcstore.render.labels import duration_text
from xcstore.render.spacetime import Arrow, SpaceTime
from xcstore.units import HOUR, MINUTE, SECOND

__all__ = ["ROW", "Break", "Layout", "lay_out"]

ROW: Final = 22
"""Least distance between two marks of one lane: a line of text."""
STEP: Final = 16
"""Least distance between an event and its cause, so that an arrow always points downwards."""
TOP: Final = 32
"""Room for the first day above its time."""
IDLE: Final = 40
"""Height of a gap that is cut."""
IDLE_FACTOR: Final = 20
"""A gap is cut where it is so many times the median gap; see `_idle_from`."""
FEW: Final = 12
NEAR: Final = 6
BOW: Final = 13
BESIDE: Final = 5
"""Between arrows that would cover one another."""


@dataclass(frozen=True, slots=True)
class Break:
    """A stretch without events, cut to a fixed height."""

    top: int
    bottom: int
    label: str
    """'2 d 4 h idle'"""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are, in px from the top."""

    y: tuple[int, ...]
    """Of each mark, as in `picture.marks`."""
    height: int
    breaks: tuple[Break, ...] = ()
    steps: tuple[int, ...] = ()
    """In causal order: the step of each mark, from 1. Else empty."""
    asides: tuple[int, ...] = ()
    """Where the label of each mark, right of it, is not struck out by arrows: higher (-1), beside it (0), lower (1)."""
    shifts: tuple[float, ...] = ()
    """How far each arrow stands aside, in px across its way: those of several kinds between the same marks are all
    to be seen."""
    bows: tuple[int, ...] = ()
    """How far down the middle of each arrow bends, in px, so that it does not run through an event between its ends,
    as if it were two arrows."""


def lay_out(picture: SpaceTime) -> Layout:
    """Place the marks of `picture`."""
    if not picture.marks:
        return Layout((), 2 * TOP)
    causes = _causes(picture)
    levels = _levels(causes)
    placed = _by_cause(picture, levels) if picture.order == "causal" else _by_time(picture, causes, levels)
    return replace(placed, asides=_asides(picture, placed.y), shifts=_shifts(picture), bows=_bows(picture, placed.y))


def _asides(picture: SpaceTime, ys: Sequence[int]) -> tuple[int, ...]:
    """Away from the arrows to the right: most lead down, from where they leave and to where they arrive."""
    above, below = set[int](), set[int]()
    for arrow in picture.arrows:
        if arrow.source < 0:
            continue
        left, right = sorted((arrow.source, arrow.target), key=lambda number: picture.marks[number].lane)
        if picture.marks[left].lane != picture.marks[right].lane:
            (above if ys[right] < ys[left] else below).add(left)
    return tuple(-1 if number in below else int(number in above) for number in range(len(ys)))


def _shifts(picture: SpaceTime) -> tuple[float, ...]:
    alike: dict[tuple[int, int], list[int]] = {}
    for number, arrow in enumerate(picture.arrows):
        alike.setdefault((arrow.source, arrow.target), []).append(number)
    shifts = [0.0] * len(picture.arrows)
    for numbers in alike.values():
        for place, number in enumerate(numbers):
            shifts[number] = BESIDE * (place - (len(numbers) - 1) / 2)
    return tuple(shifts)


def _bows(picture: SpaceTime, ys: Sequence[int]) -> tuple[int, ...]:
    columns: list[list[int]] = [[] for _ in picture.lanes]
    for mark, y in zip(picture.marks, ys, strict=True):
        columns[mark.lane].append(y)
    for column in columns:
        column.sort()

    def struck(arrow: Arrow) -> bool:
        if arrow.source < 0:
            return False
        left, right = sorted((arrow.source, arrow.target), key=lambda number: picture.marks[number].lane)
        first, last = picture.marks[left].lane, picture.marks[right].lane
        for lane in range(first + 1, last):
            y = ys[left] + (ys[right] - ys[left]) * (lane - first) / (last - first)
            place = bisect_left(columns[lane], y - NEAR)
            if place < len(columns[lane]) and columns[lane][place] <= y + NEAR:
                return True
        return False

    return tuple(BOW if struck(arrow) else 0 for arrow in picture.arrows)


def _causes(picture: SpaceTime) -> list[list[int]]:
    """What comes before each mark: its causes, and what its instance did before. Never a cycle.

    Links may contradict one another, as what is recorded can be wrong. Of those that lead round in a circle, the ones
    against the order of time do not count here; they are still drawn.
    """
    last: dict[tuple[int, str], int] = {}
    edges: list[tuple[int, int]] = []
    for number, mark in enumerate(picture.marks):
        before = last.get((mark.lane, mark.instance_id))
        if before is not None:
            edges.append((before, number))
        last[mark.lane, mark.instance_id] = number
    edges += [(arrow.source, arrow.target) for arrow in picture.arrows if arrow.source >= 0]
    if any(source >= target for source, target in edges):
        graph: rx.PyDiGraph[int, None] = rx.PyDiGraph()
        graph.add_nodes_from(range(len(picture.marks)))
        graph.add_edges_from_no_data(edges)
        group = [0] * len(picture.marks)
        for number, members in enumerate(rx.strongly_connected_components(graph)):
            for member in members:
                group[member] = number
        edges = [(source, target) for source, target in edges if source < target or group[source] != group[target]]
    causes: list[list[int]] = [[] for _ in picture.marks]
    for source, target in edges:
        causes[target].append(source)
    return causes


def _levels(causes: list[list[int]]) -> list[int]:
    """The length of the longest way to each mark, in arrows."""
    effects: list[list[int]] = [[] for _ in causes]
    waiting = [len(names) for names in causes]
    for target, names in enumerate(causes):
        for source in names:
            effects[source].append(target)
    levels = [0] * len(causes)
    ready = [number for number, count in enumerate(waiting) if not count]
    while ready:
        number = ready.pop()
        for effect in effects[number]:
            levels[effect] = max(levels[effect], levels[number] + 1)
            waiting[effect] -= 1
            if not waiting[effect]:
                ready.append(effect)
    return levels


def _passed(picture: SpaceTime) -> set[int]:
    """Marks above which there is to be room to say how many hidden events a way in the same lane passes."""
    marks = picture.marks
    return {
        arrow.target
        for arrow in picture.arrows
        if arrow.via and arrow.source >= 0 and marks[arrow.source].lane == marks[arrow.target].lane
    }


def _by_cause(picture: SpaceTime, levels: list[int]) -> Layout:
    ys = [0] * len(levels)
    top = TOP
    passed = _passed(picture)
    for _, same in groupby(sorted(range(len(levels)), key=lambda number: levels[number]), key=levels.__getitem__):
        stacked: dict[int, int] = {}
        here = list(same)
        top += 0 if passed.isdisjoint(here) else ROW
        for number in here:
            lane = picture.marks[number].lane
            ys[number] = top + ROW * stacked.get(lane, 0)
            stacked[lane] = stacked.get(lane, 0) + 1
        top += ROW * max(stacked.values()) + STEP // 2
    return Layout(tuple(ys), top + TOP, steps=tuple(level + 1 for level in levels))


def _by_time(picture: SpaceTime, causes: list[list[int]], levels: list[int]) -> Layout:
    marks = picture.marks
    idle_from = _idle_from(_gaps(picture))
    ys = [0] * len(marks)
    lowest: dict[int, int] = {}  # of each lane
    passed = _passed(picture)
    bottom, end = TOP - ROW, marks[0].at_ms
    breaks: list[Break] = []
    first = True
    for at, same in groupby(range(len(marks)), key=lambda number: marks[number].at_ms):
        gap = at - end
        if first:
            base, first = TOP, False
        elif gap >= idle_from:
            breaks.append(Break(bottom + ROW // 2, bottom + ROW // 2 + IDLE, f"{duration_text(gap)} idle"))
            base = bottom + ROW + IDLE
        else:
            base = bottom + round(6 + 7 * log10(1 + max(gap, 0)))
        together = sorted(same, key=lambda number: (levels[number], number))
        for number in together:
            mark = marks[number]
            y = max(base, lowest.get(mark.lane, -2 * ROW) + (2 * ROW if number in passed else ROW))
            for cause in causes[number]:
                # A cause in another lane; one that was stored later stands lower, and stays there.
                if marks[cause].at_ms <= at:
                    y = max(y, ys[cause] + STEP)
            ys[number] = lowest[mark.lane] = y
            bottom = max(bottom, y)
            end = max(end, at if mark.end_ms is None else mark.end_ms)
    return Layout(tuple(ys), bottom + TOP, tuple(breaks))


def _gaps(picture: SpaceTime) -> list[int]:
    gaps: list[int] = []
    end = picture.marks[0].at_ms
    for mark, following in pairwise(picture.marks):
        end = max(end, mark.at_ms if mark.end_ms is None else mark.end_ms)
        if following.at_ms > end:
            gaps.append(following.at_ms - end)
    return sorted(gaps)


def _idle_from(gaps: list[int]) -> int:
    """The shortest gap that is cut: much longer than the middle one, and a second at least.

    An hour always is, unless more than a fifth of the gaps are as long: then it is nothing special here.
    """
    if not gaps:
        return SECOND
    usual = MINUTE if len(gaps) <= FEW else max(HOUR, gaps[len(gaps) * 4 // 5])
    return max(SECOND, min(IDLE_FACTOR * gaps[(len(gaps) - 1) // 2], usual))
