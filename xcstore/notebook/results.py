"""What one instance, a critical path and a verification give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Final

import pandas as pd

from xcstore.analysis.critical_path import CriticalPath
from xcstore.analysis.integrity import Finding, Report
from xcstore.frames import events_to_frame, snapshots_to_frame
from xcstore.model.history import PersistedEvent
from xcstore.notebook import html
from xcstore.notebook.frames import FINDING_COLUMNS, SEGMENT_COLUMNS, items_to_frame
from xcstore.queries.instances import InstanceHistory
from xcstore.render.labels import count_text, duration_text, short_id
from xcstore.store.base import InstanceSummary

__all__ = ["InstanceEvents", "PathResult", "VerifyResult"]


class InstanceEvents:
    """One instance: its events in stream order, and its snapshots."""

    def __init__(self, found: InstanceHistory) -> None:
        self._found: Final = found

    @property
    def instance(self) -> InstanceSummary:
        return self._found.summary

    @property
    def shown(self) -> str:
        """How much this is, and of how much."""
        events, older = len(self._found.events), self._found.older
        of = f" of {events + older:,}, the newest" if older else ""
        return f"{count_text(events, 'event')}{of}, {count_text(len(self._found.snapshots), 'snapshot')}"

    @cached_property
    def events(self) -> pd.DataFrame:
        """A row for each event, with `frames.EVENT_COLUMNS`."""
        return events_to_frame(self._found.events)

    @cached_property
    def snapshots(self) -> pd.DataFrame:
        """A row for each snapshot that is kept, oldest first, with `frames.SNAPSHOT_COLUMNS`."""
        return snapshots_to_frame(self._found.snapshots)

    def __iter__(self) -> Iterator[PersistedEvent]:
        return iter(self._found.events)

    def __len__(self) -> int:
        return len(self._found.events)

    def __repr__(self) -> str:
        return html.plain(self._title, self.shown)

    @property
    def _title(self) -> str:
        found = self.instance
        component = f"component {found.component_name}" if found.component_name else "no component"
        return f"InstanceEvents of {found.instance_id!r} ({found.machine_name}, {component}), now in {found.state}"

    def _repr_html_(self) -> str:
        return html.heading(self._title, [self.shown]) + html.event_table(self._found.events)


class PathResult:
    """The chain that set the time of an event."""

    def __init__(self, found: CriticalPath, events: Mapping[str, PersistedEvent], *, cut: bool = False) -> None:
        self.path: Final = found
        self.cut: Final = cut
        """Not everything that happened to the instances meanwhile was read: the path may miss a part."""
        self._events: Final = events

    @cached_property
    def segments(self) -> pd.DataFrame:
        """A row for each segment, with `notebook.frames.SEGMENT_COLUMNS`."""
        return items_to_frame(self.path.segments, SEGMENT_COLUMNS)

    def __iter__(self) -> Iterator[PersistedEvent]:
        return (self._events[name] for name in self.path.event_ids)

    def __len__(self) -> int:
        return len(self.path.event_ids)

    def __repr__(self) -> str:
        return html.plain(self._title, *self._lines)

    @property
    def _title(self) -> str:
        if not self.path.event_ids:
            return "PathResult of no events"
        count = count_text(len(self.path.segments), "segment")
        return f"PathResult to {self.path.event_ids[-1]!r}: {duration_text(self.path.elapsed_ms)} in {count}"

    @property
    def _lines(self) -> Sequence[str]:
        spent = ", ".join(f"{kind} {duration_text(time)}" for kind, time in self.path.totals().items())
        cut = "not all events of these instances were read; the path may miss a part" if self.cut else ""
        return [spent, cut, *self.path.faults]

    def _repr_html_(self) -> str:
        rows = (
            (
                html.event_word(self._events[source]),
                html.event_word(self._events[target]),
                segment.kind,
                duration_text(segment.duration_ms),
                segment.why,
                "; ".join(segment.faults),
            )
            for (source, target), segment in zip(pairwise(self.path.event_ids), self.path.segments, strict=True)
        )
        head = ("from", "to", "spent on", "time", "why", "odd")
        return html.heading(self._title, self._lines) + html.table(head, rows, len(self.path.segments))


class VerifyResult:
    """What is wrong with a store."""

    def __init__(self, report: Report) -> None:
        self.report: Final = report

    @property
    def sound(self) -> bool:
        """Whether there is no finding that is an error; less may be worth knowing."""
        return self.report.worst != "error"

    @property
    def shown(self) -> str:
        """How many findings these are, and of how many."""
        kept, total = len(self.report.findings), self.report.total
        return count_text(total, "finding") if kept == total else f"{count_text(kept, 'finding')} of {total:,}"

    @cached_property
    def findings(self) -> pd.DataFrame:
        """A row for each finding that was kept, with `notebook.frames.FINDING_COLUMNS`."""

        def evidence(row: Finding) -> str:
            return "; ".join(f"{label}: {text}" for label, text in row.evidence)

        return items_to_frame(self.report.findings, FINDING_COLUMNS, {"evidence": evidence})

    def __len__(self) -> int:
        return len(self.report.findings)

    def __repr__(self) -> str:
        return html.plain(self._title, *self._lines)

    @property
    def _title(self) -> str:
        return f"VerifyResult of {self.report.store}: {'sound' if self.sound else 'not sound'}"

    @property
    def _lines(self) -> Sequence[str]:
        counts = ", ".join(f"{kind} {count:,}" for kind, count in self.report.counts.items() if count)
        return [f"{self.shown}{f': {counts}' if counts else ''}", *self.report.notes]

    def _repr_html_(self) -> str:
        rows = (
            (row.severity, row.kind, row.what, row.reason, short_id(row.instance_id), short_id(row.event_id))
            for row in self.report.findings
        )
        head = ("severity", "kind", "what", "likely reason", "instance", "event")
        return html.heading(self._title, self._lines) + html.table(head, rows, len(self.report.findings))
