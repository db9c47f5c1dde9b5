"""What the demo history holds: its stories and its planted faults, so that nobody takes them for defects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xcstore.units import EpochMs, to_utc

__all__ = ["DemoReport", "PlantedAnomaly", "Story"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedAnomaly:
    """One fault that was put into the history after it was made."""

    kind: str
    words: str
    instance_id: str
    event_id: str = ""
    """'' where it is about a snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Something worth finding, and where."""

    name: str
    words: str
    instance_id: str
    business_key: str = ""
    event_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    seed: int
    start: EpochMs
    end: EpochMs
    events: int
    snapshots: int
    instances: int
    machines: tuple[tuple[str, str, int], ...]
    """(component, machine, instances), sorted."""
    stories: tuple[Story, ...]
    anomalies: tuple[PlantedAnomaly, ...]

    def lines(self) -> Iterator[str]:
        """The report as text."""
        yield (
            f"{self.events:,} events of {self.instances:,} instances with {self.snapshots:,} snapshots, "
            f"{to_utc(self.start):%Y-%m-%d %H:%M} to {to_utc(self.end):%Y-%m-%d %H:%M} UTC, seed {self.seed}"
        )
        for component, machine, count in self.machines:
            yield f"  {component}.{machine}: {count:,}"
        yield "Stories:"
        for story in self.stories:
            yield f"  {story.name} ({story.business_key or story.instance_id}): {story.words}"
        yield "Planted faults:"
        for anomaly in self.anomalies:
            yield f"  {anomaly.kind} ({anomaly.event_id or anomaly.instance_id}): {anomaly.words}"

    def __str__(self) -> str:
        return "\n".join(self.lines())
