"""Takes back exactly what a recovery wrote, by its log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from xcstore.errors import QueryError
from xcstore.jsontext import canonical_json
from xcstore.ops.contents import Document, snapshot_document
from xcstore.ops.recovery_log import AddedEvents, RecoveryLog, SavedSnapshot, ids_fingerprint, read_log
from xcstore.ops.recovery_plan import check_recoverable
from xcstore.store.base import Stores
from xcstore.store.codec import snapshot_from_document

__all__ = ["UndoReport", "undo"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoReport:
    """What was taken back."""

    events: int
    snapshots: int
    untouched: int
    """Entries of the log that had not been written, or were taken back before."""
    left: tuple[str, ...] = ()
    """Instances that went on since, in words: what was written to them stays."""


def undo(stores: Stores, log: Path, *, on_progress: Progress = lambda done, total: None) -> UndoReport:
    """Take back what a recovery wrote, by its log, but for instances that went on since. It can be run again.

    Each instance is looked at again right before something is taken away from it.

    Parameters
    ----------
    stores : Stores
        As for `recover`.
    log : Path
    on_progress : callable
        Called with (entries of the log taken back, all of them).

    Raises
    ------
    QueryError
        The log is of another store.
    StoreError
        The store failed.
    """
    check_recoverable(stores)
    written = read_log(log)
    if written.store != stores.identity:
        raise QueryError(f"{str(log)!r} is of {written.store}, not of {stores.identity}; nothing was taken back")
    left = {
        one.instance_id: f"the events of {one.instance_id!r}" for one in written.events if _to_take(stores, one) is None
    }
    left |= {
        one.instance_id: f"the snapshots of {one.instance_id!r}"
        for one in written.snapshots
        if one.instance_id not in left and _to_put_back(stores, one, began=written.undo_began) is None
    }
    events = snapshots = untouched = 0
    entries = len(written.snapshots) + len(written.events)
    with RecoveryLog(log, new=False) as again:
        again.mark("undo")
        todo: list[SavedSnapshot | AddedEvents] = [*reversed(written.snapshots), *reversed(written.events)]
        for number, entry in enumerate(todo, 1):
            instance_id = entry.instance_id
            if instance_id in left:
                pass
            elif isinstance(entry, SavedSnapshot):
                needed = _to_put_back(stores, entry, began=written.undo_began)
                if needed is None:
                    left[instance_id] = f"the snapshots of {instance_id!r}"
                elif needed:
                    stores.snapshots.delete_snapshot(instance_id)
                    stores.snapshots.save_snapshots(snapshot_from_document(one) for one in entry.before)
                    snapshots += 1
                else:
                    untouched += 1
            else:
                present = _to_take(stores, entry)
                if present is None:
                    left[instance_id] = f"the events of {instance_id!r}"
                elif present:
                    events += stores.events.delete_events(present)
                else:
                    untouched += 1
            on_progress(number, entries)
        if not left:
            again.mark("undone")
    return UndoReport(events=events, snapshots=snapshots, untouched=untouched, left=tuple(left.values()))


def _to_take(stores: Stores, added: AddedEvents) -> tuple[str, ...] | None:
    """Of the added events those that are there; None where others have added some since."""
    there = {event.id for event in stores.events.get_events_for_instance(added.instance_id)}
    present = tuple(event_id for event_id in added.event_ids if event_id in there)
    return None if present and ids_fingerprint(there - set(added.event_ids)) != added.before else present


def _to_put_back(stores: Stores, saved: SavedSnapshot, *, began: bool) -> bool | None:
    """Whether there is something to do; None where others have saved another snapshot since."""
    now = [_text(snapshot_document(one)) for one in stores.snapshots.list_snapshots(saved.instance_id)]
    before, after = [_text(one) for one in saved.before], _text(saved.after)
    if now and now[-1] == after:
        # A store may keep one alone, or fewer than it did.
        return True if _ends_with(before, now[:-1]) else None
    if now == before or (now and _ends_with(before, now)):
        return False
    # It was not written, as a newer one had come, which is still there.
    if now and after not in now and (not before or before[-1] in now):
        return False
    # An undo that was interrupted between taking one away and putting the earlier ones back.
    return True if began and now == before[: len(now)] else None


def _ends_with(whole: Sequence[str], part: Sequence[str]) -> bool:
    return not part or list(whole[-len(part) :]) == list(part)


def _text(document: Document) -> str:
    return canonical_json(document)
