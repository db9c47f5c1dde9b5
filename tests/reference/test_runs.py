"""Our runtime against what the TypeScript runtime was recorded to do: 149 runs.

A run's component is inline, or that of an example file of the TypeScript project. `components.json` has most of these;
the others are read from a checkout of that project, which `XCSTORE_EXAMPLES` names, and are skipped without it.
Where the two runtimes are meant to differ is said in one place, the table in `docs/runtime.md`.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from tests.reference.conftest import DEFAULT
from xcstore.errors import XcstoreError
from xcstore.model.definition import Component
from xcstore.model.history import Instance
from xcstore.model.loader import component_from_document
from xcstore.runtime import (
    ComponentRegistry,
    Event,
    FSMRuntime,
    Method,
    Notice,
    PersistenceConfig,
    Sender,
    SimulatedClock,
)
from xcstore.runtime.interpreter import properties_of
from xcstore.runtime.matching import rules_hold
from xcstore.store.memory import open_memory_stores
from xcstore.units import EpochMs

REFERENCE = Path(os.environ.get("XCSTORE_REFERENCE") or DEFAULT)
EXAMPLES = Path(os.environ["XCSTORE_EXAMPLES"]) if os.environ.get("XCSTORE_EXAMPLES") else None
DOCUMENTED = Path(__file__).parents[2] / "docs" / "runtime.md"
START = EpochMs(1_767_225_600_000)

# Which component of components.json is that of an example file, where its name alone does not tell: several files hold
# a component of one name, and two are there under another name than in their file.
KEY_OF = {
    "examples/distributed/order-component.yaml": "OrderComponent",
    "examples/distributed/payment-component.yaml": "PaymentComponent",
    "examples/trading.yaml": "TradingComponent",
    "examples/cross-component-demo.yaml": "DemoOrderComponent",
    "examples/payment-receiver.yaml": "DemoPaymentComponent",
}

Run = dict[str, Any]


def recorded_runs() -> list[Run]:
    """All runs, each with its `document` where that is at hand."""
    if not REFERENCE.is_dir():
        return []  # test_the_recorded_runs_are_at_hand says so
    components = json.loads((REFERENCE / "components.json").read_text(encoding="utf-8"))
    runs: list[Run] = json.loads((REFERENCE / "runs.json").read_text(encoding="utf-8"))
    files: defaultdict[str, set[str]] = defaultdict(set)
    for run in runs:
        files[run["component"]].add(run["file"])
    for run in runs:
        name, file = run["component"], run["file"]
        if run.get("component_inline"):
            run["document"] = run["component_inline"]
        elif EXAMPLES is not None and (EXAMPLES / file).is_file():
            run["document"] = yaml.safe_load((EXAMPLES / file).read_text(encoding="utf-8"))
        elif file in KEY_OF:
            run["document"] = components.get(KEY_OF[file])
        elif name not in KEY_OF.values() and len(files[name]) == 1:
            run["document"] = components.get(name)
    return runs


RUNS = recorded_runs()
AT_HAND = [run for run in RUNS if run.get("document") is not None]


# --- Where we differ on purpose ----------------------------------------------------------------------------------


def documented_differences() -> dict[str, set[str]]:
    """Rule -> the recorded runs that show it, as the table of docs/runtime.md has them."""
    text = DOCUMENTED.read_text(encoding="utf-8")
    section = text.split("## Where it differs from the TypeScript runtime", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `([a-z-]+)` \|.*\|([^|]*)\|$", section, re.MULTILINE)
    return {rule: set(re.findall(r"`([^`]+)`", cases)) for rule, cases in rows}


def is_a_deadlock(run: Run) -> bool:
    return bool(run["expect"]["deadlocked"])


DEADLOCK, ONCE = "parent-notification", "broadcast-once"
DIFFERENCES = documented_differences()

NOT_COMPARED: Mapping[str, Callable[[Run], bool]] = {DEADLOCK: is_a_deadlock}
"""Rules that a run falls under before it is played; whether it falls under `ONCE` shows while it is: see `Stage`."""


def rules_of(run: Run) -> set[str]:
    """A rule that is taken out of the document no longer excuses a run."""
    return {rule for rule, falls_under in NOT_COMPARED.items() if rule in DIFFERENCES and falls_under(run)}


DEADLOCKED: Run = {
    "case": "child-that-tells-its-parent",
    "document": {
        "name": "Inline",
        "stateMachines": [
            {
                "name": "P",
                "initialState": "S",
                "states": [{"name": "S", "type": "entry"}, {"name": "W"}, {"name": "D", "type": "final"}],
                "transitions": [
                    {"from": "S", "to": "W", "event": "GO", "type": "inter_machine", "targetMachine": "C"},
                    {"from": "W", "to": "D", "event": "CHILD_DONE"},
                ],
            },
            {
                "name": "C",
                "initialState": "S",
                "states": [{"name": "S", "type": "entry"}, {"name": "D", "type": "final"}],
                "transitions": [{"from": "S", "to": "D", "event": "END", "notifyParent": {"event": "CHILD_DONE"}}],
            },
        ],
    },
    "steps": [
        {"op": "create", "machine": "P", "context": {}},
        {"op": "send", "to": "i1", "event": {"type": "GO", "payload": {}}},
        {"op": "send", "to": "i2", "event": {"type": "END", "payload": {}}},
    ],
    "expect": {"deadlocked": True},
}
"""Of ours, in the form of the recorded ones, among which a deadlock is rare."""


# --- Playing a run -----------------------------------------------------------------------------------------------


class Stage:
    """Plays the steps of a run, and names instances as the record does: i1, i2 … in order of creation.

    Attributes
    ----------
    differs : set of str
        Rules of docs/runtime.md under which the run goes another way than the record.
    """

    def __init__(self, run: Run) -> None:
        self.component: Component = component_from_document(run["document"])
        self.names: dict[str, str] = {}
        self.differs: set[str] = set()
        self.ambiguous = 0
        self.stores, self.clock = open_memory_stores(), SimulatedClock(START)
        config = PersistenceConfig(event_sourcing=True, event_store=self.stores.events)
        self.runtime = FSMRuntime(self.component, persistence=config, clock=self.clock)
        self.runtime.listen(self._notice)
        for hook in run.get("hooks") or ():
            self.runtime.register_method(hook["method"], method_of(hook))

    def _notice(self, notice: Notice) -> None:
        if notice.name == "instance_created":
            self.names[notice.instance_id] = f"i{len(self.names) + 1}"
        elif notice.name == "ambiguous_transition":
            self.ambiguous += 1

    def name(self, instance_id: str | None) -> str | None:
        return None if instance_id is None else self.names[instance_id]

    def play(self, step: Run) -> object:
        match step["op"]:
            case "create":
                return self.name(self.runtime.create_instance(step["machine"], step["context"]))
            case "send":
                return self.send(step)
            case "sendAll":
                return [self.send(one) for one in step["sends"]]
            case "advance":
                return f"fired {self.clock.advance(step['ms'])}"
            case "register":
                ComponentRegistry().register(self.runtime)
                return "ok"
            case "broadcast":
                if self._fits_twice(step):
                    self.differs.add(ONCE)
                return self.runtime.broadcast(step["machine"], event_of(step), state=step["currentState"])
            case other:
                raise AssertionError(f"unknown step {other}")

    def send(self, step: Run) -> str:
        target = next(instance_id for instance_id, name in self.names.items() if name == step["to"])
        try:
            self.runtime.send(target, event_of(step))
        except XcstoreError as error:
            return f"ERROR {error}".replace(target, step["to"])
        return "ok"

    def _fits_twice(self, step: Run) -> bool:
        """Whether several transitions fit one instance that stays in its state: the reference sends once for each."""
        machine = self.component.find_machine(step["machine"])
        assert machine is not None
        event, state = event_of(step), step["currentState"]
        for instance in self.runtime.instances(machine.name):
            fitting = [
                transition
                for transition in machine.transitions
                if transition.matching_rules
                and (transition.event, transition.source) == (event.type, instance.current_state)
                and state in (None, "*", transition.source)
                and rules_hold(transition.matching_rules, event.payload, properties_of(instance))
            ]
            if len(fitting) > 1 and fitting[0].target == instance.current_state:
                return True
        return False

    def instances(self) -> list[Run]:
        found = []
        for instance in self.runtime.instances():
            row = {
                "ref": self.name(instance.id),
                "machineName": instance.machine_name,
                "currentState": instance.current_state,
                "status": instance.status,
                "context": instance.context,
                "isEntryPoint": instance.is_entry_point,
                "parent": self.name(instance.parent_instance_id),
            }
            if instance.public_member is not None:
                row |= {"publicMember": instance.public_member, "internalMember": instance.internal_member}
            found.append(row)
        return found

    def history(self) -> Run:
        return {
            name: [
                [event.event_type, event.state_before, event.state_after]
                for event in self.stores.events.get_events_for_instance(instance_id)
            ]
            for instance_id, name in self.names.items()
        }

    def timers(self) -> list[str]:
        return sorted(
            timeout.state_key.replace(instance.id, self.names[instance.id])
            for instance in self.runtime.instances()
            for timeout in self.runtime.pending_timeouts(instance.id)
        )


def event_of(step: Run) -> Event:
    return Event(step["event"]["type"], step["event"].get("payload") or {})


def method_of(hook: Run) -> Method:
    # Here, as an error within a method is the user's error to the runtime and would stop nothing.
    assert hook["action"] in ("throw", "mutate", "sendToSelf", "broadcast")
    done: list[bool] = []

    def method(event: Event, instance: Instance, sender: Sender) -> None:
        if hook.get("once") and done:
            return
        done.append(True)
        match hook["action"]:
            case "throw":
                raise RuntimeError(hook["message"])
            case "mutate":
                cast("dict[str, object]", instance.context)[hook["key"]] = hook["value"]
            case "sendToSelf":
                sender.send_to_self(hook["event"]["type"], hook["event"]["payload"])
            case "broadcast":
                sender.broadcast(hook["machine"], hook["event"]["type"], hook["event"]["payload"])

    return method


def play(run: Run) -> tuple[Stage, Run]:
    """The run on our runtime, with what came out in the form of the record."""
    stage = Stage(run)
    results = [stage.play(step) for step in run["steps"]]
    return stage, {
        "results": results,
        "history": stage.history(),
        "instances": stage.instances(),
        "pendingTimers": stage.timers(),
        "queue": [None] * stage.runtime.queued,
        "warnings": stage.ambiguous,
    }


def outcome(run: Run) -> Run:
    """What the record says came out: what `play` gives, for a run in which we do not differ."""
    expect = run["expect"]
    return {
        "results": expect["results"],
        "history": expect["history"],
        "instances": expect["instances"],
        "pendingTimers": sorted(expect["pendingTimers"]),
        "queue": expect["queue"],
        # Each is about a transition that could not be told apart from another; ours is a notice.
        "warnings": len(expect["warnings"]),
    }


def as_json(value: object) -> str:
    """Comparable as JSON is: Python takes `True` and `1` for the same."""
    return json.dumps(value, sort_keys=True)


# --- The tests ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("reference")
def test_the_recorded_runs_are_at_hand() -> None:
    assert RUNS
    missing = [run for run in RUNS if run.get("document") is None]
    files = sorted({run["file"] for run in missing})
    if missing and EXAMPLES is None:
        cases = ", ".join(run["case"] for run in missing)
        pytest.skip(
            f"{len(missing)} of {len(RUNS)} runs are not compared: set XCSTORE_EXAMPLES to a checkout of xcomponent-ai "
            f"0.6.0 with {', '.join(files)}. The runs: {cases}"
        )
    assert files == [], f"neither in components.json nor below {EXAMPLES}"


@pytest.mark.parametrize("run", [run for run in AT_HAND if not rules_of(run)], ids=lambda run: run["case"])
def test_a_run_ends_as_the_reference_recorded_it_or_differs_by_a_documented_rule(run: Run) -> None:
    stage, ours = play(run)

    if stage.differs:
        assert stage.differs <= DIFFERENCES.keys()
        assert as_json(ours) != as_json(outcome(run)), f"no longer different: {stage.differs}"
    else:
        assert ours == outcome(run)
        assert as_json(ours) == as_json(outcome(run))


@pytest.mark.parametrize(
    "run",
    [DEADLOCKED, *(run for run in AT_HAND if is_a_deadlock(run))],
    ids=lambda run: run["case"],
)
def test_where_the_reference_locks_itself_up_ours_gets_through(run: Run) -> None:
    stage, ours = play(run)

    assert len(ours["results"]) == len(run["steps"])
    assert stage.runtime.queued == 0
    if run is DEADLOCKED:
        assert ours["history"]["i1"][-1] == ["CHILD_DONE", "W", "D"]


def test_the_table_of_differences_names_the_runs_that_show_them_and_no_other() -> None:
    cases = {run["case"] for run in RUNS}
    if not set().union(*DIFFERENCES.values()) <= cases:
        pytest.skip("other runs than those that the table names: the rules alone decide")
    shown: defaultdict[str, set[str]] = defaultdict(set)
    for run in AT_HAND:
        rules = rules_of(run)
        for rule in rules or play(run)[0].differs:
            shown[rule].add(run["case"])

    at_hand = {run["case"] for run in AT_HAND}
    assert {rule: named & at_hand for rule, named in DIFFERENCES.items() if named & at_hand} == shown
