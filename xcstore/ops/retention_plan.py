"""What exactly would go from a store by the rules of retention: figures, and the first instances. Reads only."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, cast

from xcstore.errors import StoreError
from xcstore.jsontext import parse_json
from xcstore.model.catalog import Catalog
from xcstore.model.loader import component_from_document
from xcstore.ops.retention import PAGE, REASONS, Judge, Rules, Verdict, judged, left_behind
from xcstore.store.base import EventQuery, InstanceQuery, Stores
from xcstore.units import DAY, EpochMs, to_utc

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["COUNTED_LINKS", "OUT_OF_RANGE", "Example", "Kept", "Preview", "Share", "preview", "preview_since"]

SHOWN: Final = 20
COUNTED_LINKS: Final = 1_000_000
"""In stores with more events links into the archive are not counted: all events are looked at for it."""
OUT_OF_RANGE: Final = "out of range"
"""In place of the month of a time that no calendar reaches."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many events go, of one component and month."""

    component: str
    month: str
    """As 2026-01, in UTC; `OUT_OF_RANGE`."""
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Instances with old events that stay, whole or in part."""

    reason: str
    """A key of `REASONS`."""
    instances: int
    events: int
    """That stay, of these instances."""

    @property
    def words(self) -> str:
        return REASONS[self.reason]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One instance of which something goes."""

    instance_id: str
    component: str
    machine: str
    state: str
    events: int
    """That go."""
    of: int
    """That it has."""
    updated_at: EpochMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would go."""

    store: str
    cutoff: EpochMs
    days: int
    keep_snapshots: int
    stored_events: int
    events: int = 0
    """That go; the other figures are of these too."""
    whole: int = 0
    """Instances that go with all they have."""
    part: int = 0
    """Instances that lose their oldest events."""
    snapshots: int = 0
    """Of instances that go, and left behind by such."""
    old_snapshots: int = 0
    """Beyond the last `keep_snapshots` of an instance."""
    first_at: EpochMs | None = None
    last_at: EpochMs | None = None
    """Earliest and latest time of an event that goes; of parts, of their first and last."""
    size_bytes: int | None = None
    """About so much of what the store takes, by the share of its events; None: not known."""
    links: int | None = None
    """Causes that events which stay name among those that go; None: not counted, see `COUNTED_LINKS`."""
    shares: tuple[Share, ...] = ()
    """By month and component."""
    kept: tuple[Kept, ...] = ()
    """In the order of `REASONS`."""
    examples: tuple[Example, ...] = ()
    """The first, those that changed longest ago first."""

    @property
    def is_empty(self) -> bool:
        return not (self.events or self.snapshots or self.old_snapshots)

    def to_document(self) -> dict[str, object]:
        """As JSON."""
        return {**asdict(self), "kept": [{**asdict(row), "words": row.words} for row in self.kept]}


def preview(
    stores: Stores, catalog: Catalog, rules: Rules, *, on_progress: Progress = lambda done, total: None
) -> Preview:
    """Apply the rules, and count.

    Parameters
    ----------
    stores : Stores
    catalog : Catalog
        What is known, by which it is told whether an instance has ended.
    rules : Rules
    on_progress : callable
        Called with (instances looked at, instances in all).

    Raises
    ------
    StoreError
        The store failed.
    """
    total = sum(row.count for row in stores.events.count_instances(InstanceQuery()))
    stored = stores.events.count(EventQuery())[0].count
    tally = _Tally()
    judge = Judge(stores, catalog, rules)
    verdicts = judged(stores, judge, lambda seen: on_progress(seen, max(seen, total)))
    while some := list(islice(verdicts, PAGE)):
        for verdict in some:
            tally.take(verdict)
        tally.count_whole(stores, [verdict.summary.instance_id for verdict in some if verdict.reason is None])
    gone = sum(tally.shares.values())
    orphans = sum(1 for _ in left_behind(stores, catalog, rules))
    return Preview(
        store=stores.identity,
        cutoff=rules.cutoff,
        days=rules.days,
        keep_snapshots=rules.snapshots,
        stored_events=stored,
        events=gone,
        whole=len(tally.whole),
        part=tally.part,
        snapshots=tally.snapshots + orphans,
        old_snapshots=stores.snapshots.count_beyond(rules.snapshots),
        first_at=tally.first_at,
        last_at=tally.last_at,
        size_bytes=_share_of_size(stores, gone, stored),
        links=None if stored > COUNTED_LINKS else _links(stores, tally.whole, tally.parts) if gone else 0,
        shares=tuple(
            Share(component=component, month=month, events=count)
            for (month, component), count in sorted(tally.shares.items())
        ),
        kept=tuple(
            Kept(reason=reason, instances=tally.kept[reason], events=tally.kept_events[reason])
            for reason in REASONS
            if tally.kept[reason]
        ),
        examples=tuple(tally.examples),
    )


def preview_since(
    stores: Stores, days: int, snapshots: int, components: tuple[str, ...], *, now: EpochMs | None = None
) -> Preview:
    """`preview` by plain values, for who keeps answers: `components` are definitions as JSON, `now` this moment."""
    catalog = Catalog(component_from_document(cast(Mapping[str, object], parse_json(text))) for text in components)
    moment = EpochMs(time.time_ns() // 1_000_000) if now is None else now
    return preview(stores, catalog, Rules.since(moment, days, snapshots))


class _Tally:
    def __init__(self) -> None:
        self.shares: Counter[tuple[str, str]] = Counter()
        """By (month, component)."""
        self.whole: list[str] = []
        self.parts: list[str] = []
        """Ids of events that go of instances that stay."""
        self.part = self.snapshots = 0
        self.first_at: EpochMs | None = None
        self.last_at: EpochMs | None = None
        self.kept: Counter[str] = Counter()
        self.kept_events: Counter[str] = Counter()
        self.examples: list[Example] = []

    def take(self, verdict: Verdict) -> None:
        summary = verdict.summary
        if verdict.reason is not None:
            self.kept[verdict.reason] += 1
            self.kept_events[verdict.reason] += summary.event_count - verdict.count
        if not verdict.count:
            return
        if verdict.reason is None:
            self.whole.append(summary.instance_id)
            self._span(summary.created_at, summary.updated_at)
        else:
            self.part += 1
            self.parts += [event.id for event in verdict.events]
            self._span(verdict.events[0].persisted_at, verdict.events[-1].persisted_at)
            for event in verdict.events:
                self.shares[_month(event.persisted_at), event.component_name] += 1
        if len(self.examples) < SHOWN:
            self.examples.append(
                Example(
                    instance_id=summary.instance_id,
                    component=summary.component_name,
                    machine=summary.machine_name,
                    state=summary.state,
                    events=verdict.count,
                    of=summary.event_count,
                    updated_at=summary.updated_at,
                )
            )

    def count_whole(self, stores: Stores, instance_ids: list[str]) -> None:
        if not instance_ids:
            return
        query = EventQuery(instance_ids=tuple(instance_ids))
        for row in stores.events.count(query, by=("component_name",), bucket_ms=DAY):
            self.shares[_month(row.bucket), row.key[0]] += row.count
        self.snapshots += len(stores.snapshots.get_snapshots(instance_ids))

    def _span(self, first: EpochMs, last: EpochMs) -> None:
        self.first_at = first if self.first_at is None else min(self.first_at, first)
        self.last_at = last if self.last_at is None else max(self.last_at, last)


def _month(moment: EpochMs | None) -> str:
    date = None if moment is None else to_utc(moment)
    return OUT_OF_RANGE if date is None else f"{date.year:04}-{date.month:02}"


def _share_of_size(stores: Stores, gone: int, stored: int) -> int | None:
    try:
        size = stores.events.status().size_bytes
    except StoreError:  # some servers tell administrators only
        return None
    return None if size is None or not stored else round(size * gone / stored)


def _links(stores: Stores, whole: Iterable[str], parts: Iterable[str]) -> int:
    """How many causes that stay lead to events that go."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = stores.events.to_arrow(EventQuery(), columns=("id", "instance_id", "caused_by"))
    text = pa.string()
    goes = pc.or_(
        pc.is_in(_plain(table["instance_id"]), value_set=pa.array(whole, text)),
        pc.is_in(_plain(table["id"]), value_set=pa.array(parts, text)),
    )
    gone = pc.filter(_plain(table["id"]), goes).combine_chunks()
    causes = _plain(pc.list_flatten(pc.filter(table["caused_by"], pc.invert(goes))))
    return int(pc.sum(pc.is_in(causes, value_set=gone)).as_py() or 0)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """As texts: some backends give names as dictionaries, or as large strings."""
    import pyarrow as pa

    return column.cast(pa.string())
