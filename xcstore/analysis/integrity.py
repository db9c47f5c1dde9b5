"""What can be wrong with a stored history, and how each thing that was found is told.

The checks themselves are pure: `integrity_streams` (chains, duplicates, states), `integrity_causes` (links),
`integrity_skew` (clocks) and `integrity_snapshots`. `ops.verifying` reads a store and feeds them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from xcstore.analysis.integrity_kinds import KINDS, SEVERITIES, Kind, Severity
from xcstore.units import EpochMs, to_utc

__all__ = ["KINDS", "SEVERITIES", "Collector", "Finding", "Kind", "Report", "Severity", "moment_words", "sentence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, with what speaks for it. Texts hold stored names: escape them on pages."""

    kind: str
    severity: Severity
    what: str
    reason: str
    """Why it is likely so."""
    evidence: tuple[tuple[str, str], ...] = ()
    """What was seen, as (label, text)."""
    event_id: str = ""
    instance_id: str = ""
    component_name: str = ""
    machine_name: str = ""
    page: str = ""
    """The page that shows it; '' where none does."""
    params: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What that page is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found in one store, what was looked at, and what could not be."""

    store: str
    """Its URL without password."""
    asked_at: EpochMs
    seconds: float
    counts: Mapping[str, int] = field(hash=False)
    """Findings by kind, for every kind that was looked for; 0 says that there is none."""
    severities: Mapping[Severity, int] = field(hash=False)
    findings: tuple[Finding, ...] = ()
    """Ordered by kind; of each at most as many as were asked for."""
    checked: Mapping[str, int] = field(default_factory=dict, hash=False)
    """What was looked at, in figures: 'events', 'instances', 'links' …"""
    notes: tuple[str, ...] = ()
    """What could not be checked, and why."""
    partly: frozenset[str] = frozenset()
    """Kinds that could not be looked for everywhere, as the notes say: 0 findings do not mean that there is none."""

    @property
    def worst(self) -> Severity | None:
        """None: nothing was found."""
        return next((severity for severity in SEVERITIES if self.severities[severity]), None)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def shown(self, kind: str) -> int:
        """How many findings of a kind are told, of `counts[kind]`."""
        return sum(finding.kind == kind for finding in self.findings)

    def document(self) -> dict[str, object]:
        """As JSON, for `--json`."""
        return {
            "store": self.store,
            "asked_at": self.asked_at,
            "seconds": round(self.seconds, 3),
            "worst": self.worst,
            "severities": dict(self.severities),
            "counts": dict(self.counts),
            "shown": dict(Counter(finding.kind for finding in self.findings)),
            "checked": dict(self.checked),
            "notes": list(self.notes),
            "partly_checked": sorted(self.partly),
            "findings": [
                {
                    "kind": one.kind,
                    "severity": one.severity,
                    "what": one.what,
                    "reason": one.reason,
                    "event_id": one.event_id,
                    "instance_id": one.instance_id,
                    "component": one.component_name,
                    "machine": one.machine_name,
                    "evidence": dict(one.evidence),
                    "page": one.page,
                    "params": dict(one.params),
                }
                for one in self.findings
            ],
        }


class Collector:
    """Counts every finding, and keeps the first `limit` of each kind."""

    def __init__(self, kinds: Iterable[str], limit: int) -> None:
        self.counts: dict[str, int] = {name: 0 for name in KINDS if name in set(kinds)}
        self.severities: dict[Severity, int] = dict.fromkeys(SEVERITIES, 0)
        self._limit = limit
        self._kept: dict[str, list[Finding]] = {name: [] for name in self.counts}

    def wants(self, *kinds: str) -> bool:
        """Whether one of them is looked for."""
        return any(kind in self.counts for kind in kinds)

    def room(self, kind: str) -> int:
        """How many more findings of the kind would be kept."""
        return self._limit - len(self._kept[kind]) if kind in self.counts else 0

    def count(self, kind: str, severity: Severity, number: int = 1) -> None:
        """`number` findings; of a kind that is not looked for, none."""
        if kind in self.counts:
            self.counts[kind] += number
            self.severities[severity] += number

    def keep(self, finding: Finding) -> None:
        """Tell one that was counted, where there is room."""
        if self.room(finding.kind) > 0:
            self._kept[finding.kind].append(finding)

    def add(self, finding: Finding) -> None:
        """Count it, and tell it where there is room."""
        self.count(finding.kind, finding.severity)
        self.keep(finding)

    def findings(self) -> tuple[Finding, ...]:
        """What is kept, by kind."""
        return tuple(finding for kept in self._kept.values() for finding in kept)


def moment_words(moment: EpochMs) -> str:
    """A moment in UTC, as evidence tells it."""
    date = to_utc(moment)
    return f"{moment} ms" if date is None else date.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sentence(text: str) -> str:
    """The text with a capital at its beginning."""
    return text[:1].upper() + text[1:]
