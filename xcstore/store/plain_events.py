"""The codec's quick road for events: those in whose document nothing is odd, as nearly all are.

A plain event is what the codec would make of the document, in a fraction of the time; where there is any doubt there is
none, and the codec goes its own way. Besides the codec the only module that knows the keys of documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final

from xcstore.jsontext import json_text
from xcstore.model.history import OpenEvent, PersistedEvent
from xcstore.store.values import INT64, json_column, read_any, read_object

__all__ = ["agrees_with_columns", "plain_event"]

_COLUMNS: Final = itemgetter(
    "instance_id",
    "machine_name",
    "component_name",
    "event_type",
    "state_before",
    "state_after",
    "persisted_at",
    "source_component_name",
    "target_component_name",
)


def plain_event(
    document: Mapping[str, object], *, seq: object = None, definition_hash: object = None
) -> PersistedEvent | None:
    """The event in a camelCase document, without faults; None where the codec must look more closely.

    Parameters
    ----------
    document : mapping
        A document with all the keys that every writer writes.
    seq : int, optional
        The order of insertion, where the store has it.
    definition_hash : str, optional
        Counts for more than the one in the document.
    """
    get = document.get
    inner = get("event")
    if type(inner) is not dict:
        return None
    try:
        event_id, instance_id, persisted_at = document["id"], document["instanceId"], document["persistedAt"]
        machine_name, component_name, event_type = document["machineName"], document["componentName"], inner["type"]
        state_before, state_after = document["stateBefore"], document["stateAfter"]
        payload, timestamp = inner["payload"], inner.get("timestamp")
    except KeyError:
        return None
    if not (
        type(event_id) is str is type(instance_id) is type(machine_name) is type(component_name)
        and type(event_type) is str is type(state_before) is type(state_after)
        and event_id
        and instance_id
    ):
        return None
    if type(persisted_at) is not int or not -INT64 <= persisted_at < INT64:
        return None
    if timestamp is not None and (type(timestamp) is not int or not -INT64 <= timestamp < INT64):
        return None
    caused_by, caused = _plain_ids(get("causedBy")), _plain_ids(get("caused"))
    source, target, stamp = get("sourceComponentName"), get("targetComponentName"), get("definitionHash")
    if caused_by is None or caused is None or not (_is_text(source) and _is_text(target) and _is_text(stamp)):
        return None
    member, context = get("publicMemberSnapshot"), get("context")
    faults: list[str] = []
    read_any(payload, "", faults)
    if member is not None:
        read_object(member, "", faults)
    if context is not None:
        read_object(context, "", faults)
    if faults:
        return None
    event: Any = OpenEvent()
    event.id = event_id
    event.instance_id = instance_id
    event.machine_name = machine_name
    event.component_name = component_name
    event.event_type = event_type
    event.payload = payload
    event.timestamp = timestamp
    event.state_before = state_before
    event.state_after = state_after
    event.persisted_at = persisted_at
    event.caused_by = caused_by
    event.caused = caused
    event.source_component_name = source
    event.target_component_name = target
    event.public_member_snapshot = member
    event.context = context
    event.seq = seq
    event.definition_hash = stamp if definition_hash is None else definition_hash
    event.faults = ()
    event.original = document
    event.__class__ = PersistedEvent
    made: PersistedEvent = event
    return made


def agrees_with_columns(event: PersistedEvent, row: Mapping[str, object]) -> bool:
    """Whether the columns of the documented layout say what a plain event says; False too where some are left out."""
    try:
        columns = _COLUMNS(row)
        caused_by, caused, payload = row["caused_by"], row["caused"], row["event_payload"]
    except KeyError:
        return False
    return (
        columns
        == (
            event.instance_id,
            event.machine_name,
            event.component_name,
            event.event_type,
            event.state_before,
            event.state_after,
            event.persisted_at,
            event.source_component_name,
            event.target_component_name,
        )
        and _says_ids(caused_by, event.caused_by)
        and _says_ids(caused, event.caused)
        and _says_payload(payload, event.payload)
    )


def _plain_ids(value: object) -> tuple[str, ...] | None:
    if not value:
        return () if value is None or type(value) is list else None
    if type(value) is not list:
        return None
    for entry in value:
        if type(entry) is not str:
            return None
    return tuple(value)


def _is_text(value: object) -> bool:
    return value is None or type(value) is str


def _says_ids(stored: object, ids: tuple[str, ...]) -> bool:
    if type(stored) is str:  # JSON text, compared as such: parsing it takes several times as long
        return stored == (json_text(ids) if ids else "[]")
    return tuple(stored) == ids if type(stored) is list else stored is None and not ids


def _says_payload(stored: object, payload: object) -> bool:
    if type(stored) is not str:
        return False
    if stored == json_text(payload):
        return True
    # JSONB keeps neither the order of keys nor the spaces.
    faults: list[str] = []
    value = read_any(json_column(stored, "", faults), "", faults)
    try:
        return not faults and value == payload
    except RecursionError:
        return False
