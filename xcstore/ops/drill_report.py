"""What a drill found: the certificate of `ops.drill`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from xcstore.ops.digests import StoreDigest
from xcstore.ops.restoration_results import PROBLEMS
from xcstore.units import DurationMs, EpochMs

__all__ = ["DAMAGING", "Damage", "DrillReport", "Findings", "Phase", "Revived", "without_values"]

DAMAGING: Final = frozenset(
    ("gap", "values", "unknown_event", "unreadable", "no_machine", "differs", "second_creation", "snapshot_disagrees")
)
"""Problems of an instance (`ops.restoration_results.PROBLEMS`) that mean that something is lost or was altered."""

_VALUELESS: Final = frozenset(("mismatch", "missing", "late_start", "dangling_cause"))
"""Kinds of damage whose words never hold stored values."""
_PLAIN: Final[dict[str, str]] = {
    **PROBLEMS,
    "unreadable": "it cannot be read",
    "not_storable": "it cannot be stored",
    "definition": "the definition cannot be used",
    "work": "waiting work cannot be read",
    "lost": "not all that live by their events were brought back",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One part of a drill. `read`, `check`, `restore` and `bring back` are those of a real recovery."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing that is damaged, or is odd."""

    kind: str
    where: str
    """The member, row, event or instance."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revived:
    """What lived again in fresh runtimes."""

    components: int
    instances: int
    active: int
    """Of these, those that go on; the rest are entry points that ended."""
    from_snapshot: int
    events: int
    """Folded."""
    ended: int
    """Instances that have ended, and stay so."""
    timers: int
    overdue: int
    """Timers that would fire once on going on."""
    work: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillReport:
    """The certificate."""

    source: str
    """Without password."""
    asked_at: EpochMs
    passed: bool
    strict: bool
    """Whether warnings fail it."""
    phases: tuple[Phase, ...]
    damages: tuple[Damage, ...]
    """The first of them."""
    damage_count: int
    warnings: tuple[Damage, ...]
    """The first of them."""
    warning_count: int
    notes: tuple[str, ...]
    """What could not be looked at, and why."""
    digest: StoreDigest | None
    """Of what was restored; None where it did not come to that."""
    revived: Revived | None
    not_revived: int
    """Instances of components without a known definition."""
    recovery_seconds: float | None
    """How long it took to read, check, restore and bring back, on this machine; None where something is damaged."""
    recovery_point: EpochMs | None
    """When the newest event was stored: what happened later is not in it."""
    recovery_age_ms: DurationMs | None
    """From then to the drill."""

    def document(self) -> dict[str, object]:
        """As JSON, for CI."""
        return {
            "source": self.source,
            "asked_at": self.asked_at,
            "passed": self.passed,
            "strict": self.strict,
            "phases": {phase.name: round(phase.seconds, 3) for phase in self.phases},
            "damages": [asdict(one) for one in self.damages],
            "damage_count": self.damage_count,
            "warnings": [asdict(one) for one in self.warnings],
            "warning_count": self.warning_count,
            "notes": list(self.notes),
            "digest": self.digest.to_document() if self.digest is not None else None,
            "revived": asdict(self.revived) if self.revived is not None else None,
            "not_revived": self.not_revived,
            "recovery_seconds": None if self.recovery_seconds is None else round(self.recovery_seconds, 3),
            "recovery_point": self.recovery_point,
            "recovery_age_ms": self.recovery_age_ms,
        }


class Findings:
    """Takes what a drill finds; the first of each sort are kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.damages: list[Damage] = []
        self.warnings: list[Damage] = []
        self.damage_count = self.warning_count = 0
        self.unknown_components: Counter[str] = Counter()
        """Instances of components without a definition, by component."""

    def damage(self, kind: str, where: str, text: str) -> None:
        self.damage_count += 1
        if len(self.damages) < self._most:
            self.damages.append(Damage(kind=kind, where=where, text=text))

    def damaged_besides(self, count: int) -> None:
        """More of them, of which there are no words."""
        self.damage_count += count

    def warn(self, kind: str, where: str, text: str) -> None:
        self.warning_count += 1
        if len(self.warnings) < self._most:
            self.warnings.append(Damage(kind=kind, where=where, text=text))

    def warned_besides(self, count: int) -> None:
        """More of them, of which there are no words."""
        self.warning_count += count

    def unknown(self, component_name: str) -> None:
        self.unknown_components[component_name] += 1


def without_values(found: DrillReport) -> DrillReport:
    """The certificate without the words that may hold stored values: what is damaged is named by its kind and place.

    For settings that mask values: a drill has to compare what is stored.
    """

    def bare(damages: Sequence[Damage]) -> tuple[Damage, ...]:
        return tuple(
            one if one.kind in _VALUELESS else replace(one, text=f"{_PLAIN[one.kind]} (values are masked)")
            for one in damages
        )

    return replace(found, damages=bare(found.damages), warnings=bare(found.warnings))
