"""What the Restore page shows of snapshots: their age, their lag, and whether the events say the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Final

from xcstore.ops.auditing import STANDINGS, AuditedSnapshot, AuditPage, Standing
from xcstore.render.labels import ago_text, count_text, duration_text, moment_text, visible_text
from xcstore.render.theme import STATUSES, find_look
from xcstore.units import EpochMs

__all__ = ["MASKED", "PARTS", "WIDTHS", "WORDS", "evidence_rows", "kept_rows", "meaning", "page_text", "snapshot_rows"]

Row = dict[str, object]

MASKED: Final = (
    "Parts of the data are masked here (XCSTORE_REDACT): what is masked is neither compared nor brought back as it is. "
    "The drill compares everything."
)
PARTS: Final = {"snapshots": "Snapshots", "restore": "Restore", "drill": "Drill", "recovery": "Recovery"}

WIDTHS: Final = {"is": 130, "instance": 150, "machine": 95, "state": 100, "age": 80, "behind": 110, "lag": 85}
"""In px."""
WORDS: Final[Mapping[Standing, str]] = {
    "agrees": "✓ agrees",
    "behind": "◔ behind",
    "disagrees": "✕ disagrees",
    "adrift": "✕ event not known",
    "alone": "✕ no events",
    "unread": "◌ not compared",
}
_MEANINGS: Final[Mapping[Standing, str]] = {
    "agrees": "It says what the events say, up to the last one.",
    "behind": "It says what the events said when it was taken; restoring folds the later ones too.",
    "disagrees": "It says something else than the event that it was taken after.",
    "adrift": "It cannot be placed among the events of its instance; restoring folds all of them instead.",
    "alone": "No event of its instance is stored; restoring has this snapshot alone.",
    "unread": "Its instance has too many events to fold for a page; `python -m xcstore verify` compares it.",
}


def meaning(standing: Standing) -> str:
    """What a standing says, in a sentence."""
    return _MEANINGS[standing]


def page_text(page: AuditPage, before: int) -> str:
    """What was audited for this page, and how it stands; `before` were audited on the pages before it."""
    if not page.audited:
        return f"none audited of {count_text(page.total, 'snapshot')}"
    counts = " · ".join(f"{count:,} {_word(standing)}" for standing in STANDINGS if (count := page.counts[standing]))
    span = f"{before + 1:,} to {before + page.audited:,}" if before or page.next else f"all {page.audited:,}"
    return f"audited {span} of {count_text(page.total, 'snapshot')}, by instance id: {counts}"


def snapshot_rows(items: Sequence[AuditedSnapshot], *, now: EpochMs, zone: tzinfo) -> list[Row]:
    """A row for the latest snapshot of each instance."""
    return [
        {
            "is": _mark(item),
            "instance": visible_text(item.snapshot.instance.id, 80),
            "machine": visible_text(item.snapshot.instance.machine_name, 80),
            **_facts(item, now=now, zone=zone),
            "component": visible_text(item.snapshot.instance.component_name, 80) or "(none)",
        }
        for item in items
    ]


def kept_rows(items: Sequence[AuditedSnapshot], *, now: EpochMs, zone: tzinfo) -> list[Row]:
    """A row for each snapshot that is kept of one instance."""
    return [{"is": _mark(item), **_facts(item, now=now, zone=zone)} for item in items]


def _facts(item: AuditedSnapshot, *, now: EpochMs, zone: tzinfo) -> Row:
    snapshot = item.snapshot
    status = find_look(STATUSES, snapshot.instance.status).text if snapshot.status_recorded else "not recorded"
    return {
        "state": visible_text(snapshot.instance.current_state, 60),
        "age": ago_text(snapshot.snapshot_at, now),
        "behind": "not known" if item.behind is None else f"{item.behind:,} of {count_text(item.events, 'event')}",
        "lag": "none" if item.lag_ms == 0 else duration_text(item.lag_ms),
        "taken": moment_text(snapshot.snapshot_at, zone),
        "status": status,
        "timers": f"{len(snapshot.pending_timeouts):,}" if snapshot.timeouts_recorded else "not recorded",
    }


def evidence_rows(item: AuditedSnapshot) -> list[Row]:
    """What speaks against a snapshot, of all that was found."""
    rows: list[Row] = []
    for finding in item.findings:
        rows.append({"evidence": "found", "what was seen": visible_text(finding.what, 400)})
        rows.append({"evidence": "likely", "what was seen": visible_text(finding.reason, 400)})
        rows += [
            {"evidence": visible_text(label, 80), "what was seen": visible_text(text, 400)}
            for label, text in finding.evidence
        ]
    return rows


def _mark(item: AuditedSnapshot) -> str:
    stands = WORDS[item.standing]
    return f"{stands} (state)" if not item.compared and item.standing in ("agrees", "behind") else stands


def _word(standing: Standing) -> str:
    return WORDS[standing].split(maxsplit=1)[1]
