"""What a dump of PostgreSQL holds: the tables of each layout as the store over them would read them.

A dump has its rows in any order, and what belongs together in several tables. Rows of a partition, and of a chunk of
TimescaleDB, are those of the table that it is a part of. Rows are sorted in temporary files, so
that memory does not grow with the dump, and decoded by the same code as those of a database.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import IO, Any, Final, cast

from xcstore.errors import CorruptEventError, NotAStoreError, QueryError
from xcstore.jsontext import json_text, parse_json
from xcstore.model.history import InstanceSnapshot
from xcstore.ops.contents import DamagedFileError, Document, Row, event_document, snapshot_document
from xcstore.ops.pg_dump import DumpRow, DumpTable, parse_array, read_dump
from xcstore.ops.sorting import Sorter
from xcstore.store.base import Layout, StoredDefinition, StoredWork
from xcstore.store.codec import NO_REDACTION
from xcstore.store.sql_layout import SqlLayout
from xcstore.store.sql_tables import events as events_table

__all__ = ["PgDumpContents", "open_custom_dump"]

_TABLES: Final = (
    "fsm_events",
    "fsm_snapshots",
    "fsm_event_extra",
    "fsm_snapshot_history",
    "fsm_definitions",
    "fsm_outbox",
    "fsm_meta",
)
_KEPT: Final = frozenset({"fsm_event_causes", "fsm_instances", "fsm_event_counts"})
"""Tables of ours that are made again from the events."""
_OUR_TRIGGER: Final = "fsm_events_added"
_COMPARED: Final = ("snapshot_at", "last_event_id")
_ARRAYS: Final = ("caused_by", "caused")
_NEEDED: Final = ("id", "instance_id", "machine_name", "event_type", "persisted_at")
"""Columns that every table of events has."""
_PACKED: Final = "_ts_meta_count"
"""A column of compressed chunks of TimescaleDB; the other columns of the events are packed in binary."""


class PgDumpContents:
    """The contents of a dump, read and sorted when it is made.

    Parameters
    ----------
    name : str
        The path, for messages.
    open_text : callable
        Opens the plain SQL; a context manager.
    salvage : bool
        Keep what came before a damage; `damages` says where it is.
    on_bytes : callable
        Called with the number of bytes of each block that was read.

    Raises
    ------
    DamagedFileError
        The dump ends too early, or a row cannot be read.
    NotAStoreError
        It holds no events, or those of several schemas, or some in tables of which it does not say whether they count.
    """

    def __init__(
        self,
        name: str,
        open_text: Callable[[], Any],
        *,
        salvage: bool = False,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.damages: Sequence[str] = ()
        self._rows: dict[str, Sorter] = {table: Sorter() for table in _TABLES}
        self._columns: dict[str, DumpTable] = {}
        self._others: dict[str, DumpTable] = {}
        self._alike: Counter[str] = Counter()
        """Rows of other tables with the columns of events."""
        self._has_trigger = False
        self._events = Sorter()
        self._count = 0
        try:
            try:
                with open_text() as file:
                    for found in read_dump(file, _is_wanted, on_bytes=on_bytes):
                        self._take(found)
            except DamagedFileError as error:
                message = f"{name} is damaged: {error}"
                if not salvage:
                    raise DamagedFileError(message) from None
                self.damages = (f"{message}; what comes after is not read",)
            self._layout: Final = self._detect()
            self._sort_events()
            self._refuse_parts()
        except OSError as error:
            self.close()
            raise QueryError(f"{name} cannot be read, or there is no room to sort it: {error.strerror}") from error
        except BaseException:
            self.close()
            raise
        self.notes: Sequence[str] = tuple(self._say_what_is_not_there())

    @property
    def event_count(self) -> int:
        return self._count

    @property
    def layout(self) -> Layout:
        return self._layout.name

    def definitions(self) -> Iterator[StoredDefinition]:
        for _, row in self._rows["fsm_definitions"]:
            yield StoredDefinition(
                hash=row["hash"],
                component_name=row["component_name"],
                document=cast(Document, parse_json(row["document"])),
            )

    def events(self) -> Iterator[Row]:
        for _, (place, text) in self._events:
            yield Row(place, cast(Document, parse_json(text)))

    def snapshots(self) -> Iterator[Row]:
        rows = self._rows["fsm_snapshot_history"]
        for _, group in groupby(rows, key=lambda pair: pair[0][0]):
            yield from self._kept([row for _, row in group])

    def work(self) -> Iterator[StoredWork]:
        for _, row in self._rows["fsm_outbox"]:
            yield StoredWork(
                id=row["id"],
                position=int(row["position"]),
                component_name=row["component_name"],
                document=cast(Document, parse_json(row["document"])),
            )

    def close(self) -> None:
        for sorter in (*self._rows.values(), self._events):
            sorter.close()

    # Taking in

    def _take(self, found: DumpRow | DumpTable | str) -> None:
        if isinstance(found, str):
            self._has_trigger = self._has_trigger or found == _OUR_TRIGGER
            return
        if isinstance(found, DumpTable):
            if found.root.name not in _TABLES:
                self._others[str(found)] = found
            elif found.parent is not None:
                return
            elif str(known := self._columns.setdefault(found.name, found)) != str(found):
                raise NotAStoreError(
                    f"{self.name} holds {known} and {found}; dump one of them with pg_dump --schema={known.schema}"
                )
            return
        table, values = found.table.root.name, found.values
        if table not in _TABLES:
            self._alike[str(found.table)] += 1
            return
        row = {"": f"{found.table.name}, line {found.line:,}", **values}
        if table in ("fsm_events", "fsm_event_extra"):
            kind = ("fsm_event_extra", "fsm_events").index(table)
            self._rows["fsm_events"].add((_text(values.get("id" if kind else "event_id")), kind), row)
        elif table in ("fsm_snapshots", "fsm_snapshot_history"):
            kind = ("fsm_snapshot_history", "fsm_snapshots").index(table)
            key = (_text(values.get("instance_id")), kind, _number(values.get("seq")))
            self._rows["fsm_snapshot_history"].add(key, row)
        elif table == "fsm_outbox":
            self._rows[table].add((_number(values.get("position")), _text(values.get("id"))), row)
        else:
            self._rows[table].add((_number(values.get("seq")),), row)

    def _detect(self) -> SqlLayout:
        """The layout, as `sql_layout.detect_layout` tells it."""
        table = self._columns.get("fsm_events")
        if table is None:
            found = ", ".join(sorted(self._others)[:10])
            raise NotAStoreError(f"{self.name} has no table fsm_events; tables found: {found or 'none'}")
        is_shipped = "from_state" in table.columns or "to_state" in table.columns
        states = ("from_state", "to_state") if is_shipped else ("state_before", "state_after")
        missing = [name for name in (*_NEEDED, *states) if name not in table.columns]
        if missing:
            raise NotAStoreError(f"table fsm_events in {self.name} has no column {missing[0]}")
        is_ours = not is_shipped and "fsm_event_extra" in self._columns
        return SqlLayout(
            name="ours" if is_ours else "shipped" if is_shipped else "documented",
            dialect="postgresql",
            events=events_table,
            snapshots=None,
            columns={},
            nullable=frozenset(),
            uuid_ids=is_shipped,
        )

    def _refuse_parts(self) -> None:
        """Events may be in tables that are parts of fsm_events, where the dump does not say so."""
        named = ", ".join(f"{name} ({count:,} rows)" for name, count in sorted(self._alike.items()))
        packed = [name for name in self._alike if _PACKED in self._others[name].columns]
        if packed:
            raise NotAStoreError(
                f"{self.name} holds compressed chunks of TimescaleDB, which only that reads: {named}; decompress them "
                "before the dump, or use backup"
            )
        if self._alike and not self._count:
            raise NotAStoreError(
                f"{self.name} holds no events in fsm_events, but rows with its columns in {named}, and does not say "
                "that they are its parts; dump the whole database, with its schema, or use backup"
            )
        if self._alike and not self._columns["fsm_events"].is_created:
            raise NotAStoreError(
                f"{self.name} does not say whether these are parts of fsm_events, as it was made without the schema: "
                f"{named}; dump with the schema, or use backup"
            )

    def _sort_events(self) -> None:
        """Join each row with what is kept beside it, and put them all in page order."""
        for _, group in groupby(self._rows["fsm_events"], key=lambda pair: pair[0][0]):
            extra: dict[str, Any] = {}
            for (_, kind), row in group:
                if kind == 0:
                    extra = row
                else:
                    self._add_event(row, extra)
        self._rows["fsm_events"].close()

    def _add_event(self, row: dict[str, Any], extra: dict[str, Any]) -> None:
        values: dict[str, Any] = {**row, **{name: _array(row[name]) for name in _ARRAYS if name in row}}
        seq = None
        if self._layout.is_ours:
            seq = _number(extra.get("seq")) if extra else 2**63
            values |= {
                "seq": seq,
                "original": extra.get("original"),
                "definition_hash": extra.get("definition_hash"),
            }
        try:
            event = self._layout.event(values, NO_REDACTION)
        except CorruptEventError as error:
            raise DamagedFileError(f"{self.name}, {row['']}: {error}") from None
        key = (event.persisted_at, seq if seq is not None else 0, event.id.encode("utf-8", "surrogatepass"))
        self._events.add(key, (row[""], json_text(event_document(event))))
        self._count += 1

    # Giving out

    def _kept(self, rows: Sequence[dict[str, Any]]) -> Iterator[Row]:
        """All snapshots of one instance, oldest first, as the store would list them."""
        kept: list[tuple[str, InstanceSnapshot]] = []
        for row in rows:
            if "document" in row:
                kept.append((row[""], self._layout.snapshot({"document": row["document"]}, NO_REDACTION)))
                continue
            latest = self._layout.snapshot(row, NO_REDACTION)
            # Another writer that saves snapshots writes the documented table only.
            if not kept or any(getattr(kept[-1][1], name) != getattr(latest, name) for name in _COMPARED):
                kept.append((row[""], latest))
        for place, snapshot in kept:
            yield Row(place, snapshot_document(snapshot))

    def _say_what_is_not_there(self) -> Iterator[str]:
        if self._has_trigger and not self._layout.is_ours:
            yield (
                "the dump is of a store of xcstore, but without its table fsm_event_extra: contexts, times of events, "
                "keys without a column and the order at equal times are not in it; dump the whole database to have them"
            )
        if "fsm_snapshots" not in self._columns:
            yield "the dump holds no table fsm_snapshots"
        others = [
            f"{name} ({self._alike[name]:,} rows with the columns of events)" if self._alike[name] else name
            for name, table in sorted(self._others.items())
            if table.name not in _KEPT and table.root.name not in _TABLES
        ]
        if others:
            more = f" and {len(others) - 10} more" if len(others) > 10 else ""
            yield f"other tables are left out: {', '.join(others[:10])}{more}"


@contextmanager
def open_custom_dump(path: Path) -> Iterator[IO[bytes]]:
    """The SQL of a dump in one of pg_dump's own formats, by `pg_restore`.

    Raises
    ------
    QueryError
        The program is not there.
    DamagedFileError
        It cannot read the dump.
    """
    program = shutil.which("pg_restore")
    if program is None:
        raise QueryError(
            f"{path} is in a format of pg_dump that only its own pg_restore reads, and that is not on the path; "
            f"install PostgreSQL's client programs, or make it plain with: pg_restore -f plain.sql {path}"
        )
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen([program, "-f", "-", str(path)], stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        assert process.stdout is not None
        failed: DamagedFileError | None = None
        try:
            yield process.stdout
        except DamagedFileError as error:
            failed = error  # most often since the program stopped: it says why
        except BaseException:
            process.kill()
            raise
        if failed is not None and process.poll() is None:
            process.kill()
        status = process.wait()
        errors.seek(0)
        said = errors.read(2_000).decode("utf-8", "replace").strip().splitlines()
        if status > 0:
            raise DamagedFileError(f"pg_restore cannot read it: {said[-1] if said else f'status {status}'}")
        if failed is not None:
            raise failed


def _is_wanted(table: DumpTable) -> bool:
    """Of other tables with the columns of events the rows are counted."""
    return table.root.name in _TABLES or set(_NEEDED) <= set(table.columns)


def _text(value: str | None) -> str:
    return value or ""


def _number(value: str | None) -> int:
    try:
        return int(value or 0)
    except ValueError:
        return 0


def _array(value: str | None) -> object:
    """An array of PostgreSQL as a list; JSON, and what is neither, stays as it is."""
    if value is None or not value.startswith("{"):
        return value
    found = parse_array(value)
    return value if found is None else found
