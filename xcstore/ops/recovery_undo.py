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


def undo(stores: Stores, log: Path, *, on_progress: Progress = lambda done, total: None) -> UndoReport:
    """Take back exactly what a recovery wrote, by its log. Interrupted, it can be run again.

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
        The log is of another store; or the store has changed since in what was written: names the first instances.
        Nothing was taken back then.
    StoreError
        The store failed.
    """
    check_recoverable(stores)
    written = read_log(log)
    if written.store != stores.identity:
        raise QueryError(f"{str(log)!r} is of {written.store}, not of {stores.identity}; nothing was taken back")
    changed: list[str] = []
    back: list[SavedSnapshot] = []
    out: list[tuple[AddedEvents, tuple[str, ...]]] = []
    for saved in reversed(written.snapshots):
        needed = _to_put_back(stores, saved, began=written.undo_began)
        if needed is None:
            changed.append(f"the snapshots of {saved.instance_id!r}")
        elif needed:
            back.append(saved)
    for added in reversed(written.events):
        there = {event.id for event in stores.events.get_events_for_instance(added.instance_id)}
        if ids_fingerprint(there - set(added.event_ids)) != added.before:
            changed.append(f"the events of {added.instance_id!r}")
        elif present := tuple(event_id for event_id in added.event_ids if event_id in there):
            out.append((added, present))
    if changed:
        more = f", and {len(changed) - 3:,} more" if len(changed) > 3 else ""
        raise QueryError(
            f"{stores.identity} has changed since in what was recovered: {', '.join(changed[:3])}{more}; "
            "nothing was taken back"
        )
    events = done = 0
    entries = len(written.snapshots) + len(written.events)
    with RecoveryLog(log, new=False) as again:
        again.mark("undo")
        for saved in back:
            stores.snapshots.delete_snapshot(saved.instance_id)
            stores.snapshots.save_snapshots(snapshot_from_document(one) for one in saved.before)
            done += 1
            on_progress(done, entries)
        for _, present in out:
            events += stores.events.delete_events(present)
            done += 1
            on_progress(done, entries)
        again.mark("undone")
    return UndoReport(events=events, snapshots=len(back), untouched=entries - done)


def _to_put_back(stores: Stores, saved: SavedSnapshot, *, began: bool) -> bool | None:
    """Whether there is something to do; None where others have saved another snapshot since."""
    now = [_text(snapshot_document(one)) for one in stores.snapshots.list_snapshots(saved.instance_id)]
    before, after = [_text(one) for one in saved.before], _text(saved.after)
    if now and now[-1] == after:
        # A store may keep one alone, or fewer than it did.
        return True if _ends_with(before, now[:-1]) else None
    if now == before or (now and _ends_with(before, now)):
        return False
    # An undo that was interrupted between taking one away and putting the earlier ones back.
    return True if began and now == before[: len(now)] else None


def _ends_with(whole: Sequence[str], part: Sequence[str]) -> bool:
    return not part or list(whole[-len(part) :]) == list(part)


def _text(document: Document) -> str:
    return canonical_json(document)
