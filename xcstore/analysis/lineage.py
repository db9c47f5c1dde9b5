"""Where the value of a field stood before: in an event that caused the one that set it.

Within one instance the fold says which event set a field. From an event to its cause nothing is recorded about
values: an equal value there is a hint, a better one where the definition names the place it is copied from, and no
hint at all where the value is one of those that stand everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from xcstore.analysis.context import Path, same_json, value_at
from xcstore.model.definition import StateMachine, Transition
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.redaction import MASK

__all__ = ["Match", "Place", "declared_sources", "find_place", "is_common", "is_masked"]

Match = Literal["declared", "same name", "equal value"]
"""What speaks for a place: the definition copies the value from there; a field of that name holds an equal value; an
equal value alone."""
Within = Literal["payload", "values"]

MAX_VALUES: Final = 5_000
"""Values of one document that are compared."""
_FEW: Final = 10
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an equal value stands in a cause."""

    within: Within
    """In the payload of the event, or in what its instance held afterwards."""
    path: Path
    how: Match
    others: int = 0
    """How many more places of the two documents hold an equal value."""


def is_common(value: object) -> bool:
    """Whether an equal value says nothing: true, false, null, whole numbers of one digit, text of at most one
    character, and empty lists and objects stand everywhere.

    Examples
    --------
    >>> [is_common(value) for value in (True, 0, 9.0, "", None, [], {})]
    [True, True, True, True, True, True, True]
    >>> [is_common(value) for value in (10, 0.5, "no", [0])]
    [False, False, False, False]
    """
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        return -_FEW < value < _FEW and value == int(value)
    return isinstance(value, str | Mapping | list | tuple) and len(value) <= (1 if isinstance(value, str) else 0)


def is_masked(value: object) -> bool:
    """Whether the value, or something in it, is hidden by the configuration: what it equals cannot be told."""
    return any(inner == MASK for _, inner in _inside(value) if isinstance(inner, str))


def declared_sources(
    machine: StateMachine | None, cause: PersistedEvent, effect: PersistedEvent, path: Path
) -> tuple[tuple[Within, Path], ...]:
    """Where the definition of the cause's machine takes the value at `path` of the effect's payload from.

    Two rules of definitions copy values: the mapping of a transition that creates an instance, which takes from the
    event's payload where that has the key, else from the context; and the payload of a cascade, from the context.
    """
    if machine is None or not path:
        return ()
    if effect.event_type == CREATION:
        if len(path) < 2 or path[0] != "initialContext":
            return ()
        found = [_mapped(transition, path[1:]) for transition in _creating(machine, cause, effect)]
        return tuple((within, source) for source in found if source for within in _mapping_order(cause.payload, source))
    state = machine.find_state(cause.state_after)
    templates = [
        rule.payload.get(str(path[0]))
        for rule in (state.cascading_rules if state else ())
        if (rule.target_component or cause.component_name, rule.target_machine, rule.event)
        == (effect.component_name, effect.machine_name, effect.event_type)
    ]
    return tuple(
        ("values", (*_dotted(template[2:-2].strip()), *path[1:]))
        for template in dict.fromkeys(item for item in templates if isinstance(item, str))
        if template.startswith("{{") and template.endswith("}}")
    )


def find_place(
    value: object,
    path: Path,
    *,
    payload: object,
    values: object,
    declared: tuple[tuple[Within, Path], ...] = (),
) -> Place | None:
    """Where a cause holds a value equal to `value`, which stands at `path` in the payload of its effect.

    The likeliest place: one that the definition names, else a field of the same name, else any; what the instance
    held before what the event brought. A value that stands everywhere (`is_common`) is only found where the
    definition names the place.
    """
    documents: Mapping[Within, object] = {"values": values, "payload": payload}
    for within, source in declared:
        if same_json(value_at(documents[within], source, _ABSENT), value):
            return Place(within=within, path=source, how="declared")
    if is_common(value):
        return None
    found: list[tuple[Within, Path]] = [
        (within, where)
        for within, document in documents.items()
        for where, inner in _inside(document)
        if where and same_json(inner, value)
    ]
    if not found:
        return None
    name = _plain(path)
    exact = [item for item in found if _plain(item[1]) == name]
    named = [item for item in found if item[1][-1:] == name[-1:] and isinstance(item[1][-1], str)]
    within, where = (exact or named or found)[0]
    # One value in both documents is most often one field that the payload was merged into.
    places = {_plain(item[1]) for item in found}
    return Place(
        within=within,
        path=where,
        how="same name" if exact or named else "equal value",
        others=len(places) - 1,
    )


def _creating(machine: StateMachine, cause: PersistedEvent, effect: PersistedEvent) -> Iterator[Transition]:
    """Transitions that the cause can have been, and that create such an instance."""
    taken = (cause.state_before, cause.event_type, cause.state_after)
    for transition in machine.transitions:
        target = (transition.target_component or cause.component_name, transition.target_machine)
        if (transition.source, transition.event, transition.target) == taken and target == (
            effect.component_name,
            effect.machine_name,
        ):
            yield transition


def _mapped(transition: Transition, path: Path) -> Path:
    """Where the mapping takes the value from; () where it does not."""
    mapping = transition.context_mapping
    if mapping is None:
        return path
    source = mapping.get(str(path[0]))
    return () if source is None else (*_dotted(source), *path[1:])


def _mapping_order(payload: object, source: Path) -> tuple[Within, ...]:
    return ("payload",) if isinstance(payload, Mapping) and source[0] in payload else ("values",)


def _dotted(text: str) -> Path:
    return tuple(int(key) if key.isdecimal() else key for key in text.split("."))


def _plain(path: Path) -> Path:
    """The path in the context that a creation's payload stands for."""
    return path[1:] if path[:1] == ("initialContext",) else path


def _inside(document: object) -> Iterator[tuple[Path, object]]:
    """A document and everything in it, with the place of each; parts before what is in them."""
    pending: list[tuple[Path, object]] = [((), document)]
    for _ in range(MAX_VALUES):
        if not pending:
            return
        path, value = pending.pop()
        yield path, value
        if isinstance(value, Mapping):
            pending += [((*path, str(key)), inner) for key, inner in reversed(list(value.items()))]
        elif isinstance(value, list | tuple):
            pending += [((*path, place), inner) for place, inner in reversed(list(enumerate(value)))]
