"""All that a store holds, as JSON documents in one order: what is digested, backed up, copied and restored.

A store gives it, and so does a file that was made of one. The documents are the camelCase ones of the codec, so they
are the same whatever the backend and the layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, cast

from xcstore.errors import QueryError, XcstoreError
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.store.base import Cursor, EventQuery, StoredDefinition, StoredWork, Stores
from xcstore.store.codec import event_to_document, snapshot_to_document

__all__ = [
    "OTHER_KINDS",
    "PAGE",
    "Contents",
    "DamagedFileError",
    "Document",
    "Row",
    "StoreContents",
    "definition_document",
    "definition_from_document",
    "event_document",
    "has_other_kinds",
    "kept_snapshots",
    "not_taken",
    "refuse_redacted",
    "snapshot_document",
    "work_document",
    "work_from_document",
]

PAGE: Final = 1_000
OTHER_KINDS: Final = "events with values that JSON has no form for, which are null, text or extended JSON in the copy"

Document = Mapping[str, object]


class DamagedFileError(XcstoreError):
    """A file ends too early, or does not hold what it says."""


@dataclass(frozen=True, slots=True)
class Row:
    """One event or snapshot as a document, and where it stands, in words."""

    place: str
    document: Document


class Contents(Protocol):
    """What a store or a file holds. Each method can be called again, and then starts again."""

    @property
    def name(self) -> str:
        """The URL without password, or the path."""
        ...

    @property
    def event_count(self) -> int | None:
        """For progress; None: not known before they are read."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What is not in it, or is left out of it, in words. Complete once all was read."""
        ...

    @property
    def damages(self) -> Sequence[str]:
        """What could not be read, where that was asked for (`salvage`). Complete once all was read."""
        ...

    def definitions(self) -> Iterator[StoredDefinition]:
        """In order of first saving."""
        ...

    def events(self) -> Iterator[Row]:
        """In page order."""
        ...

    def snapshots(self) -> Iterator[Row]:
        """All that are kept, by instance id, those of one instance oldest first."""
        ...

    def work(self) -> Iterator[StoredWork]:
        """What runtimes have still to do."""
        ...

    def close(self) -> None: ...


# --- Documents -----------------------------------------------------------------------------------------------------


def event_document(event: PersistedEvent) -> Document:
    """As the codec gives it."""
    return event_to_document(event)


def snapshot_document(snapshot: InstanceSnapshot) -> Document:
    """As the codec gives it, without a status where none is recorded: read again, it is still not recorded."""
    document = snapshot_to_document(snapshot)
    if snapshot.original is None and not snapshot.status_recorded:
        instance = dict(cast(Document, document["instance"]))
        del instance["status"]
        return {**document, "instance": instance}
    return document


def definition_document(definition: StoredDefinition) -> Document:
    return {
        "hash": definition.hash,
        "componentName": definition.component_name,
        "document": definition.document,
    }


def work_document(work: StoredWork) -> Document:
    return {
        "id": work.id,
        "position": work.position,
        "componentName": work.component_name,
        "document": work.document,
    }


def definition_from_document(document: Document) -> StoredDefinition:
    return StoredDefinition(
        hash=cast(str, document["hash"]),
        component_name=cast(str, document["componentName"]),
        document=cast(Document, document["document"]),
    )


def work_from_document(document: Document) -> StoredWork:
    return StoredWork(
        id=cast(str, document["id"]),
        position=cast(int, document["position"]),
        component_name=cast(str, document["componentName"]),
        document=cast(Document, document["document"]),
    )


# --- Stores --------------------------------------------------------------------------------------------------------


class StoreContents:
    """What a store holds.

    Everything that was there when the reading began is in it, as events are only ever added. Of what is appended
    meanwhile, what comes later in page order is in it too.
    """

    def __init__(self, stores: Stores) -> None:
        refuse_redacted(stores)
        self.stores = stores
        self.event_count = stores.events.count(EventQuery())[0].count
        self.damages: Sequence[str] = ()
        self._other_kinds = 0

    @property
    def name(self) -> str:
        return self.stores.identity

    def count_now(self) -> int:
        """How many events there are by now; `event_count` is of the beginning."""
        return self.stores.events.count(EventQuery())[0].count

    @property
    def notes(self) -> Sequence[str]:
        return [f"{OTHER_KINDS}: {self._other_kinds:,}"] if self._other_kinds else []

    def definitions(self) -> Iterator[StoredDefinition]:
        yield from self.stores.definitions.get_all_definitions()

    def events(self) -> Iterator[Row]:
        self._other_kinds = 0
        for number, event in enumerate(self.stores.events.get_all_events(), 1):
            self._other_kinds += has_other_kinds(event)
            yield Row(f"event {number:,}", event_document(event))

    def snapshots(self) -> Iterator[Row]:
        number = 0
        for page, _ in kept_snapshots(self.stores):
            for snapshot in page:
                number += 1
                yield Row(f"snapshot {number:,}", snapshot_document(snapshot))

    def work(self) -> Iterator[StoredWork]:
        yield from self.stores.events.get_outbox()

    def close(self) -> None:
        self.stores.close()


def kept_snapshots(
    stores: Stores, after: Cursor | None = None
) -> Iterator[tuple[Sequence[InstanceSnapshot], Cursor | None]]:
    """All snapshots that are kept, a page of instances at a time, and where to go on; ends with None."""
    has_history = stores.snapshots.count_beyond(1) > 0
    while True:
        page = stores.snapshots.find(after=after, limit=PAGE)
        kept: list[InstanceSnapshot] = []
        for latest in page.items:
            if has_history:
                kept += stores.snapshots.list_snapshots(latest.instance.id)
            else:
                kept.append(latest)
        yield kept, page.next
        after = page.next
        if after is None:
            return


def not_taken(before: int, taken: int, after: int) -> tuple[int, int]:
    """How many events came while a store was read, at least, and how many of those before were not given.

    Parameters
    ----------
    before, after : int
        Events that the store counted.
    taken : int
        Events that were read in between.

    Examples
    --------
    >>> not_taken(10, 12, 13), not_taken(10, 9, 10)
    ((1, 0), (0, 1))
    """
    return max(0, after - max(taken, before)), max(0, before - taken)


def has_other_kinds(event: PersistedEvent) -> bool:
    """Whether the event holds values that JSON has no form for, such as NaN or a date of MongoDB."""
    return any("JSON cannot hold" in fault for fault in event.faults)


def refuse_redacted(stores: Stores) -> None:
    """What is masked would be masked for ever.

    Raises
    ------
    QueryError
        The stores were opened with a redaction.
    """
    if getattr(stores.events, "_redact", None) or getattr(stores.snapshots, "_redact", None):
        raise QueryError(
            f"{stores.identity} was opened with parts of its data masked; a copy would lose them for ever; "
            "open it without redaction"
        )
