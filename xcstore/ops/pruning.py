"""Removes from a store what the rules of retention let go, into an archive first.

Each batch is judged, archived, read back and compared, looked at once more, and deleted, in this order. So whatever is
killed, and wherever, nothing is deleted that is not in the archive, and another run goes on: what is in the archive
already is compared, not written twice.

Every run is noted: in stores that keep such notes, in the archive where it does, and in the archive's folder.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from xcstore.errors import ConfigError, ReadOnlyStoreError
from xcstore.model.catalog import Catalog
from xcstore.ops.contents import refuse_redacted
from xcstore.ops.pruning_archive import (
    ArchiveDiffersError,
    archive_definitions,
    archive_events,
    archive_snapshots,
    missing_in,
)
from xcstore.ops.retention import PAGE, Judge, Rules, Verdict, judged, left_behind
from xcstore.store.base import EventQuery, InstanceQuery, InstanceSummary, Stores
from xcstore.store.opening import sqlite_file
from xcstore.units import EpochMs

__all__ = [
    "ALL_SNAPSHOTS",
    "ArchiveDiffersError",
    "Prune",
    "UndoReport",
    "archive_folder",
    "archive_url",
    "check_deletable",
    "notes_of",
    "prune",
    "undo",
]

BATCH: Final = 20_000
"""Events that are archived and deleted together, unless one stream has more."""
ALL_SNAPSHOTS: Final = 1_000_000
"""More than any store keeps of one instance: stores and archives are opened to keep all, so that none is lost."""
NOTES: Final = "prunes"
"""Folder within that of an archive."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """One run: what went, when, by which rules, and where to."""

    id: str
    store: str
    at: EpochMs
    """When it began."""
    cutoff: EpochMs
    days: int
    keep_snapshots: int
    archive: str | None
    """URL without password; None: nothing was archived."""
    events: int = 0
    whole: int = 0
    """Instances that went with all they had."""
    part: int = 0
    """Instances that lost their oldest events."""
    snapshots: int = 0
    """Of instances that went."""
    old_snapshots: int = 0
    """Beyond those that are kept of an instance. They are not archived: events tell the same."""
    moved_on: int = 0
    """Instances that changed between the two looks, and were left as they are."""
    finished: bool = False
    """False while it runs, and of a run that was killed."""

    def to_document(self) -> dict[str, object]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoReport:
    """What was put back."""

    events: int
    already_there: int
    snapshots: int


def archive_url(url: str, named: str | None) -> str:
    """Where the archive of a store is: a folder or a URL as named, else a folder beside a SQLite file,
    named as the file is.

    Raises
    ------
    ConfigError
        None is named, and the store is no file.

    Examples
    --------
    >>> archive_url("sqlite:///data/shop.db", None)
    'archive:///data/shop.archive'
    >>> archive_url("postgresql://db/shop", "/backups/shop")
    'archive:////backups/shop'
    """
    if named is not None:
        return named if "://" in named else f"archive:///{named}"
    file = sqlite_file(url)
    if file is None:
        raise ConfigError(
            "there is no place for an archive beside this store; set XCSTORE_ARCHIVE, name one with --archive DIR, "
            "or say --no-archive, and what goes is lost"
        )
    return f"archive:///{file.with_suffix('.archive')}"


def archive_folder(url: str) -> Path | None:
    """The folder of an `archive:///` URL; None for other stores."""
    return Path(url.removeprefix("archive:///").partition("?")[0]) if url.startswith("archive:///") else None


def check_deletable(stores: Stores) -> None:
    """Raise `ReadOnlyStoreError` where nothing can be deleted from this store."""
    stores.events.delete_events([])


def prune(
    stores: Stores,
    archive: Stores | None,
    catalog: Catalog,
    rules: Rules,
    *,
    now: EpochMs,
    archive_folder: Path | None = None,
    on_progress: Progress = lambda events: None,
) -> Prune:
    """Remove what the rules let go.

    Parameters
    ----------
    stores : Stores
        Opened for writing, without redaction. May belong to another writer: rows are deleted, nothing else.
    archive : Stores or None
        Opened for writing, to keep `ALL_SNAPSHOTS`. None: what goes is lost.
    catalog : Catalog
    rules : Rules
    now : EpochMs
        For the note.
    archive_folder : Path, optional
        Where the archive is a folder: the note goes there too.
    on_progress : callable
        Called with how many events have gone.

    Raises
    ------
    ReadOnlyStoreError
        Nothing can be deleted from the store, or written into the archive.
    ConfigError
        The archive is the store itself, or holds its newest event already, or is that of another store.
    ArchiveDiffersError
        The archive holds, or gave back, something else. What was deleted before is archived.
    StoreError
        The store or the archive failed.
    """
    check_deletable(stores)
    refuse_redacted(stores)
    run = Prune(
        id=uuid.uuid4().hex,
        store=stores.identity,
        at=now,
        cutoff=rules.cutoff,
        days=rules.days,
        keep_snapshots=rules.snapshots,
        archive=None if archive is None else archive.identity,
    )
    if archive is not None:
        refuse_redacted(archive)
        _refuse_itself(stores, archive)
        _refuse_that_of_another(stores, archive, archive_folder)
        archive_definitions(stores, archive)

    def note() -> None:
        _note(run, stores, archive, archive_folder)

    note()
    verdicts = judged(stores, Judge(stores, catalog, rules))
    for batch in _batches(verdicts):
        went = _prune_batch(stores, archive, batch)
        run = replace(
            run,
            events=run.events + went.events,
            whole=run.whole + went.whole,
            part=run.part + went.part,
            snapshots=run.snapshots + went.snapshots,
            moved_on=run.moved_on + went.moved_on,
        )
        note()
        on_progress(run.events)
    orphans = left_behind(stores, catalog, rules)
    while some := list(islice(orphans, PAGE)):
        run = replace(run, snapshots=run.snapshots + _prune_snapshots(stores, archive, some))
    run = replace(run, old_snapshots=stores.snapshots.trim(rules.snapshots), finished=True)
    note()
    return run


def _refuse_itself(stores: Stores, archive: Stores) -> None:
    """What is archived in the store itself would be deleted with it. A store can have many URLs: ask what it holds.

    The newest event is one that never goes, so no earlier run has archived it. An archive of Parquet files cannot be
    the store: nothing can be deleted from one.
    """
    if "delete" not in archive.events.declares:
        return
    newest = stores.events.find(EventQuery(), limit=1, newest_first=True).items
    if archive.identity == stores.identity or archive.events.get_events([event.id for event in newest]):
        raise ConfigError(
            f"the archive {archive.identity} is the store itself, or a copy of it; name another place. "
            "Nothing was removed"
        )


def _refuse_that_of_another(stores: Stores, archive: Stores, archive_folder: Path | None) -> None:
    """The events of two stores in one archive cannot be told apart again.

    The notes tell whose it is. A store that was moved, or is named in another way, has the same notes itself.
    """
    own = {run.id for run in notes_of(stores)}
    for run in notes_of(archive, archive_folder):
        # An archive that was itself pruned has notes of that too.
        if run.id not in own and run.store not in (stores.identity, archive.identity):
            raise ConfigError(
                f"the archive {archive.identity} holds what was removed from {run.store}, not from "
                f"{stores.identity}; name another place. Nothing was changed"
            )


def undo(
    stores: Stores,
    archive: Stores,
    *,
    archive_folder: Path | None = None,
    on_progress: Progress = lambda events: None,
) -> UndoReport:
    """Put everything that an archive holds back into a store of ours; what is there already stays as it is.

    What is put back counts as inserted now: in pages, it comes after other events of the same millisecond.

    Raises
    ------
    ReadOnlyStoreError
        The store is not ours, or was opened for reading.
    ConfigError
        The archive is that of another store.
    ArchiveDiffersError
        The store holds another event of the same id. What was put back before stays.
    """
    if stores.events.read_only:
        raise ReadOnlyStoreError(f"{stores.identity} cannot be appended to; restore the archive into a store of ours")
    refuse_redacted(archive)
    _refuse_that_of_another(stores, archive, archive_folder)
    put = there = snapshots = 0
    everything = archive.events.get_all_events()
    while some := list(islice(everything, BATCH)):
        missing = missing_in(stores, some)
        stores.events.append_many(missing)
        put += len(missing)
        there += len(some) - len(missing)
        on_progress(put + there)
    for definition in archive.definitions.get_all_definitions():
        stores.definitions.save_definition(definition)
    cursor = None
    while True:
        page = archive.snapshots.find(after=cursor, limit=PAGE)
        ids = [snapshot.instance.id for snapshot in page.items]
        present = stores.snapshots.get_snapshots(ids)
        absent = [snapshot for snapshot in page.items if snapshot.instance.id not in present]
        kept = [one for snapshot in absent for one in archive.snapshots.list_snapshots(snapshot.instance.id)]
        stores.snapshots.save_snapshots(kept)
        snapshots += len(absent)
        cursor = page.next
        if cursor is None:
            return UndoReport(events=put, already_there=there, snapshots=snapshots)


def notes_of(stores: Stores, archive_folder: Path | None = None) -> list[Prune]:
    """The runs that are noted in a store, or in the folder of an archive, the latest last.

    Notes that cannot be read, such as those of a later version, are left out.
    """
    read: Callable[[], Sequence[str]] | None = getattr(stores.events, "get_notes", None)
    texts = list(read()) if read is not None else []
    if archive_folder is not None and (archive_folder / NOTES).is_dir():
        texts += [file.read_text(encoding="utf-8") for file in sorted((archive_folder / NOTES).glob("*.json"))]
    found: dict[str, Prune] = {}
    for text in texts:
        try:
            run = Prune(**json.loads(text))
        except (ValueError, TypeError):
            continue
        found[run.id] = run
    return sorted(found.values(), key=lambda run: (run.at, run.id))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Went:
    events: int = 0
    whole: int = 0
    part: int = 0
    snapshots: int = 0
    moved_on: int = 0


def _batches(verdicts: Iterable[Verdict]) -> Iterator[list[Verdict]]:
    batch: list[Verdict] = []
    held = 0
    for verdict in verdicts:
        if not verdict.count:
            continue
        if batch and (held + verdict.count > BATCH or len(batch) >= PAGE):
            yield batch
            batch, held = [], 0
        batch.append(verdict)
        held += verdict.count
    if batch:
        yield batch


def _prune_batch(stores: Stores, archive: Stores | None, batch: Sequence[Verdict]) -> _Went:
    whole = [verdict.summary.instance_id for verdict in batch if verdict.reason is None]
    streams = stores.events.get_streams(whole)
    going = {
        verdict.summary.instance_id: streams.get(verdict.summary.instance_id, ())
        if verdict.reason is None
        else verdict.events
        for verdict in batch
    }
    if archive is not None:
        archive_events(archive, [event for events in going.values() for event in events])
        archive_snapshots(stores, archive, whole)
    now = _summaries(stores, going)
    still = [verdict for verdict in batch if now.get(verdict.summary.instance_id) == verdict.summary]
    deleted = stores.events.delete_events(event.id for verdict in still for event in going[verdict.summary.instance_id])
    gone = [verdict.summary.instance_id for verdict in still if verdict.reason is None]
    return _Went(
        events=deleted,
        whole=len(gone),
        part=len(still) - len(gone),
        snapshots=_delete_snapshots(stores, gone),
        moved_on=len(batch) - len(still),
    )


def _prune_snapshots(stores: Stores, archive: Stores | None, instance_ids: Sequence[str]) -> int:
    if archive is not None:
        archive_snapshots(stores, archive, instance_ids)
    return _delete_snapshots(stores, instance_ids)


def _delete_snapshots(stores: Stores, instance_ids: Sequence[str]) -> int:
    there = stores.snapshots.get_snapshots(instance_ids)
    # No promise of a store; where it is not, each costs a transaction.
    delete_all: Any = getattr(stores.snapshots, "delete_snapshots", None)
    if delete_all is not None:
        delete_all(there)
    else:
        for instance_id in there:
            stores.snapshots.delete_snapshot(instance_id)
    return len(there)


def _summaries(stores: Stores, instance_ids: Iterable[str]) -> dict[str, InstanceSummary]:
    query = InstanceQuery(instance_ids=tuple(instance_ids))
    found = stores.events.instances(query, limit=len(query.instance_ids)).items
    return {summary.instance_id: summary for summary in found}


# --- Notes ---------------------------------------------------------------------------------------------------------


def _note(run: Prune, stores: Stores, archive: Stores | None, folder: Path | None) -> None:
    text = json.dumps(run.to_document())
    for kept in (stores, archive):
        # No promise of a store; those of ours have it.
        put: Any = None if kept is None else getattr(kept.events, "put_note", None)
        if put is not None:
            put(run.id, text)
    if folder is not None:
        target = folder / NOTES / f"{run.at:015}-{run.id}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_suffix(".tmp")
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, target)
