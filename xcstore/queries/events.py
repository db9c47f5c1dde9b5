"""Events that fit a filter: a page of them, how many there are, what is new, and all of them as a file."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TextIO

from xcstore.jsontext import NestingError, json_text
from xcstore.model.history import PersistedEvent
from xcstore.store import codec
from xcstore.store.base import CountBy, Cursor, EventQuery, Page, Stores
from xcstore.units import EpochMs, to_utc

__all__ = [
    "CSV_COLUMNS",
    "EXPORT_CAP",
    "EventDetail",
    "Options",
    "count",
    "count_since",
    "detail",
    "export",
    "is_cheap_to_count",
    "options",
    "page",
]

EXPORT_CAP: Final = 100_000
"""Events in one file at most: the browser gets it from the app's memory."""
_EXPORT_PAGE: Final = 1_000

CSV_COLUMNS: Final = (
    "persisted_at",
    "persisted_at_ms",
    "component_name",
    "machine_name",
    "instance_id",
    "event_type",
    "state_before",
    "state_after",
    "event_id",
    "timestamp_ms",
    "caused_by",
    "caused",
    "source_component_name",
    "target_component_name",
    "payload",
    "faults",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a cell begins that a spreadsheet would compute (OWASP, *CSV Injection*)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Values to filter by, each with how many events have it; most first."""

    components: tuple[tuple[str, int], ...] = ()
    machines: tuple[tuple[str, int], ...] = ()
    event_types: tuple[tuple[str, int], ...] = ()
    states: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDetail:
    """An event, and the events next to it along recorded causes."""

    event: PersistedEvent
    document: str
    """The event as the JSON document that the TypeScript runtime writes; masked parts stay masked."""
    causes: tuple[PersistedEvent, ...] = ()
    missing_causes: tuple[str, ...] = ()
    """Ids in `caused_by` that are not in the store."""
    effects: tuple[PersistedEvent, ...] = ()
    """Events that name this one as their cause."""
    more_effects: bool = False


def options(stores: Stores, components: tuple[str, ...] = ()) -> Options:
    """What there is to filter by, from counts; one column at a time, as one index may answer it."""
    within = EventQuery(components=components)

    def counted(column: CountBy, query: EventQuery) -> tuple[tuple[str, int], ...]:
        found = ((item.key[0], item.count) for item in stores.events.count(query, by=(column,)))
        return tuple(sorted(found, key=lambda item: (-item[1], item[0])))

    return Options(
        components=counted("component_name", EventQuery()),
        machines=counted("machine_name", within),
        event_types=counted("event_type", within),
        states=counted("state_after", within),
    )


def is_cheap_to_count(query: EventQuery) -> bool:
    """Whether the backend can count it without looking into payloads."""
    return not query.text and not query.payload_path


def page(stores: Stores, query: EventQuery, *, after: Cursor | None = None, limit: int = 100) -> Page[PersistedEvent]:
    """A page, newest first."""
    return stores.events.find(query, after=after, limit=limit, newest_first=True)


def count(stores: Stores, query: EventQuery) -> int:
    """How many events fit."""
    return sum(item.count for item in stores.events.count(query))


def count_since(stores: Stores, query: EventQuery, start: EpochMs) -> int:
    """How many events fit that were stored at `start` or later."""
    later = start if query.start is None else max(start, query.start)
    return count(stores, replace(query, start=later))


def detail(stores: Stores, event_id: str, *, max_effects: int = 50) -> EventDetail:
    """An event with its direct causes and effects, as recorded; `NotFoundError` for an unknown id."""
    event = stores.events.get_event(event_id)
    found = stores.events.get_events(event.caused_by)
    effects = stores.events.get_caused_events(event_id)
    return EventDetail(
        event=event,
        document=_document_text(event),
        causes=tuple(found[cause] for cause in event.caused_by if cause in found),
        missing_causes=tuple(cause for cause in event.caused_by if cause not in found),
        effects=tuple(effects[:max_effects]),
        more_effects=len(effects) > max_effects,
    )


def export(
    stores: Stores,
    query: EventQuery,
    out: TextIO,
    *,
    form: str,
    cap: int = EXPORT_CAP,
    progress: Callable[[int], None] = lambda done: None,
) -> int:
    """Write every event that fits, newest first, and say how many; at most `cap`.

    Parameters
    ----------
    form : {'csv', 'json', 'ndjson'}
        CSV has `CSV_COLUMNS`, with text that a spreadsheet would take for a formula behind an apostrophe.
        JSON is an array, NDJSON a line each, of documents as the TypeScript runtime writes them.
    progress : callable
        Told how many are written, after each page.
    """
    write = {"csv": _write_csv, "json": _write_json, "ndjson": _write_ndjson}[form]
    return write(_batches(stores, query, cap), out, progress)


def _batches(stores: Stores, query: EventQuery, cap: int) -> Iterator[Sequence[PersistedEvent]]:
    """Pages up to `cap` events. A text search that stopped at its time limit simply goes on."""
    after: Cursor | None = None
    left = cap
    while left > 0:
        found = stores.events.find(query, after=after, limit=min(_EXPORT_PAGE, left), newest_first=True)
        left -= len(found.items)
        yield found.items
        if found.next is None:
            return
        after = found.next


def _write_csv(batches: Iterator[Sequence[PersistedEvent]], out: TextIO, progress: Callable[[int], None]) -> int:
    rows = csv.writer(out)
    rows.writerow(CSV_COLUMNS)
    done = 0
    for batch in batches:
        rows.writerows([_cell(value) for value in _row(event)] for event in batch)
        done += len(batch)
        progress(done)
    return done


def _write_json(batches: Iterator[Sequence[PersistedEvent]], out: TextIO, progress: Callable[[int], None]) -> int:
    done = 0
    out.write("[")
    for batch in batches:
        for event in batch:
            out.write(",\n" if done else "\n")
            out.write(_document_text(event))
            done += 1
        progress(done)
    out.write("\n]\n")
    return done


def _write_ndjson(batches: Iterator[Sequence[PersistedEvent]], out: TextIO, progress: Callable[[int], None]) -> int:
    done = 0
    for batch in batches:
        out.writelines(_document_text(event) + "\n" for event in batch)
        done += len(batch)
        progress(done)
    return done


def _row(event: PersistedEvent) -> tuple[object, ...]:
    at = to_utc(event.persisted_at)
    return (
        "" if at is None else at.isoformat(timespec="milliseconds"),
        event.persisted_at,
        event.component_name,
        event.machine_name,
        event.instance_id,
        event.event_type,
        event.state_before,
        event.state_after,
        event.id,
        "" if event.timestamp is None else event.timestamp,
        " ".join(event.caused_by),
        " ".join(event.caused),
        event.source_component_name or "",
        event.target_component_name or "",
        _json(event.payload),
        "; ".join(event.faults),
    )


def _document_text(event: PersistedEvent) -> str:
    return _json(codec.event_to_document(event))


def _json(value: object) -> str:
    try:
        return json_text(value)
    except NestingError as error:
        # One event that cannot be written must not cost the others; JSON text that says so stands in for it.
        return json_text(f"not shown: {error}")


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
