"""Between what stores hold and the model. The only module that knows the names and shapes of the layouts, but for
`plain_events`, which is this one in short.

Shapes: the camelCase *document* of memory dumps and MongoDB; the *documented* and the *shipped* row of PostgreSQL
and SQLite. Reading takes anything that has an id: what is odd becomes a neutral value and a sentence in `faults`.
Writing keeps to one table of limits on every backend (`LIMITS`).

A document that was read is kept in `original`, so that what goes out equals what came in: keys, order, values.
Stores of ours keep the text of the whole document beside the documented columns (`event_extra_text`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, cast

from xcstore.errors import CorruptEventError
from xcstore.jsontext import canonical_json, json_text, parse_json
from xcstore.model.history import Instance, InstanceSnapshot, PendingTimeout, PersistedEvent, Status
from xcstore.redaction import MASK, NO_REDACTION, Redaction
from xcstore.store.limits import LIMITS, Limit, check_writable, check_writable_outbox, check_writable_snapshot
from xcstore.store.plain_events import agrees_with_columns, plain_event
from xcstore.store.values import (
    json_column,
    read_any,
    read_flag,
    read_id,
    read_ids,
    read_moment,
    read_object,
    read_optional_moment,
    read_optional_text,
    read_required_object,
    read_text,
    read_timestamp,
    short,
)
from xcstore.units import DurationMs, EpochMs

__all__ = [
    "LIMITS",
    "MASK",
    "NO_REDACTION",
    "Limit",
    "Redaction",
    "canonical_json",
    "check_writable",
    "check_writable_outbox",
    "check_writable_snapshot",
    "event_extra_text",
    "event_from_document",
    "event_from_documented_row",
    "event_from_shipped_row",
    "event_to_document",
    "event_to_documented_row",
    "json_text",
    "parse_json",
    "snapshot_extra_text",
    "snapshot_from_document",
    "snapshot_from_documented_row",
    "snapshot_from_shipped_row",
    "snapshot_to_document",
    "snapshot_to_documented_row",
]

Document = Mapping[str, object]
Row = Mapping[str, object]
Faults = list[str]
Reader = Callable[[object, str, Faults], object]


def _read_status(value: object, where: str, faults: Faults) -> Status:
    if value == "active" or value == "completed" or value == "error":
        return value
    faults.append(f"{where} is {short(value)}, not active, completed or error; shown as active")
    return "active"


def _read_timers(value: object, where: str, faults: Faults) -> tuple[PendingTimeout, ...]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        faults.append(f"{where} is {short(value)}, not a list of timers; left out")
        return ()
    timers = []
    for entry in value:
        if isinstance(entry, Mapping):
            remaining = read_moment(entry.get("remainingMs"), f"{where}.remainingMs", faults)
            timers.append(
                PendingTimeout(
                    state_key=read_text(entry.get("stateKey"), f"{where}.stateKey", faults),
                    event_type=read_text(entry.get("eventType"), f"{where}.eventType", faults),
                    remaining_ms=DurationMs(remaining),
                )
            )
        else:
            faults.append(f"{where} holds {short(entry)}, which is no timer; left out")
    return tuple(timers)


def _to_json(value: object) -> object:
    if isinstance(value, tuple):
        return [_to_json(entry) for entry in value]
    if isinstance(value, PendingTimeout):
        return {"stateKey": value.state_key, "eventType": value.event_type, "remainingMs": value.remaining_ms}
    return value


# --- Documents ---------------------------------------------------------------------------------------------------


class _Key(NamedTuple):
    """How a key of a document and a field of the model belong together."""

    key: str
    field: str
    read: Reader
    absent: object = None
    """What the field is where the key is absent."""
    always: bool = False
    """Whether new documents have the key even then."""


# In the order in which the TypeScript runtime writes them. `event` comes after `componentName`.
_EVENT_KEYS: Final = (
    _Key("id", "id", read_id, "", always=True),
    _Key("instanceId", "instance_id", read_id, "", always=True),
    _Key("machineName", "machine_name", read_text, "", always=True),
    _Key("componentName", "component_name", read_text, "", always=True),
    _Key("stateBefore", "state_before", read_text, "", always=True),
    _Key("stateAfter", "state_after", read_text, "", always=True),
    _Key("persistedAt", "persisted_at", read_moment, 0, always=True),
    _Key("causedBy", "caused_by", read_ids, ()),
    _Key("caused", "caused", read_ids, (), always=True),
    _Key("sourceComponentName", "source_component_name", read_optional_text),
    _Key("targetComponentName", "target_component_name", read_optional_text),
    _Key("publicMemberSnapshot", "public_member_snapshot", read_object),
    _Key("context", "context", read_object),
    _Key("definitionHash", "definition_hash", read_optional_text),
)
_INNER_KEYS: Final = (
    _Key("type", "event_type", read_text, "", always=True),
    _Key("payload", "payload", read_any, {}, always=True),
    _Key("timestamp", "timestamp", read_optional_moment),
)
_INSTANCE_KEYS: Final = (
    _Key("id", "id", read_id, "", always=True),
    _Key("machineName", "machine_name", read_text, "", always=True),
    _Key("componentName", "component_name", read_text, ""),
    _Key("currentState", "current_state", read_text, "", always=True),
    _Key("context", "context", read_required_object, {}, always=True),
    _Key("publicMember", "public_member", read_object),
    _Key("internalMember", "internal_member", read_object),
    _Key("createdAt", "created_at", read_optional_moment),
    _Key("updatedAt", "updated_at", read_optional_moment),
    _Key("status", "status", _read_status, "active", always=True),
    _Key("parentInstanceId", "parent_instance_id", read_optional_text),
    _Key("parentMachineName", "parent_machine_name", read_optional_text),
    _Key("isEntryPoint", "is_entry_point", read_flag, False),
)
_SNAPSHOT_KEYS: Final = (
    _Key("snapshotAt", "snapshot_at", read_moment, 0, always=True),
    _Key("lastEventId", "last_event_id", read_text, "", always=True),
    _Key("pendingTimeouts", "pending_timeouts", _read_timers, (), always=True),
)


def event_from_document(document: object, *, redact: Redaction = NO_REDACTION) -> PersistedEvent:
    """The event in a camelCase document.

    Raises
    ------
    CorruptEventError
        It is not an object, or has no usable `id` or `instanceId`. Anything else odd is in `faults`.
    """
    document = _object_or_raise(document, "an event", "{'id': …, 'instanceId': …, 'event': {…}, …}")
    event = plain_event(document)
    if event is None:
        faults: Faults = []
        fields = _event_fields(document, faults)
        event = PersistedEvent(**fields, faults=tuple(faults), original=document)  # type: ignore[arg-type]
    return redact.event(event) if redact else event


def event_to_document(event: PersistedEvent) -> dict[str, object]:
    """The camelCase document of an event.

    What was read comes out as it went in: keys, their order, values, unknown keys. A field that was changed since
    (`dataclasses.replace`) wins over what was read. Events of our runtime come out in the order of the
    TypeScript runtime.
    """
    original = event.original
    if original is None:
        return _new_event_document(event)
    document = _written_over(original, event, _EVENT_KEYS)
    # A document of MongoDB may have its id under `_id` alone.
    if "id" not in original and original.get("_id") == event.id:
        del document["id"]
    inner = original.get("event")
    if isinstance(inner, Mapping):
        document["event"] = _written_over(inner, event, _INNER_KEYS)
    elif changed := _written_over({}, event, _INNER_KEYS):
        document["event"] = changed
    return document


def snapshot_from_document(document: object, *, redact: Redaction = NO_REDACTION) -> InstanceSnapshot:
    """The snapshot in a camelCase document; errors as `event_from_document`."""
    document = _object_or_raise(document, "a snapshot", "{'instance': {'id': …, …}, 'snapshotAt': …, …}")
    inner = _object_or_raise(document.get("instance"), "the instance of a snapshot", "{'id': …, 'machineName': …}")
    faults: Faults = []
    fields = _read_keys(inner, _INSTANCE_KEYS, "instance.", faults)
    if not fields["id"]:
        raise CorruptEventError(f"a snapshot has the instance id {short(inner.get('id'))}; it must be text")
    if "status" not in inner:
        faults.append("instance.status is missing; shown as active")
    snapshot = InstanceSnapshot(
        instance=Instance(**fields),  # type: ignore[arg-type]
        **_read_keys(document, _SNAPSHOT_KEYS, "", faults),  # type: ignore[arg-type]
        status_recorded="status" in inner,
        timeouts_recorded=document.get("pendingTimeouts") is not None,
        faults=tuple(faults),
        original=document,
    )
    return redact.snapshot(snapshot) if redact else snapshot


def snapshot_to_document(snapshot: InstanceSnapshot) -> dict[str, object]:
    """The camelCase document of a snapshot; out as in, like `event_to_document`."""
    original = snapshot.original
    if original is None:
        document = {
            "instance": _new_document(snapshot.instance, _INSTANCE_KEYS),
            **_new_document(snapshot, _SNAPSHOT_KEYS),
        }
        if not snapshot.timeouts_recorded:
            del document["pendingTimeouts"]
        return document
    document = _written_over(original, snapshot, _SNAPSHOT_KEYS)
    document["instance"] = _written_over(cast(Document, original["instance"]), snapshot.instance, _INSTANCE_KEYS)
    return document


def event_extra_text(event: PersistedEvent) -> str:
    """JSON text of the whole document: what stores of ours keep beside the documented columns.

    Columns lose key order, absent against empty, unknown keys, contexts and more. The whole text loses nothing, is
    read with one parse, and can be queried in SQL by anybody.
    """
    return json_text(event_to_document(event))


def snapshot_extra_text(snapshot: InstanceSnapshot) -> str:
    """JSON text of the whole document, as `event_extra_text`."""
    return json_text(snapshot_to_document(snapshot))


def _object_or_raise(document: object, what: str, right: str) -> Document:
    if not isinstance(document, Mapping):
        raise CorruptEventError(f"{what} must be an object such as {right}, but this is {short(document)}")
    return cast(Document, document)


def _event_fields(document: Document, faults: Faults) -> dict[str, object]:
    inner = document.get("event")
    if not isinstance(inner, Mapping):
        faults.append(f"event is {'missing' if inner is None else type(inner).__name__}, not an object; shown as empty")
        inner = {}
    fields = _read_keys(document, _EVENT_KEYS, "", faults)
    if not fields["id"]:
        fields["id"] = read_id(document.get("_id"), "_id", faults)
    if not fields["id"]:
        raise CorruptEventError(f"an event has the id {short(document.get('id'))}; it must be text")
    if not fields["instance_id"]:
        raise CorruptEventError(
            f"event {fields['id']!r} has the instanceId {short(document.get('instanceId'))}; it must be text"
        )
    fields.update(_read_keys(inner, _INNER_KEYS, "event.", faults))
    return fields


def _read_keys(document: Document, keys: tuple[_Key, ...], where: str, faults: Faults) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, field, read, absent, _ in keys:
        if name in document:
            value = document[name]
            # Most of a document is text: spare it the call.
            fields[field] = value if type(value) is str and read is read_text else read(value, where + name, faults)
        else:
            if read is read_moment:
                faults.append(f"{where}{name} is missing; shown as 0")
            fields[field] = absent
    return fields


def _written_over(original: Document, value: object, keys: tuple[_Key, ...]) -> dict[str, object]:
    """The original, with the fields that no longer say what it says."""
    document = dict(original)
    for name, attribute, read, absent, _ in keys:
        field = getattr(value, attribute)
        if name in original:
            stored = original[name]
            if stored is field or (type(stored) is str and stored == field):
                continue
            said = read(stored, "", [])
        else:
            said = absent
        if said is not field and not _same(said, field):
            document[name] = _to_json(field)
    return document


def _same(read: object, field: object) -> bool:
    # Objects are compared by identity, as True == 1 == 1.0 in Python but not in JSON; reading passes them through.
    if isinstance(field, (Mapping, list)):
        return not field and field == read
    return type(read) is type(field) and read == field


def _new_document(value: object, keys: tuple[_Key, ...]) -> dict[str, object]:
    document = {}
    for key in keys:
        field = getattr(value, key.field)
        if key.always or field != key.absent:
            document[key.key] = _to_json(field)
    return document


def _new_event_document(event: PersistedEvent) -> dict[str, object]:
    # Spelled out for speed: every event of our own runtime passes here.
    inner: dict[str, object] = {"type": event.event_type, "payload": event.payload}
    if event.timestamp is not None:
        inner["timestamp"] = event.timestamp
    document: dict[str, object] = {
        "id": event.id,
        "instanceId": event.instance_id,
        "machineName": event.machine_name,
        "componentName": event.component_name,
        "event": inner,
        "stateBefore": event.state_before,
        "stateAfter": event.state_after,
        "persistedAt": event.persisted_at,
    }
    if event.caused_by:
        document["causedBy"] = list(event.caused_by)
    document["caused"] = list(event.caused)
    if event.source_component_name is not None:
        document["sourceComponentName"] = event.source_component_name
    if event.target_component_name is not None:
        document["targetComponentName"] = event.target_component_name
    if event.public_member_snapshot is not None:
        document["publicMemberSnapshot"] = event.public_member_snapshot
    if event.context is not None:
        document["context"] = event.context
    if event.definition_hash is not None:
        document["definitionHash"] = event.definition_hash
    return document


# --- Rows --------------------------------------------------------------------------------------------------------


def event_from_documented_row(
    row: Row, *, extra: str | None = None, redact: Redaction = NO_REDACTION
) -> PersistedEvent:
    """The event in a row of the documented layout.

    Parameters
    ----------
    row : mapping
        Columns by name, as the driver gives them; `seq` and `definition_hash` too, where the store has them.
        With `extra`, columns may be left out: they are then taken from there.
    extra : str, optional
        The text kept beside the row (`event_extra_text`). Where the two differ, the columns are shown, as they are
        what queries find, with a fault.
    """
    faults: Faults = []
    kept = None if extra is None else json_column(extra, "the document beside the row", faults)
    if not isinstance(kept, Mapping):
        fields = _row_fields(row, faults, before="state_before", after="state_after")
        fields["caused_by"] = read_ids(row.get("caused_by"), "caused_by", faults)
        target = row.get("target_component_name")
        fields["target_component_name"] = read_optional_text(target, "target_component_name", faults)
        return _event_of_row(fields, row, faults, redact)
    document = cast(Document, kept)
    event = plain_event(document, seq=row.get("seq"), definition_hash=row.get("definition_hash"))
    if event is not None and agrees_with_columns(event, row):
        return redact.event(event) if redact else event
    fields = _event_fields(document, faults)
    _prefer_columns(fields, row, faults)
    return _event_of_row(fields, row, faults, redact, original=document)


def event_from_shipped_row(row: Row, *, redact: Redaction = NO_REDACTION) -> PersistedEvent:
    """The event in a row of the shipped layout. Both its columns for causes count; a fault says where they differ."""
    faults: Faults = []
    fields = _row_fields(row, faults, before="from_state", after="to_state")
    causation = read_optional_text(row.get("causation_id"), "causation_id", faults)
    correlation = read_optional_text(row.get("correlation_id"), "correlation_id", faults)
    if causation != correlation:
        faults.append(f"causation_id {causation!r} and correlation_id {correlation!r} differ; both are shown as causes")
    fields["caused_by"] = tuple(dict.fromkeys(cause for cause in (causation, correlation) if cause))
    for column in ("context", "public_member_snapshot"):
        fields[column] = read_object(json_column(row.get(column), column, faults), column, faults)
    return _event_of_row(fields, row, faults, redact)


def event_to_documented_row(event: PersistedEvent) -> dict[str, object]:
    """Columns of the documented layout as plain values: the payload as JSON text, `caused_by` and `caused` as lists."""
    return {
        "id": event.id,
        "instance_id": event.instance_id,
        "machine_name": event.machine_name,
        "component_name": event.component_name,
        "event_type": event.event_type,
        "event_payload": json_text(event.payload),
        "state_before": event.state_before,
        "state_after": event.state_after,
        "persisted_at": event.persisted_at,
        "caused_by": list(event.caused_by),
        "caused": list(event.caused),
        "source_component_name": event.source_component_name,
        "target_component_name": event.target_component_name,
    }


def snapshot_from_documented_row(
    row: Row, *, extra: str | None = None, redact: Redaction = NO_REDACTION
) -> InstanceSnapshot:
    """The snapshot in a row of the documented layout, or in the document kept of it (`snapshot_extra_text`)."""
    faults: Faults = []
    if extra is not None:
        kept = json_column(extra, "the document beside the row", faults)
        if isinstance(kept, Mapping):
            return snapshot_from_document(kept, redact=redact)
    snapshot = InstanceSnapshot(
        instance=_row_instance(row, faults, status=_read_status(row.get("status"), "status", faults)),
        snapshot_at=read_moment(row.get("snapshot_at"), "snapshot_at", faults),
        last_event_id=read_text(row.get("last_event_id"), "last_event_id", faults),
        pending_timeouts=_row_timers(row, faults),
        timeouts_recorded=row.get("pending_timeouts") is not None,
        faults=tuple(faults),
    )
    return redact.snapshot(snapshot) if redact else snapshot


def snapshot_from_shipped_row(row: Row, *, redact: Redaction = NO_REDACTION) -> InstanceSnapshot:
    """The snapshot in a row of the shipped layout, which holds neither status nor last event.

    Its `updated_at` is the only time of the snapshot there is.
    """
    faults: Faults = []
    created_at = read_timestamp(row.get("created_at"), "created_at", faults)
    updated_at = read_timestamp(row.get("updated_at"), "updated_at", faults)
    taken_at = updated_at if updated_at is not None else created_at
    if taken_at is None:
        faults.append("updated_at is missing; the time of the snapshot is shown as 0")
    snapshot = InstanceSnapshot(
        instance=_row_instance(row, faults, created_at=created_at, updated_at=updated_at),
        snapshot_at=EpochMs(0) if taken_at is None else taken_at,
        pending_timeouts=_row_timers(row, faults),
        status_recorded=False,
        timeouts_recorded=row.get("pending_timeouts") is not None,
        faults=tuple(faults),
    )
    return redact.snapshot(snapshot) if redact else snapshot


def snapshot_to_documented_row(snapshot: InstanceSnapshot) -> dict[str, object]:
    """Columns of the documented layout as plain values, objects as JSON text."""
    instance = snapshot.instance
    return {
        "instance_id": instance.id,
        "machine_name": instance.machine_name,
        "current_state": instance.current_state,
        "status": instance.status,
        "context": json_text(instance.context),
        "public_member": None if instance.public_member is None else json_text(instance.public_member),
        "snapshot_at": snapshot.snapshot_at,
        "last_event_id": snapshot.last_event_id,
        "pending_timeouts": json_text(_to_json(snapshot.pending_timeouts)) if snapshot.timeouts_recorded else None,
    }


def _row_fields(row: Row, faults: Faults, *, before: str, after: str) -> dict[str, object]:
    """The fields that both layouts of PostgreSQL have."""
    event_id = read_id(row.get("id"), "id", faults)
    if not event_id:
        raise CorruptEventError(f"an event row has the id {short(row.get('id'))}; it must be text")
    instance_id = read_id(row.get("instance_id"), "instance_id", faults)
    if not instance_id:
        raise CorruptEventError(
            f"event row {event_id!r} has the instance_id {short(row.get('instance_id'))}; it must be text"
        )
    payload = row.get("event_payload")
    return {
        "id": event_id,
        "instance_id": instance_id,
        "machine_name": read_text(row.get("machine_name"), "machine_name", faults),
        "component_name": read_text(row.get("component_name"), "component_name", faults),
        "event_type": read_text(row.get("event_type"), "event_type", faults),
        "payload": {} if payload is None else _row_payload(payload, faults),
        "state_before": read_text(row.get(before), before, faults),
        "state_after": read_text(row.get(after), after, faults),
        "persisted_at": read_moment(row.get("persisted_at"), "persisted_at", faults),
        "caused": read_ids(row.get("caused"), "caused", faults),
        "source_component_name": read_optional_text(row.get("source_component_name"), "source_component_name", faults),
    }


def _row_payload(value: object, faults: Faults) -> object:
    return read_any(json_column(value, "event_payload", faults), "event_payload", faults)


def _event_of_row(
    fields: dict[str, object], row: Row, faults: Faults, redact: Redaction, *, original: Document | None = None
) -> PersistedEvent:
    fields["seq"] = row.get("seq")
    if (stamp := row.get("definition_hash")) is not None:
        fields["definition_hash"] = stamp
    event = PersistedEvent(**fields, faults=tuple(faults), original=original)  # type: ignore[arg-type]
    return redact.event(event) if redact else event


# Columns of the documented layout that a field is compared with; `id` is what row and document were joined on.
_COMPARED: Final[tuple[tuple[str, Reader], ...]] = (
    ("instance_id", read_id),
    ("machine_name", read_text),
    ("component_name", read_text),
    ("event_type", read_text),
    ("state_before", read_text),
    ("state_after", read_text),
    ("persisted_at", read_moment),
    ("caused_by", read_ids),
    ("caused", read_ids),
    ("source_component_name", read_optional_text),
    ("target_component_name", read_optional_text),
)


def _prefer_columns(fields: dict[str, object], row: Row, faults: Faults) -> None:
    """Where a column was changed since the document beside it was written, show the column."""
    for column, read in _COMPARED:
        kept = fields[column]
        stored = row.get(column, kept)
        if stored is kept or stored == kept:
            continue
        value = read(stored, column, faults)
        if value != kept:
            faults.append(
                f"column {column} holds {short(value)}, the document kept beside it {short(kept)}: "
                "changed after it was written; the column is shown"
            )
            fields[column] = value
    if "event_payload" not in row:
        return
    stored, kept = row["event_payload"], fields["payload"]
    if isinstance(stored, str) and stored == json_text(kept):
        return
    value = _row_payload(stored, faults)
    if not _equal(value, kept):
        faults.append(
            "column event_payload differs from the document kept beside it: "
            "changed after it was written; the column is shown"
        )
        fields["payload"] = value


def _equal(left: object, right: object) -> bool:
    # Plain equality on purpose: JSONB turns 1e2 into 100, which is the same number.
    try:
        return left == right
    except RecursionError:
        return False


def _row_instance(
    row: Row,
    faults: Faults,
    *,
    status: Status = "active",
    created_at: EpochMs | None = None,
    updated_at: EpochMs | None = None,
) -> Instance:
    instance_id = read_id(row.get("instance_id"), "instance_id", faults)
    if not instance_id:
        raise CorruptEventError(f"a snapshot row has the instance_id {short(row.get('instance_id'))}; it must be text")
    return Instance(
        id=instance_id,
        machine_name=read_text(row.get("machine_name"), "machine_name", faults),
        component_name=read_text(row.get("component_name"), "component_name", faults),
        current_state=read_text(row.get("current_state"), "current_state", faults),
        status=status,
        context=read_required_object(json_column(row.get("context"), "context", faults), "context", faults),
        public_member=read_object(
            json_column(row.get("public_member"), "public_member", faults), "public_member", faults
        ),
        created_at=created_at,
        updated_at=updated_at,
    )


def _row_timers(row: Row, faults: Faults) -> tuple[PendingTimeout, ...]:
    return _read_timers(
        json_column(row.get("pending_timeouts"), "pending_timeouts", faults), "pending_timeouts", faults
    )
