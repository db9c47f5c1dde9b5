"""The critical path of a trace: a bar of what its time was spent on, totals, and a row for each segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from xcstore.analysis.critical_path import CriticalPath, Kind, Segment
from xcstore.model.history import PersistedEvent
from xcstore.render.labels import count_text, duration_text, moment_text, short_id, visible_text
from xcstore.render.theme import PROVENANCES, SPENT, find_look

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["CriticalPathView", "build"]

Row = dict[str, object]
MAX_ROWS: Final = 1_000
"""Most segments in the table: the longest."""
_FINEST: Final = 0.004
"""Neighbours of one kind that are shorter than this part of the bar are drawn as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalPathView:
    """Everything shown of one critical path. Without segments there is only `summary` to say."""

    summary: str
    notes: tuple[str, ...] = ()
    """What is odd, and what is not shown."""
    parts: tuple[tuple[str, int, str], ...] = ()
    """(kind, ms, what), for `render.charts.time_bar`; empty where no time passed."""
    totals: tuple[Row, ...] = field(default=(), hash=False)
    segments: tuple[Row, ...] = field(default=(), hash=False)
    event_ids: tuple[str, ...] = ()
    """Event that each row of `segments` leads to."""


def build(
    path: CriticalPath, events: Mapping[str, PersistedEvent], *, zone: tzinfo, cut: bool = False
) -> CriticalPathView:
    """The view of `path`; `events` are those of the graph that it was found in.

    `cut`: not all events of its instances were read, so that some of what they waited for may be missing.
    """
    if not path.segments:
        alone = "Only one event is loaded on this path" if path.event_ids else "No event, so no path"
        return CriticalPathView(summary=f"{alone}: no time to explain.", notes=_notes(path, 0, cut))
    totals = path.totals()
    total = sum(totals.values())
    numbered = list(enumerate(path.segments, start=1))
    longest = sorted(numbered, key=lambda pair: -pair[1].duration_ms)[:MAX_ROWS]
    shown = sorted(longest, key=lambda pair: pair[0])
    return CriticalPathView(
        summary=_summary(path, events, totals, total, zone),
        notes=_notes(path, len(shown), cut),
        parts=_parts(path.segments, events, total) if total else (),
        totals=tuple(_total_row(kind, ms, path.segments, total) for kind, ms in totals.items()),
        segments=tuple(_segment_row(number, segment, events, total, zone) for number, segment in shown),
        event_ids=tuple(segment.target_id for _, segment in shown),
    )


def _summary(
    path: CriticalPath, events: Mapping[str, PersistedEvent], totals: Mapping[Kind, int], total: int, zone: tzinfo
) -> str:
    first, last = events[path.event_ids[0]], events[path.event_ids[-1]]
    spent = [f"{_share(ms, total)} {find_look(SPENT, kind).word}" for kind, ms in totals.items() if ms]
    return " · ".join(
        [
            f"{duration_text(path.elapsed_ms)} from {_named(first)} to {_named(last)}",
            f"ended {moment_text(last.persisted_at, zone)}",
            *spent,
            count_text(len(path.segments), "segment"),
        ]
    )


def _notes(path: CriticalPath, shown: int, cut: bool) -> tuple[str, ...]:
    notes = [visible_text(f"{fault[:1].upper()}{fault[1:]}.", 400) for fault in path.faults]
    if cut:
        notes.append("The instances on it have more events than were read: what they waited for may be missing.")
    skewed = [segment.skew_ms for segment in path.segments if segment.skew_ms]
    if skewed:
        notes.append(
            f"{count_text(len(skewed), 'segment runs', 'segments run')} against the clock, by up to "
            f"{duration_text(max(skewed))}; each counts as 0 ms."
        )
    if shown < len(path.segments):
        notes.append(f"Shown {shown:,} of {len(path.segments):,} segments, the longest.")
    return tuple(notes)


def _parts(
    segments: tuple[Segment, ...], events: Mapping[str, PersistedEvent], total: int
) -> tuple[tuple[str, int, str], ...]:
    """The segments that take time; small neighbours of one kind as one."""
    parts: list[tuple[str, int, list[Segment]]] = []
    for segment in segments:
        if not segment.duration_ms:
            continue
        small = segment.duration_ms < total * _FINEST
        if parts and small and parts[-1][0] == segment.kind and parts[-1][1] < total * _FINEST:
            parts[-1] = (segment.kind, parts[-1][1] + segment.duration_ms, [*parts[-1][2][:1], segment])
        else:
            parts.append((segment.kind, segment.duration_ms, [segment]))
    return tuple((kind, ms, _named(events[some[-1].target_id])) for kind, ms, some in parts)


def _total_row(kind: Kind, ms: int, segments: tuple[Segment, ...], total: int) -> Row:
    return {
        "spent on": find_look(SPENT, kind).text,
        "time": duration_text(ms),
        "share": _share(ms, total),
        "segments": sum(segment.kind == kind for segment in segments),
    }


def _segment_row(number: int, segment: Segment, events: Mapping[str, PersistedEvent], total: int, zone: tzinfo) -> Row:
    source, target = events[segment.source_id], events[segment.target_id]
    return {
        "nr": number,
        "spent on": find_look(SPENT, segment.kind).text,
        "time": duration_text(segment.duration_ms),
        "share": _share(segment.duration_ms, total),
        "from": _event(source),
        "to": _event(target),
        "why": visible_text(segment.why, 200),
        "link": _provenance(segment),
        "odd": visible_text("; ".join(segment.faults), 300),
        "stored at": moment_text(target.persisted_at, zone, millis=True),
        "instance": visible_text(target.instance_id, 80),
        "event id": visible_text(target.id, 80),
    }


def _provenance(segment: Segment) -> str:
    if segment.link is None:
        return "order in the instance"
    look = find_look(PROVENANCES, segment.link.standing).text
    return f"{look}: {visible_text(segment.link.rule, 40)}" if segment.link.rule else look


def _named(event: PersistedEvent) -> str:
    return visible_text(f"{event.machine_name} {short_id(event.instance_id)}: {event.event_type}", 120)


def _event(event: PersistedEvent) -> str:
    return visible_text(f"{event.machine_name}: {event.event_type}", 120)


def _share(ms: int, total: int) -> str:
    if not total:
        return "–"
    share = 100 * ms / total
    return "< 1 %" if 0 < share < 1 else f"{share:.0f} %"
