"""Runs as tests: a file that holds all it needs, definitions included, as JSON text, and runs where xcstore is.

Stored text in it is data, never code.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from xcstore.analysis.context import same_json
from xcstore.errors import QueryError
from xcstore.model.definition import Component
from xcstore.model.history import CREATION, Instance, PersistedEvent
from xcstore.model.loader import component_from_document
from xcstore.replay.recording import Input, Left, Recording
from xcstore.replay.run_results import Interventions, Run
from xcstore.replay.running import run_inputs
from xcstore.runtime.folding import Folded
from xcstore.runtime.interpreter import properties_of
from xcstore.units import EpochMs

__all__ = ["End", "Taken", "document_of", "inputs_test", "run_document", "unmet"]

_WIDTH: Final = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How an instance has to end. `values` None: whatever it holds."""

    instance_id: str
    state: str
    values: Mapping[str, object] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A transition that has to be taken, by an instance or, with `instance_id` '', by any of the machine."""

    machine_name: str
    event_type: str
    state_before: str
    state_after: str
    instance_id: str = ""
    values: Mapping[str, object] | None = field(default=None, hash=False)
    """Top-level values that the instance has to hold afterwards."""


def inputs_test(
    *,
    title: str,
    function: str,
    components: Iterable[Component],
    inputs: Sequence[Input],
    start: Mapping[str, Folded] | None = None,
    start_at: EpochMs,
    until: EpochMs,
    recording: Recording | None = None,
    interventions: Interventions | None = None,
    asserts: Sequence[End | Taken],
    about: Mapping[str, object] | None = None,
) -> str:
    """A pytest file that runs inputs, and asserts what comes of them.

    Parameters
    ----------
    title : str
        Its docstring.
    function : str
        Name of the test, without `test_`.
    asserts : sequence of End or Taken
        All have to hold.
    about : mapping, optional
        More to keep in the file; not used by the test.
    """
    document = {
        "components": [document_of(component) for component in components],
        "startAt": start_at,
        "until": until,
        "start": [_folded_document(folded) for folded in (start or {}).values()],
        "inputs": [_input_document(one) for one in inputs],
        "recording": None if recording is None else _recording_document(recording),
        "interventions": {
            "dropped": sorted(interventions.dropped if interventions else ()),
            "replaced": {key: list(value) for key, value in (interventions.replaced if interventions else {}).items()},
        },
        "asserts": [_assert_document(one) for one in asserts],
        **(about or {}),
    }
    text = json.dumps(document, indent=1, ensure_ascii=True)
    lines = "\n".join(f"    {part!a}" for part in _parts(text))
    name = re.sub(r"\W+", "_", function, flags=re.ASCII).strip("_").lower() or "run"
    return (
        f"{title!a}\n\n"
        "import json\n\n"
        "from xcstore.replay.testfiles import run_document, unmet\n\n"
        f"DOCUMENT = json.loads(\n{lines}\n)\n\n\n"
        f"def test_{name}():\n"
        "    run = run_document(DOCUMENT)\n"
        "    assert unmet(DOCUMENT, run) == []\n"
    )


def run_document(document: Mapping[str, Any]) -> Run:
    """Run what a test of `inputs_test` holds."""
    recording = document["recording"]
    components = tuple(component_from_document(source) for source in document["components"])
    return run_inputs(
        components,
        [_input(one) for one in document["inputs"]],
        start={one["id"]: _folded(one) for one in document["start"]},
        start_at=document["startAt"],
        until=document["until"],
        recording=None if recording is None else _recording(recording, components),
        interventions=Interventions(
            dropped=frozenset(document["interventions"]["dropped"]),
            replaced={key: (kind, payload) for key, (kind, payload) in document["interventions"]["replaced"].items()},
        ),
        max_events=1_000_000,
        max_seconds=math.inf,
    )


def unmet(document: Mapping[str, Any], run: Run) -> list[str]:
    """What a run does not do of that which a test asks for, in words."""
    found: list[str] = []
    for wanted in document["asserts"]:
        if "endsIn" in wanted:
            instance = run.instances.get(wanted["instance"])
            if instance is None:
                found.append(f"{wanted['instance']} does not exist; it should end in {wanted['endsIn']}")
            elif instance.current_state != wanted["endsIn"]:
                found.append(f"{instance.id} ends in {instance.current_state}, not in {wanted['endsIn']}")
            elif wanted["values"] is not None and not same_json(properties_of(instance), wanted["values"]):
                found.append(f"{instance.id} holds {properties_of(instance)}, not {wanted['values']}")
        elif not any(_is_taken(wanted, event) for event in run.events):
            way = f"{wanted['before'] or 'its creation'} -> {wanted['after']} on {wanted['event']}"
            found.append(f"{wanted['instance'] or wanted['machine']} does not take {way}")
    return found


def _is_taken(wanted: Mapping[str, Any], event: PersistedEvent) -> bool:
    held = event.public_member_snapshot or {}
    return (
        (wanted["machine"], wanted["event"], wanted["before"], wanted["after"])
        == (event.machine_name, event.event_type, event.state_before, event.state_after)
        and wanted["instance"] in ("", event.instance_id)
        and all(key in held and same_json(held[key], value) for key, value in (wanted["values"] or {}).items())
    )


def _assert_document(one: End | Taken) -> dict[str, object]:
    if isinstance(one, End):
        return {"instance": one.instance_id, "endsIn": one.state, "values": one.values}
    return {
        "machine": one.machine_name, "instance": one.instance_id, "event": one.event_type,
        "before": one.state_before, "after": one.state_after, "values": one.values,
    }  # fmt: skip


def _parts(text: str) -> Iterable[str]:
    for line in text.splitlines(keepends=True):
        for begin in range(0, len(line), _WIDTH):
            yield line[begin : begin + _WIDTH]


def _input_document(one: Input) -> dict[str, object]:
    return {
        "at": one.at, "component": one.component_name, "machine": one.machine_name, "instance": one.instance_id,
        "event": one.event_type, "payload": one.payload, "origin": one.origin, "kind": one.kind, "cause": one.cause,
        "order": one.order, "entryPoint": one.entry_point, "parent": one.parent, "source": one.source,
    }  # fmt: skip


def _input(document: Mapping[str, Any]) -> Input:
    return Input(
        at=document["at"],
        component_name=document["component"],
        machine_name=document["machine"],
        instance_id=document["instance"],
        event_type=document["event"],
        payload=document["payload"],
        origin=document["origin"],
        kind=document["kind"],
        cause=document["cause"],
        order=document["order"],
        entry_point=document["entryPoint"],
        parent=tuple(document["parent"]) if document["parent"] else None,
        source=document["source"],
    )


def _folded_document(folded: Folded) -> dict[str, object]:
    instance, created = folded.instance, folded.created
    given = created.payload if created is not None and isinstance(created.payload, Mapping) else {}
    return {
        "id": instance.id,
        "machine": instance.machine_name,
        "component": instance.component_name,
        "state": instance.current_state,
        "status": instance.status,
        "context": instance.context,
        "publicMember": instance.public_member,
        "internalMember": instance.internal_member,
        "createdAt": instance.created_at,
        "updatedAt": instance.updated_at,
        "parent": instance.parent_instance_id,
        "parentMachine": instance.parent_machine_name,
        "entryPoint": instance.is_entry_point,
        "lastEvent": folded.last_event_id,
        "due": {kind: list(due) for kind, due in folded.due.items()},
        "createdWith": given.get("initialContext"),
    }


def _folded(document: Mapping[str, Any]) -> Folded:
    instance = Instance(
        id=document["id"],
        machine_name=document["machine"],
        component_name=document["component"],
        current_state=document["state"],
        status=document["status"],
        context=document["context"],
        public_member=document["publicMember"],
        internal_member=document["internalMember"],
        created_at=document["createdAt"],
        updated_at=document["updatedAt"],
        parent_instance_id=document["parent"],
        parent_machine_name=document["parentMachine"],
        is_entry_point=document["entryPoint"],
    )
    folded = Folded(instance, document["lastEvent"])
    folded.due = {kind: (EpochMs(due), cause) for kind, (due, cause) in document["due"].items()}
    if document["createdWith"] is not None:
        # The runtime finds instances by what they were created with.
        folded.created = PersistedEvent(
            id=document["lastEvent"],
            instance_id=instance.id,
            machine_name=instance.machine_name,
            event_type=CREATION,
            payload={"initialContext": document["createdWith"]},
            persisted_at=instance.created_at or EpochMs(0),
        )
    return folded


def _recording_document(recording: Recording) -> dict[str, object]:
    named = {*recording.made, *recording.causes.values(), *(one.cause for one in recording.inputs)}
    return {
        "end": recording.end,
        "made": [[name, *key] for name, key in recording.made.items()],
        "causes": {effect: cause for effect, cause in recording.causes.items() if effect in recording.made},
        "moments": {name: at for name, at in recording.moments.items() if name in named},
        "children": [[*key, list(ids)] for key, ids in recording.children.items()],
        "timers": [[*key, late, place] for key, (late, place) in recording.timers.items()],
        "leftBefore": {name: [left.values, list(left.removed)] for name, left in recording.left_before.items()},
        "leftAfter": {name: [left.values, list(left.removed)] for name, left in recording.left_after.items()},
    }


def _recording(document: Mapping[str, Any], components: tuple[Component, ...]) -> Recording:
    def left(given: Mapping[str, Any]) -> dict[str, Left]:
        return {name: Left(values=values, removed=tuple(removed)) for name, (values, removed) in given.items()}

    return Recording(
        components=components,
        inputs=(),
        start={},
        start_at=EpochMs(0),
        end=document["end"],
        index={},
        made={name: (instance, kind) for name, instance, kind in document["made"]},
        causes=document["causes"],
        moments=document["moments"],
        children={(cause, component, machine): tuple(ids) for cause, component, machine, ids in document["children"]},
        timers={(name, kind, cause): (late, place) for name, kind, cause, late, place in document["timers"]},
        left_before=left(document["leftBefore"]),
        left_after=left(document["leftAfter"]),
    )


def document_of(component: Component) -> dict[str, object]:
    """The document that a component was read from; `QueryError` where there is none."""
    if not component.source:
        raise QueryError(f"component {component.name!r} was not read from a document, so it cannot be written down")
    return dict(component.source)
