"""Component documents, YAML or JSON, to definitions: checked once, here.

What the TypeScript runtime takes is taken: states and transitions without a type, `onEntry` for `entryMethod`,
unknown keys (they stay in `source`), machines and components that are named but not there, and transitions from or
to a state that is not declared: these are told in `Component.faults`. Refused is what could not be drawn or run:
missing names, an unknown initial state, unknown words, a timeout without a time. A message says file, line, what is
wrong and what would be right.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast, get_args

from xcstore.errors import DefinitionError
from xcstore.jsontext import canonical_json
from xcstore.model.definition import (
    CascadingRule,
    Component,
    MatchingRule,
    Operator,
    ParentLink,
    State,
    StateMachine,
    StateType,
    Transition,
    TransitionType,
)
from xcstore.model.markup import MAX_BYTES, Markup, parse_markup
from xcstore.units import DurationMs

__all__ = [
    "LoadedComponents",
    "component_from_document",
    "load_component",
    "load_folder",
    "parse_component",
    "parse_components",
    "read_text",
]

SUFFIXES: Final = (".yaml", ".yml", ".json")
MAX_FAULTS: Final = 20
"""Each fault lists the states that there are: in a long document thousands of them would be longer than itself."""
_MACHINES: Final = "stateMachines"


@dataclass(frozen=True, slots=True)
class LoadedComponents:
    """What a folder holds: what could be read, and why the rest could not."""

    components: tuple[Component, ...] = ()
    problems: tuple[DefinitionError, ...] = ()


def parse_component(text: str, *, file: str | None = None) -> Component:
    """The component in a YAML or JSON text.

    Raises
    ------
    DefinitionError
        With `file`, the line, what is wrong, and what would be right.
    """
    markup = parse_markup(text, file=file)
    return _component(_Node(markup, (), markup.value))


def parse_components(text: str, *, file: str | None = None) -> tuple[Component, ...]:
    """The components in a text: one, a list of them, or a mapping by name. Errors as `parse_component`."""
    markup = parse_markup(text, file=file)
    root = _Node(markup, (), markup.value)
    if isinstance(markup.value, list):
        return tuple(_component(entry) for entry in root.items())
    if isinstance(markup.value, Mapping) and _looks_like_several(markup.value):
        return tuple(_component(_Node(markup, (name,), inner)) for name, inner in markup.value.items())
    return (_component(root),)


def component_from_document(document: Mapping[str, object]) -> Component:
    """The component in a document that was parsed before, such as one kept in a store. Errors as `parse_component`."""
    return _component(_Node(Markup(document), (), document))


def load_component(path: Path | str) -> Component:
    """The component in a file. Errors as `parse_component`, also for a file that cannot be read."""
    return parse_component(read_text(Path(path)), file=str(path))


def load_folder(path: Path | str) -> LoadedComponents:
    """All components in the `.yaml`, `.yml` and `.json` files of a folder, by file name; not in folders below.

    A bad file is a problem beside the others, and so is a second component of one name.

    Raises
    ------
    DefinitionError
        There is no such folder.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DefinitionError("not a folder; give a folder with .yaml or .json files of components", file=str(path))
    found: dict[str, Component] = {}
    problems: list[DefinitionError] = []
    for file in sorted(entry for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES and entry.is_file()):
        try:
            components = parse_components(read_text(file), file=str(file))
        except DefinitionError as error:
            problems.append(error)
            continue
        for component in components:
            if component.name not in found:
                found[component.name] = component
            elif found[component.name].hash != component.hash:
                problems.append(
                    DefinitionError(
                        f"component {component.name!r} is defined in a file before this one; the first counts",
                        file=str(file),
                    )
                )
    return LoadedComponents(tuple(found.values()), tuple(problems))


def read_text(path: Path) -> str:
    """The text of a component file.

    Raises
    ------
    DefinitionError
        It cannot be read, is too large, or is not UTF-8.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise DefinitionError(f"{size:,} bytes; a component has at most {MAX_BYTES:,}", file=str(path))
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DefinitionError(f"not UTF-8 text: {error.reason} at byte {error.start}", file=str(path)) from None
    except OSError as error:
        raise DefinitionError(f"cannot be read: {error.strerror}", file=str(path)) from None


def _looks_like_several(document: Mapping[str, object]) -> bool:
    return (
        bool(document)
        and _MACHINES not in document
        and all(isinstance(inner, Mapping) and _MACHINES in inner for inner in document.values())
    )


# --- Reading one document ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Node:
    """A value of the document, and the way to it."""

    markup: Markup
    path: tuple[str | int, ...]
    value: object

    def error(self, message: str) -> DefinitionError:
        return self.markup.error(message, self.path)

    def child(self, key: str | int, value: object) -> _Node:
        return _Node(self.markup, (*self.path, key), value)

    def items(self) -> list[_Node]:
        """The entries of a list; none where it is absent."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self.error(f"{_name(self)} is {_show(self.value)}; it must be a list")
        return [self.child(position, entry) for position, entry in enumerate(self.value)]

    def as_mapping(self, what: str) -> Mapping[str, object]:
        if not isinstance(self.value, Mapping):
            raise self.error(f"{what} is {_show(self.value)}; it must be an object with keys")
        return cast("Mapping[str, object]", self.value)

    def get(self, *keys: str) -> _Node:
        """The value under the first of `keys` that is there and not null."""
        mapping = cast("Mapping[str, object]", self.value)
        key = next((key for key in keys if mapping.get(key) is not None), keys[0])
        return self.child(key, mapping.get(key))

    def text(self, *keys: str) -> str | None:
        found = self.get(*keys)
        if found.value is None:
            return None
        if isinstance(found.value, bool) or not isinstance(found.value, (str, int, float)):
            raise found.error(f"{_name(found)} is {_show(found.value)}; it must be text")
        return str(found.value)

    def required_text(self, key: str, what: str) -> str:
        text = self.text(key)
        if not text:
            raise self.get(key).error(f"{what} has no {key!r}; give it one")
        return text

    def mapping(self, key: str) -> Mapping[str, object] | None:
        found = self.get(key)
        return None if found.value is None else found.as_mapping(key)

    def flag(self, key: str) -> bool | None:
        found = self.get(key)
        if found.value is None or isinstance(found.value, bool):
            return found.value
        raise found.error(f"{key} is {_show(found.value)}; it must be true or false")

    def word(self, key: str, words: tuple[str, ...], default: str) -> str:
        found = self.get(key)
        if found.value is None:
            return default
        if found.value not in words:
            hint = _did_you_mean(found.value, words)
            raise found.error(f"{key} is {_show(found.value)}; it must be one of {', '.join(words)}{hint}")
        return str(found.value)

    def duration(self, key: str) -> DurationMs | None:
        found = self.get(key)
        value = found.value
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0 or value != value // 1:
            raise found.error(f"{key} is {_show(value)}; it must be whole milliseconds, 0 or more")
        return DurationMs(int(value))


def _component(node: _Node) -> Component:
    document = node.as_mapping("a component")
    if _MACHINES not in document:
        raise node.error(
            f"this is not a component: it has no {_MACHINES!r} "
            f"(it has {', '.join(map(repr, list(document)[:5])) or 'no keys'}); "
            "a component has a 'name' and 'stateMachines'"
        )
    name = node.required_text("name", "the component")
    machines = tuple(_machine(entry) for entry in node.get(_MACHINES).items())
    _check_unique(node.get(_MACHINES), [machine.name for machine in machines], "machine")
    entry_machine = node.text("entryMachine")
    names = [machine.name for machine in machines]
    if entry_machine is not None and entry_machine not in names:
        raise node.get("entryMachine").error(_unknown("entryMachine", entry_machine, "machine", names))
    return Component(
        name=name,
        machines=machines,
        version=node.text("version") or "",
        entry_machine=entry_machine,
        entry_machine_mode=cast(
            Literal["singleton", "multiple"], node.word("entryMachineMode", ("singleton", "multiple"), "singleton")
        ),
        auto_create_entry_point=node.flag("autoCreateEntryPoint"),
        metadata=node.mapping("metadata") or {},
        source=document,
        hash=hashlib.sha256(canonical_json(document).encode()).hexdigest(),
        faults=_faults(node, machines),
    )


def _faults(node: _Node, machines: Iterable[StateMachine]) -> tuple[str, ...]:
    """What is told and not refused."""
    found = [
        (position, machine, *end) for position, machine in enumerate(machines) for end in machine.undeclared_ends()
    ]
    faults = []
    for position, machine, number, end, state in found[:MAX_FAULTS]:
        where = f"'{end}' of the transition for {machine.transitions[number].event}"
        message = f"machine {machine.name!r}: {_unknown(where, state, 'state', [one.name for one in machine.states])}"
        path = (*node.path, _MACHINES, position, "transitions", number, end)
        faults.append(str(node.markup.error(message, path)))
    if len(found) > MAX_FAULTS:
        more = f"{len(found) - MAX_FAULTS:,} more times a transition names a state that is not there"
        faults.append(str(node.markup.error(more, node.path)))
    return tuple(faults)


def _machine(node: _Node) -> StateMachine:
    node.as_mapping("a state machine")
    name = node.required_text("name", "a state machine")
    what = f"machine {name!r}"
    states = tuple(_state(entry, what) for entry in node.get("states").items())
    if not states:
        raise node.get("states").error(f"{what} has no states; give it at least one, of type 'entry'")
    names = [state.name for state in states]
    _check_unique(node.get("states"), names, "state")
    initial = node.text("initialState") or next((state.name for state in states if state.type == "entry"), None)
    if initial is None:
        raise node.error(f"{what} has no initialState; name one of its states: {', '.join(names)}")
    if initial not in names:
        raise node.get("initialState").error(f"{what}: {_unknown('initialState', initial, 'state', names)}")
    link = node.mapping("parentLink")
    return StateMachine(
        name=name,
        initial_state=initial,
        states=states,
        transitions=tuple(_transition(entry, what) for entry in node.get("transitions").items()),
        public_member_type=node.text("publicMemberType"),
        parent_link=None if link is None else _parent_link(node.get("parentLink")),
        description=_description(node),
        metadata=node.mapping("metadata") or {},
    )


def _state(node: _Node, machine: str) -> State:
    node.as_mapping(f"a state of {machine}")
    return State(
        name=node.required_text("name", f"a state of {machine}"),
        type=cast(StateType, node.word("type", get_args(StateType), "regular")),
        entry_method=node.text("onEntry", "entryMethod"),
        exit_method=node.text("onExit", "exitMethod"),
        cascading_rules=tuple(_cascading_rule(entry) for entry in node.get("cascadingRules").items()),
        description=_description(node),
        metadata=node.mapping("metadata") or {},
    )


def _cascading_rule(node: _Node) -> CascadingRule:
    node.as_mapping("a cascading rule")
    return CascadingRule(
        target_machine=node.required_text("targetMachine", "a cascading rule"),
        target_state=node.required_text("targetState", "a cascading rule"),
        event=node.required_text("event", "a cascading rule"),
        target_component=node.text("targetComponent"),
        matching_rules=_matching_rules(node),
        payload=node.mapping("payload") or {},
    )


def _transition(node: _Node, machine: str) -> Transition:
    node.as_mapping(f"a transition of {machine}")
    source = node.required_text("from", f"a transition of {machine}")
    target = node.required_text("to", f"a transition of {machine}")
    event = node.required_text("event", f"the transition {source} -> {target} of {machine}")
    kind = cast(TransitionType, node.word("type", get_args(TransitionType), "regular"))
    timeout_ms = node.duration("timeoutMs")
    if kind == "timeout" and timeout_ms is None:
        raise node.error(
            f"{machine}: the timeout {source} -> {target} has no 'timeoutMs'; "
            "give the milliseconds after which it fires"
        )
    resets = node.flag("resetOnTransition")
    mapping = node.mapping("contextMapping")
    return Transition(
        source=source,
        target=target,
        event=event,
        type=kind,
        timeout_ms=timeout_ms,
        reset_on_transition=True if resets is None else resets,
        target_machine=node.text("targetMachine"),
        target_component=node.text("targetComponent"),
        target_event=node.text("targetEvent"),
        context_mapping=None if mapping is None else _context_mapping(node.get("contextMapping")),
        matching_rules=_matching_rules(node),
        triggered_method=node.text("triggeredMethod"),
        notify_parent=_notify_parent(node.get("notifyParent")),
        description=_description(node),
        metadata=node.mapping("metadata") or {},
    )


def _context_mapping(node: _Node) -> Mapping[str, str]:
    return {key: node.required_text(key, "contextMapping") for key in node.as_mapping("contextMapping")}


def _notify_parent(node: _Node) -> Mapping[str, object] | None:
    if isinstance(node.value, bool):
        return {} if node.value else None
    return None if node.value is None else node.as_mapping("notifyParent")


def _matching_rules(node: _Node) -> tuple[MatchingRule, ...]:
    return tuple(_matching_rule(entry) for entry in node.get("matchingRules").items())


def _matching_rule(node: _Node) -> MatchingRule:
    node.as_mapping("a matching rule")
    return MatchingRule(
        event_property=node.required_text("eventProperty", "a matching rule"),
        instance_property=node.required_text("instanceProperty", "a matching rule"),
        operator=cast(Operator, node.word("operator", get_args(Operator), "===")),
    )


def _parent_link(node: _Node) -> ParentLink:
    return ParentLink(enabled=node.flag("enabled") or False, on_state_change=node.text("onStateChange"))


def _description(node: _Node) -> str:
    """Its own, or that in the metadata, where many documents have it."""
    own = node.text("description")
    if own is not None:
        return own
    found = (node.mapping("metadata") or {}).get("description")
    return found if isinstance(found, str) else ""


def _check_unique(node: _Node, names: list[str], what: str) -> None:
    seen: set[str] = set()
    for position, name in enumerate(names):
        if name in seen:
            raise node.child(position, None).error(f"{what} {name!r} is here twice; names must differ")
        seen.add(name)


def _unknown(where: str, name: str, what: str, known: Iterable[str]) -> str:
    known = tuple(known)
    hint = _did_you_mean(name, known)
    return f"{where} names the {what} {name!r}, which is not there; there are {', '.join(known)}{hint}"


def _did_you_mean(value: object, known: Iterable[str]) -> str:
    by_lower = {word.lower(): word for word in known}
    close = difflib.get_close_matches(str(value).lower(), by_lower, n=1)
    return f". Did you mean {by_lower[close[0]]!r}?" if close else ""


def _name(node: _Node) -> str:
    return next((part for part in reversed(node.path) if isinstance(part, str)), "the document")


def _show(value: object) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:60]}…"
