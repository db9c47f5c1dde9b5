"""Between documents of MongoDB and the codec.

A document of ours is that of the TypeScript runtime, with `_id` in front, and all that is ours beside it under the one
key `xcstore`:

seq        order of insertion
position   the instance's events counted from 1: unique, so that two writers never both append behind the same event
head       the instance as its events tell it, in the last document of each instance (`mongo_heads`)
unsettled  where the head says that the last event is to be worked out from the stream
open       in a document whose append is not finished yet: what is still to do beside it (`mongo_writing`)
batch      number of the `append_many` that wrote it
text       the exact JSON text, where BSON cannot hold the same: whole numbers beyond 64 bits, a key `_id` …
           Also where the document's time, instance or causes are of an odd kind: then it has what they are read as.
extra      the text is so long that it is kept in so many documents of `fsm_event_extra`
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import bson
import orjson
from bson import Int64, json_util
from bson.codec_options import CodecOptions, DatetimeConversion, TypeDecoder, TypeRegistry
from bson.decimal128 import Decimal128
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from xcstore.errors import CorruptEventError, LimitExceededError
from xcstore.jsontext import json_text, parse_json
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.store.codec import Redaction, event_from_document, event_to_document, snapshot_from_document
from xcstore.store.limits import NOTHING_WRITTEN

__all__ = ["OURS", "READING", "Packed", "pack_event", "pack_value", "plain_document", "unpack_event", "unpack_snapshot"]

OURS: Final = "xcstore"
_LARGEST: Final = 15 * 1024 * 1024
"""Of the 16 MB that a document may have: the server adds to it in updates."""
_CHUNK: Final = 8 * 1024 * 1024
_STRICT: Final = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS

_NO_FORM: Final = (BSONError, OverflowError, ValueError, TypeError)
"""What the driver says to values that JSON holds and BSON does not."""

Chunks = tuple[bytes, ...]
ReadChunks = Callable[[int, int], bytes | None]
"""From (seq, how many) to the text in `fsm_event_extra`; None where it is not there."""


class _WholeNumbers(TypeDecoder):
    """Long integers as Python's own, so that they are written to JSON as numbers."""

    bson_type = Int64

    def transform_bson(self, value: Any) -> int:
        return int(value)


READING: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    type_registry=TypeRegistry([_WholeNumbers()]),
    datetime_conversion=DatetimeConversion.DATETIME_MS,  # a datetime ends with the year 9999
    unicode_decode_error_handler="replace",
)
"""How documents are decoded: nothing that anybody stored makes it fail."""


class Packed(NamedTuple):
    """A document ready to be stored, and the text that goes beside it."""

    document: RawBSONDocument
    chunks: Chunks


def pack_event(event: PersistedEvent, beside: Mapping[str, Any]) -> Packed:
    """The document of an event with `beside` under our key, which holds its `seq`.

    Raises
    ------
    LimitExceededError
        It has so many causes that no document can hold their ids.
    """
    document = event_to_document(event)
    if "_id" not in document and OURS not in document and document.get("id") == event.id and not _odd(document, event):
        raw = _encoded({"_id": event.id, **document, OURS: beside})
        if raw is not None:
            return Packed(RawBSONDocument(raw), ())
    return _packed_beside_text(document, event, beside)


def pack_value(document: Mapping[str, object], beside: Mapping[str, Any]) -> Packed:
    """The same for a document that has no id of its own, such as of a snapshot; what is too large is in the text."""
    if "_id" not in document and OURS not in document:
        raw = _encoded({**document, OURS: beside})
        if raw is not None:
            return Packed(RawBSONDocument(raw), ())
    return _beside_text({}, document, beside)


def _encoded(document: Mapping[str, Any]) -> bytes | None:
    """BSON that reads back as the same; None where there is none, or where it is too long."""
    try:
        raw = bson.encode(document)
    except _NO_FORM:
        return None
    return raw if len(raw) <= _LARGEST and b"$ref" not in raw else None


def _is_held(document: Mapping[str, Any]) -> bool:
    """Whether BSON has a form for all of it."""
    try:
        bson.encode(document)
    except _NO_FORM:
        return False
    return True


def _odd(document: Mapping[str, object], event: PersistedEvent) -> dict[str, object]:
    """Of what indexes find an event by, that which was read as something else, such as a time that is text."""
    read: dict[str, object] = {"instanceId": event.instance_id, "persistedAt": event.persisted_at}
    if document.get("causedBy") is not None:
        read["causedBy"] = list(event.caused_by)
    return {key: value for key, value in read.items() if repr(document.get(key)) != repr(value)}


def _packed_beside_text(document: dict[str, object], event: PersistedEvent, beside: Mapping[str, Any]) -> Packed:
    # In this order, as who reads the documents alone misses a payload more than a context.
    return _beside_text({"_id": event.id, "id": event.id}, document, beside, _odd(document, event))


def _beside_text(
    first: Mapping[str, Any],
    document: Mapping[str, object],
    beside: Mapping[str, Any],
    read_as: Mapping[str, object] = MappingProxyType({}),
) -> Packed:
    """The nearest that BSON holds, with the exact text in it or, where that is too long, beside it.

    `read_as`: what is put in place of odd values, for indexes to find.
    """
    text = json_text(document).encode()
    near = {**first, **{key: value for key, value in document.items() if key not in ("_id", OURS)}, **read_as}
    if not _is_held(near):
        near = {key: _nearest(value) for key, value in near.items()}
    for given_up in ((), ("context",), ("publicMemberSnapshot",), ("event", "payload"), ("instance", "context")):
        _drop(near, given_up)
        size = len(_bson(near))
        if size + len(text) <= _LARGEST:
            return Packed(_raw({**near, OURS: {**beside, "text": text.decode()}}), ())
        if size <= _LARGEST:
            chunks = tuple(text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK))
            return Packed(_raw({**near, OURS: {**beside, "extra": len(chunks)}}), chunks)
    known = {"id", "instanceId", "machineName", "componentName", "stateBefore", "stateAfter", "persistedAt", "causedBy"}
    near = {key: value for key, value in near.items() if key in known | {"_id", "event", "instance"}}
    if isinstance(near.get("instance"), dict):
        near["instance"] = {key: near["instance"].get(key) for key in ("id", "machineName", "currentState", "status")}
    if len(_bson(near)) > _LARGEST:
        raise LimitExceededError(f"the event has more causes than a document of MongoDB holds{NOTHING_WRITTEN}")
    chunks = tuple(text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK))
    return Packed(_raw({**near, OURS: {**beside, "extra": len(chunks)}}), chunks)


def _drop(near: dict[str, Any], path: tuple[str, ...]) -> None:
    holder: Any = near
    for key in path[:-1]:
        holder = holder.get(key)
    if path and isinstance(holder, dict) and path[-1] in holder:
        holder[path[-1]] = None


def _raw(document: Mapping[str, Any]) -> RawBSONDocument:
    return RawBSONDocument(_bson(document))


def _bson(document: Mapping[str, Any]) -> bytes:
    return bson.encode(document)


def _nearest(value: object) -> object:
    """A value that BSON holds, for readers who know nothing of the text beside it. Nested 100 levels at most."""
    if isinstance(value, Mapping):
        return {str(key): _nearest(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_nearest(inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        try:
            return float(value)
        except OverflowError:
            return str(value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return parse_json(json_text(value))


# Reading


def unpack_event(document: dict[str, Any], redact: Redaction, *, ours: bool, read_chunks: ReadChunks) -> PersistedEvent:
    """The event in a document.

    Raises
    ------
    CorruptEventError
        It has no usable id, or the id of no instance.
    """
    beside = document.pop(OURS, None) if ours else None
    seq: int | None = None
    lost: tuple[str, ...] = ()
    if isinstance(beside, dict):
        seq = beside.get("seq")
        exact = _exact(beside, read_chunks)
        if exact is None and "extra" in beside:
            lost = ("the text beside the event, with all of it, is missing; shown is what the document holds",)
        if exact is not None:
            document = exact
        elif document.get("id") == document.get("_id"):
            document.pop("_id", None)
    elif document.get("id") == document.get("_id"):
        document.pop("_id", None)
    elif "id" not in document and isinstance(document.get("_id"), bson.ObjectId):
        document["_id"] = str(document["_id"])
    document, odd = plain_document(document)
    event = event_from_document(document, redact=redact)
    if odd or lost:
        object.__setattr__(event, "faults", (*event.faults, *odd, *lost))
    if seq is not None:
        object.__setattr__(event, "seq", seq)
    return event


def unpack_snapshot(
    document: dict[str, Any], redact: Redaction, *, ours: bool, read_chunks: ReadChunks
) -> InstanceSnapshot:
    """The snapshot in a document; errors as `unpack_event`."""
    beside = document.pop(OURS, None) if ours else None
    document.pop("_id", None)
    exact = _exact(beside, read_chunks) if isinstance(beside, dict) else None
    document, odd = plain_document(document if exact is None else exact)
    snapshot = snapshot_from_document(document, redact=redact)
    if odd:
        object.__setattr__(snapshot, "faults", (*snapshot.faults, *odd))
    return snapshot


def _exact(beside: Mapping[str, Any], read_chunks: ReadChunks) -> dict[str, Any] | None:
    text: str | bytes | None = beside.get("text")
    if "extra" in beside:
        text = read_chunks(beside["seq"], beside["extra"])
    if text is None:
        return None
    document = parse_json(text)
    if not isinstance(document, dict):
        raise CorruptEventError("the exact text of a document is not the text of an object")
    return document


def plain_document(document: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The document as JSON has it, and what was not: kinds of value that only BSON has, as extended JSON."""
    try:
        orjson.dumps(document, None, _STRICT)
    except TypeError:
        faults: list[str] = []
        return _plain_object(document, faults), faults
    return document, []


_KEPT: Final = (str, bool, int, float, type(None))


def _plain_object(document: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    # A stack instead of recursion: the value may be nested more deeply than Python calls.
    result: dict[str, Any] = {}
    waiting: list[tuple[Iterable[tuple[Any, Any]], Any, str]] = [(document.items(), result, "")]
    while waiting:
        items, holder, path = waiting.pop()
        for key, value in items:
            where = f"{path}.{key}" if path and len(path) < 200 else str(key)
            plain: Any = value
            if isinstance(value, Mapping):
                plain = {}
                waiting.append((value.items(), plain, where))
            elif isinstance(value, list):
                plain = [None] * len(value)
                waiting.append((enumerate(value), plain, where))
            elif where == "persistedAt" and isinstance(value, Decimal128) and value.to_decimal().is_finite():
                plain = _number(value.to_decimal())
            elif type(value) not in _KEPT:
                plain = _extended(value)
                # Of these the codec says what is odd about them.
                if where not in ("persistedAt", "_id"):
                    kind = _KINDS.get(type(value).__name__, type(value).__name__)
                    faults.append(f"{where} is of the kind {kind}, which JSON cannot hold; shown as extended JSON")
            holder[key] = plain
    return result


_KINDS: Final = {"DatetimeMS": "Date", "bytes": "Binary"}


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _extended(value: object) -> object:
    if isinstance(value, bson.ObjectId):
        return {"$oid": str(value)}
    try:
        return json_util.default(value, json_util.CANONICAL_JSON_OPTIONS)
    except Exception:  # a kind that the driver itself has no extended form for
        return str(value)
