"""From a file or a store into an empty store: what `restore` does, and `backup` into a store.

Events are appended in the page order of the source, so that the target has the same order, at equal times too. The
snapshots of a store are read before its events, and written after them, so that the last event of each is in the
target, also where somebody writes meanwhile. What was copied is read back and compared with what was read. A copy that
was interrupted goes on where it stopped, after it has compared all that is there with what it would have put there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice, zip_longest
from typing import Final, cast

from xcstore.errors import (
    CorruptEventError,
    DuplicateEventError,
    LimitExceededError,
    QueryError,
    ReadOnlyStoreError,
    StoreError,
)
from xcstore.jsontext import canonical_json, json_text, parse_json
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.ops.contents import (
    Contents,
    Document,
    Row,
    StoreContents,
    definition_document,
    event_document,
    not_taken,
    snapshot_document,
    work_document,
)
from xcstore.ops.digests import Digester, StoreDigest, differences, digest_store
from xcstore.ops.sorting import Sorter
from xcstore.store.base import EventQuery, OutboxChange, Stores
from xcstore.store.codec import (
    check_writable,
    check_writable_snapshot,
    event_from_document,
    snapshot_from_document,
)
from xcstore.store.limits import NOTHING_WRITTEN
from xcstore.store.opening import sqlite_file

__all__ = ["CopyReport", "MismatchError", "copy_contents", "survey_contents"]

BATCH: Final = 2_000
MAX_PROBLEMS: Final = 1_000
"""Problems that are kept in words; the rest are counted."""

Progress = Callable[[int, int], None]


class MismatchError(StoreError):
    """The target does not hold what it should."""


@dataclass(slots=True)
class CopyReport:
    """What became of a copy."""

    digest: StoreDigest | None = None
    """Of what is in the target now; of a survey, what would be."""
    already_there: int = 0
    """Events that an interrupted copy had appended before."""
    left_out: int = 0
    """Rows that cannot be stored."""
    problems: list[str] = field(default_factory=list)
    """Why, with the place of each row; at most `MAX_PROBLEMS`."""
    losses: list[str] = field(default_factory=list)
    """What the target cannot hold."""
    appended_meanwhile: int = 0
    """Events that came into the store that was copied, and were not; at least so many, where others were removed."""
    missing: int = 0
    """Events that the store counted when the copy began, and did not give."""

    def add_problem(self, row: Row, reason: str) -> None:
        self.left_out += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"{row.place}: {reason}")


def survey_contents(contents: Contents, *, on_progress: Progress = lambda done, total: None) -> CopyReport:
    """What a copy would put into a store, and what it would leave out; nothing is written."""
    copy = _Copy(contents, CopyReport())
    for row, _ in copy.events():
        copy.expected.add("events", row.document)
        on_progress(copy.expected.event_count, max(contents.event_count or 0, copy.expected.event_count))
    for row, _ in copy.snapshots():
        copy.expected.add("snapshots", row.document)
    copy.add_the_rest()
    copy.report.digest = copy.expected.digest()
    return copy.report


def copy_contents(
    contents: Contents, target: Stores, *, resume: bool = False, on_progress: Progress = lambda done, total: None
) -> CopyReport:
    """Put everything into an empty store, and compare.

    Parameters
    ----------
    contents : Contents
    target : Stores
        Of ours, open for writing, without redaction; opened to keep as many snapshots as there are.
    resume : bool
        The store may hold the beginning of these contents.
    on_progress : callable
        Called with (events written or compared, events in all).

    Raises
    ------
    QueryError
        The target is not empty, and `resume` is not given; or it is the source.
    MismatchError
        The target holds something else; names the first event or snapshot that differs.
    StoreError
        The target failed; batches that were written whole stay.
    """
    if isinstance(contents, StoreContents):
        _refuse_same(contents.stores.identity, target.identity)
    if not resume:
        _refuse_full(target)
    copy = _Copy(contents, CopyReport())
    with Sorter() as held:
        if isinstance(contents, StoreContents):
            for number, row in enumerate(contents.snapshots()):
                held.add((number,), (row.place, json_text(row.document)))
        _copy_events(copy, target, resume, on_progress)
        taken = copy.expected.event_count + copy.report.left_out
        _copy_definitions(copy, target)
        _copy_snapshots(copy, target, resume, _held(held) if isinstance(contents, StoreContents) else None)
    _copy_work(copy, target)
    _compare(copy, target)
    if isinstance(contents, StoreContents):
        told = not_taken(contents.event_count, taken, contents.count_now())
        copy.report.appended_meanwhile, copy.report.missing = told
    return copy.report


def _held(rows: Sorter) -> Iterator[Row]:
    for _, (place, text) in rows:
        yield Row(place, cast(Document, parse_json(text)))


class _Copy:
    """Rows that can be stored, with what they are; the others are reported, once."""

    def __init__(self, contents: Contents, report: CopyReport) -> None:
        self.contents: Final = contents
        self.report: Final = report
        self.expected: Final = Digester()
        self.twice: Final[set[str]] = set()
        """Places of events whose id came before."""
        self.lost: Final[set[str]] = set()
        """Parts of the digest that the target cannot have."""

    def lose(self, part: str, words: str) -> None:
        self.lost.add(part)
        self.report.losses.append(words)

    def events(self) -> Iterator[tuple[Row, PersistedEvent]]:
        for row in self.contents.events():
            try:
                event = event_from_document(row.document)
                check_writable(event)
            except (CorruptEventError, LimitExceededError) as error:
                self.report.add_problem(row, str(error).removesuffix(NOTHING_WRITTEN))
            else:
                yield row, event

    def snapshots(self, rows: Iterable[Row] | None = None) -> Iterator[tuple[Row, InstanceSnapshot]]:
        """`rows`: as they were read before."""
        for row in self.contents.snapshots() if rows is None else rows:
            try:
                snapshot = snapshot_from_document(row.document)
                check_writable_snapshot(snapshot)
            except (CorruptEventError, LimitExceededError) as error:
                self.report.add_problem(row, str(error).removesuffix(NOTHING_WRITTEN))
            else:
                yield row, snapshot

    def add_the_rest(self) -> None:
        for definition in self.contents.definitions():
            self.expected.add("definitions", definition_document(definition))
        for work in self.contents.work():
            self.expected.add("work", work_document(work))


def _refuse_same(source: str, target: str) -> None:
    """With `resume` a store would be found to be a copy of itself."""
    files = [file for file in (sqlite_file(source), sqlite_file(target)) if file is not None and file.exists()]
    if source == target or (len(files) == 2 and files[0].samefile(files[1])):
        raise QueryError(f"{source} is both what is copied and where to; name another target")


def _refuse_full(target: Stores) -> None:
    held = {
        "events": target.events.count(EventQuery())[0].count,
        "snapshots": target.snapshots.count(),
        "definitions": len(target.definitions.get_all_definitions()),
    }
    words = ", ".join(f"{count:,} {name}" for name, count in held.items() if count)
    if words:
        raise QueryError(
            f"{target.identity} holds {words}; name an empty store, "
            "or go on with a restore that was interrupted by --resume"
        )


# --- Events --------------------------------------------------------------------------------------------------------


def _copy_events(copy: _Copy, target: Stores, resume: bool, on_progress: Progress) -> None:
    stored: Iterator[PersistedEvent] = target.events.get_all_events() if resume else iter(())
    held = next(stored, None)
    batch: list[tuple[Row, PersistedEvent]] = []

    def show() -> None:
        done = copy.expected.event_count
        on_progress(done, max(copy.contents.event_count or 0, done))

    for row, event in copy.events():
        if held is not None:
            if _is_same(event_document(held), row.document):
                copy.report.already_there += 1
                copy.expected.add("events", row.document)
                held = next(stored, None)
                if copy.report.already_there % BATCH == 0:
                    show()
            elif event.id != held.id and event.id in target.events.get_events([event.id]):
                _add_twice(copy, row, event)
            else:
                raise MismatchError(
                    f"{target.identity} is not the beginning of {copy.contents.name}: its event "
                    f"{copy.report.already_there + 1:,} is {held.id!r}, where {row.place} "
                    + (f"is {event.id!r}" if event.id != held.id else "has other content")
                    + "; nothing was written"
                )
            continue
        batch.append((row, event))
        if len(batch) == BATCH:
            _append(copy, target, batch)
            show()
            batch = []
    if held is not None:
        raise MismatchError(
            f"{target.identity} holds more events than {copy.contents.name}: the first is {held.id!r}; "
            "nothing was written"
        )
    _append(copy, target, batch)
    show()


def _append(copy: _Copy, target: Stores, batch: Sequence[tuple[Row, PersistedEvent]]) -> None:
    if not batch:
        return
    try:
        target.events.append_many([event for _, event in batch])
    except DuplicateEventError:
        known = set(target.events.get_events([event.id for _, event in batch]))
        fresh = []
        for row, event in batch:
            if event.id in known:
                _add_twice(copy, row, event)
            else:
                known.add(event.id)
                fresh.append((row, event))
        if len(fresh) == len(batch):
            raise
        _append(copy, target, fresh)
        return
    for row, _ in batch:
        copy.expected.add("events", row.document)


def _add_twice(copy: _Copy, row: Row, event: PersistedEvent) -> None:
    copy.twice.add(row.place)
    copy.report.add_problem(row, f"the id {event.id!r} came before; the first event of that id is kept")


# --- Snapshots and work --------------------------------------------------------------------------------------------


def _copy_snapshots(copy: _Copy, target: Stores, resume: bool, given: Iterable[Row] | None) -> None:
    def taken() -> Iterator[InstanceSnapshot]:
        for instance_id, group in groupby(copy.snapshots(given), key=lambda pair: pair[1].instance.id):
            rows = list(group)
            held = target.snapshots.list_snapshots(instance_id) if resume else ()
            for number, (row, snapshot) in enumerate(rows):
                copy.expected.add("snapshots", row.document)
                if number >= len(held):
                    yield snapshot
                elif not _is_same(snapshot_document(held[number]), row.document):
                    raise MismatchError(
                        f"{target.identity} holds another snapshot of instance {instance_id!r} than {row.place} "
                        f"of {copy.contents.name}"
                    )

    remaining = taken()
    while batch := list(islice(remaining, BATCH)):
        target.snapshots.save_snapshots(batch)


def _copy_definitions(copy: _Copy, target: Stores) -> None:
    try:
        for definition in copy.contents.definitions():
            target.definitions.save_definition(definition)
            copy.expected.add("definitions", definition_document(definition))
    except ReadOnlyStoreError:
        copy.lose("definitions", "stored definitions: it keeps none")


def _copy_work(copy: _Copy, target: Stores) -> None:
    work = iter(copy.contents.work())
    while batch := tuple(islice(work, BATCH)):
        if not target.events.keeps_outbox:
            copy.lose("work", "what runtimes have still to do: it keeps no outbox")
            return
        target.events.change_outbox(OutboxChange(add=batch))
        for one in batch:
            copy.expected.add("work", work_document(one))


# --- Comparing -----------------------------------------------------------------------------------------------------


def _compare(copy: _Copy, target: Stores) -> None:
    """Read back what was written."""
    expected, found = copy.expected.digest(), digest_store(target)
    copy.report.digest = found
    wanted, have = expected.to_document(), found.to_document()
    if found.kept_snapshots.count < expected.kept_snapshots.count and found.snapshots == expected.snapshots:
        lost = expected.kept_snapshots.count - found.kept_snapshots.count
        copy.lose("kept_snapshots", f"{lost:,} earlier snapshots: it keeps fewer of each instance")
    if found.events.count == expected.events.count and found.events != expected.events and _is_by_id(copy, found):
        copy.lose("events", "the order of events of one moment: it has them by id")
    wanted.update((part, have[part]) for part in copy.lost)
    differing = differences(wanted, have)
    if not differing:
        return
    first = _first_difference(copy, target) if expected.events != found.events else ""
    raise MismatchError(
        f"{target.identity} does not hold what was written into it (written and found: {'; '.join(differing)}){first}"
    )


def _is_by_id(copy: _Copy, found: StoreDigest) -> bool:
    """Whether the target has the events, those of one moment in the order of their ids."""
    digester = Digester()
    for _, moment in groupby(_stored_rows(copy), key=lambda pair: pair[1].persisted_at):
        for row, _ in sorted(moment, key=lambda pair: pair[1].id):
            digester.add("events", row.document)
    return digester.digest().events == found.events


def _stored_rows(copy: _Copy) -> Iterator[tuple[Row, PersistedEvent]]:
    again = _Copy(copy.contents, CopyReport())
    return ((row, event) for row, event in again.events() if row.place not in copy.twice)


def _first_difference(copy: _Copy, target: Stores) -> str:
    rows = (row for row, _ in _stored_rows(copy))
    for row, event in zip_longest(rows, target.events.get_all_events()):
        if row is None:
            return f"; the first event too many is {event.id!r}"
        if event is None:
            return f"; the first event missing is {row.place}, {row.document.get('id')!r}"
        if not _is_same(event_document(event), row.document):
            return f"; the first that differs is {row.place}, {row.document.get('id')!r}"
    return ""


def _is_same(one: Document, other: Document) -> bool:
    return canonical_json(one) == canonical_json(other)
