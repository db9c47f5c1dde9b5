"""Following recorded causes in SQL.

Each layout says in its own way who caused whom, and each has one form of the question that uses an index:

ours        the edge table, both ways
documented  PostgreSQL: the GIN index, by `caused_by @> ARRAY[id]`; `id = ANY(caused_by)` would scan the table.
            SQLite: the lists are JSON text without an index; one scan reads all links, once per trace
shipped     both `correlation_id` and `causation_id` count. Only the first is indexed, and in all that the runtime
            wrote the two are equal; a look at the store tells whether that holds, and only if not, the table is scanned

A trace is walked breadth first. One recursive question finds what can be reached; only when that is more than was
asked for, the walk goes on level by level, so that what is cut off is what is farthest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from xcstore.errors import NotFoundError
from xcstore.store.base import Direction
from xcstore.store.sql_layout import AnySelect, SqlLayout
from xcstore.store.sql_tables import event_causes
from xcstore.units import EpochMs

__all__ = ["Walk", "caused_ids", "stored_ids", "walk"]

Way = Literal["causes", "effects"]
Links = Sequence[tuple[str, str]]
"""(cause, effect)."""

_CHUNK: Final = 1_000


@dataclass(frozen=True, slots=True)
class Walk:
    """What a trace reached: ids in breadth-first order, and how many next to them were left out."""

    ids: tuple[str, ...]
    left: int


def walk(connection: sa.Connection, layout: SqlLayout, root: str, direction: Direction, max_events: int) -> Walk:
    """Ids connected with `root`, nearest first, then by time and id.

    Raises
    ------
    NotFoundError
        `root` is not stored.
    """
    if layout.dialect == "postgresql":
        # The planner takes a recursive question for a huge one, and would scan the table at each of its levels.
        settings = {"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_seqscan": "off", "work_mem": "4MB"}
        connection.execute(sa.select(*(sa.func.set_config(name, value, True) for name, value in settings.items())))
    graph = _Graph(connection, layout)
    if not graph.times([root]):
        raise NotFoundError(f"no event {root!r}")
    ways: list[Way] = ["causes", "effects"] if direction == "both" else [direction]
    for way in ways:
        graph.prefetch(root, way, max_events)
    loaded = {root: None}
    level: list[tuple[str, Way]] = [(root, way) for way in ways]
    walked = set(level)
    left: dict[str, None] = {}
    while level:
        reached: dict[tuple[str, Way], None] = {}
        for way in ways:
            ids = [event_id for event_id, its_way in level if its_way == way]
            for neighbour in graph.neighbours(ids, way) if ids else ():
                step = (neighbour, way)
                if step not in walked:
                    walked.add(step)
                    reached[step] = None
        times = graph.times(dict.fromkeys(event_id for event_id, _ in reached))
        level = []
        for event_id, way in sorted((step for step in reached if step[0] in times), key=lambda s: (times[s[0]], s[0])):
            if event_id in loaded or len(loaded) < max_events:
                loaded[event_id] = None
                level.append((event_id, way))
            else:
                left[event_id] = None
    return Walk(ids=tuple(loaded), left=len(left))


def caused_ids(connection: sa.Connection, layout: SqlLayout, event_id: str) -> list[str]:
    """Ids of the events that name `event_id` as a cause."""
    return [effect for _, effect in _Graph(connection, layout).links([event_id], "effects")]


def stored_ids(connection: sa.Connection, layout: SqlLayout, ids: Iterable[str]) -> set[str]:
    """Those of the ids that are stored."""
    return set(_Graph(connection, layout).times(ids))


@dataclass(slots=True)
class _Graph:
    """Neighbours of events. What was asked for ahead is answered from memory."""

    connection: sa.Connection
    layout: SqlLayout
    _known: dict[Way, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    _times: dict[str, EpochMs | None] = field(default_factory=dict)
    _every_link: dict[Way, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    _equal: bool | None = None

    def neighbours(self, ids: Sequence[str], way: Way) -> list[str]:
        known = self._known.get(way)
        if known is not None:
            return [neighbour for event_id in ids for neighbour in known.get(event_id, ())]
        place = 1 if way == "effects" else 0
        return [link[place] for link in self.links(ids, way)]

    def times(self, ids: Iterable[str]) -> dict[str, EpochMs]:
        """`persisted_at` of those of the ids that are stored."""
        wanted = list(ids)
        unknown = [event_id for event_id in wanted if event_id not in self._times]
        self._times.update(dict.fromkeys(unknown))
        column = self.layout.columns["id"]
        for chunk in _chunks(self.layout.ids(unknown)):
            select = sa.select(self.layout.text("id"), self.layout.columns["persisted_at"])
            for event_id, at in self.connection.execute(select.where(column.in_(chunk))):
                # A table of others may hold anything, or nothing, here; the event is there all the same.
                self._times[event_id] = EpochMs(at if isinstance(at, int) else 0)
        found = ((event_id, self._times[event_id]) for event_id in wanted)
        return {event_id: at for event_id, at in found if at is not None}

    def prefetch(self, root: str, way: Way, cap: int) -> None:
        """Learn all links along `way` with two questions, where what is reached is not more than `cap`."""
        step = self._step(way)
        if step is None:
            return
        reached = [str(event_id) for event_id in self.connection.execute(step(root).limit(cap + 2)).scalars()]
        if len(reached) > cap + 1:
            return
        self.times(reached)
        place = 0 if way == "effects" else 1
        known: defaultdict[str, list[str]] = defaultdict(list)
        for link in self.links(reached, way):
            known[link[place]].append(link[1 - place])
        self._known[way] = known

    def links(self, ids: Sequence[str], way: Way) -> list[tuple[str, str]]:
        """Links out of (effects) or into (causes) these events."""
        found: list[tuple[str, str]] = []
        for chunk in _chunks(self.layout.ids(dict.fromkeys(ids))):
            found += self._links(chunk, way)
        return list(dict.fromkeys(found))

    def _links(self, ids: list[str], way: Way) -> list[tuple[str, str]]:
        if self.layout.is_ours:
            cause, effect = event_causes.c.cause_id, event_causes.c.event_id
            return self._pairs(sa.select(cause, effect).where((cause if way == "effects" else effect).in_(ids)))
        if self.layout.name == "shipped":
            return self._shipped_links(ids, way)
        if "caused_by" not in self.layout.events.c:
            return []
        if self.layout.dialect == "postgresql":
            return self._array_links(ids, way)
        return self._json_links(ids, way)

    def _array_links(self, ids: list[str], way: Way) -> list[tuple[str, str]]:
        event_id, caused_by = self.layout.columns["id"], self.layout.events.c.caused_by
        if way == "causes":
            return self._pairs(sa.select(sa.func.unnest(caused_by), event_id).where(event_id.in_(ids)))
        asked = (
            sa.func.unnest(sa.literal(ids, postgresql.ARRAY(sa.Text))).table_valued("id", name="asked").render_derived()
        )
        effects = _array_effects(self.layout, asked.c.id).lateral("effects")
        return self._pairs(sa.select(asked.c.id, effects.c.id).select_from(asked.join(effects, sa.true())))

    def _json_links(self, ids: list[str], way: Way) -> list[tuple[str, str]]:
        event_id, caused_by = self.layout.columns["id"], self.layout.events.c.caused_by
        is_list = sa.case((sa.func.json_valid(caused_by) == 1, caused_by), else_="[]")
        cause = sa.func.json_each(is_list).table_valued("value", name="cause")
        if way == "causes":
            return self._pairs(sa.select(cause.c.value, event_id).where(event_id.in_(ids)))
        if way not in self._every_link:
            effects: defaultdict[str, list[str]] = defaultdict(list)
            select = sa.select(cause.c.value, event_id).where(caused_by != "[]")
            for cause_id, effect in self.connection.execute(select):
                effects[str(cause_id)].append(str(effect))
            self._every_link[way] = effects
        return [(event_id, effect) for event_id in ids for effect in self._every_link[way].get(event_id, ())]

    def _shipped_links(self, ids: list[str], way: Way) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for name in self._shipped_causes(way):
            cause = self.layout.events.c[name]
            sought = cause if way == "effects" else self.layout.columns["id"]
            select = sa.select(sa.cast(cause, sa.Text), self.layout.text("id"))
            found += self._pairs(select.where(sought.in_(ids), cause.is_not(None)))
        return found

    def _shipped_causes(self, way: Way) -> list[str]:
        names = [name for name in ("correlation_id", "causation_id") if name in self.layout.events.c]
        if way == "effects" and len(names) == 2 and self._are_causes_equal():
            return names[:1]
        return names

    def _are_causes_equal(self) -> bool:
        if self._equal is None:
            causation, correlation = self.layout.events.c.causation_id, self.layout.events.c.correlation_id
            differing = sa.exists().where(causation.is_not(None), causation.is_distinct_from(correlation))
            self._equal = not self.connection.execute(sa.select(differing.select_from(self.layout.events))).scalar_one()
        return self._equal

    def _step(self, way: Way):  # type: ignore[no-untyped-def]
        """The recursive question of this layout, by root; None where it has none that uses an index."""
        layout = self.layout
        kind = layout.columns["id"].type if layout.uuid_ids else sa.Text()

        def reach(root: str) -> sa.Select[tuple[str]]:
            reached = sa.select(sa.cast(sa.literal(root, sa.Text), kind).label("id")).cte("reached", recursive=True)
            if layout.is_ours:
                here: sa.ColumnElement[Any] = event_causes.c.cause_id
                there: sa.ColumnElement[Any] = event_causes.c.event_id
                if way == "causes":
                    here, there = there, here
                step = sa.select(sa.cast(there, sa.Text)).where(here == reached.c.id)
            elif layout.name == "shipped":
                here, there = layout.events.c.correlation_id, layout.columns["id"]
                if way == "causes":
                    here, there = there, here
                step = sa.select(there).where(here == reached.c.id, there.is_not(None))
            elif way == "effects":
                effects = _array_effects(layout, reached.c.id).lateral("effects")
                step = sa.select(sa.cast(effects.c.id, sa.Text)).select_from(reached.join(effects, sa.true()))
            else:
                step = sa.select(sa.cast(sa.func.unnest(layout.events.c.caused_by), sa.Text)).where(
                    layout.columns["id"] == reached.c.id
                )
            return sa.select(reached.union(step).c.id)

        if layout.name == "shipped" and (
            "correlation_id" not in layout.events.c
            or ("causation_id" in layout.events.c and not self._are_causes_equal())
        ):
            return None
        if layout.name == "documented" and (layout.dialect == "sqlite" or "caused_by" not in layout.events.c):
            return None
        return reach

    def _pairs(self, select: AnySelect) -> list[tuple[str, str]]:
        return [(str(cause), str(effect)) for cause, effect in self.connection.execute(select) if cause is not None]


def _array_effects(layout: SqlLayout, cause: sa.ColumnElement[Any]) -> sa.Select[tuple[object]]:
    events = layout.events.alias("effect_events")
    asked = sa.cast(postgresql.array([cause]), layout.events.c.caused_by.type)
    return sa.select(events.c.id.label("id")).where(events.c.caused_by.op("@>")(asked))


def _chunks(ids: Sequence[str]) -> Iterable[list[str]]:
    return (list(ids[start : start + _CHUNK]) for start in range(0, len(ids), _CHUNK))
