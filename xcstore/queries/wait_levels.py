"""The row of instances that wait for each other, as `queries.why_waiting` finds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xcstore.analysis.lifecycle import Lifecycle, Move
from xcstore.model.history import PersistedEvent
from xcstore.queries.linked import Trust
from xcstore.store.base import InstanceSummary
from xcstore.units import EpochMs

__all__ = ["Awaited", "End", "Linked", "SeenSender", "WaitLevel", "WhyWaiting"]

End = Literal[
    "not waiting", "ended", "no answer", "not found", "entry not read", "outside", "unknown", "repeated", "limit"
]
"""Why there is no further level. `not waiting`: the instance asked about has ended, or nothing leads on. `ended`: the
one that should send it has ended without having sent it. `no answer`: it did what sends the event, and none is seen to
have come. `not found`: no instance that could send it is linked, as far as was read. `entry not read`: the event by
which it entered the state is not stored, or too far back, so nobody knows what that set in motion. `outside`: nothing
in the store sends it, so it comes from outside or is the instance's own timer. `unknown`: nobody is declared to send
it, and it was never seen."""


Linked = Literal["set in motion", "cause"]
"""How the next instance was found: among the effects of entering the state that waits, or among its causes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSender:
    """A machine whose instances were seen to cause such an event in other cases."""

    component: str
    machine: str
    when: tuple[str, ...]
    """'Packed → Sent on SEND', as `lifecycle.Sender.when`."""
    count: int
    """In how many of the examples that were looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """One event that would take the instance out of its state."""

    move: Move
    """With who sends it by the definitions."""
    seen: tuple[SeenSender, ...] = ()
    """Who was seen to send it, where no definition says so."""
    examples: int = 0
    """How many events of that kind, of other instances, were looked at for `seen`."""
    due_at: EpochMs | None = None
    """When its own timer sends it."""
    due_earlier: bool = False
    """It may be due earlier, as nobody knows when the stay began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitLevel:
    """One instance of the row: the first is the one asked about, the next should send what that waits for."""

    instance: InstanceSummary
    status: Lifecycle
    since: EpochMs
    entry_read: bool = True
    """Whether it entered the state at `since`; else it was in it then already."""
    newest: int = 0
    """How many of its newest events were read, where older ones belong to the stay of the level before; 0: all."""
    awaited: tuple[Awaited, ...] = ()
    sends: tuple[str, ...] = ()
    """The events that the level before waits for and this one should send one of; () for the first."""
    by_definition: bool = True
    """Whether the definition says so; else it was seen elsewhere."""
    linked: Linked = "set in motion"
    linked_by: PersistedEvent | None = None
    """Its event nearest to the stay of the level before; None for the first level."""
    trust: Trust = "true"
    """What the links to that event are worth."""
    did: PersistedEvent | None = None
    """Its event that sends what is waited for, by the definition or as seen elsewhere, though nothing came."""
    others: int = 0
    """How many more instances of its machine were found that could send it."""
    linked_read: int | None = None
    """How many events linked to the stay of the level before were read to find it, where there may be more."""
    answered: PersistedEvent | None = None
    """The event of that kind that the level before handled after `did`, and stayed in its state all the same."""
    elsewhere: PersistedEvent | None = None
    """The event of that kind in another instance that `did` caused."""
    elsewhere_trust: Trust = "true"
    """What the link to `elsewhere` is worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyWaiting:
    """The row of instances that wait for each other, and where it ends."""

    levels: tuple[WaitLevel, ...]
    end: End
    linked_read: int | None = None
    """Where the end is `not found`: how many linked events were read, where there may be more; None: all."""
