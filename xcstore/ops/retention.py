"""What of a store is old enough to go, and may: the rules of retention. Nothing is changed here; see `ops.pruning`.

The rules
---------
*Old* is what is from before the cutoff: now less EVENT_RETENTION_DAYS.

1. An instance has *ended* when its state is final or an error by its definition, or when its latest snapshot is of its
   last event and says that it is completed or failed.
2. Of an instance that has ended, and whose last event is old, everything goes: all events, and its snapshots.
3. Of any other, only old events go that `restore` does not need: those before the event that its latest snapshot
   follows. That event stays, as restore goes on from there. So do the first event and each creation, which tell when it
   was made, by whom and with what; the event that brought it into its state, where a timer may be counted from that;
   and so much before these that events of one moment keep their order.
4. Nothing goes of what is not known to be needless: where there is no snapshot, or it does not fit the events; where
   the machine has no definition; where a runtime has still work to do for the instance; of the entry point of a
   component, which refuses a second one even after it has ended; of the instance with the newest event, after which
   ids and times go on.
5. Snapshots beyond the last SNAPSHOT_RETENTION_COUNT of an instance go, and so do those that an ended instance left
   behind when its events went.

Events that stay may name causes that went: their traces then lead into the archive, see `Preview.links`. A store whose
runtime may stop in the middle of a method on entry should keep two snapshots of an instance or more: with the last one
alone, such an instance is restored from its events, and these may be gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from xcstore.errors import ConfigError
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION, InstanceSnapshot, PersistedEvent
from xcstore.runtime.folding import fold
from xcstore.runtime.interpreter import MachineTable
from xcstore.runtime.restoring import find_entry_point
from xcstore.store.base import EventQuery, InstanceQuery, InstanceSummary, Stores
from xcstore.units import DAY, EpochMs

__all__ = ["REASONS", "Judge", "Rules", "Verdict", "judged", "left_behind"]

PAGE: Final = 500
"""Instances that are judged together."""
EVENTS: Final = 20_000
"""Events that are in memory together, unless one stream has more."""

REASONS: Final = {
    "recent": "ended, but its last event is not older than the cutoff",
    "live": "not ended: what restore needs of it stays",
    "no snapshot": "not ended, and there is no snapshot to restore it from",
    "adrift": "not ended, and its snapshot does not say which of its events it follows",
    "no definition": "not known to have ended, and its machine has no definition here",
    "work": "a runtime has still work to do for it",
    "entry point": "the entry point of its component, or the first of a machine that may be it",
    "newest": "ended, but has the newest event of all, after which ids and times go on",
}
"""Why an instance with old events stays, whole or in part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is asked for.

    Parameters
    ----------
    cutoff : EpochMs
        What is from before it is old.
    days : int
        How far the cutoff is from now; for words.
    snapshots : int
        How many snapshots of an instance stay.
    """

    cutoff: EpochMs
    days: int
    snapshots: int = 10

    @classmethod
    def since(cls, now: EpochMs, days: int | None, snapshots: int) -> Rules:
        """Rules of this moment; `ConfigError` where no one says how many days."""
        if days is None:
            raise ConfigError(
                "nothing says for how many days events are kept; set EVENT_RETENTION_DAYS, or give --days N"
            )
        return cls(cutoff=EpochMs(now - days * DAY), days=days, snapshots=snapshots)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to become of one instance that has old events."""

    summary: InstanceSummary
    reason: str | None = None
    """Why it stays, a key of `REASONS`; None: all of it goes."""
    events: tuple[PersistedEvent, ...] = ()
    """Of an instance that stays: what goes of it, oldest first."""

    @property
    def count(self) -> int:
        """How many events go."""
        return self.summary.event_count if self.reason is None else len(self.events)


class Judge:
    """Applies the rules to instances of one store, as it is at that moment."""

    def __init__(self, stores: Stores, catalog: Catalog, rules: Rules) -> None:
        self._stores = stores
        self._catalog = catalog
        self._rules = rules
        self._tables: dict[tuple[str, str], MachineTable | None] = {}
        self._first: dict[tuple[str, str], str | None] = {}
        newest = stores.events.find(EventQuery(), limit=1, newest_first=True).items
        self._newest = newest[0].instance_id if newest else None

    def judge(self, summaries: Sequence[InstanceSummary]) -> Iterator[Verdict]:
        """Verdicts on those that have old events, in their order. Streams are read of few at a time."""
        cutoff = self._rules.cutoff
        old = [summary for summary in summaries if summary.created_at < cutoff]
        if not old:
            return
        working = self._working()
        snapshots = self._stores.snapshots.get_snapshots(summary.instance_id for summary in old)
        reasons = {summary.instance_id: self._reason(summary, snapshots, working) for summary in old}
        for group in grouped(old, lambda summary: reasons[summary.instance_id] == "live"):
            alive = [summary.instance_id for summary in group if reasons[summary.instance_id] == "live"]
            streams = self._stores.events.get_streams(alive) if alive else {}
            for summary in group:
                reason = reasons[summary.instance_id]
                if reason == "live":
                    stream = streams.get(summary.instance_id, ())
                    yield self._judge_live(summary, stream, snapshots[summary.instance_id])
                else:
                    yield Verdict(summary=summary, reason=reason)

    def has_ended(self, summary: InstanceSummary, snapshot: InstanceSnapshot | None) -> bool:
        """Rule 1."""
        if self._catalog.is_terminal(summary.component_name, summary.machine_name, summary.state):
            return True
        return (
            snapshot is not None
            and snapshot.status_recorded
            and snapshot.last_event_id == summary.last_event_id
            and snapshot.instance.status != "active"
        )

    def _reason(
        self, summary: InstanceSummary, snapshots: Mapping[str, InstanceSnapshot], working: set[str]
    ) -> str | None:
        """Why it stays; 'live' where only its events can say what of it."""
        snapshot = snapshots.get(summary.instance_id)
        if summary.instance_id in working:
            return "work"
        ended = self.has_ended(summary, snapshot)
        if ended and summary.updated_at >= self._rules.cutoff:
            return "recent"
        if ended and summary.instance_id == self._newest:
            return "newest"
        if ended:
            return "entry point" if self._may_be_entry_point(summary, snapshot) else None
        if snapshot is None:
            return "no snapshot"
        if not snapshot.last_event_id:
            return "adrift"
        return "live" if self._table(summary) is not None else "no definition"

    def _judge_live(
        self, summary: InstanceSummary, stream: Sequence[PersistedEvent], snapshot: InstanceSnapshot
    ) -> Verdict:
        table = self._table(summary)
        assert table is not None
        cut = _needed_from(stream, snapshot, table)
        if cut is None:
            return Verdict(summary=summary, reason="adrift")
        young = next((i for i, event in enumerate(stream) if event.persisted_at >= self._rules.cutoff), len(stream))
        cut = _unambiguous(stream, min(cut, young))
        gone = tuple(event for event in stream[1:cut] if event.event_type != CREATION)
        if gone and table.keeps_timers(summary.state):
            # As restore finds out when these timers are due.
            left = {event.id for event in gone}
            whole, rest = fold(table, stream), fold(table, [event for event in stream if event.id not in left])
            if whole is None or rest is None or _due(table, whole.due, summary) != _due(table, rest.due, summary):
                gone = ()
        return Verdict(summary=summary, reason="live", events=gone)

    def _table(self, summary: InstanceSummary) -> MachineTable | None:
        key = summary.component_name, summary.machine_name
        if key not in self._tables:
            machine = self._catalog.find_machine(*key)
            self._tables[key] = None if machine is None else MachineTable(machine)
        return self._tables[key]

    def _may_be_entry_point(self, summary: InstanceSummary, snapshot: InstanceSnapshot | None) -> bool:
        if snapshot is not None and snapshot.instance.is_entry_point:
            return True
        component = self._catalog.find_component(summary.component_name)
        machine = summary.machine_name if component is None else component.entry_machine
        if machine != summary.machine_name:
            return False
        key = summary.component_name, machine
        if key not in self._first:
            events = self._stores.events
            if component is not None:
                self._first[key] = find_entry_point(component, events)
            else:
                query = EventQuery(components=key[:1], machines=key[1:], event_types=(CREATION,))
                self._first[key] = next((event.instance_id for event in events.find(query, limit=1).items), None)
        return self._first[key] == summary.instance_id

    def _working(self) -> set[str]:
        """Instances that some waiting work names."""
        named = (work.document.get("instance") for work in self._stores.events.get_outbox())
        return {instance_id for instance_id in named if isinstance(instance_id, str)}


def judged(stores: Stores, judge: Judge, on_page: Callable[[int], None] = lambda instances: None) -> Iterator[Verdict]:
    """Verdicts on all instances of a store that have old events, those first that changed longest ago.

    `on_page` hears how many instances were looked at.
    """
    cursor, seen = None, 0
    while True:
        page = stores.events.instances(InstanceQuery(), after=cursor, limit=PAGE, newest_first=False)
        yield from judge.judge(page.items)
        seen += len(page.items)
        on_page(seen)
        cursor = page.next
        if cursor is None:
            return


def left_behind(stores: Stores, catalog: Catalog, rules: Rules) -> Iterator[str]:
    """Instances of which nothing but an old snapshot that says that they have ended is left."""
    cursor = None
    while True:
        page = stores.snapshots.find(after=cursor, limit=PAGE)
        old = [snapshot for snapshot in page.items if snapshot.snapshot_at < rules.cutoff]
        ended = [snapshot.instance.id for snapshot in old if _says_ended(snapshot, catalog)]
        if ended:
            query = InstanceQuery(instance_ids=tuple(ended))
            stored = {found.instance_id for found in stores.events.instances(query, limit=PAGE).items}
            yield from (instance_id for instance_id in ended if instance_id not in stored)
        cursor = page.next
        if cursor is None:
            return


def grouped(
    summaries: Iterable[InstanceSummary], counts: Callable[[InstanceSummary], bool]
) -> Iterator[list[InstanceSummary]]:
    """In groups that have no more than `EVENTS` events together, of those that count, or are one instance."""
    group: list[InstanceSummary] = []
    held = 0
    for summary in summaries:
        size = summary.event_count if counts(summary) else 0
        if group and held + size > EVENTS:
            yield group
            group, held = [], 0
        group.append(summary)
        held += size
    if group:
        yield group


def _needed_from(stream: Sequence[PersistedEvent], snapshot: InstanceSnapshot, table: MachineTable) -> int | None:
    """The place of the first event, apart from the creation, that restore reads; None: it may read them all."""
    place = next((i for i, event in enumerate(stream) if event.id == snapshot.last_event_id), None)
    if place is None:
        return None
    taken_at, changed_at = snapshot.snapshot_at, snapshot.instance.updated_at
    if stream[place].persisted_at < min(taken_at, taken_at if changed_at is None else changed_at):
        # Restore looks for it from that moment on, and where it finds nothing it folds all events.
        return None
    state = stream[-1].state_after
    if not snapshot.timeouts_recorded or table.keeps_timers(state) or table.keeps_timers(stream[place].state_after):
        # Timers may be counted from the event that brought the instance into its state.
        while place > 0 and stream[place].state_before == stream[place].state_after:
            place -= 1
    return place


def _unambiguous(stream: Sequence[PersistedEvent], cut: int) -> int:
    """The last place up to `cut` that begins a moment with one event. What follows it is then in order without what
    is before: in a moment with several, the order may depend on the state that they begin in."""
    while 0 < cut < len(stream):
        moment = stream[cut].persisted_at
        tied = stream[cut - 1].persisted_at == moment
        tied = tied or (cut + 1 < len(stream) and stream[cut + 1].persisted_at == moment)
        if not tied:
            break
        cut -= 1
    return cut


def _due(table: MachineTable, due: Mapping[str, tuple[EpochMs, str]], summary: InstanceSummary) -> object:
    return {start.event_type: due.get(start.event_type) for start in table.timers_of(summary.state)}


def _says_ended(snapshot: InstanceSnapshot, catalog: Catalog) -> bool:
    instance = snapshot.instance
    if instance.is_entry_point:
        return False
    if snapshot.status_recorded and instance.status != "active":
        return True
    return bool(catalog.is_terminal(instance.component_name, instance.machine_name, instance.current_state))
