"""A program that is killed again and again, started again each time, and has to end as if nothing had been.

    python -m tests.runtime.crashing URL SEED [KILLS]

goes through the seeded inputs of three components that keep their history at URL, dies KILLS times on the way, and
prints what is there in the end; at memory:// it goes through them undisturbed. Without a URL it takes such orders as
lines of JSON, and answers each with a line.

A process that has everything imported and nothing opened forks one child for each start: a new interpreter for each
of some hundred starts would take most of the time. Around whatever a child writes, and in the transaction before the
COMMIT, it makes a mark. It dies in one of two ways: by its own hand at a mark, so that each kind of place is met; or by
its parent's, some moments after a mark, wherever it is then: in the middle of a statement, or of making it durable.
"""

from __future__ import annotations

import gc
import json
import os
import random
import re
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from xcstore.errors import InstanceNotActiveError
from xcstore.model.history import CREATION, Instance, PersistedEvent
from xcstore.model.loader import parse_component
from xcstore.runtime import ComponentRegistry, Event, FSMRuntime, PersistenceConfig, Sender, SimulatedClock
from xcstore.runtime.ids import TimeOrderedIds
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores
from xcstore.store.postgresql import PostgresDatabase
from xcstore.store.sql_events import SqlEventStore
from xcstore.store.sql_snapshots import SqlSnapshotStore
from xcstore.store.sqlite import SqliteDatabase
from xcstore.units import EpochMs

START = EpochMs(1_767_225_600_000)
INPUTS = 24
_MARKS = 500
"""A run makes 180 to 490. Kills are as far apart as spreads them over most of it."""

SHOP = """
name: Shop
entryMachine: Desk
stateMachines:
  - name: Desk
    initialState: Open
    states: [{name: Open, type: entry}]
    transitions:
      - {from: Open, to: Open, event: NOTE, triggeredMethod: count}
      - {from: Open, to: Open, event: ROUND, type: timeout, timeoutMs: 97, resetOnTransition: false}
  - name: Order
    initialState: Draft
    states:
      - {name: Draft, type: entry}
      - {name: Asking, onExit: leave}
      - {name: Ready, onEntry: pack}
      - {name: Sent}
      - name: Done
        type: final
        cascadingRules:
          - targetComponent: Bank
            targetMachine: Account
            targetState: Open
            event: CHARGE
            matchingRules: [{eventProperty: customer, instanceProperty: customer}]
            payload: {customer: "{{customer}}", order: "{{key}}"}
          - {targetMachine: Desk, targetState: Open, event: NOTE, payload: {done: "{{key}}"}}
      - {name: Lost, type: error}
    transitions:
      - from: Draft
        to: Asking
        event: SUBMIT
        type: cross_component
        targetComponent: Stock
        targetMachine: Hold
        contextMapping: {key: key}
      - from: Draft
        to: Draft
        event: PRICE
        matchingRules: [{eventProperty: customer, instanceProperty: customer}]
        triggeredMethod: count
      - {from: Draft, to: Lost, event: STALE, type: timeout, timeoutMs: 311, resetOnTransition: false}
      - from: Asking
        to: Ready
        event: HELD
        matchingRules: [{eventProperty: key, instanceProperty: key}]
        triggeredMethod: label
      - {from: Asking, to: Lost, event: NO_STOCK, type: timeout, timeoutMs: 83}
      - from: Asking
        to: Lost
        event: CANCEL
        type: cross_component
        targetComponent: Stock
        targetMachine: Hold
        targetEvent: RELEASE
        matchingRules: [{eventProperty: key, instanceProperty: key}]
      - {from: Ready, to: Sent, event: SHIP, type: inter_machine, targetMachine: Parcel, contextMapping: {key: key}}
      - {from: Sent, to: Sent, event: PARCEL}
      - {from: Sent, to: Done, event: ARRIVED}
  - name: Parcel
    initialState: Packed
    parentLink: {enabled: true, onStateChange: PARCEL}
    states: [{name: Packed, type: entry}, {name: Moving}, {name: Home, type: final}]
    transitions:
      - {from: Packed, to: Moving, event: LEAVE, type: auto, timeoutMs: 19}
      - from: Moving
        to: Home
        event: ARRIVE
        type: timeout
        timeoutMs: 41
        notifyParent: {event: ARRIVED, includeContext: true}
  - name: Slip
    initialState: New
    states: [{name: New, type: entry}, {name: Printed, onEntry: report}]
    transitions:
      - {from: New, to: Printed, event: PRINT, type: auto, timeoutMs: 13}
"""

STOCK = """
name: Stock
stateMachines:
  - name: Hold
    initialState: New
    states:
      - {name: New, type: entry}
      - name: Set
        cascadingRules:
          - {targetMachine: Shelf, targetState: Low, event: REFILL}
          - targetComponent: Shop
            targetMachine: Order
            targetState: Asking
            event: HELD
            matchingRules: [{eventProperty: key, instanceProperty: key}]
            payload: {key: "{{key}}"}
      - {name: Gone, type: final}
    transitions:
      - {from: New, to: Set, event: CHECK, type: auto, timeoutMs: 29}
      - {from: New, to: Gone, event: RELEASE}
      - {from: Set, to: Gone, event: RELEASE}
      - {from: Set, to: Gone, event: EXPIRE, type: timeout, timeoutMs: 211}
  - name: Shelf
    initialState: Full
    states: [{name: Full, type: entry, onEntry: tidy}, {name: Low}]
    transitions:
      - {from: Full, to: Low, event: TAKE, triggeredMethod: count}
      - {from: Low, to: Full, event: REFILL}
      - {from: Low, to: Full, event: LATE, type: timeout, timeoutMs: 151}
"""

BANK = """
name: Bank
stateMachines:
  - name: Account
    publicMemberType: Account
    initialState: Open
    states: [{name: Open, type: entry}, {name: Billing, onEntry: bill}]
    transitions:
      - from: Open
        to: Open
        event: CHARGE
        matchingRules: [{eventProperty: customer, instanceProperty: customer}]
        triggeredMethod: count
      - {from: Open, to: Billing, event: BILL}
      - {from: Billing, to: Open, event: BILLED}
  - name: Invoice
    initialState: New
    states: [{name: New, type: entry}, {name: Due, onEntry: report}, {name: Paid, type: final}]
    transitions:
      - {from: New, to: Due, event: SEND, type: auto, timeoutMs: 13}
      - {from: Due, to: Due, event: REMIND, triggeredMethod: count}
      - {from: Due, to: Paid, event: PAY, type: timeout, timeoutMs: 131, resetOnTransition: false}
"""


# The user's methods. One on entry that did not come to its end is called again, on what was there before it; so these
# count, and what was done twice would show.


def _count(event: Event, instance: Instance, sender: Sender) -> None:
    values: Any = instance.context if instance.public_member is None else instance.public_member
    values["counted"] = values.get("counted", 0) + 1


def _leave(event: Event, instance: Instance, sender: Sender) -> None:
    instance.context["left"] = event.type


def _label(event: Event, instance: Instance, sender: Sender) -> None:
    sender.create_instance("Slip", {"key": f"label of {instance.context['key']}"})
    sender.broadcast("Desk", "NOTE", {"labelled": instance.context["key"]})


def _pack(event: Event, instance: Instance, sender: Sender) -> None:
    key = instance.context["key"]
    _count(event, instance, sender)
    sender.create_instance("Slip", {"key": f"packing of {key}"})
    sender.send_to_self("SHIP", {"key": key})
    sender.broadcast("Shelf", "TAKE", {"for": key}, component_name="Stock")


def _tidy(event: Event, instance: Instance, sender: Sender) -> None:
    _count(event, instance, sender)
    sender.broadcast("Desk", "NOTE", {"tidied": instance.context["key"]}, component_name="Shop")


def _bill(event: Event, instance: Instance, sender: Sender) -> None:
    assert instance.public_member is not None
    _count(event, instance, sender)
    key = f"{instance.public_member['key']} {event.payload['input']}"
    sender.create_instance("Invoice", {"key": key})
    sender.create_instance_in_component("Shop", "Slip", {"key": f"bill of {key}"})
    sender.send_to_self("BILLED", {"bill": key})


def _report(event: Event, instance: Instance, sender: Sender) -> None:
    _count(event, instance, sender)
    sender.broadcast("Desk", "NOTE", {"from": instance.context["key"]}, component_name="Shop")


METHODS = {
    "count": _count,
    "leave": _leave,
    "label": _label,
    "pack": _pack,
    "tidy": _tidy,
    "bill": _bill,
    "report": _report,
}


# What comes from outside


@dataclass(frozen=True)
class Input:
    """One thing that somebody asks for, at a moment of its own. It carries its number into the history."""

    number: int
    at: EpochMs
    component: str
    machine: str
    event: str
    key: str = ""
    """Of the instance that is made, or that the event is for; empty: for all of the machine."""
    values: Mapping[str, object] | None = None

    @property
    def payload(self) -> dict[str, object]:
        return {**({"key": self.key} if self.key else {}), **(self.values or {}), "input": self.number}


def inputs(seed: int) -> list[Input]:
    """Equal for equal seeds."""
    rng = random.Random(seed)
    made: list[Input] = []
    at, orders = START, 0

    def ask(component: str, machine: str, event: str, key: str = "", **values: object) -> None:
        nonlocal at
        at = EpochMs(at + rng.randint(1, 40))
        made.append(Input(len(made), at, component, machine, event, key, values))

    for number in range(2):
        ask("Bank", "Account", CREATION, f"account {number}", customer=f"customer {number}")
        ask("Stock", "Shelf", CREATION, f"shelf {number}")
    while len(made) < INPUTS:
        which = rng.random()
        if orders == 0 or which < 0.2:
            ask("Shop", "Order", CREATION, f"order {orders}", customer=f"customer {rng.randrange(2)}")
            orders += 1
        elif which < 0.6:
            ask("Shop", "Order", rng.choice(["SUBMIT", "SUBMIT", "SUBMIT", "CANCEL"]), f"order {rng.randrange(orders)}")
        elif which < 0.7:
            ask("Shop", "Order", "PRICE", customer=f"customer {rng.randrange(2)}")
        elif which < 0.77:
            ask("Stock", "Shelf", rng.choice(["TAKE", "REFILL"]))
        elif which < 0.81:
            ask("Stock", "Hold", "RELEASE")
        elif which < 0.9:
            ask("Bank", "Invoice", "REMIND")
        else:
            ask("Bank", "Account", "BILL", f"account {rng.randrange(2)}")
    return made


def left_to_do(given: Iterable[Input], stored: Iterable[PersistedEvent], end: EpochMs) -> list[Input]:
    """The inputs that the history does not answer for.

    Time goes on only when all that followed from an input is done: one whose moment the history has passed is done,
    or led to no event. At the very moment where the history ends, the number tells. One that was ignored then may be
    asked for again, as nothing has happened since.
    """
    numbers = [found for event in stored for found in [_number(event)] if found is not None]
    highest = max(numbers, default=-1)
    return [each for each in given if each.at >= end and each.number > highest]


def _number(event: PersistedEvent) -> int | None:
    payload: Any = event.payload
    found = payload.get("initialContext", payload).get("input")
    return found if isinstance(found, int) else None


# One life


def live(url: str, given: list[Input], mark: Callable[[], None]) -> dict[str, Any]:
    """From where the history ends to the end of the inputs; what is there then."""
    _report_writing(mark)
    with open_stores(url, read_only=False) as stores:
        stores.events.get_outbox()  # a server may still be writing what the last life has sent
        known = stores.events.time_range()
        end = START if known is None else known[1]
        clock, ids, registry = SimulatedClock(end), TimeOrderedIds(), ComponentRegistry()
        persistence = PersistenceConfig.of(stores, event_sourcing=True, snapshots=True, snapshot_interval=3)
        for component in _components():
            registry.register(FSMRuntime(component, persistence, clock=clock, ids=ids, methods=METHODS))
        left = left_to_do(given, stores.events.get_all_events(), end)
        problems = [problem for report in registry.restore() for problem in report.problems]
        for each in left:
            clock.advance_to(each.at)
            _do(registry, each)
        clock.advance_to(max(clock.now(), EpochMs(given[-1].at + 150)))
        return {**picture(stores, registry), "problems": problems}


def _do(registry: ComponentRegistry, each: Input) -> None:
    runtime = registry.get_runtime(each.component)
    if each.event == CREATION:
        runtime.create_instance(each.machine, each.payload)
    elif not each.key:
        runtime.broadcast(each.machine, each.event, each.payload)
    else:
        for instance in runtime.instances(each.machine):
            if _key(instance) == each.key:
                try:
                    runtime.send(instance.id, each.event, each.payload)
                except InstanceNotActiveError:
                    return


@cache
def _components() -> list[Any]:
    return [parse_component(text) for text in (SHOP, STOCK, BANK)]


def _report_writing(mark: Callable[[], None]) -> None:
    """Have this process call `mark` before and after whatever it writes, and in transactions when all is written."""
    writing: list[tuple[Any, str]] = [(SqlEventStore, "append"), (SqlEventStore, "change_outbox")]
    for owner, name in [*writing, (SqlSnapshotStore, "save_snapshot")]:
        setattr(owner, name, _around(getattr(owner, name), mark))
    databases: list[Any] = [SqliteDatabase, PostgresDatabase]
    for owner in databases:
        owner.write = _within(owner.write, mark)


def _around(write: Any, mark: Callable[[], None]) -> Any:
    def marked(self: Any, *values: Any, **named: Any) -> Any:
        mark()
        result = write(self, *values, **named)
        mark()
        return result

    return marked


def _within(write: Any, mark: Callable[[], None]) -> Any:
    def marked(self: Any, work: Callable[[Any], Any]) -> Any:
        def and_mark(connection: Any) -> Any:
            result = work(connection)
            mark()
            return result

        return write(self, and_mark)

    return marked


# What is there, in words that two runs share: instances by their keys, events by their place in the history


def picture(stores: Stores, registry: ComponentRegistry) -> dict[str, Any]:
    """Histories, live instances and what waits."""
    streams: dict[str, list[PersistedEvent]] = {}
    for event in stores.events.get_all_events():
        streams.setdefault(event.instance_id, [])
    for instance_id in streams:
        streams[instance_id] = list(stores.events.get_events_for_instance(instance_id))
    names: dict[str, str] = {}
    same: Counter[str] = Counter()
    for instance_id, stream in streams.items():
        initial: Any = stream[0].payload
        name = f"{stream[0].component_name} {stream[0].machine_name} {initial['initialContext'].get('key', '')}".strip()
        same[name] += 1
        # One made twice would be a second of its name, and be seen.
        names[instance_id] = name if same[name] == 1 else f"{name}, number {same[name]}"
        names |= {event.id: f"{names[instance_id]} @{place}" for place, event in enumerate(stream)}
    found = {
        "histories": {names[instance_id]: [_event(e) for e in stream] for instance_id, stream in streams.items()},
        "live": {names[i.id]: _instance(runtime, i) for runtime in registry for i in runtime.instances()},
        "order": {runtime.component.name: [names[i.id] for i in runtime.instances()] for runtime in registry},
        "waiting": {
            "outbox": [dict(work.document) for work in stores.events.get_outbox()],
            "queued": [runtime.queued for runtime in registry],
        },
    }
    text = json.dumps(found, sort_keys=True)
    shared: dict[str, Any] = json.loads(_ID.sub(lambda match: names.get(match[0], match[0]), text))
    return shared


_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _event(event: PersistedEvent) -> list[object]:
    values = [event.public_member_snapshot, event.source_component_name, event.target_component_name]
    step = [event.event_type, event.state_before, event.state_after, event.persisted_at - START]
    return [*step, event.payload, list(event.caused_by), *values]


def _instance(runtime: FSMRuntime, instance: Instance) -> dict[str, object]:
    return {
        "state": [instance.current_state, instance.status],
        "values": [instance.context, instance.public_member, instance.internal_member],
        "parent": [instance.parent_instance_id, instance.parent_machine_name],
        "times": [instance.created_at, instance.updated_at],
        "is_entry_point": instance.is_entry_point,
        "timers": sorted((timer.event_type, timer.remaining_ms) for timer in runtime.pending_timeouts(instance.id)),
        "last": runtime.last_event_id(instance.id),
    }


def _key(instance: Instance) -> object:
    return (instance.context if instance.public_member is None else instance.public_member).get("key")


# Dying and coming back


def run(url: str, seed: int, kills: int) -> dict[str, Any]:
    """All lives of one run: dies up to `kills` times, comes to the end, and starts once more after it.

    Returns
    -------
    dict
        `ended`, `restarted` : pictures after the end, and after one more start; `own`, `outside` : how often it died.
    """
    rng = random.Random(seed)
    given = inputs(seed)
    died = {"own": 0, "outside": 0}
    reach = _MARKS // max(1, kills)
    while sum(died.values()) < kills:
        way, count = rng.choice(("own", "outside")), rng.randint(1, reach)
        ended = _one_life(url, given, way, count, rng.expovariate(1 / 0.001))
        if ended is not None:
            break
        died[way] += 1
    else:
        ended = _one_life(url, given)
    return {"ended": ended, "restarted": _one_life(url, given), **died}


def _one_life(
    url: str, given: list[Input], way: str = "", count: int = 0, moments: float = 0.0
) -> dict[str, Any] | None:
    """What is there in the end; None where it died."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _child(url, given, count if way == "own" else 0, writing)
    os.close(writing)
    marks, text = 0, b""
    with open(reading, "rb", buffering=0) as report:
        while chunk := report.read(1 << 16):
            text += chunk
            before, marks = marks, text.count(b".", 0, text.find(b"{") if b"{" in text else len(text))
            if way == "outside" and before < count <= marks:
                time.sleep(moments)
                os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == -signal.SIGKILL:
        return None
    if status != 0:
        raise RuntimeError(f"a child ended with {status}: {text.lstrip(b'.').decode()}")
    found: dict[str, Any] = json.loads(text.lstrip(b"."))
    return found


def _child(url: str, given: list[Input], last_mark: int, writing: int) -> None:
    marks = 0

    def mark() -> None:
        nonlocal marks
        marks += 1
        if marks == last_mark:
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(writing, b".")

    code = 1
    try:
        report = json.dumps(live(url, given, mark)).encode()
        code = 0
    except BaseException:
        report = traceback.format_exc().encode()
    try:
        with open(writing, "wb") as stream:
            stream.write(report)
    finally:
        os._exit(code)  # nothing of the parent's is to be finished here


def main(arguments: list[str]) -> None:
    _components()
    gc.collect()
    gc.freeze()  # else the children's collectors touch, and so copy, what they share with this process
    if arguments:
        url, seed, *kills = arguments
        print(json.dumps(run(url, int(seed), int(kills[0]) if kills else 0), indent=1, sort_keys=True))
        return
    for line in sys.stdin:
        try:
            answer = run(**json.loads(line))
        except Exception as error:
            answer = {"failed": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
