"""The edits of a fork: in words, as text that an address can hold, and what a person may write into them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from xcstore.analysis.context import value_at
from xcstore.errors import QueryError
from xcstore.model.history import CREATION
from xcstore.render.labels import duration_text, short_id, visible_text
from xcstore.replay.forks import ChangeDefinition, DropEvent, Edit, EditEvent, InsertEvent, MoveEvent
from xcstore.units import EpochMs

if TYPE_CHECKING:
    from xcstore.model.definition import StateMachine
    from xcstore.model.history import Instance, PersistedEvent
    from xcstore.replay.track import Track

__all__ = [
    "MAX_IN_ADDRESS",
    "MAX_PAYLOAD",
    "edit_row",
    "edits_from_texts",
    "edits_to_texts",
    "event_types",
    "mark_of",
    "payload_from_text",
    "payload_to_text",
    "state_after",
    "template",
    "touches",
]

MAX_PAYLOAD: Final = 100_000
"""Characters of a payload that may be written by hand."""
MAX_IN_ADDRESS: Final = 2_500
"""Characters of all edits that an address takes: servers and chat programs cut longer ones."""
MAX_EDIT: Final = 900
MAX_EDITS: Final = 12
MAX_DEPTH: Final = 50

_WORDS: Final[Mapping[type, tuple[str, str]]] = {
    EditEvent: ("✎", "changed"),
    DropEvent: ("−", "dropped"),
    InsertEvent: ("+", "inserted"),
    MoveEvent: ("↕", "moved"),
    ChangeDefinition: ("⚙", "definition"),
}


def edits_to_texts(edits: Sequence[Edit]) -> tuple[str, ...] | None:
    """Each edit as a line of JSON for the address; None where they are too many, too long, or change a definition."""
    if len(edits) > MAX_EDITS or any(isinstance(edit, ChangeDefinition) for edit in edits):
        return None
    try:
        texts = tuple(json.dumps(_parts(edit), separators=(",", ":"), allow_nan=False) for edit in edits)
    except (ValueError, TypeError, RecursionError):
        return None
    fits = all(len(text) <= MAX_EDIT for text in texts) and sum(map(len, texts)) <= MAX_IN_ADDRESS
    return texts if fits else None


def _parts(edit: Edit) -> list[object]:
    match edit:
        case EditEvent():
            payload = [] if edit.payload is None else [edit.payload]
            return ["change", edit.event_id, edit.event_type, *payload]
        case DropEvent():
            return ["drop", edit.event_id]
        case InsertEvent():
            whom = [edit.component_name, edit.machine_name] if edit.machine_name else []
            return ["insert", edit.after, edit.instance_id, edit.event_type, edit.payload, edit.at, *whom]
        case MoveEvent():
            return ["move", edit.event_id, edit.after]
        case ChangeDefinition():
            raise ValueError("a definition is too long for an address")


def edits_from_texts(texts: Sequence[str]) -> tuple[tuple[Edit, ...], tuple[str, ...]]:
    """The edits that an address holds, and a sentence for each text that is none: anybody may have written it."""
    edits: list[Edit] = []
    wrong: list[str] = []
    for text in texts:
        edit = _edit(text)
        if edit is None:
            wrong.append(f"'edit' in the address is not an edit ({visible_text(text, 60)!r}). It was ignored.")
        else:
            edits.append(edit)
    return tuple(edits), tuple(wrong)


def _edit(text: str) -> Edit | None:
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError):
        return None
    match parts:
        case ["change", str(event_id), str() | None as event_type]:
            return EditEvent(event_id=event_id, event_type=event_type)
        case ["change", str(event_id), str() | None as event_type, dict(payload)]:
            return EditEvent(event_id=event_id, event_type=event_type, payload=payload)
        case ["drop", str(event_id)]:
            return DropEvent(event_id=event_id)
        case ["insert", str() | None, str(), str(), dict(), int() | None, *whom] if not isinstance(parts[5], bool):
            return _insert(parts, whom)
        case ["move", str(event_id), str() | None as after]:
            return MoveEvent(event_id=event_id, after=after)
    return None


def _insert(parts: list[Any], whom: list[object]) -> Edit | None:
    if whom and (len(whom) != 2 or not all(isinstance(name, str) for name in whom)):
        return None
    _, after, instance_id, event_type, payload, at = parts[:6]
    component, machine = map(str, whom or ("", ""))
    return InsertEvent(
        after=after,
        instance_id=instance_id,
        event_type=event_type,
        payload=payload,
        at=None if at is None else EpochMs(at),
        component_name=component,
        machine_name=machine,
    )


def payload_from_text(text: str) -> Mapping[str, object]:
    """The payload that a person wrote.

    Raises
    ------
    QueryError
        Says what is wrong and where: no JSON, no object, too long.
    """
    if len(text) > MAX_PAYLOAD:
        raise QueryError(f"the payload has {len(text):,} characters; at most {MAX_PAYLOAD:,} are taken")
    if not text.strip():
        return {}
    try:
        value = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise QueryError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise QueryError("nested too deeply") from None
    except ValueError as error:
        raise QueryError(str(error)) from None
    if not isinstance(value, dict):
        raise QueryError('a payload is a JSON object, such as {"orderId": "A-1"}')
    if _depth(value) > MAX_DEPTH:
        raise QueryError(f"nested more than {MAX_DEPTH} levels deep")
    return value


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")


def _depth(value: object) -> int:
    deepest, level = 0, [value]
    while level and deepest <= MAX_DEPTH:
        deepest += 1
        level = [inner for item in level for inner in _inside(item)]
    return deepest


def _inside(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else []


def payload_to_text(payload: object) -> str:
    """A payload as a person edits it."""
    try:
        return json.dumps(payload, indent=2, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):
        return "{}"


def event_types(track: Track, machine: StateMachine | None, machine_name: str, state: str) -> tuple[str, ...]:
    """Event types to choose from: those that `state` knows, then the others of the machine, then what was seen."""
    declared = () if machine is None else machine.transitions
    seen = (event.event_type for event in track.events if event.machine_name == machine_name)
    return tuple(
        name
        for name in dict.fromkeys(
            [
                *(item.event for item in declared if item.source == state),
                *(item.event for item in declared if item.source != state),
                *seen,
            ]
        )
        if name and name != CREATION
    )


def template(
    track: Track, machine: StateMachine | None, instance: Instance | None, machine_name: str, event_type: str
) -> tuple[str, str]:
    """A payload to begin with: the last recorded one of its kind and what matching rules ask for; and a note of that.

    Without what its rules ask for, the event would only be ignored.
    """
    payload: dict[str, object] = {}
    note = ""
    for event in reversed(track.events):
        if (event.machine_name, event.event_type) == (machine_name, event_type) and isinstance(event.payload, Mapping):
            payload, note = dict(event.payload), "Begun with the payload of the last such event here."
            break
    if machine is None or instance is None:
        return payload_to_text(payload), note
    state = instance.current_state
    rules = [
        rule
        for item in machine.transitions
        if item.source == state and item.event == event_type
        for rule in item.matching_rules
        if rule.operator == "===" and "." not in rule.event_property
    ]
    values = instance.public_member if instance.public_member is not None else instance.context
    asked = {
        rule.event_property: value
        for rule in rules
        if (value := value_at(values, tuple(rule.instance_property.split(".")))) is not None
    }
    if asked:
        note = f"Its matching rules ask for {', '.join(visible_text(name, 40) for name in asked)}."
    return payload_to_text({**payload, **asked}), note


def state_after(track: Track, instance_id: str, position: int) -> str | None:
    """The recorded state of an instance after step `position`; None where it is not there yet."""
    last = track.steps[position - 1] if position else -1
    for event in reversed(track.events[: last + 1]):
        if event.instance_id == instance_id:
            return event.state_after
    known = track.before.get(instance_id)
    return known.instance.current_state if known is not None else None


def touches(edit: Edit) -> str | None:
    """The recorded event that an edit changes, leaves out or moves."""
    return edit.event_id if isinstance(edit, EditEvent | DropEvent | MoveEvent) else None


def mark_of(event_id: str, edits: Sequence[Edit]) -> str:
    """How an event is marked in the table of steps: '' where no edit is about it."""
    marks = [" ".join(_WORDS[type(edit)]) for edit in edits if touches(edit) == event_id]
    inserted = sum(isinstance(edit, InsertEvent) and edit.after == event_id for edit in edits)
    if inserted:
        marks.append(f"+ {inserted} inserted after")
    return ", ".join(marks)


def edit_row(edit: Edit, track: Track) -> str:
    """An edit in a line: what is done to which step."""
    sign, _ = _WORDS[type(edit)]
    match edit:
        case EditEvent():
            told = []
            recorded = _find(track, edit.event_id)
            if edit.event_type is not None:
                told.append(f"is {visible_text(edit.event_type, 60)}")
            if edit.payload is not None:
                told.append(_payload_told(recorded.payload if recorded else {}, edit.payload))
            return f"{sign} {_named(track, edit.event_id)} {' and '.join(told) or 'stays as it is'}"
        case DropEvent():
            return f"{sign} {_named(track, edit.event_id)} is dropped"
        case MoveEvent():
            where = f"comes after {_named(track, edit.after)}" if edit.after else "comes first"
            return f"{sign} {_named(track, edit.event_id)} {where}"
        case InsertEvent():
            where = f"after {_named(track, edit.after)}" if edit.after else "at the beginning"
            later = ""
            before = _find(track, edit.after) if edit.after else None
            if edit.at is not None and before is not None and edit.at > before.persisted_at:
                later = f", {duration_text(edit.at - before.persisted_at)} later"
            whom = next((e.machine_name for e in track.events if e.instance_id == edit.instance_id), "instance")
            return (
                f"{sign} {visible_text(edit.event_type, 60)} is sent to {visible_text(whom, 60)} "
                f"{short_id(edit.instance_id)} {where}{later}"
            )
        case ChangeDefinition():
            return f"{sign} {visible_text(edit.component.name, 80)} has another definition"


def _find(track: Track, event_id: str) -> PersistedEvent | None:
    return next((event for event in track.events if event.id == event_id), None)


def _named(track: Track, event_id: str) -> str:
    found = _find(track, event_id)
    if found is None:
        return f"event {short_id(event_id)} (not in this history)"
    position = track.position_of(event_id)
    step = f"step {position:,}, " if position else ""
    return f"{step}{visible_text(found.event_type, 60)}"


def _payload_told(old: object, new: object) -> str:
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return "has another payload"
    names = [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)]
    names += [name for name in dict.fromkeys((*old, *new)) if name not in names and (name in old) != (name in new)]
    if not names:
        return "keeps its payload"
    shown = ", ".join(
        f"{visible_text(name, 40)} {_short(old[name]) if name in old else '(absent)'} → "
        f"{_short(new[name]) if name in new else '(absent)'}"
        for name in names[:3]
    )
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"has {shown}{more}"


def _short(value: object) -> str:
    try:
        return visible_text(json.dumps(value, ensure_ascii=False, default=str), 40)
    except RecursionError:
        return "…"
