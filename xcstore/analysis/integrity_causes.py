"""What is wrong with recorded causes: missing, in a circle, too late, one-sided, or doubtful.

Links are resolved while events stream by: most causes lie a little before their effects, so a window of the last
pieces holds both ends with all their values, and there a link can be judged by `analysis.causality.doubts_of`. What is
not found in the window is looked up in the ids of the whole history at the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import rustworkx as rx

from xcstore.analysis.causality import DOUBTS, doubts_of
from xcstore.analysis.integrity_columns import History, Hit, Ints, light_events, look_up, whole
from xcstore.analysis.integrity_skew import Skew, tell_apart
from xcstore.model.catalog import Catalog
from xcstore.model.history import PersistedEvent

__all__ = ["Dangling", "Links"]

WINDOW: Final = 2
"""Pieces before the newest in which causes are looked for."""
_JUDGED: Final = tuple(kind for kind in DOUBTS if kind not in ("self", "cycle", "before"))
"""The others are findings of their own."""


@dataclass(frozen=True, slots=True)
class Dangling:
    """A cause that is not there."""

    effect: int
    """Position of the event that names it."""
    cause_id: str


@dataclass(slots=True)
class _Piece:
    start: int
    table: pa.Table
    ids: pa.Array


@dataclass(slots=True)
class Links:
    """All recorded links of a history. `add` each piece after `history.add`, then call `finish`."""

    history: History
    catalog: Catalog | None = None
    """To judge what definitions explain; None: that is not judged."""
    judge_doubts: bool = True
    cause: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    """Position of the cause of each link, whose effect stands at the same place in `effect`; sorted by effect."""
    effect: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    dangling: list[Dangling] = field(default_factory=list)
    far: list[tuple[int, int]] = field(default_factory=list)
    """Links between instances whose ends were never in the window together: to be judged with `judge`."""
    recorded: int = 0
    """Links that are recorded, those to nowhere included."""
    records_effects: int = 0
    """Events in which `caused` is recorded."""
    without: list[int] = field(default_factory=list)
    """Events that another component sent, and that have no cause."""
    _window: deque[_Piece] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _found: list[tuple[Ints, Ints]] = field(default_factory=list)
    _open: list[tuple[Ints, pa.Array]] = field(default_factory=list)
    _effects: list[tuple[Ints, pa.Array]] = field(default_factory=list)
    _doubtful: dict[tuple[int, int], tuple[str, ...]] = field(default_factory=dict)

    def add(self, table: pa.Table, start: int) -> None:
        """The next events, which `history` holds from position `start` on."""
        piece = _Piece(start, table, self.history.ids[-1])
        rows, ids = _listed(table["caused_by"])
        self.recorded += len(ids)
        here = self._resolve(rows, ids, piece)
        self._window.append(piece)
        if self.judge_doubts:
            self._judge_all(here, piece)
        rows, ids = _listed(table["caused"])
        if len(rows):
            self.records_effects += len(np.unique(rows))
            self._effects.append((rows + start, ids))
        self._note_missing(table, start)

    def finish(self) -> None:
        """Nothing comes any more: look up what is open."""
        self._window.clear()
        history = self.history
        for effects, ids in self._open:
            causes = history.positions(ids)
            lost = np.flatnonzero(causes < 0)
            self.dangling += map(Dangling, effects[lost].tolist(), ids.take(pa.array(lost)).to_pylist())
            there = causes >= 0
            self._found.append((causes[there], effects[there]))
            if self.judge_doubts:
                apart = there & (history.at[np.maximum(causes, 0)] <= history.at[effects])
                apart &= (history.instance[np.maximum(causes, 0)] != history.instance[effects]) | history.sent[effects]
                self.far += zip(causes[apart].tolist(), effects[apart].tolist(), strict=True)
        self._open.clear()
        if self._found:
            pairs = np.stack([np.concatenate(side) for side in zip(*self._found, strict=True)], axis=1)
            pairs = _unique(pairs)
            self.effect, self.cause = pairs[:, 0], pairs[:, 1]
        self._found.clear()

    def judge(self, link: tuple[int, int], cause: PersistedEvent, effect: PersistedEvent) -> None:
        """Look at one link whose ends are at hand."""
        doubts = doubts_of(cause, effect, self.catalog)
        if kinds := tuple(kind for kind in _JUDGED if kind in doubts):
            self._doubtful[link] = kinds

    def cycles(self) -> list[tuple[int, ...]]:
        """Groups of events that cause each other, each in order of time."""
        history = self.history
        cause, effect = self.cause, self.effect
        back = np.flatnonzero(history.at[effect] <= history.at[cause])
        if not len(back):
            return []
        # What goes up in time inside a circle comes down in it too, so only links inside the spans of those that
        # do not go forward can be part of one.
        span = _Spans(history.at[effect[back]], history.at[cause[back]])
        inside = np.flatnonzero(span.number(history.at[cause]) == span.number(history.at[effect]))
        inside = inside[span.number(history.at[cause[inside]]) >= 0]
        ends = np.stack([cause[inside], effect[inside]], axis=1)
        while len(ends):
            kept = ends[np.isin(ends[:, 0], ends[:, 1]) & np.isin(ends[:, 1], ends[:, 0])]
            if len(kept) > 0.9 * len(ends):  # what is left does not melt away any more
                break
            ends = kept
        names, found = np.unique(ends, return_inverse=True)
        nodes: Ints = found.reshape(ends.shape).astype(np.int64)
        graph: rx.PyDiGraph[None, None] = rx.PyDiGraph()
        graph.add_nodes_from([None] * len(names))
        graph.add_edges_from_no_data(list(zip(nodes[:, 0].tolist(), nodes[:, 1].tolist(), strict=True)))
        itself = set(ends[ends[:, 0] == ends[:, 1], 0].tolist())
        groups = [sorted(names[group].tolist()) for group in rx.strongly_connected_components(graph)]
        return sorted(tuple(group) for group in groups if len(group) > 1 or group[0] in itself)

    def too_early(self, rings: Sequence[tuple[int, ...]]) -> tuple[list[tuple[Skew, Hit]], list[Hit]]:
        """Skewed clocks, and effects before their causes; links inside a ring are told with it."""
        history = self.history
        left = np.flatnonzero(~self._in_ring(self.cause, self.effect, rings))
        cause, effect = self.cause[left], self.effect[left]
        gaps = history.at[effect] - history.at[cause]
        skews, violations = tell_apart(gaps, history.component[cause], history.component[effect])
        return (
            [
                (one, Hit(kind="clock_skew", at=(int(effect[one.worst]), int(cause[one.worst]))))
                for one in skews
            ],
            [
                Hit(kind="effect_before_cause", at=(int(effect[place]), int(cause[place])))
                for place in violations.tolist()
            ],
        )  # fmt: skip

    def doubtful(self, rings: Sequence[tuple[int, ...]]) -> Iterator[Hit]:
        """Links that cannot be right, or that nothing explains; those that are findings of another kind are not."""
        links = np.array(list(self._doubtful), np.int64).reshape(-1, 2)
        cause, effect = links[:, 0], links[:, 1]
        told = self._in_ring(cause, effect, rings) | (self.history.at[effect] < self.history.at[cause])
        order = np.lexsort((cause, effect))
        for place in order[~told[order]].tolist():
            link = (int(cause[place]), int(effect[place]))
            yield Hit(kind="doubtful_cause", at=(link[1], link[0]), case=self._doubtful[link][0])

    def asymmetric(self) -> Iterator[Hit | Dangling]:
        """Where an event records effects: those that do not name it, and others that do.

        Events that record none say nothing: most runtimes and layouts never record them.
        """
        history = self.history
        for events, ids in self._effects:
            effects = history.positions(ids)
            for place in np.flatnonzero(effects < 0).tolist():
                yield Dangling(int(events[place]), str(ids[place].as_py()))
        if not self._effects:
            return
        size = history.size
        events = np.concatenate([events for events, _ in self._effects])
        effects = np.concatenate([history.positions(ids) for _, ids in self._effects])
        said = np.unique((events * size + effects)[effects >= 0])
        speaks = np.isin(self.cause, events)
        named = np.unique((self.cause * size + self.effect)[speaks])
        for case, keys in (("unnamed", np.setdiff1d(said, named)), ("unsaid", np.setdiff1d(named, said))):
            for key in keys.tolist():
                yield Hit(kind="asymmetric_link", at=(key // size, key % size), case=case)

    def _resolve(self, rows: Ints, ids: pa.Array, piece: _Piece) -> list[tuple[Ints, Ints, _Piece]]:
        """Find causes in the window: (rows of effects, rows of causes, the piece of the causes)."""
        found = []
        for other in (piece, *reversed(self._window)):
            if not len(ids):
                break
            places = look_up(ids, other.ids)
            hit = places >= 0
            self._found.append((places[hit] + other.start, rows[hit] + piece.start))
            found.append((rows[hit], places[hit], other))
            rows, ids = rows[~hit], ids.filter(pa.array(~hit))
        if len(ids):
            self._open.append((rows + piece.start, ids))
        return found

    def _judge_all(self, found: Sequence[tuple[Ints, Ints, _Piece]], piece: _Piece) -> None:
        """Links between instances, and of what another component sent; of others nothing can be told."""
        sent = np.asarray(pc.is_valid(piece.table["source_component_name"]))
        for rows, places, other in found:
            mine, theirs = self.history.instances_of(piece.start), self.history.instances_of(other.start)
            apart = np.flatnonzero((mine[rows] != theirs[places]) | sent[rows])
            effects = light_events(piece.table, rows[apart])
            causes = light_events(other.table, places[apart])
            for cause, effect, row, place in zip(causes, effects, rows[apart], places[apart], strict=True):
                self.judge((int(place) + other.start, int(row) + piece.start), cause, effect)

    def _note_missing(self, table: pa.Table, start: int) -> None:
        sent = whole(pc.cast(table["source_component_name"], pa.string()))
        other = pc.not_equal(sent, whole(pc.cast(table["component_name"], pa.string())))
        none = pc.equal(pc.list_value_length(whole(table["caused_by"])), 0)
        given = pc.and_(pc.fill_null(other, False), pc.not_equal(pc.fill_null(sent, ""), ""))
        wanted = np.asarray(pc.and_(given, none).fill_null(False))
        self.without += (np.flatnonzero(wanted) + start).tolist()

    def _in_ring(self, cause: Ints, effect: Ints, rings: Sequence[tuple[int, ...]]) -> npt.NDArray[np.bool_]:
        if not rings:
            return np.zeros(len(cause), np.bool_)
        ring = np.full(self.history.size, -1, np.int64)
        for number, group in enumerate(rings):
            ring[list(group)] = number
        same: npt.NDArray[np.bool_] = (ring[cause] >= 0) & (ring[cause] == ring[effect])
        return same


class _Spans:
    """Spans of time, those that meet joined."""

    def __init__(self, begins: Ints, ends: Ints) -> None:
        order = np.argsort(begins, kind="stable")
        begins, ends = begins[order], np.maximum.accumulate(ends[order])
        new = np.append(True, begins[1:] > ends[:-1])
        self._begins = begins[new]
        self._ends = ends[np.append(np.flatnonzero(new)[1:] - 1, len(ends) - 1)]

    def number(self, moments: Ints) -> Ints:
        """In which span each moment lies; -1 for none."""
        place = np.searchsorted(self._begins, moments, "right") - 1
        return np.where((place >= 0) & (moments <= self._ends[np.maximum(place, 0)]), place, -1)


def _listed(column: pa.ChunkedArray) -> tuple[Ints, pa.Array]:
    """The ids in a column of lists, each once in its list, and the row of each."""
    lists = whole(column)
    sizes = np.asarray(pc.fill_null(pc.list_value_length(lists), 0), np.int64)
    rows, ids = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes), lists.flatten()
    if not np.any(sizes > 1):
        return rows, ids
    encoded = ids.dictionary_encode()
    codes = np.asarray(encoded.indices.fill_null(len(encoded.dictionary)), np.int64)
    _, first = np.unique(rows * (len(encoded.dictionary) + 1) + codes, return_index=True)
    kept = np.sort(first)
    return rows[kept], ids.take(pa.array(kept))


def _unique(pairs: Ints) -> Ints:
    """(effect, cause), each once and sorted, of (cause, effect)."""
    order = np.lexsort((pairs[:, 0], pairs[:, 1]))
    sorted_pairs = pairs[order][:, ::-1]
    new = np.append(np.full(min(1, len(pairs)), True), np.any(sorted_pairs[1:] != sorted_pairs[:-1], axis=1))
    once: Ints = sorted_pairs[new]
    return once
