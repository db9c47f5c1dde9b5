"""What can be written, the same on every backend (DESIGN, decision 13)."""

from __future__ import annotations

import marshal
import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from xcstore.errors import LimitExceededError
from xcstore.jsontext import json_text
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.store.base import OutboxChange, StoredWork
from xcstore.store.values import INT64, MAX_DEPTH, is_encodable, short

__all__ = [
    "LIMITS",
    "NOTHING_WRITTEN",
    "Labels",
    "Limit",
    "check_json",
    "check_writable",
    "check_writable_outbox",
    "check_writable_snapshot",
    "pack",
]

Labels = tuple[str, str, str, str, str, str | None, str | None, str | None]
"""What comes again and again in events: machine, component, type, states before and after, source and target
component, hash of the definition."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: the largest value that may be written, in `unit`."""

    maximum: int
    unit: str
    why: str


LIMITS: Final[Mapping[str, Limit]] = {
    "id": Limit(50, "characters", "ids of events and instances, also as causes: VARCHAR(50)"),
    "name": Limit(100, "characters", "names of machines and components: VARCHAR(100)"),
    "event_type": Limit(50, "characters", "VARCHAR(50)"),
    "state": Limit(50, "characters", "states before and after: VARCHAR(50)"),
    "definition_hash": Limit(64, "characters", "SHA-256 in hexadecimal"),
    "payload_bytes": Limit(8 * 1024 * 1024, "bytes", "JSON of one payload, context or member; MongoDB holds 16 MB"),
    "payload_depth": Limit(MAX_DEPTH, "levels", "nesting of one payload, context or member"),
    "time": Limit(INT64 - 1, "ms", "times, and their negatives: BIGINT"),
}
"""Besides these: no NUL character and no half surrogate pair in any text or key, no NaN or infinity in any number.
Reading has no limits."""

NOTHING_WRITTEN: Final = "; nothing was written"
"""How each refusal ends."""

_FIRST: Final = -INT64
_ID: Final = LIMITS["id"].maximum
_NAME: Final = LIMITS["name"].maximum
_TYPE: Final = LIMITS["event_type"].maximum
_STATE: Final = LIMITS["state"].maximum
_HASH: Final = LIMITS["definition_hash"].maximum
_BYTES: Final = LIMITS["payload_bytes"].maximum
_DEPTH: Final = LIMITS["payload_depth"].maximum
_OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_DIGITS: Final = 4_300
"""As many digits as Python reads in one number."""
_BITS: Final = 14_284
"""No number of so many bits has more digits than that."""
_PLAIN: Final = 2
"""The version of marshal that looks for no shared values, and so takes half the time."""
_WRAPPING: Final = 3
"""A document holds its payload this many levels down."""


def check_writable(event: PersistedEvent) -> None:
    """Refuse what some backend could not hold.

    Raises
    ------
    LimitExceededError
        Names the field, the value (shortened) and the limit.
    """
    pack(event)


def pack(event: PersistedEvent, known_instances: Container[str] = ()) -> tuple[Labels, str | None]:
    """`check_writable`, and what it made on the way, so that who keeps the same need not make it again.

    Parameters
    ----------
    event : PersistedEvent
    known_instances : Container of str
        Ids of instances that were found to be writable before.

    Returns
    -------
    labels : Labels
        Equal labels are one object, as long as there are no more than a few thousand different ones.
    values : str or None
        JSON text of `[payload]`, or of `[payload, public_member_snapshot]` where there is one. None for an event that
        has a context or an original too, and where only a closer look showed that it can be written: then the text
        might not read back as the same values.

    Raises
    ------
    LimitExceededError
        As `check_writable`.

    Examples
    --------
    >>> from xcstore.model.history import PersistedEvent
    >>> event = PersistedEvent(id="e1", instance_id="i1", machine_name="Order", event_type="PAY", persisted_at=0)
    >>> pack(event)
    (('Order', '', 'PAY', '', '', None, None, None), '[{}]')
    """
    # Spelled out for speed, as each event that is appended passes here: one cheap look that is enough for most.
    event_id, instance_id, at, made_at = event.id, event.instance_id, event.persisted_at, event.timestamp
    given: Labels = (
        event.machine_name,
        event.component_name,
        event.event_type,
        event.state_before,
        event.state_after,
        event.source_component_name,
        event.target_component_name,
        event.definition_hash,
    )
    try:
        labels = _known.get(given) or _remember(given)
        if (
            labels is not None
            and type(at) is int
            and _FIRST <= at < INT64
            and (made_at is None or (type(made_at) is int and _FIRST <= made_at < INT64))
            and 0 < len(event_id) <= _ID
            and event_id.isascii()
            and "\0" not in event_id
            and (instance_id in known_instances or _is_short(instance_id, _ID))
            and (not event.caused or all(_is_short(linked, _ID) for linked in event.caused))
        ):
            for linked in event.caused_by:
                if not (0 < len(linked) <= _ID and linked.isascii() and "\0" not in linked):
                    break
            else:
                member, context, original = event.public_member_snapshot, event.context, event.original
                if context is None and original is None:
                    if member is None or isinstance(member, dict):
                        text = _plain_text([event.payload] if member is None else [event.payload, member])
                        if text is not None:
                            return labels, text
                elif (
                    (member is None or isinstance(member, dict))
                    and (context is None or isinstance(context, dict))
                    and _is_plain([event.payload, member or 0, context or 0, original or 0])
                ):
                    return labels, None
    except (TypeError, AttributeError):  # a field of the wrong kind: the closer look says which
        pass
    _check_event(event)
    return given, None


def check_writable_snapshot(snapshot: InstanceSnapshot) -> None:
    """Refuse what some backend could not hold; errors as `check_writable`."""
    instance = snapshot.instance
    _check_id("instance.id", instance.id)
    _check_text("instance.machine_name", instance.machine_name, _NAME)
    _check_text("instance.component_name", instance.component_name, _NAME)
    _check_text("instance.current_state", instance.current_state, _STATE)
    _check_text("instance.parent_instance_id", instance.parent_instance_id or "", _ID)
    _check_text("instance.parent_machine_name", instance.parent_machine_name or "", _NAME)
    _check_text("last_event_id", snapshot.last_event_id, _ID)
    _check_time("snapshot_at", snapshot.snapshot_at)
    _check_time("instance.created_at", instance.created_at)
    _check_time("instance.updated_at", instance.updated_at)
    for timer in snapshot.pending_timeouts:
        _check_text("pending_timeouts.state_key", timer.state_key, _BYTES)
        _check_text("pending_timeouts.event_type", timer.event_type, _TYPE)
        _check_time("pending_timeouts.remaining_ms", timer.remaining_ms)
    parts = (instance.context, instance.public_member, instance.internal_member, snapshot.original)
    if not (all(part is None or isinstance(part, dict) for part in parts) and _is_plain(parts)):
        _check_object("instance.context", instance.context)
        _check_object("instance.public_member", instance.public_member)
        _check_object("instance.internal_member", instance.internal_member)
        _check_value("the document", snapshot.original, wrapping=_WRAPPING)


def check_json(field: str, value: object) -> None:
    """Refuse a JSON value that some backend could not hold, under the name `field`; errors as `check_writable`."""
    if not _is_plain(value):
        _check_value(field, value)


def check_writable_outbox(change: OutboxChange) -> None:
    """Refuse what some backend could not hold; errors as `check_writable`."""
    for work in change.add:
        if _is_short(work.id, _ID) and _is_short(work.component_name or "-", _NAME) and _is_plain_work(work):
            continue
        _check_id("work.id", work.id)
        _check_text("work.component_name", work.component_name, _NAME)
        if type(work.position) is not int or not _FIRST <= work.position < INT64:
            raise LimitExceededError(
                f"work.position is {short(work.position)}; it must be a whole number within 64 bits{NOTHING_WRITTEN}"
            )
        if not isinstance(work.document, Mapping):
            raise LimitExceededError(f"work.document is {short(work.document)}; it must be an object{NOTHING_WRITTEN}")
        _check_value("work.document", work.document)


def _is_short(text: object, maximum: int) -> bool:
    return type(text) is str and 0 < len(text) <= maximum and text.isascii() and "\0" not in text


def _is_plain_work(work: StoredWork) -> bool:
    at = work.position
    return type(at) is int and _FIRST <= at < INT64 and isinstance(work.document, dict) and _is_plain(work.document)


_MAXIMA: Final = (_NAME, _NAME, _TYPE, _STATE, _STATE, _NAME, _NAME, _HASH)
_OPTIONAL: Final = (False, False, False, False, False, True, True, True)
_MOST_KNOWN: Final = 4_096
_known: dict[Labels, Labels] = {}
"""Labels of events that were found to be writable: a few hundred come again and again. Only ever holds what was."""


def _remember(labels: Labels) -> Labels | None:
    """The labels, known from now on; None where a closer look is needed."""
    for label, maximum, optional in zip(labels, _MAXIMA, _OPTIONAL, strict=True):
        if label is None and optional:
            continue
        if type(label) is not str or len(label) > maximum or "\0" in label or not is_encodable(label):
            return None
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    return _known.setdefault(labels, labels)


def _is_plain(value: object) -> bool:
    return _plain_text(value) is not None


def _plain_text(value: object) -> str | None:
    """The JSON text, where it alone shows that there is nothing to object to."""
    try:
        raw = orjson.dumps(value, None, _OPTIONS)
        # orjson also writes UUIDs and members of an Enum, as text; marshal takes plain values alone, and is fast.
        marshal.dumps(value, _PLAIN)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    text = raw.decode()  # searched faster than bytes, and kept in less memory: orjson leaves room at the end of its own
    size = len(text)
    if (
        not ("\\" in text and "\\u0000" in text)
        # A level takes two characters at least.
        and (size <= 2 * _DEPTH or (len(raw) <= _BYTES and len(raw) - len(raw.translate(None, b"[{")) <= _DEPTH))
        and ("null" not in text or _is_finite(value))
    ):
        return text
    return None


def _is_finite(value: object) -> bool:
    """Whether no number is NaN or infinite, which come out as null. Only for what is known not to be nested deeply."""
    waiting = [value]
    for item in waiting:
        if isinstance(item, float):
            if not math.isfinite(item):
                return False
        elif isinstance(item, Mapping):
            waiting += item.values()
        elif isinstance(item, (list, tuple)):
            waiting += item
    return True


def _check_event(event: PersistedEvent) -> None:
    _check_id("id", event.id)
    _check_id("instance_id", event.instance_id)
    _check_text("machine_name", event.machine_name, _NAME)
    _check_text("component_name", event.component_name, _NAME)
    _check_text("event_type", event.event_type, _TYPE)
    _check_text("state_before", event.state_before, _STATE)
    _check_text("state_after", event.state_after, _STATE)
    _check_text("source_component_name", event.source_component_name or "", _NAME)
    _check_text("target_component_name", event.target_component_name or "", _NAME)
    _check_text("definition_hash", event.definition_hash or "", _HASH)
    _check_ids("caused_by", event.caused_by)
    _check_ids("caused", event.caused)
    _check_time("persisted_at", event.persisted_at, required=True)
    _check_time("timestamp", event.timestamp)
    _check_value("payload", event.payload)
    _check_object("public_member_snapshot", event.public_member_snapshot)
    _check_object("context", event.context)
    _check_value("the document", event.original, wrapping=_WRAPPING)


def _check_object(field: str, value: object) -> None:
    if value is not None and not isinstance(value, Mapping):
        raise LimitExceededError(f"{field} is {short(value)}; it must be an object{NOTHING_WRITTEN}")
    _check_value(field, value)


def _check_ids(field: str, ids: Iterable[str]) -> None:
    for linked in ids:
        _check_id(field, linked)


def _check_id(field: str, value: str) -> None:
    if value == "":
        raise LimitExceededError(f"{field} is empty; it must have 1 to {_ID} characters{NOTHING_WRITTEN}")
    _check_text(field, value, _ID)


def _check_text(field: str, value: object, maximum: int) -> None:
    if not isinstance(value, str):
        raise LimitExceededError(f"{field} is {short(value)}; it must be text{NOTHING_WRITTEN}")
    if len(value) > maximum:
        raise LimitExceededError(
            f"{field} is {short(value)}, {len(value)} characters long; at most {maximum} can be stored{NOTHING_WRITTEN}"
        )
    _check_characters(field, value)


def _check_characters(field: str, value: str) -> None:
    if "\0" in value:
        what = "a NUL character, which no store holds"
    elif not is_encodable(value):
        what = "half a surrogate pair, which is not valid Unicode"
    else:
        return
    raise LimitExceededError(f"{field} is {short(value)} and holds {what}{NOTHING_WRITTEN}")


def _check_time(field: str, value: object, *, required: bool = False) -> None:
    if value is None and not required:
        return
    if type(value) is not int or not -INT64 <= value < INT64:
        raise LimitExceededError(
            f"{field} is {short(value)}; it must be whole milliseconds within 64 bits{NOTHING_WRITTEN}"
        )


def _check_value(field: str, value: object, *, wrapping: int = 0) -> None:
    """Walk a JSON value, without recursion: depth, characters, numbers; and its size.

    A document (with `wrapping`) may hold several such values, each held to the limit on its own.
    """
    if not wrapping:
        _check_size(field, _quick_size(value))
    waiting: list[tuple[object, str, int]] = [(value, field, 0)]
    while waiting:
        item, path, depth = waiting.pop()
        if isinstance(item, str):
            _check_characters(path, item)
        elif isinstance(item, float):
            if not math.isfinite(item):
                raise LimitExceededError(f"{path} is {item}; JSON holds finite numbers only{NOTHING_WRITTEN}")
        elif isinstance(item, (Mapping, list, tuple)):
            if depth >= _DEPTH + wrapping:
                raise LimitExceededError(f"{field} is nested more than {_DEPTH} levels{NOTHING_WRITTEN}")
            if isinstance(item, Mapping):
                for key, inner in item.items():
                    _check_text(f"a key of {path}", key, _BYTES)
                    waiting.append((inner, f"{path}.{key}", depth + 1))
            else:
                waiting += [(inner, f"{path}.{position}", depth + 1) for position, inner in enumerate(item)]
        elif isinstance(item, int):  # True and False as well
            if item.bit_length() > _BITS and abs(item) >= 10**_DIGITS:
                raise LimitExceededError(
                    f"{path} is a number of more than {_DIGITS:,} digits; no more can be read{NOTHING_WRITTEN}"
                )
        elif item is not None:
            raise LimitExceededError(f"{path} is {short(item)}, which JSON has no form for{NOTHING_WRITTEN}")
    if not wrapping:
        _check_size(field, len(json_text(value).encode()))


def _quick_size(value: object) -> int:
    """Bytes of JSON; 0 where only a closer look can tell."""
    try:
        return len(orjson.dumps(value, None, _OPTIONS))
    except TypeError:
        return 0


def _check_size(field: str, size: int) -> None:
    if size > _BYTES:
        raise LimitExceededError(
            f"{field} is {size:,} bytes of JSON; at most {_BYTES:,} can be stored{NOTHING_WRITTEN}"
        )
