"""What a changed definition would have made of a stored history, as it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from xcstore.units import EpochMs

__all__ = ["Example", "Ignored", "Impact", "MachineImpact", "Part", "Reached"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Where the two ways of one instance part. Words hold stored names: escape them."""

    event_id: str | None
    """The recorded event; None: a timer, see `why`."""
    position: int
    """Place in the stream, from 1, of the recorded event at which, or before which, they part; one more than there are
    events: after the last."""
    at: EpochMs
    state: str
    """Where both were before."""
    now: str
    """Where the definition in force leads; the state before where it does nothing."""
    then: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One instance that ends elsewhere."""

    instance_id: str
    machine_name: str
    recorded_end: str
    end_now: str
    end_then: str
    part: Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """Recorded events that the definition in force takes and the candidate does not."""

    state: str
    """Where the instance would be."""
    event_type: str
    events: int
    instances: int
    ended: bool
    """Whether they are refused as the instance has ended; else the state does not know them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How many instances come through a state."""

    state: str
    now: int
    then: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineImpact:
    """What becomes of the instances of one machine; `instances` is the sum of the four counts after it."""

    machine_name: str
    changed: tuple[str, ...]
    """What differs in the definition, in words."""
    instances: int
    same: int
    """The same way to the same end."""
    same_end: int
    """The same end by another way, or at another time."""
    other_end: int
    unknown: int
    other_than_recorded: int
    """Of those whose end is known: the candidate leads elsewhere than recorded."""
    current_differs: int
    """Of those whose end is known: the definition in force itself leads elsewhere than recorded."""
    moves: Mapping[tuple[str, str], int] = field(hash=False)
    """(end now, end then) of those that end elsewhere, the most frequent first."""
    unknown_reasons: Mapping[str, int] = field(hash=False)
    ignored: tuple[Ignored, ...]
    reached: tuple[Reached, ...]
    """States whose numbers differ, among instances whose end is known."""
    never_reached: tuple[str, ...]
    """Of these, those that no instance comes through any more."""
    values_differ: int
    values_unknown: int
    """As user methods ran, or would run, that may change them."""
    breaks: int
    """Instances that a restart took back on the way; both ways follow that."""
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """The stored history against a candidate definition."""

    component_name: str
    current_hash: str
    candidate_hash: str
    machines: tuple[MachineImpact, ...]
    instances: int
    """How many were looked at,"""
    total: int
    """of all that there are."""
    events: int
    until: EpochMs | None
    """How long timers run: the last time in the store; None where it is empty."""
    notes: tuple[str, ...]
    seconds: float
    store: str
    asked_at: EpochMs

    @property
    def truncated(self) -> bool:
        return self.instances < self.total

    @property
    def same(self) -> int:
        return sum(machine.same for machine in self.machines)

    @property
    def same_end(self) -> int:
        return sum(machine.same_end for machine in self.machines)

    @property
    def other_end(self) -> int:
        return sum(machine.other_end for machine in self.machines)

    @property
    def unknown(self) -> int:
        return sum(machine.unknown for machine in self.machines)

    def document(self) -> dict[str, object]:
        """As JSON has it."""
        machines = []
        for machine in self.machines:
            moves = [{"now": now, "then": then, "instances": number} for (now, then), number in machine.moves.items()]
            told = {name: getattr(machine, name) for name in MachineImpact.__dataclass_fields__}
            told |= {name: [asdict(one) for one in told[name]] for name in ("ignored", "reached", "examples")}
            machines.append(told | {"moves": moves, "unknown_reasons": dict(machine.unknown_reasons)})
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "machines"}
        return {**own, "truncated": self.truncated, "machines": machines}
