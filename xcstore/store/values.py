"""Single stored values to values of the model, whatever they are.

Each function takes (value, where, faults): what is odd becomes a neutral value and a sentence in `faults` that names
the place. Sentences never quote business data, as they are shown where it may be masked.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import orjson

from xcstore.jsontext import NestingError, has_long_number, parse_json
from xcstore.units import EpochMs, from_utc

__all__ = [
    "INT64",
    "MAX_DEPTH",
    "is_encodable",
    "json_column",
    "read_any",
    "read_flag",
    "read_id",
    "read_ids",
    "read_moment",
    "read_object",
    "read_optional_moment",
    "read_optional_text",
    "read_required_object",
    "read_text",
    "read_timestamp",
    "short",
]

INT64: Final = 2**63
MAX_DEPTH: Final = 100
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")


def short(value: object) -> str:
    """`repr`, cut to what a message can hold."""
    try:
        text = repr(value)
    except RecursionError:
        return f"a deeply nested {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"


def is_encodable(text: str) -> bool:
    """False where the text holds half a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_text(value: object, where: str, faults: list[str]) -> str:
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, UUID):
        return str(value)
    faults.append(f"{where} is {short(value)}, not text; shown as empty")
    return ""


def read_optional_text(value: object, where: str, faults: list[str]) -> str | None:
    return None if value is None else read_text(value, where, faults)


def read_id(value: object, where: str, faults: list[str]) -> str:
    if type(value) is int:  # a foreign writer's numeric key
        faults.append(f"{where} is the number {value}, not text; read as text")
        return str(value)
    return read_text(value, where, faults)


def read_ids(value: object, where: str, faults: list[str]) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):  # JSON text, as SQLite stores lists
        if value == "[]":
            return ()
        with contextlib.suppress(ValueError):
            value = parse_json(value)
        if value is None:
            return ()
    if not isinstance(value, (list, tuple)):
        faults.append(f"{where} is {short(value)}, not a list of ids; shown as empty")
        return ()
    ids = []
    for entry in value:
        if type(entry) is str:
            ids.append(entry)
        elif isinstance(entry, (str, UUID)):
            ids.append(str(entry))
        else:
            faults.append(f"{where} names {short(entry)}, which is no id; left out")
    return tuple(ids)


def read_moment(value: object, where: str, faults: list[str]) -> EpochMs:
    """Milliseconds; 0 and a fault where there are none to be had."""
    moment = read_optional_moment(value, where, faults)
    if moment is None:
        if value is None:
            faults.append(f"{where} is missing; shown as 0")
        return EpochMs(0)
    return moment


def read_optional_moment(value: object, where: str, faults: list[str]) -> EpochMs | None:
    """Milliseconds from a number, or from the forms that drivers and dumps give it; None where it cannot be read."""
    if type(value) is int:
        if -INT64 <= value < INT64:
            return EpochMs(value)
        faults.append(f"{where} is {short(value)}, outside 64 bits; not used")
        return None
    if value is None:
        return None
    if isinstance(value, bool):
        pass
    elif isinstance(value, Mapping):
        kind, inner = next(iter(value.items())) if len(value) == 1 else ("", None)
        # As mongoexport writes numbers and dates; the form holds plain values, so this nests twice at most.
        if kind in ("$numberLong", "$numberInt", "$numberDouble", "$date") and not _has_more(inner):
            return read_timestamp(inner, where, faults)
    elif isinstance(value, (float, Decimal)):
        if math.isfinite(value):
            whole = math.floor(value)
            if whole != value:
                faults.append(f"{where} is {value!r}, not whole milliseconds; cut")
            return read_optional_moment(whole, where, faults)
    elif isinstance(value, datetime):
        return from_utc(value if value.tzinfo is not None else value.replace(tzinfo=UTC))
    elif isinstance(value, int):  # a driver's own kind of integer
        return read_optional_moment(int(value), where, faults)
    elif isinstance(value, str):
        if _WHOLE.fullmatch(value) is not None:  # as node-postgres reads BIGINT
            return read_optional_moment(int(value), where, faults)
        moment = _from_date(value)
        if moment is not None:
            faults.append(f"{where} is the date {short(value)}, not milliseconds; converted")
            return moment
    faults.append(f"{where} is {short(value)}, not a number of milliseconds; not used")
    return None


def read_timestamp(value: object, where: str, faults: list[str]) -> EpochMs | None:
    """As `read_optional_moment`, where a date is no fault: TIMESTAMP columns, which SQLite gives as text."""
    if isinstance(value, str) and (moment := _from_date(value)) is not None:
        return moment
    return read_optional_moment(value, where, faults)


def read_flag(value: object, where: str, faults: list[str]) -> bool:
    if isinstance(value, bool):
        return value
    if value is not None:
        faults.append(f"{where} is {short(value)}, not true or false; shown as false")
    return False


def read_any(value: object, where: str, faults: list[str]) -> object:
    """Any JSON value as it is; what JSON or 64 bits cannot hold is noted."""
    try:
        text = orjson.dumps(value)
    except TypeError:
        pass
    else:
        if b"null" not in text and not has_long_number(text):
            return value
    _note_odd_parts(value, where, faults)
    return value


def read_object(value: object, where: str, faults: list[str]) -> Mapping[str, object] | None:
    if isinstance(value, Mapping):
        read_any(value, where, faults)
        return value
    if value is not None:
        faults.append(f"{where} is of the kind {type(value).__name__}, not an object; left out")
    return None


def read_required_object(value: object, where: str, faults: list[str]) -> Mapping[str, object]:
    found = read_object(value, where, faults)
    return {} if found is None else found


def json_column(value: object, where: str, faults: list[str]) -> object:
    """A JSON column, parsed by the driver or not. Text that cannot be read stays text."""
    if not isinstance(value, (str, bytes)):
        return value
    try:
        return parse_json(value)
    except NestingError:
        faults.append(f"{where} is nested too deeply to be read; shown as text")
    except ValueError as error:
        faults.append(f"{where} is not JSON ({error}); shown as text")
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _has_more(value: object) -> bool:
    return isinstance(value, Mapping) and any(isinstance(inner, Mapping) for inner in value.values())


def _from_date(text: str) -> EpochMs | None:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return from_utc(parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC))


def _note_odd_parts(value: object, where: str, faults: list[str]) -> None:
    # A stack instead of recursion: the value may be nested more deeply than Python calls.
    waiting: list[tuple[object, str, int]] = [(value, where, 0)]
    deepest = 0
    while waiting:
        item, path, depth = waiting.pop()
        deepest = max(depth, deepest)
        if isinstance(item, float):
            if not math.isfinite(item):
                faults.append(f"{path} is {item}, which JSON cannot hold")
        elif isinstance(item, int):
            if not -INT64 <= item < INT64:
                faults.append(f"{path} is a whole number outside 64 bits")
        elif isinstance(item, str):
            if not is_encodable(item):
                faults.append(f"{path} holds half a surrogate pair, which is not valid Unicode")
        elif isinstance(item, Mapping):
            # Paths are cut: a thousand levels would make text of quadratic size.
            waiting += [(inner, f"{path}.{key}" if depth < 20 else path, depth + 1) for key, inner in item.items()]
            if not all(isinstance(key, str) and is_encodable(key) for key in item):
                faults.append(f"{path} has a key that is not valid text")
        elif isinstance(item, (list, tuple)):
            waiting += [
                (inner, f"{path}.{position}" if depth < 20 else path, depth + 1) for position, inner in enumerate(item)
            ]
        elif item is not None:
            faults.append(f"{path} is of the kind {type(item).__name__}, which JSON cannot hold")
    if deepest > MAX_DEPTH:
        faults.append(f"{where} is nested {deepest} levels deep")
