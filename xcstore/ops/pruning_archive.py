"""What goes from a store is put into an archive, and read back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from xcstore.errors import StoreError
from xcstore.jsontext import canonical_json
from xcstore.model.history import PersistedEvent
from xcstore.ops.contents import Document, event_document, snapshot_document
from xcstore.store.base import Stores
from xcstore.store.codec import snapshot_from_document

__all__ = ["ArchiveDiffersError", "archive_definitions", "archive_events", "archive_snapshots", "missing_in"]


class ArchiveDiffersError(StoreError):
    """The archive does not hold what was to be deleted; it was not deleted."""


def archive_events(archive: Stores, events: Sequence[PersistedEvent]) -> None:
    """Have them all in the archive, and read them back."""
    archive.events.append_many(missing_in(archive, events))
    if left := missing_in(archive, events):
        raise ArchiveDiffersError(
            f"{archive.identity} was given {len(events):,} events and lacks {len(left):,} of them; nothing was deleted"
        )


def missing_in(archive: Stores, events: Sequence[PersistedEvent]) -> list[PersistedEvent]:
    """Those that are not there; the others are there as they are here, else that is an error."""
    found = archive.events.get_events(event.id for event in events)
    for event in events:
        other = found.get(event.id)
        if other is not None and _digest(event) != _digest(other):
            raise ArchiveDiffersError(
                f"{archive.identity} holds another event with the id {event.id!r}; nothing of this batch was changed"
            )
    return [event for event in events if event.id not in found]


def _digest(event: PersistedEvent) -> tuple[str, str | None]:
    return canonical_json(event_document(event)), event.definition_hash


def archive_snapshots(stores: Stores, archive: Stores, instance_ids: Sequence[str]) -> None:
    """Have all that are kept of these instances in the archive, and read them back."""
    kept = _kept(stores, instance_ids)
    # As documents, so that a status that is not recorded is not recorded there either.
    lacking = [snapshot_from_document(one) for some in _lacking(archive, kept).values() for one in some]
    archive.snapshots.save_snapshots(lacking)
    if left := _lacking(archive, kept):
        raise ArchiveDiffersError(
            f"{archive.identity} gives back another snapshot of instance {next(iter(left))!r} than it was given, or "
            "fewer; nothing of this batch was deleted"
        )


def _kept(stores: Stores, instance_ids: Iterable[str]) -> dict[str, list[Document]]:
    """All snapshots that are kept of each instance, oldest first."""
    latest = stores.snapshots.get_snapshots(instance_ids)
    if not latest or not stores.snapshots.count_beyond(1):  # one of each, as in most stores: no need to list them
        return {instance_id: [snapshot_document(one)] for instance_id, one in latest.items()}
    return {name: [snapshot_document(one) for one in stores.snapshots.list_snapshots(name)] for name in latest}


def _lacking(archive: Stores, kept: Mapping[str, Sequence[Document]]) -> dict[str, Sequence[Document]]:
    """What an archive has still to be given, so that it ends with these snapshots of each instance."""
    latest = archive.snapshots.get_snapshots(kept)
    lacking: dict[str, Sequence[Document]] = {}
    for instance_id, documents in kept.items():
        wanted = [canonical_json(one) for one in documents]
        # Of a single one the latest tells; to list them takes an archive a while for each instance.
        found = [latest[instance_id]] if instance_id in latest else []
        if found and len(wanted) > 1:
            found = list(archive.snapshots.list_snapshots(instance_id))
        held = [canonical_json(snapshot_document(one)) for one in found]
        # A run that was killed, or an earlier one that was undone, may have left the first of them.
        common = min(len(held), len(wanted))
        while held[len(held) - common :] != wanted[:common]:
            common -= 1
        if common < len(wanted):
            lacking[instance_id] = documents[common:]
    return lacking


def archive_definitions(stores: Stores, archive: Stores) -> None:
    there = {definition.hash for definition in archive.definitions.get_all_definitions()}
    for definition in stores.definitions.get_all_definitions():
        if definition.hash not in there:
            archive.definitions.save_definition(definition)
