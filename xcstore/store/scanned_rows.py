"""A stored document as a row: where it stands in page order, and as much of it as a search looks at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple, cast

from xcstore.errors import CorruptEventError
from xcstore.jsontext import NestingError, parse_json
from xcstore.model.history import PersistedEvent, new_event
from xcstore.redaction import Redaction
from xcstore.store.codec import event_from_document
from xcstore.store.values import INT64
from xcstore.units import EpochMs

__all__ = ["Key", "Row", "decoded", "digest_of", "parse_stored", "row_of"]


class Key(NamedTuple):
    """Page order: by time, then by the bytes of the id."""

    moment: int
    """The backend's own time of it, whole ms; what one moment holds is read together."""
    at: int
    id: str
    tie: str
    """Tells apart what has the same id."""


class Row(NamedTuple):
    """One stored event."""

    key: Key
    event: PersistedEvent
    """For conditions: names, states, times, causes and payload are as `decoded` gives them, other fields may not be."""
    document: Mapping[str, object] | None
    """None where it is none of an event; then `event` says so."""

    @property
    def at(self) -> int:
        return self.key.at


def row_of(raw: bytes, moment: int, tie: str, is_time: Callable[[int], bool]) -> Row:
    """The row of a stored JSON text, whatever it holds.

    Parameters
    ----------
    raw : bytes
    moment : int
        Where the backend keeps it in time, whole ms.
    tie : str
    is_time : callable
        Whether the `persistedAt` of the document is the time where the backend keeps it. Where not, the moment is
        shown, as it is what questions find, with a fault.
    """
    document, fault = parse_stored(raw)
    if document is None:
        return _unreadable(raw, moment, tie, fault)
    event = _viewed(document)
    if event is None:
        try:
            event = event_from_document(document)
        except CorruptEventError as error:
            return _unreadable(raw, moment, tie, str(error), document)
    at = event.persisted_at
    if not is_time(at):
        at = EpochMs(moment)
        event = replace(event, persisted_at=at)
    return Row(Key(moment, at, event.id, tie), event, document)


def decoded(row: Row, redact: Redaction) -> PersistedEvent:
    """The event as it is given out."""
    if row.document is None:
        return redact.event(row.event)
    event = event_from_document(row.document, redact=redact)
    if event.persisted_at == row.at:
        return event
    fault = f"persistedAt is {event.persisted_at}, but it is stored under the time {row.at}; that is shown"
    return replace(event, persisted_at=EpochMs(row.at), faults=(*event.faults, fault))


def parse_stored(raw: bytes) -> tuple[Mapping[str, object] | None, str]:
    """The JSON object of a stored text; None, and why, where it holds none."""
    try:
        document = parse_json(raw)
    except NestingError:
        return None, "what is stored is nested too deeply to be read"
    except ValueError as error:
        return None, f"what is stored is not JSON ({error})"
    if isinstance(document, Mapping):
        return cast(Mapping[str, object], document), ""
    return None, f"what is stored is of the kind {type(document).__name__}, not an object"


def digest_of(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=8).hexdigest()


def _viewed(document: Mapping[str, object]) -> PersistedEvent | None:
    """The event of a document that is as it should be, with little work; None where it needs a closer look."""
    inner = document.get("event")
    if type(inner) is not dict or "_id" in document:
        return None
    event_id, instance_id, at = document.get("id"), document.get("instanceId"), document.get("persistedAt")
    machine, component = document.get("machineName", ""), document.get("componentName", "")
    before, after, event_type = document.get("stateBefore", ""), document.get("stateAfter", ""), inner.get("type", "")
    causes = document.get("causedBy", [])
    if (
        type(event_id) is str
        and event_id
        and type(instance_id) is str
        and instance_id
        and type(at) is int
        and -INT64 <= at < INT64
        and type(machine) is str
        and type(component) is str
        and type(event_type) is str
        and type(before) is str
        and type(after) is str
        and type(causes) is list
    ):
        for cause in causes:
            if type(cause) is not str:
                return None
        return new_event(
            event_id,
            instance_id,
            machine,
            component,
            event_type,
            inner.get("payload", {}),
            EpochMs(0),
            before,
            after,
            EpochMs(at),
            tuple(causes),
            None,
            None,
            None,
            None,
        )
    return None


def _unreadable(raw: bytes, moment: int, tie: str, fault: str, document: Mapping[str, object] | None = None) -> Row:
    """What is stored is shown as the payload of an event that has nothing else."""
    known = None if document is None else document.get("id")
    event = PersistedEvent(
        id=known if isinstance(known, str) and known else f"unreadable-{digest_of(raw)}",
        instance_id="",
        machine_name="",
        event_type="",
        payload=raw.decode("utf-8", "replace") if document is None else document,
        persisted_at=EpochMs(moment),
        faults=(fault,),
    )
    return Row(Key(moment, moment, event.id, tie), event, None)
