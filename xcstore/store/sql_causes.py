"""Following recorded causes in SQL.

Each layout says in its own way who caused whom, and each has one form of the question that uses an index:

ours        the edge table, both ways
documented  PostgreSQL: the GIN index, by `caused_by @> ARRAY[id]`; `id = ANY(caused_by)` would scan the table.
            SQLite: the lists are JSON text without an index; one scan reads all links, once per trace
shipped     both `correlation_id` and `causation_id` count. Only the first is indexed, and in all that the runtime
            wrote the two are equal; a look at the store tells whether that holds, and only if not, the table is scanned

A trace is walked breadth first. One recursive question learns what can be reached, with links and times, up to as many
events as are asked for. The walk itself is done here, by what was learned: which events come first where not all can
come is then the same on every database, in whatever order it answers. What the walk comes to and has not learned yet,
in a cut trace or a very long one, it asks for from there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from xcstore.errors import NotFoundError
from xcstore.jsontext import json_text
from xcstore.store.base import Direction
from xcstore.store.sql_layout import AnySelect, SqlLayout
from xcstore.store.sql_tables import event_causes

__all__ = ["Causes", "Walk"]

Way = Literal["causes", "effects"]
_WAYS: Final[tuple[Way, ...]] = ("causes", "effects")

_CHUNK: Final = 1_000
_PORTION: Final = 20_000
"""Events that one question may reach: what is longer is asked for in several, each well within the time limit."""

_SETTINGS: Final = """
SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('work_mem', '4MB', true),
  set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
  set_config('enable_mergejoin', 'off', true)"""
"""For PostgreSQL, until the transaction ends. To plan a short trace takes longer than to walk it: it is planned once,
for any event. A plan that is kept must not be one for tables that were still small, nor for what the planner expects:
it takes the effects of one event for a hundredth of the store."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What a trace reached: ids in breadth-first order, and how many next to them were left out."""

    ids: tuple[str, ...]
    left: int


class Causes:
    """Questions about the causes in one store. They are made once: making one takes longer than a short trace."""

    def __init__(self, layout: SqlLayout) -> None:
        self.layout: Final = layout
        self._reaches: Final[dict[tuple[Way, ...], AnySelect]] = {}

    def walk(self, connection: sa.Connection, root: str, direction: Direction, max_events: int) -> Walk:
        """Ids connected with `root`, nearest first, then by time and id.

        Raises
        ------
        NotFoundError
            `root` is not stored.
        """
        ways = _WAYS if direction == "both" else (direction,)
        graph = _Graph(connection, self)
        if not graph.start(root, ways, max_events - 1):
            raise NotFoundError(f"no event {root!r}")
        loaded = {root: None}
        level = [(root, way) for way in ways]
        walked = set(level)
        left: set[str] = set()
        while level:
            reached: dict[tuple[str, Way], int] = {}
            for way in ways:
                ids = [event_id for event_id, its_way in level if its_way == way]
                if not ids:
                    continue
                for neighbour, at in graph.neighbours(ids, way, max_events - len(loaded)):
                    step = neighbour, way
                    if step not in walked:
                        walked.add(step)
                        reached[step] = at
            level = []
            for step, _ in sorted(reached.items(), key=_by_time):
                if step[0] in loaded or len(loaded) < max_events:
                    loaded[step[0]] = None
                    level.append(step)
                else:
                    left.add(step[0])
        return Walk(ids=tuple(loaded), left=len(left))

    def caused_ids(self, connection: sa.Connection, event_id: str) -> list[str]:
        """Ids of the events that name `event_id` as a cause, whether that is stored or not."""
        known = self.layout.ids([event_id])
        effects = _Graph(connection, self).neighbours(known, "effects", 0)
        return list(dict.fromkeys(effect for effect, _ in effects))

    def stored_ids(self, connection: sa.Connection, ids: Iterable[str]) -> set[str]:
        """Those of the ids that are stored."""
        return set(_times(connection, self.layout, ids))

    def reach(self, ways: tuple[Way, ...]) -> AnySelect:
        """The recursive question: rows (place in `_WAYS`, id, neighbour, its time), as `_Graph.learn` reads them.

        From the events `starts` on, `most` events in each way, nearest first; each with all its neighbours that are
        stored, or with none in a row of its own. And whether `root` is stored, in a row of place -1.
        """
        if ways not in self._reaches:
            layout = self.layout
            event_id, at = layout.columns["id"], layout.columns["persisted_at"]
            root = sa.bindparam("root", type_=event_id.type if layout.uuid_ids else sa.Text())
            found = sa.select(sa.literal_column("-1"), layout.text("id"), sa.null(), at).where(event_id == root)
            self._reaches[ways] = sa.union_all(*(_reach(layout, way) for way in ways), found)  # type: ignore[assignment]
        return self._reaches[ways]


def _by_time(reached: tuple[tuple[str, Way], int]) -> tuple[int, str]:
    (event_id, _), at = reached
    return at, event_id


@dataclass(slots=True)
class _Graph:
    """Neighbours of events, as far as they are known."""

    connection: sa.Connection
    causes: Causes
    _known: dict[Way, dict[str, list[tuple[str, int]]]] = field(default_factory=lambda: {way: {} for way in _WAYS})
    """By id, the neighbours with their times."""
    _every_link: Mapping[str, Sequence[str]] | None = None
    _is_recursive: bool | None = None
    _searched: list[str] | None = None
    """Columns of the shipped layout to search for a cause in."""

    @property
    def layout(self) -> SqlLayout:
        return self.causes.layout

    def start(self, root: str, ways: tuple[Way, ...], room: int) -> bool:
        """Whether `root` is stored; learns what can be reached from it."""
        if not self.layout.ids([root]):
            return False
        if not self._prepare():
            return bool(_times(self.connection, self.layout, [root]))
        return self._learn([root], ways, room, root)

    def neighbours(self, ids: Sequence[str], way: Way, room: int) -> Iterator[tuple[str, int]]:
        """Neighbours with their times; what is not known is asked for, with up to `room` more that follow."""
        known = self._known[way]
        unknown = [event_id for event_id in ids if event_id not in known]
        if unknown:
            recursive = self._prepare()
            for chunk in _chunks(unknown):
                if recursive:
                    self._learn(chunk, (way,), room)
                else:
                    self._look_up(chunk, way)
        for event_id in ids:
            yield from known[event_id]

    def _learn(self, starts: Sequence[str], ways: tuple[Way, ...], room: int, root: str | None = None) -> bool:
        given = list(starts) if self.layout.dialect == "postgresql" else json_text(list(starts))
        most = len(starts) + min(room, _PORTION)
        rows = self.connection.execute(self.causes.reach(ways), {"starts": given, "most": most, "root": root}).all()
        learned: list[dict[str, list[tuple[str, int]]]] = [{}, {}, {}]
        for place, event_id, neighbour, at in rows:
            found = learned[place]
            if event_id not in found:
                found[event_id] = []
            if neighbour is not None:
                found[event_id].append((neighbour, _time(at)))
        for place, way in enumerate(_WAYS):
            self._known[way].update(learned[place])
        return bool(learned[-1])

    def _prepare(self) -> bool:
        """Whether this layout has a recursive question that uses an index."""
        if self._is_recursive is None:
            layout = self.layout
            if layout.name == "documented":
                self._is_recursive = layout.dialect == "postgresql" and "caused_by" in layout.events.c
            elif layout.name == "shipped":
                self._is_recursive = self._effect_columns() == ["correlation_id"]
            else:
                self._is_recursive = True
            if self._is_recursive and layout.dialect == "postgresql":
                self.connection.exec_driver_sql(_SETTINGS)
        return self._is_recursive

    # Where no question is recursive: level by level

    def _look_up(self, ids: list[str], way: Way) -> None:
        links = self._shipped_links(ids, way) if self.layout.name == "shipped" else self._json_links(ids, way)
        times = _times(self.connection, self.layout, dict.fromkeys(neighbour for _, neighbour in links))
        found: dict[str, list[tuple[str, int]]] = {event_id: [] for event_id in ids}
        for event_id, neighbour in links:
            if neighbour in times:
                found[event_id].append((neighbour, times[neighbour]))
        self._known[way].update(found)

    def _json_links(self, ids: list[str], way: Way) -> list[tuple[str, str]]:
        if "caused_by" not in self.layout.events.c:
            return []
        event_id, caused_by = self.layout.columns["id"], self.layout.events.c.caused_by
        is_list = sa.case((sa.func.json_valid(caused_by) == 1, caused_by), else_="[]")
        cause = sa.func.json_each(is_list).table_valued("value", name="cause")
        select = sa.select(event_id, cause.c.value).select_from(self.layout.events.join(cause, sa.true()))
        if way == "causes":
            return self._pairs(select.where(event_id.in_(ids)))
        if self._every_link is None:
            effects: defaultdict[str, list[str]] = defaultdict(list)
            for effect, cause_id in self._pairs(select.where(caused_by != "[]")):
                effects[cause_id].append(effect)
            self._every_link = effects
        return [(event_id, effect) for event_id in ids for effect in self._every_link.get(event_id, ())]

    def _shipped_links(self, ids: list[str], way: Way) -> list[tuple[str, str]]:
        event_id = self.layout.columns["id"]
        found: list[tuple[str, str]] = []
        for name in self._effect_columns() if way == "effects" else self._cause_columns():
            cause = self.layout.events.c[name]
            here, there = (cause, event_id) if way == "effects" else (event_id, cause)
            found += self._pairs(sa.select(sa.cast(here, sa.Text), sa.cast(there, sa.Text)).where(here.in_(ids)))
        return found

    def _cause_columns(self) -> list[str]:
        return [name for name in ("correlation_id", "causation_id") if name in self.layout.events.c]

    def _effect_columns(self) -> list[str]:
        """Those to search for a cause in."""
        if self._searched is None:
            self._searched = self._cause_columns()
            if len(self._searched) == 2:
                correlation, causation = (self.layout.events.c[name] for name in self._searched)
                differing = sa.exists().where(causation.is_not(None), causation.is_distinct_from(correlation))
                if not self.connection.execute(sa.select(differing.select_from(self.layout.events))).scalar_one():
                    self._searched = self._searched[:1]
        return self._searched

    def _pairs(self, select: AnySelect) -> list[tuple[str, str]]:
        rows = self.connection.execute(select).all()
        return [(str(one), str(other)) for one, other in rows if one is not None and other is not None]


def _reach(layout: SqlLayout, way: Way) -> AnySelect:
    """One way of `Causes.reach`."""
    is_postgresql = layout.dialect == "postgresql"
    starts = sa.bindparam("starts", type_=postgresql.ARRAY(_id_type(layout)) if is_postgresql else sa.Text())
    if is_postgresql:
        start = sa.func.unnest(starts).table_valued("value", name="start").render_derived().c.value
    else:
        start = sa.func.json_each(starts).table_valued("value", name="start").c.value
    reached = sa.select(start.label("id")).cte(f"reached_{way}", recursive=True)
    links, (neighbour,) = _linked(layout, way, reached)
    reached = reached.union(sa.select(neighbour).select_from(links))
    nearest = sa.select(reached.c.id).limit(sa.bindparam("most", type_=sa.Integer)).subquery()
    part = sa.union(sa.select(start.label("id")), sa.select(nearest.c.id)).cte(f"part_{way}")
    links, (neighbour,) = _linked(layout, way, part, isouter=True)
    event = layout.events.alias()
    columns = [event.c[layout.columns[name].name] for name in ("id", "persisted_at")]
    links, (stored, at) = _joined(layout, links, event, columns[0] == neighbour, columns, isouter=True)
    ids = (sa.cast(column, sa.Text) if layout.uuid_ids else column for column in (part.c.id, stored))
    return sa.select(sa.literal_column(str(_WAYS.index(way))), *ids, at).select_from(links)


_Joined = tuple[sa.FromClause, Sequence[sa.ColumnElement[Any]]]
"""What to select from, and columns in it."""


def _linked(layout: SqlLayout, way: Way, source: sa.FromClause, *, isouter: bool = False) -> _Joined:
    """The ids of `source` with those of their neighbours."""
    cause: sa.ColumnElement[Any]
    effect: sa.ColumnElement[Any]
    if layout.is_ours:
        link: sa.FromClause = event_causes.alias()
        cause, effect = link.c.cause_id, link.c.event_id
    else:
        link = layout.events.alias()
        effect = link.c[layout.columns["id"].name]
        cause = link.c.correlation_id if layout.name == "shipped" else sa.func.unnest(link.c.caused_by)
    here, neighbour = (cause, effect) if way == "effects" else (effect, cause)
    is_linked = here == source.c.id
    if layout.name == "documented" and way == "effects":
        one = sa.cast(postgresql.array([source.c.id]), link.c.caused_by.type)
        is_linked = link.c.caused_by.op("@>")(one)
    return _joined(layout, source, link, is_linked, (sa.cast(neighbour, _id_type(layout)),), isouter=isouter)


def _joined(
    layout: SqlLayout,
    source: sa.FromClause,
    table: sa.FromClause,
    condition: sa.ColumnElement[bool],
    columns: Sequence[sa.ColumnElement[Any]],
    *,
    isouter: bool,
) -> _Joined:
    """Each row of `source` with what is found for it by an index."""
    if layout.dialect != "postgresql":
        return source.join(table, condition, isouter=isouter), columns
    # With an OFFSET it stays what it is, a search for each row. The planner, which cannot know how little a walk
    # reaches, would make a join of whole tables of it.
    found = sa.select(*columns).where(condition).offset(sa.literal_column("0")).lateral()
    return source.join(found, sa.true(), isouter=isouter), tuple(found.c)


def _id_type(layout: SqlLayout) -> sa.types.TypeEngine[Any]:
    return layout.columns["id"].type if layout.uuid_ids else sa.Text()


def _times(connection: sa.Connection, layout: SqlLayout, ids: Iterable[str]) -> dict[str, int]:
    """`persisted_at` of those of the ids that are stored."""
    times: dict[str, int] = {}
    column = layout.columns["id"]
    for chunk in _chunks(layout.ids(ids)):
        select = sa.select(layout.text("id"), layout.columns["persisted_at"]).where(column.in_(chunk))
        times.update((event_id, _time(at)) for event_id, at in connection.execute(select).all())
    return times


def _time(value: object) -> int:
    """A table of others may hold anything, or nothing, there; the event is there all the same."""
    return value if isinstance(value, int) else 0


def _chunks(ids: Sequence[str]) -> Iterable[list[str]]:
    return (list(ids[start : start + _CHUNK]) for start in range(0, len(ids), _CHUNK))
