"""Random components that come to rest by construction, and the user's methods that they name.

Machines have one order through all components. What could go round in circles leads to a later machine only: cascades,
children, events and instances across. News for a parent leads back, to a state that asks nothing of others; methods
count in the instance what they have sent, and stop; timers take time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from hypothesis import strategies as st

from xcstore.model.definition import Component
from xcstore.model.history import Instance
from xcstore.model.loader import component_from_document
from xcstore.runtime import Event, Method, Sender

__all__ = ["Asked", "COUNTERS", "EVENTS", "components", "data", "methods_for", "payloads"]

EVENTS: Final = ("GO", "STEP", "LOOP", "END", "WAVE")
"""What callers, cascades and methods send; beside these there are PING and NEWS, which have one sender each."""
COUNTERS: Final = ("notes", "pings", "waves", "spawned")
"""What methods change in an instance."""
_MOST: Final = 2
_FORMS: Final = ("plain", "plain", "plain", "timeout", "auto", "child", "create across", "send across")

values = st.sampled_from([1, 2, "1", None])
data = st.dictionaries(st.sampled_from("kx"), values, max_size=2)
payloads = st.dictionaries(st.sampled_from("kxy"), values, max_size=2)

Document = dict[str, Any]
Place = tuple[str, str]
"""Component and machine."""


@st.composite
def components(draw: st.DrawFn, most: int = 3) -> tuple[Component, ...]:
    """One to `most` components of one to three machines each."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=most))
    places = [(f"C{c}", f"M{c}{m}") for c, size in enumerate(sizes) for m in range(size)]
    found = []
    for c, size in enumerate(sizes):
        first = sum(sizes[:c])
        machines = [draw(_machines(places[first + m], places[first + m + 1 :])) for m in range(size)]
        document: Document = {"name": f"C{c}", "stateMachines": machines}
        if draw(st.booleans()):
            document["entryMachine"] = machines[0]["name"]
        found.append(component_from_document(document))
    return tuple(found)


@st.composite
def _machines(draw: st.DrawFn, place: Place, later: list[Place]) -> Document:
    states: list[Document] = [{"name": f"S{n}"} for n in range(draw(st.integers(2, 5)))]
    states[0]["type"] = "entry"
    if (end := draw(st.sampled_from(["final", "error", None]))) is not None:
        states[-1]["type"] = end
    for state in states[1:]:
        if later and draw(st.integers(0, 2)) == 0:
            state["cascadingRules"] = draw(st.lists(_cascades(place, later), min_size=1, max_size=2))
        if draw(st.integers(0, 3)) == 0:
            state["entryMethod"] = draw(_methods(later))
    going = [state for state in states if state.get("type") not in ("final", "error")]
    for state in going:
        if draw(st.integers(0, 4)) == 0:
            state["exitMethod"] = draw(_methods(later))
    names = [state["name"] for state in states]
    calm = [state["name"] for state in states if "cascadingRules" not in state and "entryMethod" not in state]
    machine: Document = {"name": place[1], "initialState": "S0", "states": states}
    machine["transitions"] = [
        transition
        for state in going
        for transition in draw(st.lists(_transitions(place, later, state["name"], names), min_size=1, max_size=4))
    ]
    for state in going:
        if draw(st.booleans()):
            to = draw(st.sampled_from(calm))
            machine["transitions"].append({"from": state["name"], "to": to, "event": "NEWS"})
    if draw(st.integers(0, 3)) == 0:
        machine["publicMemberType"] = "Anything"
    if draw(st.integers(0, 2)) == 0:
        machine["parentLink"] = {"enabled": True, "onStateChange": "NEWS"}
    return machine


@st.composite
def _transitions(draw: st.DrawFn, place: Place, later: list[Place], source: str, names: list[str]) -> Document:
    found: Document = {"from": source, "to": draw(st.sampled_from(names)), "event": draw(st.sampled_from(EVENTS))}
    own = [machine for component, machine in later if component == place[0]]
    across = [there for there in later if there[0] != place[0]]
    match draw(st.sampled_from(_FORMS)):
        case "timeout":
            found |= {"type": "timeout", "event": draw(st.sampled_from(["LATE", "LATER", "STEP"]))}
            found["timeoutMs"] = draw(st.sampled_from([100, 250, 600]))
            found["resetOnTransition"] = draw(st.booleans())
        case "auto":
            found |= {"type": "auto", "event": "AUTO", "timeoutMs": draw(st.sampled_from([50, 100]))}
        case "child" if own:
            found |= {"type": "inter_machine", "targetMachine": draw(st.sampled_from(own))}
            found |= draw(_mappings())
        case "create across" if across:
            component, machine = draw(st.sampled_from(across))
            found |= {"type": "cross_component", "targetComponent": component, "targetMachine": machine}
            found |= draw(_mappings())
        case "send across" if across:
            component, machine = draw(st.sampled_from(across))
            found |= {"type": "cross_component", "targetComponent": component, "targetMachine": machine}
            found["targetEvent"] = draw(st.sampled_from(EVENTS))
            if draw(st.integers(0, 3)):
                found["matchingRules"] = [draw(_rules())]
        case _:
            found["type"] = draw(st.sampled_from(["regular", "internal", "triggerable"]))
            found["event"] = draw(st.sampled_from([*EVENTS, "PING"]))
            if draw(st.integers(0, 2)) == 0:
                found["matchingRules"] = [draw(_rules())]
    if draw(st.integers(0, 4)) == 0:
        found["triggeredMethod"] = draw(_methods(later))
    if draw(st.integers(0, 4)) == 0:
        found["notifyParent"] = {"event": "NEWS", "includeContext": draw(st.booleans())}
    return found


@st.composite
def _cascades(draw: st.DrawFn, place: Place, later: list[Place]) -> Document:
    component, machine = draw(st.sampled_from(later))
    found: Document = {
        "targetMachine": machine,
        "targetState": draw(st.sampled_from(["*", "S0", "S1"])),
        "event": draw(st.sampled_from(EVENTS)),
        "payload": draw(st.sampled_from([{}, {"k": "{{k}}"}, {"k": 1, "y": {"deep": "{{x}}"}}])),
    }
    if component != place[0]:
        found["targetComponent"] = component
    if draw(st.booleans()):
        found["matchingRules"] = [draw(_rules())]
    return found


def _rules() -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries(
        {
            "eventProperty": st.just("k"),
            "instanceProperty": st.sampled_from(["k", "x"]),
            "operator": st.sampled_from(["===", "===", "!==", "<"]),
        }
    )


def _mappings() -> st.SearchStrategy[Document]:
    return st.sampled_from([{}, {"contextMapping": {"k": "k"}}, {"contextMapping": {"x": "k"}}])


def _methods(later: list[Place]) -> st.SearchStrategy[str]:
    names = ["note", "ping", "fail"]
    names += [f"{verb} {component} {machine}" for component, machine in later for verb in ("wave", "spawn")]
    return st.sampled_from(names)


# The methods


@dataclass
class Asked:
    """What methods have asked for."""

    pings: set[tuple[str, int]] = field(default_factory=set)
    """To whom, and its number."""
    spawned: list[str] = field(default_factory=list)


def methods_for(all_components: tuple[Component, ...], asked: Asked) -> Mapping[str, Method]:
    """By the names under which the components know them; each acts by what is in its instance alone.

    What they send is written down in `asked`.
    """
    found: dict[str, Method] = {"note": _note, "fail": _fail, "ping": _pings(asked)}
    for component in all_components:
        for machine in component.machines:
            found[f"wave {component.name} {machine.name}"] = _waves(component.name, machine.name)
            found[f"spawn {component.name} {machine.name}"] = _spawns(component.name, machine.name, asked)
    return found


def _properties(instance: Instance) -> dict[str, object]:
    # The copy of the instance that a method gets in hand is its own.
    return cast("dict[str, object]", instance.context if instance.public_member is None else instance.public_member)


def _count(instance: Instance, counter: str, most: int) -> int | None:
    """The next number; None where it was done often enough."""
    properties = _properties(instance)
    number = cast("int", properties.get(counter, 0))
    if number >= most:
        return None
    properties[counter] = number + 1
    return number


def _note(event: Event, instance: Instance, sender: Sender) -> None:
    _count(instance, "notes", 1_000)


def _fail(event: Event, instance: Instance, sender: Sender) -> None:
    _count(instance, "notes", 1_000)
    raise RuntimeError("this method fails, after it has changed the instance")


def _pings(asked: Asked) -> Method:
    def ping(event: Event, instance: Instance, sender: Sender) -> None:
        number = _count(instance, "pings", _MOST)
        if number is not None:
            sender.send_to_self("PING", {"n": number})
            asked.pings.add((instance.id, number))

    return ping


def _waves(component: str, machine: str) -> Method:
    def wave(event: Event, instance: Instance, sender: Sender) -> None:
        number = _count(instance, "waves", _MOST)
        if number is not None:
            payload = {"k": _properties(instance).get("k"), "n": number}
            here = component == instance.component_name
            sender.broadcast(machine, "WAVE", payload, component_name=None if here else component)

    return wave


def _spawns(component: str, machine: str, asked: Asked) -> Method:
    def spawn(event: Event, instance: Instance, sender: Sender) -> None:
        number = _count(instance, "spawned", _MOST)
        if number is None:
            return
        values = {"k": _properties(instance).get("k"), "n": number}
        if component == instance.component_name:
            made = sender.create_instance(machine, values)
            sender.send_to(made, "STEP", {"n": number})
        else:
            made = sender.create_instance_in_component(component, machine, values)
            sender.send_to_component(component, made, "STEP", {"n": number})
        asked.spawned.append(made)

    return spawn
