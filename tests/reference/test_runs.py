"""Our runtime against 149 recorded runs of the TypeScript runtime.

Only runs whose component document is at hand are compared: those with an inline component, and those of the files in
`components.json` (its key is the component's name, and several example files share one).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xcstore.errors import DefinitionError, XcstoreError
from xcstore.model.definition import Component
from xcstore.model.loader import component_from_document
from xcstore.runtime import ComponentRegistry, Event, FSMRuntime, Notice, PersistenceConfig, SimulatedClock
from xcstore.store.memory import open_memory_stores
from xcstore.units import EpochMs

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
START = EpochMs(1_767_225_600_000)

pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"no reference data at {REFERENCE}")

# Several files hold a component of one of these names; components.json has the one named here.
FILE_OF = {
    "OrderComponent": "examples/distributed/order-component.yaml",
    "PaymentComponent": "examples/distributed/payment-component.yaml",
    "TradingComponent": "examples/trading.yaml",
}

DIFFERENT = {
    "broadcast-014": "a broadcast reaches an instance once; the reference sends it once per transition that fits",
}
"""Runs in which we differ on purpose, and the rule."""

REFUSED = {
    "inline-unknown-target-state": "a transition to a state that does not exist is refused when the document is read",
}
"""Runs that we do not start, and the rule."""

Run = dict[str, Any]


def read(name: str) -> Any:
    return json.loads((REFERENCE / name).read_text(encoding="utf-8"))


def runs() -> list[Run]:
    if not REFERENCE.is_dir():
        return []
    components = read("components.json")
    found = []
    for run in read("runs.json"):
        if run.get("component_inline"):
            found.append(run | {"document": run["component_inline"]})
        elif run["component"] in components and FILE_OF.get(run["component"], run["file"]) == run["file"]:
            found.append(run | {"document": components[run["component"]]})
    return found


RUNS = runs()


class Stage:
    """Plays the steps of a run, and names instances as the record does: i1, i2 … in order of creation."""

    def __init__(self, component: Component, run: Run) -> None:
        self.names: dict[str, str] = {}
        self.stores, self.clock = open_memory_stores(), SimulatedClock(START)
        config = PersistenceConfig(event_sourcing=True, event_store=self.stores.events)
        self.runtime = FSMRuntime(component, persistence=config, clock=self.clock)
        self.runtime.listen(self._name_new)
        for hook in run.get("hooks") or ():
            self.runtime.register_method(hook["method"], method_of(hook))

    def _name_new(self, notice: Notice) -> None:
        if notice.name == "instance_created":
            self.names[notice.instance_id] = f"i{len(self.names) + 1}"

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


def method_of(hook: Run) -> Any:
    done: list[bool] = []

    def method(event, instance, sender):
        if hook.get("once") and done:
            return
        done.append(True)
        match hook["action"]:
            case "throw":
                raise RuntimeError(hook["message"])
            case "mutate":
                instance.context[hook["key"]] = hook["value"]
            case "sendToSelf":
                sender.send_to_self(hook["event"]["type"], hook["event"]["payload"])
            case "broadcast":
                sender.broadcast(hook["machine"], hook["event"]["type"], hook["event"]["payload"])

    return method


@pytest.mark.parametrize("run", [run for run in RUNS if run["case"] not in REFUSED], ids=lambda run: run["case"])
def test_a_run_ends_as_the_reference_recorded_it(run):
    stage = Stage(component_from_document(run["document"]), run)
    expected = run["expect"]

    results = [stage.play(step) for step in run["steps"]]
    ours = (results, stage.history(), stage.instances(), stage.timers())
    theirs = (expected["results"], expected["history"], expected["instances"], sorted(expected["pendingTimers"]))
    # json compares `True` and `1` as JSON does, which Python does not.
    agree = json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True)
    if run["case"] in DIFFERENT:
        assert not agree, f"no longer different, take it out of the table: {DIFFERENT[run['case']]}"
    else:
        assert ours == theirs
        assert agree


@pytest.mark.parametrize("case", REFUSED)
def test_a_run_with_a_document_that_cannot_be_right_is_refused(case):
    run = next(run for run in RUNS if run["case"] == case)

    with pytest.raises(DefinitionError):
        component_from_document(run["document"])


def test_nearly_all_runs_of_known_documents_are_compared():
    assert len(RUNS) >= 111
