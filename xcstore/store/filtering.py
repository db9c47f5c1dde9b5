"""What the conditions of a query mean, so that every backend means the same.

Backends answer what they can in their own language and use these functions to define, and where needed to check, it.

Text search looks into the id, the instance id, the event type, and each key and each scalar of the payload, one by one:
a text never matches across two of them, nor the punctuation of JSON, nor an escape. Letters compare by `str.lower`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Final, get_args

from xcstore.errors import QueryError
from xcstore.model.history import PersistedEvent
from xcstore.redaction import NO_REDACTION, Redaction
from xcstore.store.base import CountBy, Direction, EventQuery, InstanceQuery, InstanceSummary

__all__ = [
    "MISSING",
    "check_count",
    "check_keep",
    "check_limit",
    "check_query",
    "check_trace",
    "condition",
    "instance_condition",
    "list_position",
    "number_of",
    "path_matches",
    "payload_texts",
    "scalar_text",
    "text_matches",
    "value_at",
]

MISSING: Final = object()
"""What `value_at` gives where a path leads nowhere; None is a value."""

_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?", re.ASCII)
_COUNT_BY: Final = get_args(CountBy)
_DIRECTIONS: Final = get_args(Direction)


def check_query(query: EventQuery, redact: Redaction = NO_REDACTION) -> None:
    """Refuse, with `QueryError`, a question that no backend can answer, or that would tell what is masked."""
    if query.payload_value and not query.payload_path:
        raise QueryError(
            f"a payload value {query.payload_value!r} needs a payload path; give the keys that lead to the value"
        )
    if query.payload_path and redact.covers(query.payload_path):
        raise QueryError(f"the payload path {'.'.join(query.payload_path)!r} is masked; it cannot be searched")


def check_limit(limit: int) -> None:
    """Refuse, with `QueryError`, a page of nothing."""
    if limit < 1:
        raise QueryError(f"a page of {limit} items cannot be asked for; give a limit of 1 or more")


def check_keep(keep: int) -> None:
    """Refuse, with `QueryError`, to keep no snapshot at all."""
    if keep < 1:
        raise QueryError(f"keep={keep} would keep no snapshot; give 1 or more")


def check_count(by: Sequence[str], bucket_ms: int | None) -> None:
    """Refuse, with `QueryError`, keys that cannot be counted by and buckets without a length."""
    for name in by:
        if name not in _COUNT_BY:
            raise QueryError(f"events cannot be counted by {name!r}; what can be: {', '.join(_COUNT_BY)}")
    if bucket_ms is not None and bucket_ms < 1:
        raise QueryError(f"bucket_ms={bucket_ms} is no length of time; give 1 or more milliseconds")


def check_trace(direction: str, max_events: int) -> None:
    """Refuse, with `QueryError`, an unknown direction and a trace of nothing."""
    if direction not in _DIRECTIONS:
        raise QueryError(f"a trace cannot go {direction!r}; the directions are {', '.join(_DIRECTIONS)}")
    if max_events < 1:
        raise QueryError(f"a trace of {max_events} events cannot be asked for; give max_events of 1 or more")


def condition(query: EventQuery) -> Callable[[PersistedEvent], bool]:
    """Whether an event is one that `query` asks for."""
    tests: list[Callable[[PersistedEvent], bool]] = []

    def among(values: tuple[str, ...], test: Callable[[frozenset[str]], Callable[[PersistedEvent], bool]]) -> None:
        if values:
            tests.append(test(frozenset(values)))

    among(query.components, lambda wanted: lambda event: event.component_name in wanted)
    among(query.machines, lambda wanted: lambda event: event.machine_name in wanted)
    among(query.event_types, lambda wanted: lambda event: event.event_type in wanted)
    among(query.instance_ids, lambda wanted: lambda event: event.instance_id in wanted)
    among(query.states, lambda wanted: lambda event: event.state_after in wanted)
    among(query.states_before, lambda wanted: lambda event: event.state_before in wanted)
    start, end = query.start, query.end
    if start is not None:
        tests.append(lambda event: event.persisted_at >= start)
    if end is not None:
        tests.append(lambda event: event.persisted_at <= end)
    if query.payload_path:
        tests.append(lambda event: path_matches(event.payload, query.payload_path, query.payload_value))
    if query.text:
        tests.append(lambda event: text_matches(event, query.text))
    return lambda event: all(test(event) for test in tests)


def instance_condition(query: InstanceQuery) -> Callable[[InstanceSummary], bool]:
    """Whether an instance is one that `query` asks for."""
    components, machines = frozenset(query.components), frozenset(query.machines)
    states, ids = frozenset(query.states), frozenset(query.instance_ids)

    def holds(summary: InstanceSummary) -> bool:
        return (
            (not components or summary.component_name in components)
            and (not machines or summary.machine_name in machines)
            and (not states or summary.state in states)
            and (not ids or summary.instance_id in ids)
            and summary.instance_id.startswith(query.id_prefix)
            and (query.updated_from is None or summary.updated_at >= query.updated_from)
            and (query.updated_to is None or summary.updated_at <= query.updated_to)
        )

    return holds


def text_matches(event: PersistedEvent, text: str) -> bool:
    """Whether `text` is part of the event, as `EventQuery.text` says. '' is part of everything."""
    needle = text.lower()
    if needle in event.id.lower() or needle in event.instance_id.lower() or needle in event.event_type.lower():
        return True
    return any(needle in found.lower() for found in payload_texts(event.payload))


def payload_texts(payload: object) -> Iterator[str]:
    """Each key and each scalar of a JSON value, as text; in no promised order. Depth is not limited."""
    pending = [payload]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield from value
            pending.extend(value.values())
        elif isinstance(value, (list, tuple)):
            pending.extend(value)
        else:
            text = scalar_text(value)
            if text is not None:
                yield text


def path_matches(payload: object, path: tuple[str, ...], expected: str) -> bool:
    """Whether the scalar at `path` is `expected`, as `EventQuery.payload_path` says.

    A text equals as it is; a number by its value ('42' finds 42, 42.0 and '42'); 'true', 'false', 'null' as in JSON.
    A path that leads nowhere, or to an object or a list, never matches.
    """
    value = value_at(payload, path)
    if value is MISSING:
        return False
    if isinstance(value, str):
        return value == expected
    if isinstance(value, bool) or value is None:
        return scalar_text(value) == expected
    if isinstance(value, (int, float, Decimal)):
        wanted = number_of(expected)
        return wanted is not None and Decimal(str(value)) == wanted
    return False


def value_at(payload: object, path: tuple[str, ...]) -> object:
    """The value at `path`, or `MISSING`. Keys go into objects, positions ('0', '1' …) into lists."""
    value = payload
    for step in path:
        if isinstance(value, dict):
            value = value.get(step, MISSING)
        elif isinstance(value, (list, tuple)):
            position = list_position(step)
            value = MISSING if position is None or position >= len(value) else value[position]
        else:
            return MISSING
    return value


def list_position(step: str) -> int | None:
    """The position in a list that a step of a path names: '0', '7', not '-1', '07' or '1.0'."""
    if step.isascii() and step.isdigit() and len(step) < 10 and (step == "0" or step[0] != "0"):
        return int(step)
    return None


def scalar_text(value: object) -> str | None:
    """A JSON scalar as text: a text as it is, else as JSON writes it. None for an object or a list."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return str(value)
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value)
    return None


def number_of(text: str) -> Decimal | None:
    """The number that `text` writes in JSON's way ('42', '-1.5', '1e3'), or None: ' 42', '0x1', 'NaN' write none."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None
