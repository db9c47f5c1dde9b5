"""Is what a store holds sound? All of it is read once, in pieces, and told by `analysis.integrity`.

About 100 bytes of each event stay in memory until the end, and all values of the last hundred thousand or so. Streams
are read again of instances that have a snapshot, about a piece of events at a time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final, TypeVar

import numpy as np
import pyarrow as pa

from xcstore.analysis.integrity import KINDS, Collector, Report
from xcstore.analysis.integrity_causes import Dangling, Links
from xcstore.analysis.integrity_columns import COLUMNS, VALUES, History, Hit
from xcstore.analysis.integrity_snapshots import judge_snapshot, odd_snapshot, orphan
from xcstore.analysis.integrity_streams import Streams, unknown_states, without_snapshot
from xcstore.analysis.integrity_words import (
    tell,
    tell_cycle,
    tell_damage,
    tell_dangling,
    tell_lost_effect,
    tell_odd,
    tell_skew,
)
from xcstore.errors import QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.definition import StateMachine
from xcstore.model.history import PersistedEvent
from xcstore.ops.pruning import notes_of
from xcstore.ops.verifying_definitions import Definitions
from xcstore.ops.verifying_reading import ahead, event_pieces, snapshots_with_streams
from xcstore.store.arrow_tables import events_table
from xcstore.store.base import EventQuery, Stores
from xcstore.units import EpochMs

__all__ = ["DOCUMENTS", "verify"]

DOCUMENTS: Final = 100_000
"""Events up to which the form in which each is stored is looked at unasked: that takes several times as long."""
PIECE: Final = 50_000
STREAMS: Final = 500
"""Instances whose streams are read together."""
_ASKED: Final = 1_000
_CYCLE: Final = 10
_SNAPSHOTS: Final = ("snapshot_disagrees", "snapshot_orphan", "snapshot_stale", "snapshot_missing")

T = TypeVar("T")
Progress = Callable[[int, int], None]


def verify(
    stores: Stores,
    catalog: Catalog | None = None,
    *,
    kinds: Iterable[str] = (),
    limit: int = 1_000,
    on_progress: Progress = lambda done, total: None,
) -> Report:
    """Look for all that can be wrong with a stored history; nothing is written.

    Parameters
    ----------
    stores : Stores
    catalog : Catalog, optional
        Definitions; where not given, those kept in the store. What needs one that is not known is counted in
        `Report.notes`, and is no finding.
    kinds : iterable of str
        Names from `analysis.integrity.KINDS`; none: all. The form of stored documents (`odd_document`) is looked at
        in stores of up to `DOCUMENTS` events, and in larger ones where it is named here.
    limit : int
        Findings of each kind that are told; all are counted.
    on_progress : callable
        Called with (events and snapshots read, all of them). What it raises ends the work.

    Raises
    ------
    QueryError
        No such kind, or a limit below 0.
    StoreError
        The store failed.

    Examples
    --------
    >>> from xcstore.store.memory import open_memory_stores
    >>> verify(open_memory_stores()).worst is None
    True
    """
    wanted = tuple(dict.fromkeys(kinds))
    for kind in wanted:
        if kind not in KINDS:
            raise QueryError(f"there is no kind of finding {kind!r}; the kinds are {', '.join(KINDS)}")
    if limit < 0:
        raise QueryError(f"limit is {limit}; at least 0 findings of each kind can be told")
    return _Verification(stores, catalog, wanted, limit, on_progress).run()


class _Verification:
    def __init__(
        self, stores: Stores, catalog: Catalog | None, kinds: tuple[str, ...], limit: int, on_progress: Progress
    ) -> None:
        self._stores = stores
        self._progress = on_progress
        self._began = time.perf_counter()
        self._asked_at = EpochMs(time.time_ns() // 1_000_000)
        self._events = sum(row.count for row in stores.events.count(EventQuery()))
        self._snapshots = stores.snapshots.count()
        self._done = 0
        # Here every event is decoded anyway, or there are so few that it takes no time.
        few = self._events <= DOCUMENTS
        self._decodes = few or stores.events.layout == "documents" or "odd_document" in kinds
        damage = _file_damage(stores) if not kinds or "damaged_file" in kinds else None
        looked = {"odd_document": self._decodes, "damaged_file": damage is not None}
        self._found = Collector(kinds or [kind for kind in KINDS if looked.get(kind, True)], limit)
        for words in damage or ():
            self._found.add(tell_damage(words))
        self._definitions = Definitions(stores, catalog)
        self._judging = self._definitions.catalog if len(self._definitions.catalog) else None
        self._notes = list(self._definitions.unusable)
        self._partly: set[str] = set()
        if damage is None and "damaged_file" in kinds:
            self._partly.add("damaged_file")
            self._notes.append("files were not checked: the store has none that can be looked at from here")
        self._history = History()
        self._links = Links(self._history, self._judging, judge_doubts=self._found.wants("doubtful_cause"))
        self._behind = Counter[bool]()
        self._uncompared = 0
        self._folded = 0

    def run(self) -> Report:
        for table in self._pieces():
            self._links.add(table, self._history.add(table))
            self._step(table.num_rows)
        self._history.finish()
        self._links.finish()
        streams = Streams(self._history)
        self._look_at_streams(streams)
        self._look_at_links()
        if self._found.wants(*_SNAPSHOTS, "odd_document"):
            self._look_at_snapshots(streams)
        self._progress(self._events + self._snapshots, self._events + self._snapshots)
        return self._report(streams)

    # Reading

    def _pieces(self) -> Iterator[pa.Table]:
        """All events that were there at the beginning, as tables."""
        if not self._decodes:
            columns = [name for name in COLUMNS if self._judging is not None or name not in VALUES]
            yield from ahead(event_pieces(self._stores.events, columns, PIECE))
            return
        everything = self._stores.events.get_all_events()
        while batch := list(islice(everything, PIECE)):
            for event in batch:
                if event.faults:
                    self._found.add(tell_odd(event))
            yield events_table(((event.seq, event) for event in batch), COLUMNS)

    def _at(self, positions: Sequence[int]) -> list[PersistedEvent]:
        """Whole events; fewer where some were removed meanwhile."""
        ids = self._history.event_ids(positions)
        found = self._stores.events.get_events(dict.fromkeys(ids))
        return [found[one] for one in ids if one in found]

    def _step(self, number: int) -> None:
        self._done += number
        total = self._events + self._snapshots
        self._progress(min(self._done, total), total)

    # Looking

    def _look_at_streams(self, streams: Streams) -> None:
        found = self._found
        if found.wants("chain_break"):
            found.count("chain_break", "error", len(streams.breaks))
            self._tell(streams.chain_breaks(found.room("chain_break")))
        if found.wants("duplicate_instance"):
            self._count_and_tell(streams.duplicates())
        states, unchecked = unknown_states(self._history, self._definitions.machine)
        if found.wants("unknown_state"):
            self._count_and_tell(states)
            self._note_unchecked(unchecked)
        if streams.late:
            self._notes.append(
                f"{streams.late:,} of {len(streams.starts):,} instances do not begin with a creation: what was before "
                "is not in the store"
            )
        if untimed := int(np.count_nonzero(self._history.at == 0)):
            self._notes.append(
                f"{untimed:,} events have no time that can be read: they stand at the beginning, as of 1970"
            )

    def _note_unchecked(self, unchecked: int) -> None:
        history = self._history
        names = history.definitions.names
        unknown = [code for code, name in enumerate(names) if name and not self._definitions.knows(name)]
        stamped = int(np.count_nonzero(np.isin(history.definition, unknown)))
        for number, why in (
            (unchecked - stamped, "no definition of their machine is known"),
            (stamped, "they are stamped with a version of their definition that is not known"),
        ):
            if number:
                self._partly.add("unknown_state")
                self._notes.append(f"the states of {number:,} of {history.size:,} events were not checked: {why}")

    def _look_at_links(self) -> None:
        found, links = self._found, self._links
        self._look_at_dangling()
        if not found.wants(
            "causal_cycle", "clock_skew", "effect_before_cause", "doubtful_cause", "asymmetric_link", "missing_cause"
        ):
            return
        rings = links.cycles()
        found.count("causal_cycle", "error", len(rings))
        for ring in rings[: found.room("causal_cycle")]:
            if events := self._at(ring[:_CYCLE]):
                found.keep(tell_cycle(len(ring), events))
        skews, violations = links.too_early(rings)
        self._count_and_tell(violations)
        found.count("clock_skew", "warning", len(skews))
        for skew, hit in skews[: found.room("clock_skew")]:
            if len(events := self._at(hit.at)) == len(hit.at):
                found.keep(tell_skew(skew, *events))
        if found.wants("doubtful_cause"):
            self._judge_far()
            self._count_and_tell(links.doubtful(rings))
            if self._judging is None and links.recorded:
                self._partly.add("doubtful_cause")
                self._notes.append("whether definitions explain causes was not checked: none is known")
        one_sided = list(links.asymmetric()) if found.wants("asymmetric_link") else []
        self._count_and_tell(hit for hit in one_sided if isinstance(hit, Hit))
        lost = [hit for hit in one_sided if isinstance(hit, Dangling)]
        found.count("asymmetric_link", "warning", len(lost))
        for one in lost[: found.room("asymmetric_link")]:
            for event in self._at([one.effect]):
                found.keep(tell_lost_effect(one, event))
        self._count_and_tell(Hit(kind="missing_cause", at=(position,)) for position in links.without)

    def _look_at_dangling(self) -> None:
        found = self._found
        if not found.wants("dangling_cause"):
            return
        pruned = any(run.finished for run in notes_of(self._stores))
        dangling = self._still_dangling(self._links.dangling)
        found.count("dangling_cause", "warning" if pruned else "error", len(dangling))
        told = dangling[: found.room("dangling_cause")]
        for some in _batches(told, _ASKED):
            events = {event.id: event for event in self._at([one.effect for one in some])}
            for one, effect_id in zip(some, self._history.event_ids([one.effect for one in some]), strict=True):
                if effect_id in events:
                    found.keep(tell_dangling(one, events[effect_id], pruned=pruned))

    def _still_dangling(self, dangling: Sequence[Dangling]) -> list[Dangling]:
        """Somebody may have stored the cause while we read: asked again, where they are not too many."""
        missing = dict.fromkeys(one.cause_id for one in dangling)
        if len(missing) > 20 * _ASKED:
            return list(dangling)
        there: set[str] = set()
        for some in _batches(list(missing), _ASKED):
            there.update(self._stores.events.get_events(some))
        return [one for one in dangling if one.cause_id not in there]

    def _judge_far(self) -> None:
        """Links between instances whose causes lie far back: their events are read again."""
        for some in _batches(self._links.far, _ASKED):
            positions = list(dict.fromkeys(chain.from_iterable(some)))
            events = dict(zip(self._history.event_ids(positions), positions, strict=True))
            read = {events[event.id]: event for event in self._at(positions)}
            for link in some:
                if link[0] in read and link[1] in read:
                    self._links.judge(link, read[link[0]], read[link[1]])

    def _look_at_snapshots(self, streams: Streams) -> None:
        found, history = self._found, self._history
        having = np.zeros(len(history.instances.names), np.bool_)
        numbers = {name: number for number, name in enumerate(history.instances.names)}
        lengths, last = np.bincount(history.instance, minlength=len(numbers)), streams.last()

        def length(instance_id: str) -> int:
            return int(lengths[numbers[instance_id]]) if instance_id in numbers else 0

        everything = snapshots_with_streams(self._stores, length, size=PIECE, most=STREAMS, light=not self._decodes)
        for done, (snapshot, events) in enumerate(everything, 1):
            if done % STREAMS == 0:
                self._step(STREAMS)
            if snapshot.faults and self._decodes:
                found.add(odd_snapshot(snapshot))
            stream = iter(events)
            first = next(stream, None)
            if first is None:
                found.add(orphan(snapshot))
                continue
            number, machine = numbers.get(snapshot.instance.id), None
            if number is not None:
                having[number] = True
                machine = self._machine_at(int(last[number]))
            verdict = judge_snapshot(snapshot, self._counting(chain((first,), stream)), machine)
            self._behind[verdict.behind > 0] += 1
            self._uncompared += not verdict.compared
            for finding in verdict.findings:
                found.add(finding)
        if self._uncompared:
            self._partly.add("snapshot_disagrees")
            self._notes.append(
                f"the values of {self._uncompared:,} snapshots were not compared with events: their layout has no "
                "place for the public member, or they name an event that is not there"
            )
        if found.wants("snapshot_missing") and history.size:
            self._count_and_tell(without_snapshot(history, streams, having, self._definitions.machine))

    def _machine_at(self, position: int) -> StateMachine | None:
        history = self._history
        return self._definitions.machine(
            history.definitions.names[int(history.definition[position])] or "",
            history.word(int(history.component[position])),
            history.word(int(history.machine[position])),
        )

    def _counting(self, events: Iterable[PersistedEvent]) -> Iterator[PersistedEvent]:
        """The same events; work that takes long can be stopped in the middle."""
        for event in events:
            self._folded += 1
            if self._folded % PIECE == 0:
                self._step(0)
            yield event

    # Telling

    def _count_and_tell(self, hits: Iterable[Hit]) -> None:
        kept: list[Hit] = []
        room: dict[str, int] = {}
        for hit in hits:
            self._found.count(hit.kind, hit.severity or KINDS[hit.kind].severity)
            left = room.setdefault(hit.kind, self._found.room(hit.kind))
            if left > 0:
                room[hit.kind] = left - 1
                kept.append(hit)
        self._tell(kept)

    def _tell(self, hits: Iterable[Hit]) -> None:
        """Put hits that were counted into words, with their events read."""
        for some in _batches(list(hits), _ASKED // 2):
            positions = list(dict.fromkeys(chain.from_iterable(hit.at for hit in some)))
            events = {event.id: event for event in self._at(positions)}
            ids = dict(zip(positions, self._history.event_ids(positions), strict=True))
            for hit in some:
                about = [events[ids[position]] for position in hit.at if ids[position] in events]
                if len(about) == len(hit.at):
                    self._found.keep(tell(hit, about, self._judging))

    def _report(self, streams: Streams) -> Report:
        found, links = self._found, self._links
        if "odd_document" not in found.counts and not self._decodes:
            self._notes.append(
                f"the form of documents was not looked at: each of {self._events:,} events would have to be decoded; "
                "ask for the kind odd_document"
            )
        if not links.records_effects and links.recorded:
            self._notes.append("no event records its effects, so the two sides of links were not compared")
        checked = {
            "events": self._history.size,
            "instances": len(streams.starts),
            "links": links.recorded,
            "definitions": len(self._definitions.catalog),
            "snapshots": sum(self._behind.values()) + found.counts.get("snapshot_orphan", 0),
            "snapshots_behind": self._behind[True],
            "events_that_record_effects": links.records_effects,
        }
        return Report(
            store=self._stores.identity,
            asked_at=self._asked_at,
            seconds=time.perf_counter() - self._began,
            counts=found.counts,
            severities=found.severities,
            findings=found.findings(),
            checked=checked,
            partly=frozenset(self._partly & found.counts.keys()),
            notes=tuple(self._notes),
        )


def _file_damage(stores: Stores) -> Sequence[str] | None:
    """What a store says of its files; None where it has none that it may look at."""
    ask: Callable[[], Sequence[str] | None] | None = getattr(stores.events, "file_damage", None)
    return None if ask is None else ask()


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
