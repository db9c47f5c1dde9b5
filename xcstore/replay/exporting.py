"""Forks as documents, and as tests: what was found in a history, kept as a file that can be run again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from xcstore.errors import DefinitionError, QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.loader import component_from_document
from xcstore.replay.depth import refusing_depth
from xcstore.replay.forks import (
    ChangeDefinition,
    DropEvent,
    Edit,
    EditEvent,
    Fork,
    ForkResult,
    InsertEvent,
    MoveEvent,
    prepare_fork,
)
from xcstore.replay.testfiles import End, Taken, document_of, inputs_test, run_document, unmet
from xcstore.replay.track import (
    ComponentScope,
    EventsScope,
    InstanceScope,
    RangeScope,
    Scope,
    TraceScope,
    Track,
)
from xcstore.runtime.interpreter import properties_of
from xcstore.store.base import Direction
from xcstore.units import EpochMs

__all__ = [
    "End",
    "Taken",
    "fork_document",
    "fork_from_document",
    "fork_from_json",
    "fork_json",
    "fork_test",
    "inputs_test",
    "run_document",
    "unmet",
]

_FORMAT: Final = "xcstore-fork"
_VERSION: Final = 1
_DIRECTIONS: Final[Mapping[str, Direction]] = {"causes": "causes", "effects": "effects", "both": "both"}


# Forks as documents


def fork_json(track: Track, fork: Fork) -> str:
    """`fork_document` as JSON text."""
    with refusing_depth("be written down"):
        return json.dumps(fork_document(track, fork), indent=2, ensure_ascii=True) + "\n"


def fork_document(track: Track, fork: Fork) -> dict[str, object]:
    """A fork as JSON data; `fork_from_document` reads it.

    Examples
    --------
    >>> from xcstore.replay.track import open_track
    >>> from xcstore.store.memory import open_memory_stores
    >>> track = open_track(open_memory_stores(), RangeScope(start=EpochMs(0), end=EpochMs(9)))
    >>> fork = Fork(scope=track.scope, edits=(DropEvent(event_id="e1"),))
    >>> fork_document(track, fork)["edits"]
    [{'kind': 'drop', 'event': 'e1'}]
    >>> fork_from_document(fork_document(track, fork)) == fork
    True
    """
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "scope": _scope_document(fork.scope),
        "at": fork.at,
        "atEvent": track.step(fork.at).id if 0 < fork.at <= track.length else None,
        "until": fork.until,
        "edits": [_edit_document(edit) for edit in fork.edits],
    }


def fork_from_json(text: str | bytes) -> Fork:
    """Read what `fork_json` wrote; `QueryError` says what is wrong with it."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise QueryError(f"this is no JSON, and so no fork: {error}") from error
    return fork_from_document(document)


def fork_from_document(document: object) -> Fork:
    """Read what `fork_document` wrote.

    Raises
    ------
    QueryError
        Says which part cannot be used, and what would be right.
    """
    given = _Given(document, "the fork")
    if given.value.get("format") != _FORMAT:
        raise QueryError(f"this is no fork: its format is {given.value.get('format')!r}, not {_FORMAT!r}")
    if given.value.get("version") != _VERSION:
        raise QueryError(f"a fork of version {given.value.get('version')!r} cannot be read; this reads {_VERSION}")
    return Fork(
        scope=_scope(_Given(given.value.get("scope"), "the scope")),
        at=given.whole("at"),
        edits=tuple(_edit(_Given(edit, f"edit {number}")) for number, edit in enumerate(given.items("edits"), 1)),
        until=given.moment("until"),
    )


def _scope_document(scope: Scope) -> dict[str, object]:
    match scope:
        case InstanceScope():
            return {"kind": "instance", "instance": scope.instance_id}
        case TraceScope():
            return {
                "kind": "trace", "event": scope.event_id, "direction": scope.direction, "maxEvents": scope.max_events,
            }  # fmt: skip
        case EventsScope():
            return {"kind": "events", "events": list(scope.event_ids)}
        case ComponentScope():
            return {"kind": "component", "component": scope.component_name, "start": scope.start, "end": scope.end}
        case RangeScope():
            return {"kind": "range", "start": scope.start, "end": scope.end, "components": list(scope.components)}


def _scope(given: _Given) -> Scope:
    kind = given.text("kind")
    match kind:
        case "instance":
            return InstanceScope(instance_id=given.text("instance"))
        case "trace":
            direction = _DIRECTIONS.get(given.text("direction"))
            if direction is None:
                raise QueryError(
                    f"the direction of the scope is {given.text('direction')!r}; it is causes, effects or both"
                )
            return TraceScope(
                event_id=given.text("event"), direction=direction, max_events=given.whole("maxEvents", least=1)
            )
        case "events":
            return EventsScope(event_ids=given.texts("events"))
        case "component":
            return ComponentScope(
                component_name=given.text("component"), start=given.moment("start"), end=given.moment("end")
            )
        case "range":
            start, end = given.moment("start"), given.moment("end")
            if start is None or end is None:
                raise QueryError("the scope is a range, and needs both start and end")
            return RangeScope(start=start, end=end, components=given.texts("components"))
    raise QueryError(f"the scope is of kind {kind!r}; it is instance, trace, events, component or range")


def _edit_document(edit: Edit) -> dict[str, object]:
    match edit:
        case EditEvent():
            return {"kind": "edit", "event": edit.event_id, "type": edit.event_type, "payload": edit.payload}
        case DropEvent():
            return {"kind": "drop", "event": edit.event_id}
        case MoveEvent():
            return {"kind": "move", "event": edit.event_id, "after": edit.after}
        case InsertEvent():
            return {
                "kind": "insert", "after": edit.after, "at": edit.at, "instance": edit.instance_id,
                "component": edit.component_name, "machine": edit.machine_name, "type": edit.event_type,
                "payload": edit.payload,
            }  # fmt: skip
        case ChangeDefinition():
            return {"kind": "definition", "document": document_of(edit.component)}


def _edit(given: _Given) -> Edit:
    kind = given.text("kind")
    match kind:
        case "edit":
            payload = None if given.value.get("payload") is None else given.mapping("payload")
            return EditEvent(event_id=given.text("event"), event_type=given.perhaps("type"), payload=payload)
        case "drop":
            return DropEvent(event_id=given.text("event"))
        case "move":
            return MoveEvent(event_id=given.text("event"), after=given.perhaps("after"))
        case "insert":
            return InsertEvent(
                after=given.perhaps("after"),
                at=given.moment("at"),
                instance_id=given.text("instance"),
                component_name=given.perhaps("component") or "",
                machine_name=given.perhaps("machine") or "",
                event_type=given.text("type"),
                payload=given.mapping("payload"),
            )
        case "definition":
            try:
                return ChangeDefinition(component=component_from_document(dict(given.mapping("document"))))
            except DefinitionError as error:
                raise QueryError(f"{given.name} holds a definition that cannot be used: {error}") from error
    raise QueryError(f"{given.name} is of kind {kind!r}; it is edit, drop, move, insert or definition")


class _Given:
    """An object of a document, asked for its parts."""

    def __init__(self, value: object, name: str) -> None:
        if not isinstance(value, Mapping):
            raise QueryError(f"{name} is {_short(value)}; it must be an object")
        self.value: Mapping[str, object] = value
        self.name = name

    def _get(self, key: str, check: Callable[[object], bool], right: str) -> Any:
        value = self.value.get(key)
        if not check(value):
            raise QueryError(f"{key!r} of {self.name} is {_short(value)}; it must be {right}")
        return value

    def text(self, key: str) -> str:
        found: str = self._get(key, lambda value: isinstance(value, str) and bool(value), "a text")
        return found

    def perhaps(self, key: str) -> str | None:
        found: str | None = self._get(key, lambda value: value is None or isinstance(value, str), "a text or null")
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(
            self._get(
                key,
                lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
                "a list of texts",
            )
        )

    def items(self, key: str) -> list[object]:
        found: list[object] = self._get(key, lambda value: isinstance(value, list), "a list")
        return found

    def mapping(self, key: str) -> Mapping[str, object]:
        found: Mapping[str, object] = self._get(key, lambda value: isinstance(value, Mapping), "an object")
        return found

    def whole(self, key: str, least: int = 0) -> int:
        found: int = self._get(
            key, lambda value: type(value) is int and value >= least, f"a whole number from {least} on"
        )
        return found

    def moment(self, key: str) -> EpochMs | None:
        found: EpochMs | None = self._get(
            key, lambda value: value is None or type(value) is int, "whole epoch milliseconds or null"
        )
        return found


# Forks as tests


def fork_test(track: Track, fork: Fork, result: ForkResult, catalog: Catalog) -> str:
    """A pytest file that runs the fork again, and asserts that its instances end as `result` says.

    Raises
    ------
    QueryError
        The run was cut, so its ends are none; or a definition has no document to be written down.
    """
    if result.cut:
        raise QueryError(f"the fork was cut ({result.cut_reason}), so its end states are not known")
    with refusing_depth("be written down"):
        return _test(track, fork, result, catalog)


def _test(track: Track, fork: Fork, result: ForkResult, catalog: Catalog) -> str:
    prepared = prepare_fork(track, fork, catalog=catalog)
    ended = result.run.instances
    ends = [
        End(instance_id=name, state=ended[name].current_state, values=properties_of(ended[name]))
        for one in result.instances
        if (name := one.forked_id) is not None and name in ended
    ]
    return inputs_test(
        title="A fork of a recorded history: its instances end as they did when it was exported.",
        function="fork",
        components=prepared.components,
        inputs=prepared.inputs,
        start=prepared.start,
        start_at=prepared.recording.start_at,
        until=result.until,
        recording=prepared.recording,
        interventions=prepared.interventions,
        asserts=ends,
        about={"fork": fork_document(track, fork)},
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({type(value).__name__})"
