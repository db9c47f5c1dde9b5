"""Snapshots against the events of their instances, a page at a time."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from xcstore.analysis.integrity import Finding
from xcstore.analysis.integrity_snapshots import judge_snapshot, odd_snapshot, orphan
from xcstore.model.catalog import Catalog
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.ops.verifying_definitions import Definitions
from xcstore.store.base import Cursor, InstanceQuery, InstanceSummary, Stores
from xcstore.units import DurationMs

__all__ = ["STANDINGS", "AuditPage", "AuditedSnapshot", "Standing", "audit_instance", "audit_page"]

Standing = Literal["agrees", "behind", "disagrees", "adrift", "alone", "unread"]
"""`agrees`: with the last event of its instance. `behind`: with an earlier event. `disagrees`: with the event that it
was taken after. `adrift`: that event is not in the store, or it is older than the first one. `alone`: no event of its
instance is stored. `unread`: the events are too many to be folded for a page."""
STANDINGS: Final[tuple[Standing, ...]] = get_args(Standing)

CHUNK: Final = 50
"""Snapshots that are judged together."""
STREAM: Final = 20_000
"""Events of one instance that are folded for a page."""
STREAMS: Final = 50_000
"""Events of one chunk that are folded."""
SECONDS: Final = 3.0
"""For how long is looked for snapshots of the asked standing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedSnapshot:
    """One snapshot, and what it is worth."""

    snapshot: InstanceSnapshot = field(hash=False)
    standing: Standing
    behind: int | None = None
    """Events after the one that it was taken after; None where that is not known."""
    lag_ms: DurationMs | None = None
    """From that event to the last one."""
    compared: bool = True
    """Whether its values could be compared; its state always is, where there is a stream."""
    events: int = 0
    """Of its instance."""
    summary: InstanceSummary | None = None
    findings: tuple[Finding, ...] = ()
    """What is wrong with it, with the evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Snapshots by instance id."""

    items: tuple[AuditedSnapshot, ...]
    """Those of the asked standings."""
    counts: Mapping[Standing, int] = field(hash=False)
    """Of all that were judged for this page."""
    total: int
    """Snapshots in the store, one of each instance that has any."""
    next: Cursor | None = None

    @property
    def audited(self) -> int:
        """How many were judged for this page."""
        return sum(self.counts.values())


def audit_page(
    stores: Stores,
    catalog: Catalog | None = None,
    *,
    standings: Collection[Standing] = (),
    components: Collection[str] = (),
    after: Cursor | None = None,
    limit: int = CHUNK,
) -> AuditPage:
    """The latest snapshots from `after` on, judged by the fold of their events.

    Parameters
    ----------
    stores : Stores
    catalog : Catalog, optional
        What is known by name; where not given, what the store keeps.
    standings : collection of Standing, optional
        Which to give; all unless said. Then the search goes on until there are `limit`, for about 3 s; `next` says
        whether it has come to the end.
    components : collection of str, optional
        Snapshots of others are passed over, and are not in `counts`.
    after : Cursor, optional
    limit : int
        There may be up to `CHUNK` more, as snapshots are judged in chunks.
    """
    definitions = Definitions(stores, catalog)
    wanted, of = frozenset(standings or STANDINGS), frozenset(components)
    counts: dict[Standing, int] = dict.fromkeys(STANDINGS, 0)
    found: list[AuditedSnapshot] = []
    until = time.monotonic() + SECONDS
    while True:
        page = stores.snapshots.find(after=after, limit=CHUNK)
        chosen = [one for one in page.items if not of or one.instance.component_name in of]
        for audited in _audit(stores, definitions, chosen):
            counts[audited.standing] += 1
            if audited.standing in wanted:
                found.append(audited)
        after = page.next
        if after is None or len(found) >= limit or time.monotonic() > until:
            break
    return AuditPage(items=tuple(found), counts=counts, total=stores.snapshots.count(), next=after)


def audit_instance(stores: Stores, instance_id: str, catalog: Catalog | None = None) -> tuple[AuditedSnapshot, ...]:
    """All snapshots that are kept of one instance, the latest first; () where there is none."""
    kept = stores.snapshots.list_snapshots(instance_id)
    return tuple(_audit(stores, Definitions(stores, catalog), tuple(reversed(kept))))


def _audit(stores: Stores, definitions: Definitions, snapshots: Sequence[InstanceSnapshot]) -> list[AuditedSnapshot]:
    ids = tuple(dict.fromkeys(snapshot.instance.id for snapshot in snapshots))
    if not ids:
        return []
    summaries = {
        one.instance_id: one for one in stores.events.instances(InstanceQuery(instance_ids=ids), limit=len(ids)).items
    }
    streams = stores.events.get_streams(_few(summaries.values()))
    return [
        _judge(snapshot, summaries.get(snapshot.instance.id), streams.get(snapshot.instance.id), definitions)
        for snapshot in snapshots
    ]


def _few(summaries: Iterable[InstanceSummary]) -> list[str]:
    """Instances whose events are not too many, the shortest first."""
    chosen: list[str] = []
    events = 0
    for summary in sorted(summaries, key=lambda one: one.event_count):
        events += summary.event_count
        if summary.event_count > STREAM or events > STREAMS:
            break
        chosen.append(summary.instance_id)
    return chosen


def _judge(
    snapshot: InstanceSnapshot,
    summary: InstanceSummary | None,
    stream: Sequence[PersistedEvent] | None,
    definitions: Definitions,
) -> AuditedSnapshot:
    odd = (odd_snapshot(snapshot),) if snapshot.faults else ()
    if summary is None:
        return AuditedSnapshot(snapshot=snapshot, standing="alone", compared=False, findings=(orphan(snapshot), *odd))
    if not stream:
        at_last = snapshot.last_event_id == summary.last_event_id
        return AuditedSnapshot(
            snapshot=snapshot,
            standing="unread",
            behind=0 if at_last else None,
            lag_ms=DurationMs(0) if at_last else None,
            compared=False,
            events=summary.event_count,
            summary=summary,
            findings=odd,
        )
    last = stream[-1]
    machine = definitions.machine(last.definition_hash or "", last.component_name, last.machine_name)
    verdict = judge_snapshot(snapshot, stream, machine)
    disagrees = any(finding.kind == "snapshot_disagrees" for finding in verdict.findings)
    # Nothing to compare with is told as a disagreement that names no event.
    adrift = any(finding.kind == "snapshot_disagrees" and not finding.event_id for finding in verdict.findings)
    anchor = stream[len(stream) - 1 - verdict.behind]
    return AuditedSnapshot(
        snapshot=snapshot,
        standing="adrift" if adrift else "disagrees" if disagrees else "behind" if verdict.behind else "agrees",
        behind=None if adrift else verdict.behind,
        lag_ms=None if adrift else DurationMs(last.persisted_at - anchor.persisted_at),
        compared=verdict.compared,
        events=len(stream),
        summary=summary,
        findings=(*verdict.findings, *odd),
    )
