"""What waits in the queue, and the form in which it is kept in a store. Private to the runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xcstore.model.definition import MatchingRule
from xcstore.runtime.checking import to_event
from xcstore.runtime.interpreter import Event
from xcstore.runtime.live import Causes, RunningTimer

if TYPE_CHECKING:
    from xcstore.runtime.executor import Executor
    from xcstore.runtime.outbox import Doubt, Ticket

__all__ = ["Broadcast", "Call", "Create", "Entered", "Send", "Tally", "Work", "from_document", "to_document"]


@dataclass(slots=True, eq=False)
class Tally:
    """How many instances a broadcast reached; `moved_only`: how many changed their state."""

    moved_only: bool
    count: int = 0


@dataclass(slots=True, eq=False)
class Send:
    executor: Executor
    instance_id: str
    event: Event
    causes: Causes = ()
    source: str | None = None
    """The component that sent it, where it is another one."""
    tally: Tally | None = None
    timer: RunningTimer | None = None
    ticket: Ticket | None = None


@dataclass(slots=True, eq=False)
class Create:
    executor: Executor
    instance_id: str
    machine_name: str
    data: Mapping[str, object]
    trigger: str
    causes: Causes = ()
    source: str | None = None
    parent_id: str | None = None
    parent_machine: str | None = None
    is_entry_point: bool = False
    ticket: Ticket | None = None
    doubt: Doubt | None = None
    """Its event, where the store may or may not have taken that."""


@dataclass(slots=True, eq=False)
class Broadcast:
    """An event for the instances of a machine.

    Whom it reaches is decided when its turn comes, not when it is sent: by `rules` of the sender where there are
    any, by the machine's own matching rules, or, with `everybody`, by the state alone.
    """

    executor: Executor
    machine_name: str
    event: Event
    state: str | None = None
    causes: Causes = ()
    source: str | None = None
    everybody: bool = False
    rules: tuple[MatchingRule, ...] = ()
    wanted: Mapping[str, object] | None = None
    """What `rules` compare with; None: the payload."""
    done: Callable[[int], None] | None = None
    ticket: Ticket | None = None


@dataclass(slots=True, eq=False)
class Entered:
    """What is left of a stored transition: the method on entry, and then what the transition asks of others."""

    executor: Executor
    instance_id: str
    event: Event
    event_id: str
    before: str
    number: int
    """Which transition of the machine it is, as `Plan.number` says."""
    ticket: Ticket | None = None


@dataclass(slots=True, eq=False)
class Call:
    """Something to do in turn; not kept."""

    executor: Executor
    callback: Callable[[], None]
    ticket: Ticket | None = field(default=None, init=False)


Work = Send | Create | Broadcast | Entered | Call


def to_document(work: Work) -> dict[str, object] | None:
    """The JSON form; None for what is not kept."""
    match work:
        case Send(timer=None):
            return {
                "kind": "send",
                "instance": work.instance_id,
                "event": _event(work.event),
                "causes": list(work.causes),
                "source": work.source,
            }
        case Create():
            return {
                "kind": "create",
                "instance": work.instance_id,
                "machine": work.machine_name,
                "data": work.data,
                "trigger": work.trigger,
                "causes": list(work.causes),
                "source": work.source,
                "parent": work.parent_id,
                "parentMachine": work.parent_machine,
                "entryPoint": work.is_entry_point,
            }
        case Broadcast():
            return {
                "kind": "broadcast",
                "machine": work.machine_name,
                "event": _event(work.event),
                "state": work.state,
                "causes": list(work.causes),
                "source": work.source,
                "everybody": work.everybody,
                "wanted": work.wanted,
                "rules": [[rule.event_property, rule.operator, rule.instance_property] for rule in work.rules],
            }
        case Entered():
            return {
                "kind": "entered",
                "instance": work.instance_id,
                "event": _event(work.event),
                "eventId": work.event_id,
                "before": work.before,
                "number": work.number,
            }
        case _:
            return None


def from_document(document: Mapping[str, Any], executor: Executor) -> Work:
    """Work of `executor` from its JSON form.

    Raises
    ------
    KeyError, TypeError, ValueError
        It is not what `to_document` writes.
    """
    match document["kind"]:
        case "send":
            return Send(
                executor, document["instance"], _to_event(document), tuple(document["causes"]), document["source"]
            )
        case "create":
            return Create(
                executor,
                document["instance"],
                document["machine"],
                document["data"],
                document["trigger"],
                tuple(document["causes"]),
                document["source"],
                document["parent"],
                document["parentMachine"],
                document["entryPoint"],
            )
        case "broadcast":
            return Broadcast(
                executor,
                document["machine"],
                _to_event(document),
                document["state"],
                tuple(document["causes"]),
                document["source"],
                document["everybody"],
                tuple(
                    MatchingRule(event_property=wanted, operator=operator, instance_property=found)
                    for wanted, operator, found in document["rules"]
                ),
                document["wanted"],
            )
        case "entered":
            return Entered(
                executor,
                document["instance"],
                _to_event(document),
                document["eventId"],
                document["before"],
                document["number"],
            )
        case other:
            raise ValueError(f"unknown kind of work {other!r}")


def _event(event: Event) -> dict[str, object]:
    return {"type": event.type, "payload": event.payload, "timestamp": event.timestamp}


def _to_event(document: Mapping[str, Any]) -> Event:
    event = document["event"]
    return to_event(Event(event["type"], event["payload"], event["timestamp"]))
