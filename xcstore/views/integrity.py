"""What the Integrity page shows of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from xcstore.analysis.integrity import KINDS, Finding, Report, Severity
from xcstore.render.labels import count_text, visible_text

__all__ = [
    "MARKS",
    "Number",
    "evidence_rows",
    "finding_rows",
    "kind_rows",
    "kinds_in_order",
    "link_text",
    "numbers",
    "of_kind",
    "shown_text",
    "verdict",
]

Row = dict[str, object]

MARKS: Final[Mapping[Severity, str]] = {"error": "✕ error", "warning": "▲ warning", "info": "○ info"}
NONE: Final = "✓ none"
PARTLY: Final = "◌ not all checked"
_WORDS: Final[Mapping[Severity, tuple[str, str]]] = {
    "error": ("error", "errors"),
    "warning": ("warning", "warnings"),
    "info": ("note", "notes"),
}
_LINKS: Final = {
    "causality": "Open its causes and effects",
    "instances": "Open the instance",
    "events": "Open the event",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number at the top, and what it means."""

    label: str
    value: str
    meaning: str


def verdict(report: Report) -> str:
    """The report in one line."""
    if not report.total:
        return "◌ Nothing was found, but not all could be checked" if report.partly else "✓ Sound: nothing was found"
    counts = [
        f"{MARKS[severity].split()[0]} {count_text(count, *_WORDS[severity])}"
        for severity, count in report.severities.items()
        if count
    ]
    return " · ".join(counts)


def _standing(report: Report, kind: str) -> str:
    if report.counts[kind]:
        return MARKS[KINDS[kind].severity]
    return PARTLY if kind in report.partly else NONE


def numbers(report: Report) -> tuple[Number, ...]:
    """What was looked at, in figures."""
    checked = report.checked
    return (
        Number(label="Events", value=f"{checked['events']:,}", meaning="Events that were read"),
        Number(label="Instances", value=f"{checked['instances']:,}", meaning="Instances whose states were chained"),
        Number(label="Links", value=f"{checked['links']:,}", meaning="Recorded causes that were looked up and judged"),
        Number(
            label="Snapshots",
            value=f"{checked['snapshots']:,}",
            meaning="Compared with the events up to the one that each was taken after",
        ),
        Number(
            label="Behind",
            value=f"{checked['snapshots_behind']:,}",
            meaning="Snapshots older than the last event of their instance: normal while it is live",
        ),
        Number(label="Definitions", value=f"{checked['definitions']:,}", meaning="Components whose states are known"),
    )


def kind_rows(report: Report) -> list[Row]:
    """A row for each kind, the worst first; those without a finding last."""
    return [
        {
            "is": _standing(report, kind),
            "kind": KINDS[kind].title,
            "findings": report.counts[kind],
            "what it is": KINDS[kind].meaning,
        }
        for kind in kinds_in_order(report)
    ]


def kinds_in_order(report: Report) -> list[str]:
    """Kinds with findings first, each part the worst first."""
    return sorted(report.counts, key=lambda kind: not report.counts[kind])


def of_kind(report: Report, kind: str) -> list[Finding]:
    """The findings of a kind that are told."""
    return [finding for finding in report.findings if finding.kind == kind]


def finding_rows(findings: list[Finding]) -> list[Row]:
    """A row for each finding."""
    return [
        {
            "is": MARKS[finding.severity],
            "what": visible_text(finding.what, 300),
            "machine": visible_text(finding.machine_name, 60),
            "component": visible_text(finding.component_name, 60) or "(none)",
            "instance": visible_text(finding.instance_id, 60),
            "event id": visible_text(finding.event_id, 60),
        }
        for finding in findings
    ]


def evidence_rows(finding: Finding) -> list[Row]:
    """What speaks for a finding."""
    return [
        {"evidence": visible_text(label, 80), "what was seen": visible_text(text, 400)}
        for label, text in finding.evidence
    ]


def shown_text(report: Report, kind: str) -> str:
    """How many findings of a kind there are, and how many of them are told."""
    count, shown = report.counts[kind], report.shown(kind)
    if shown < count:
        return f"shown {shown:,} of {count:,}; pick one to see its evidence"
    return f"{count_text(count, 'finding')}; pick one to see the evidence"


def link_text(finding: Finding) -> str:
    """What the link to the page that shows it says."""
    return _LINKS[finding.page]
