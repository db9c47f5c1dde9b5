"""What a verified replay of a whole store says: counts for each machine and version, and examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from xcstore.analysis.context import Change, path_text
from xcstore.replay.reasons import value_words
from xcstore.replay.verdicts import Verdict
from xcstore.units import EpochMs

__all__ = ["DivergenceMap", "InstanceDivergence", "MachineDivergence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceDivergence:
    """The first divergence of one instance. Texts hold stored names: escape them on pages."""

    instance_id: str
    component_name: str
    machine_name: str
    definition_hash: str
    """'' where the event names no version."""
    kind: str
    verdict: Verdict
    reason: str
    position: int
    """Of the event in its stream, counted from 1; of a timer that never came, that of the event before which it fell
    due, or of the last one."""
    event_id: str
    """'' where the definition does something and nothing is recorded."""
    event_type: str
    at: EpochMs
    """Of the event, or of the one at `position`."""
    changes: tuple[Change, ...] = field(default=(), hash=False)
    """The first values that differ: `old` by the definition, `new` as recorded."""
    change_count: int = 0
    events: int
    """Of the instance."""
    counts: Mapping[Verdict, int] = field(hash=False)
    """All steps of the instance, by verdict."""

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "instance_id": self.instance_id,
            "component": self.component_name,
            "machine": self.machine_name,
            "definition": self.definition_hash,
            "kind": self.kind,
            "verdict": self.verdict,
            "reason": self.reason,
            "position": self.position,
            "event_id": self.event_id,
            "event_type": self.event_type,
            "at": self.at,
            "changes": [
                {"path": path_text(c.path), "by_definition": value_words(c.old), "recorded": value_words(c.new)}
                for c in self.changes
            ],
            "change_count": self.change_count,
            "events": self.events,
            "counts": dict(self.counts),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineDivergence:
    """One machine under one version of its definition."""

    component_name: str
    machine_name: str
    definition_hash: str
    """'' where the events name no version."""
    known: bool
    """Whether that definition is known."""
    instances: int
    """That have events of this version."""
    diverging: int
    """Of these, with a divergence in such an event."""
    events: int
    verdicts: Mapping[Verdict, int] = field(hash=False)
    kinds: Mapping[str, int] = field(hash=False)
    """Steps by kind, where there is something to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DivergenceMap:
    """What a verified replay of a store has found."""

    store: str
    """Its URL without password."""
    asked_at: EpochMs
    as_of: EpochMs | None
    """Up to when timers were awaited: the last event of the store; None where it is empty."""
    seconds: float
    components: tuple[str, ...]
    """Those that were looked at; () for all."""
    events: int
    instances: int
    diverging: int
    """Instances with at least one divergence."""
    rows: tuple[MachineDivergence, ...]
    """Those with divergences first."""
    first_kinds: Mapping[str, int] = field(hash=False)
    """Diverging instances by the kind of their first divergence."""
    examples: tuple[InstanceDivergence, ...]
    """Of each kind at most as many as were asked for."""
    notes: tuple[str, ...] = ()

    @property
    def verdicts(self) -> Mapping[Verdict, int]:
        """Steps by verdict, of all rows."""
        found: Counter[Verdict] = Counter()
        for row in self.rows:
            found.update(row.verdicts)
        return found

    @property
    def kinds(self) -> Mapping[str, int]:
        """Steps by kind, of all rows."""
        found: Counter[str] = Counter()
        for row in self.rows:
            found.update(row.kinds)
        return found

    def shown(self, kind: str) -> int:
        """How many examples of a kind are told, of `first_kinds[kind]`."""
        return sum(example.kind == kind for example in self.examples)

    def document(self) -> dict[str, object]:
        """As JSON, for `--json`."""
        return {
            "store": self.store,
            "asked_at": self.asked_at,
            "as_of": self.as_of,
            "seconds": round(self.seconds, 3),
            "components": list(self.components),
            "events": self.events,
            "instances": self.instances,
            "diverging": self.diverging,
            "verdicts": dict(self.verdicts),
            "kinds": dict(self.kinds),
            "machines": [
                {
                    "component": row.component_name,
                    "machine": row.machine_name,
                    "definition": row.definition_hash,
                    "known": row.known,
                    "instances": row.instances,
                    "diverging": row.diverging,
                    "events": row.events,
                    "verdicts": dict(row.verdicts),
                    "kinds": dict(row.kinds),
                }
                for row in self.rows
            ],
            "first_kinds": dict(self.first_kinds),
            "shown": dict(Counter(example.kind for example in self.examples)),
            "examples": [example.document() for example in self.examples],
            "notes": list(self.notes),
        }
