"""Whether two stores hold the same: counts, and SHA-256 of everything, whatever the backend and the layout.

A digest is the SHA-256 of lines of UTF-8, each the canonical JSON of one document (compact, keys sorted by their
characters) and a line feed:

events          all, in page order
snapshots       the latest of each instance, by instance id
kept_snapshots  all that are kept, by instance id, those of one instance oldest first; equal to `snapshots` where a
                store keeps one of each
definitions     in order of first saving: hash, componentName, document
work            what runtimes have still to do, by (position, id)

What no document holds is not part of it: `seq`, and the columns created_at, updated_at (of events and of documented
snapshots) and event_count, which only databases look after.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from xcstore.jsontext import canonical_json
from xcstore.ops.contents import (
    Contents,
    Document,
    definition_document,
    event_document,
    kept_snapshots,
    refuse_redacted,
    snapshot_document,
    work_document,
)
from xcstore.store.base import EventQuery, Stores
from xcstore.units import EpochMs

__all__ = ["Digester", "Part", "StoreDigest", "differences", "digest_contents", "digest_store"]

Progress = Callable[[int, int], None]
_NAMES: Final = ("events", "snapshots", "kept_snapshots", "definitions", "work")


@dataclass(frozen=True, slots=True)
class Part:
    """How many documents, and the digest of them all."""

    count: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDigest:
    """What a store holds, in figures. Two with equal parts hold the same."""

    events: Part
    snapshots: Part
    kept_snapshots: Part
    definitions: Part
    work: Part
    first_at: EpochMs | None
    """`persisted_at` of the first event in page order, where it is a number."""
    last_at: EpochMs | None
    components: Mapping[str, int] = field(hash=False)
    """Events by the name of the component; '' for none."""

    def to_document(self) -> dict[str, object]:
        """As JSON, for files and `--json`."""
        parts = {name: {"count": part.count, "sha256": part.sha256} for name, part in self.parts().items()}
        return {
            **parts,
            "first_at": self.first_at,
            "last_at": self.last_at,
            "components": dict(sorted(self.components.items())),
        }

    def parts(self) -> dict[str, Part]:
        return {
            "events": self.events,
            "snapshots": self.snapshots,
            "kept_snapshots": self.kept_snapshots,
            "definitions": self.definitions,
            "work": self.work,
        }


def differences(one: Document, other: Document) -> list[str]:
    """Which parts of two digests (`StoreDigest.to_document`) differ, in words; empty: they are of the same contents."""
    found = []
    for name in _NAMES:
        left, right = cast(Document, one.get(name) or {}), cast(Document, other.get(name) or {})
        if left.get("count") != right.get("count"):
            found.append(f"{name.replace('_', ' ')}: {left.get('count'):,} and {right.get('count'):,}")
        elif left.get("sha256") != right.get("sha256"):
            found.append(f"{name.replace('_', ' ')}: as many ({left.get('count'):,}), but not the same")
    return found


class Digester:
    """Takes documents one at a time, each kind in its order; the kinds may be mixed."""

    def __init__(self) -> None:
        self._hashes = {name: hashlib.sha256() for name in _NAMES}
        self._counts: Counter[str] = Counter()
        self._components: Counter[str] = Counter()
        self._first: EpochMs | None = None
        self._last: EpochMs | None = None
        self._latest: tuple[str, bytes] | None = None
        """The last snapshot that came, which is the latest of its instance unless another follows."""

    @property
    def event_count(self) -> int:
        return self._counts["events"]

    def add(self, kind: str, document: Document) -> None:
        """`kind`: events, snapshots, definitions or work."""
        line = canonical_json(document).encode() + b"\n"
        if kind == "events":
            self._look_at_event(document)
        elif kind == "snapshots":
            kind = "kept_snapshots"
            instance_id = str(cast(Document, document["instance"]).get("id"))
            if self._latest is not None and self._latest[0] != instance_id:
                self._take("snapshots", self._latest[1])
            self._latest = (instance_id, line)
        self._take(kind, line)

    def digest(self) -> StoreDigest:
        """Of all that was added; nothing may be added afterwards."""
        if self._latest is not None:
            self._take("snapshots", self._latest[1])
            self._latest = None
        parts = {name: Part(self._counts[name], self._hashes[name].hexdigest()) for name in _NAMES}
        return StoreDigest(**parts, first_at=self._first, last_at=self._last, components=dict(self._components))

    def _look_at_event(self, document: Document) -> None:
        component = document.get("componentName")
        self._components[component if isinstance(component, str) else ""] += 1
        at = document.get("persistedAt")
        if type(at) is int:
            self._first = EpochMs(at) if self._first is None else min(self._first, EpochMs(at))
            self._last = EpochMs(at) if self._last is None else max(self._last, EpochMs(at))

    def _take(self, name: str, line: bytes) -> None:
        self._counts[name] += 1
        self._hashes[name].update(line)


def digest_store(stores: Stores, *, on_progress: Progress = lambda done, total: None) -> StoreDigest:
    """Read everything that a store holds, one page at a time.

    Parameters
    ----------
    stores : Stores
        Opened without redaction.
    on_progress : callable
        Called with (events read, events in all).

    Raises
    ------
    QueryError
        Parts of the data are masked.
    StoreError
        The store failed.

    Examples
    --------
    >>> from xcstore.store.memory import open_memory_stores
    >>> digest_store(open_memory_stores()).events.count
    0
    """
    refuse_redacted(stores)
    digester = Digester()
    total = stores.events.count(EventQuery())[0].count
    for definition in stores.definitions.get_all_definitions():
        digester.add("definitions", definition_document(definition))
    for event in stores.events.get_all_events():
        digester.add("events", event_document(event))
        on_progress(digester.event_count, total)
    for page, _ in kept_snapshots(stores):
        for snapshot in page:
            digester.add("snapshots", snapshot_document(snapshot))
    for work in stores.events.get_outbox():
        digester.add("work", work_document(work))
    return digester.digest()


def digest_contents(contents: Contents, *, on_progress: Progress = lambda done, total: None) -> StoreDigest:
    """As `digest_store`, of a store or a file."""
    digester = Digester()
    for definition in contents.definitions():
        digester.add("definitions", definition_document(definition))
    for row in contents.events():
        digester.add("events", row.document)
        on_progress(digester.event_count, max(contents.event_count or 0, digester.event_count))
    for row in contents.snapshots():
        digester.add("snapshots", row.document)
    for work in contents.work():
        digester.add("work", work_document(work))
    return digester.digest()
