"""What an instance held after each of its events, and which event set a field.

The rules of the fold are those of the TypeScript runtime: a creation event gives `payload.initialContext`; the
payload of any other event is merged in, key by key at the top level, unless the transition that was chosen has
matching rules. A machine with a public member keeps these values there, any other machine in its context; the
values are the same, so one fold serves both.

The fold cannot know what user code did. Where the store recorded the values, the recorded ones are used, and each
step says which it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from xcstore.errors import QueryError
from xcstore.model.definition import StateMachine, Transition
from xcstore.model.history import CREATION, PersistedEvent

__all__ = [
    "Agreement",
    "Change",
    "ContextStep",
    "FieldSet",
    "Origin",
    "Path",
    "agreement",
    "diff",
    "field_history",
    "fold",
    "folding",
    "leaf_paths",
    "parse_path",
    "path_text",
    "same_json",
    "value_at",
]

Path = tuple[str | int, ...]
"""Keys and list positions from the root."""

Values = Mapping[str, object]
Merge = Literal["initial", "merged", "kept", "assumed", "nothing"]
"""What the fold did with the payload. `kept`: matching rules, so it stays out. `assumed`: merged, rules unknown."""

RULES_UNKNOWN = "as folded; matching rules unknown"
_ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextStep:
    """What the instance held after one event."""

    event: PersistedEvent
    values: Values = field(hash=False)
    source: Literal["recorded", "folded"]
    holder: Literal["public member", "context"]
    merge: Merge
    folded: Values = field(hash=False)
    """The fold's own answer, from the values of the step before."""
    agrees: bool | None = None
    """Whether the recorded values equal the fold; None where nothing is recorded."""
    notes: tuple[str, ...] = ()
    """Why a folded value may not be what the instance really held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that an event added, removed or changed."""

    path: Path
    kind: Literal["added", "removed", "changed"]
    old: object = field(default=None, hash=False)
    new: object = field(default=None, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where in the payload of the event the new value stands.

    `same place`: the fold puts it there. `equal value`: the payload holds an equal value elsewhere, which is a hint,
    not a proof.
    """

    path: Path
    how: Literal["same place", "equal value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSet:
    """One event that set a field."""

    step: ContextStep
    change: Change
    origin: Origin | None
    """None: not from the payload, so set by user code, or unknown to the fold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How many recorded values equal the fold."""

    recorded: int
    agreeing: int

    @property
    def rate(self) -> float | None:
        return self.agreeing / self.recorded if self.recorded else None


def fold(events: Sequence[PersistedEvent], machine: StateMachine | None = None) -> tuple[ContextStep, ...]:
    """The values of an instance after each event of its stream.

    Parameters
    ----------
    events : sequence of PersistedEvent
        One instance, in stream order. May start late: earlier values are then unknown, and the first step says so.
    machine : StateMachine, optional
        Its definition. Without it nobody knows which transitions have matching rules, so every payload is merged
        and each such step says so.
    """
    return tuple(folding(events, machine))


def folding(events: Iterable[PersistedEvent], machine: StateMachine | None = None) -> Iterator[ContextStep]:
    """The steps of `fold` one after the other, for streams that are too long to be kept."""
    values: Values = {}
    state: str | None = None
    for event in events:
        folded, merge = _apply(values, event, machine)
        notes = _notes(event, machine, merge, state)
        recorded = _recorded(event)
        values = folded if recorded is None else recorded
        yield ContextStep(
            event=event,
            values=values,
            source="folded" if recorded is None else "recorded",
            holder="public member" if _has_public_member(event, machine) else "context",
            merge=merge,
            folded=folded,
            agrees=None if recorded is None else same_json(recorded, folded),
            notes=notes,
        )
        state = event.state_after


def agreement(steps: Iterable[ContextStep]) -> Agreement:
    """How often the recorded values are what the fold says."""
    answers = [step.agrees for step in steps if step.agrees is not None]
    return Agreement(recorded=len(answers), agreeing=sum(answers))


def diff(before: object, after: object) -> tuple[Change, ...]:
    """Fields that differ, leaf by leaf: objects by key, lists by position; in the order of `before`, then new ones."""
    changes: list[Change] = []
    # A stack, not recursion: stored documents may be nested deeper than Python's own stack allows.
    pending: list[tuple[Path, object, object]] = [((), before, after)]
    while pending:
        path, old, new = pending.pop()
        if old is not _ABSENT and new is not _ABSENT and same_json(old, new):
            continue
        inner = _children(old, new)
        if inner is None:
            kind: Literal["added", "removed", "changed"] = (
                "added" if old is _ABSENT else "removed" if new is _ABSENT else "changed"
            )
            changes.append(
                Change(path=path, kind=kind, old=None if old is _ABSENT else old, new=None if new is _ABSENT else new)
            )
            continue
        pending.extend([((*path, key), one, two) for key, one, two in reversed(inner)])
    return tuple(changes)


def field_history(steps: Sequence[ContextStep], path: Path) -> tuple[FieldSet, ...]:
    """The events that set the field at `path`, oldest first: added, changed or removed it."""
    found: list[FieldSet] = []
    old: object = _ABSENT
    for step in steps:
        new = value_at(step.values, path, _ABSENT)
        if _differs(old, new):
            kind: Literal["added", "removed", "changed"] = (
                "added" if old is _ABSENT else "removed" if new is _ABSENT else "changed"
            )
            change = Change(
                path=path, kind=kind, old=None if old is _ABSENT else old, new=None if new is _ABSENT else new
            )
            found.append(FieldSet(step=step, change=change, origin=_origin(step.event, path, new)))
        old = new
    return tuple(found)


def leaf_paths(documents: Iterable[object], limit: int = 2_000) -> tuple[Path, ...]:
    """Paths of all scalars and empty containers in the documents, in order of first sight; at most `limit`."""
    seen: dict[Path, None] = {}
    for document in documents:
        pending: list[tuple[Path, object]] = [((), document)]
        while pending:
            if len(seen) >= limit:
                return tuple(seen)
            path, value = pending.pop()
            items = _items(value)
            if items:
                pending.extend([((*path, key), inner) for key, inner in items][::-1])
            elif path:
                seen.setdefault(path)
    return tuple(seen)


def value_at(document: object, path: Path, default: object = None) -> object:
    """The value at `path`, or `default` where the document does not reach there."""
    for key in path:
        if isinstance(key, str) and isinstance(document, Mapping):
            if key not in document:
                return default
            document = document[key]
        elif isinstance(key, int) and isinstance(document, list | tuple):
            if not 0 <= key < len(document):
                return default
            document = document[key]
        else:
            return default
    return document


_PLAIN = re.compile(r"[^\W\d]\w*", re.ASCII)
_PART = re.compile(r'(?:^|\.)(?P<plain>[^\W\d]\w*)|\[(?P<index>\d+)\]|\["(?P<quoted>(?:[^"\\]|\\.)*)"\]', re.ASCII)


def path_text(path: Path) -> str:
    """`customer.lines[0]["odd key"]`; `parse_path` reads it back."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif _PLAIN.fullmatch(key):
            text += f".{key}" if text else key
        else:
            escaped = key.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{escaped}"]'
    return text


def parse_path(text: str) -> Path:
    """The path that `path_text` wrote.

    Raises
    ------
    QueryError
        `text` is not of that form.
    """
    path: list[str | int] = []
    position = 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None or (part["plain"] is not None and (position == 0) == text.startswith(".", position)):
            raise QueryError(f'{text!r} is not a field path; write it like customer.lines[0].sku or ["odd key"].sku')
        if part["index"] is not None:
            path.append(int(part["index"]))
        elif part["quoted"] is not None:
            path.append(re.sub(r"\\(.)", r"\1", part["quoted"], flags=re.DOTALL))
        else:
            path.append(part["plain"])
        position = part.end()
    return tuple(path)


def same_json(one: object, two: object) -> bool:
    """Whether two JSON values are equal: 1 equals 1.0, but true is not 1; the order of keys does not count.

    JavaScript's NaN, which some stores keep, is the same as itself: a value that stayed has not changed.
    """
    pending = [(one, two)]
    while pending:
        a, b = pending.pop()
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            if a.keys() != b.keys():
                return False
            pending.extend((a[key], b[key]) for key in a)
        elif isinstance(a, list | tuple) and isinstance(b, list | tuple):
            if len(a) != len(b):
                return False
            pending.extend(zip(a, b, strict=True))
        elif isinstance(a, bool) is not isinstance(b, bool) or (a != b and (a == a or b == b)):
            return False
    return True


def _apply(values: Values, event: PersistedEvent, machine: StateMachine | None) -> tuple[Values, Merge]:
    payload = event.payload
    if event.event_type == CREATION and event.state_before == "":
        initial = payload.get("initialContext") if isinstance(payload, Mapping) else None
        return (dict(initial), "initial") if isinstance(initial, Mapping) else ({}, "initial")
    if not isinstance(payload, Mapping) or not payload:
        return values, "nothing"
    ruled = _has_rules(event, machine)
    if ruled:
        return values, "kept"
    return {**values, **payload}, "assumed" if ruled is None else "merged"


def _taken(event: PersistedEvent, machine: StateMachine | None) -> list[Transition]:
    """The declared transitions that this event can have been."""
    if machine is None:
        return []
    return [
        transition
        for transition in machine.transitions
        if (transition.source, transition.event, transition.target)
        == (event.state_before, event.event_type, event.state_after)
    ]


def _has_rules(event: PersistedEvent, machine: StateMachine | None) -> bool | None:
    """None: not declared, or declared both with rules and without."""
    answers = {bool(transition.matching_rules) for transition in _taken(event, machine)}
    return answers.pop() if len(answers) == 1 else None


def _has_public_member(event: PersistedEvent, machine: StateMachine | None) -> bool:
    if machine is not None:
        return machine.public_member_type is not None
    return event.public_member_snapshot is not None and event.context is not None


def _recorded(event: PersistedEvent) -> Values | None:
    # The TypeScript runtime writes the public member, or the context where there is none, as `publicMemberSnapshot`.
    return event.public_member_snapshot if event.public_member_snapshot is not None else event.context


def _notes(event: PersistedEvent, machine: StateMachine | None, merge: Merge, state: str | None) -> tuple[str, ...]:
    notes: list[str] = []
    if state is None and event.event_type != CREATION:
        notes.append("the history starts before this event; what was held then is unknown")
    elif state is not None and event.state_before != state:
        notes.append(
            f"the chain breaks here: the event before ended in {state!r}, this one starts in {event.state_before!r}"
        )
    if merge == "assumed":
        notes.append(RULES_UNKNOWN)
    methods = _methods(event, machine)
    if methods:
        notes.append(f"user code may have changed values: {', '.join(methods)}")
    return tuple(notes)


def _methods(event: PersistedEvent, machine: StateMachine | None) -> list[str]:
    """User code that ran since the event before was stored: entry method, then exit and triggered method."""
    if machine is None or event.event_type == CREATION:
        return []
    before = machine.find_state(event.state_before)
    named = [
        *((before.entry_method, before.exit_method) if before else ()),
        *(taken.triggered_method for taken in _taken(event, machine)),
    ]
    return list(dict.fromkeys(name for name in named if name))


def _origin(event: PersistedEvent, path: Path, new: object) -> Origin | None:
    if new is _ABSENT:
        return None
    direct: Path = ("initialContext", *path) if event.event_type == CREATION else path
    found = value_at(event.payload, direct, _ABSENT)
    if found is not _ABSENT and same_json(found, new):
        return Origin(path=direct, how="same place")
    if isinstance(new, Mapping | list | tuple) or new in (None, "", True, False, 0):
        return None  # such values are everywhere; an equal one says nothing
    for candidate in leaf_paths([event.payload], limit=500):
        if same_json(value_at(event.payload, candidate), new):
            return Origin(path=candidate, how="equal value")
    return None


def _differs(old: object, new: object) -> bool:
    if old is _ABSENT or new is _ABSENT:
        return old is not new
    return not same_json(old, new)


def _items(value: object) -> list[tuple[str | int, object]]:
    if isinstance(value, Mapping):
        return [(str(key), inner) for key, inner in value.items()]
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    return []


def _children(old: object, new: object) -> list[tuple[str | int, object, object]] | None:
    """What to compare inside two values; None where the values themselves are to be told."""
    both = {isinstance(value, Mapping) for value in (old, new) if value is not _ABSENT}
    lists = {isinstance(value, list | tuple) for value in (old, new) if value is not _ABSENT}
    one, two = dict(_items(old)), dict(_items(new))
    if both != {True} and lists != {True}:
        return None
    keys = [*one, *(key for key in two if key not in one)]
    # No keys: an empty object or list that appeared or went has no leaf, so it is told itself.
    return [(key, one.get(key, _ABSENT), two.get(key, _ABSENT)) for key in keys] or None
