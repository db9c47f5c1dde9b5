"""What an archive looks like on disk: its folders, its tables, and the manifest that lists what counts.

    archive/
      manifest/00000007.json                                  what is in the archive; the highest number holds
      events/month=2026-01/component=Shop/part-….parquet      events, by (persisted_at, seq)
      index/ids/  index/causes/  index/streams/               where an event is, by id, by cause, by instance
      index/instances/                                        one row per instance, as its events tell it
      snapshots/  definitions/                                whole documents beside the documented columns
      index/forgotten/                                        snapshots that no longer count
      write.lock                                              whoever writes holds a lock on it

A part is never changed after it is listed. A manifest lists all parts, with what is needed to leave most of them
unread: how many rows, between which times, of which component, and the times of each row group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from typing import Final
from urllib.parse import quote

import orjson

from xcstore.errors import NotAStoreError, StoreError

__all__ = [
    "FORMAT",
    "OUT_OF_RANGE",
    "TABLES",
    "Group",
    "Manifest",
    "Part",
    "Table",
    "event_folder",
    "month_of",
    "parse_manifest",
]

FORMAT: Final = 1
"""Of the manifest and all it lists; a higher one is not read."""
OUT_OF_RANGE: Final = "out-of-range"
"""The month of times before year 1 or after 9999."""

_DAY_MS: Final = 86_400_000
_EPOCH: Final = date(1970, 1, 1)
_LONGEST: Final = 80
"""Characters of a component's folder, before the rest is a hash."""

Group = tuple[int, int, int]
"""Rows, first and last time of one row group."""


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of Parquet file: where it lies, its columns, and the order of its rows."""

    folder: str
    columns: Mapping[str, str]
    order: str


TABLES: Final[Mapping[str, Table]] = {
    "events": Table(
        "events",
        {
            "id": "VARCHAR",
            "instance_id": "VARCHAR",
            "machine_name": "VARCHAR",
            "component_name": "VARCHAR",
            "event_type": "VARCHAR",
            "event_payload": "VARCHAR",
            "state_before": "VARCHAR",
            "state_after": "VARCHAR",
            "persisted_at": "BIGINT",
            "caused_by": "VARCHAR[]",
            "caused": "VARCHAR[]",
            "source_component_name": "VARCHAR",
            "target_component_name": "VARCHAR",
            "timestamp": "BIGINT",
            "public_member_snapshot": "VARCHAR",
            "context": "VARCHAR",
            "definition_hash": "VARCHAR",
            "document": "VARCHAR",
            "seq": "BIGINT",
        },
        "persisted_at, seq",
    ),
    "ids": Table(
        "index/ids",
        {
            "id": "VARCHAR",
            "component_name": "VARCHAR",
            "persisted_at": "BIGINT",
            "seq": "BIGINT",
            "caused_by": "VARCHAR[]",
        },
        "id",
    ),
    "causes": Table(
        "index/causes",
        {
            "cause_id": "VARCHAR",
            "event_id": "VARCHAR",
            "component_name": "VARCHAR",
            "persisted_at": "BIGINT",
            "seq": "BIGINT",
        },
        "cause_id, persisted_at, seq",
    ),
    "streams": Table(
        "index/streams",
        {
            "instance_id": "VARCHAR",
            "component_name": "VARCHAR",
            "persisted_at": "BIGINT",
            "seq": "BIGINT",
            "state_before": "VARCHAR",
            "state_after": "VARCHAR",
        },
        "instance_id, persisted_at, seq",
    ),
    "instances": Table(
        "index/instances",
        {
            "instance_id": "VARCHAR",
            "component_name": "VARCHAR",
            "machine_name": "VARCHAR",
            "state": "VARCHAR",
            "created_at": "BIGINT",
            "updated_at": "BIGINT",
            "event_count": "BIGINT",
            "last_event_id": "VARCHAR",
            "last_event_type": "VARCHAR",
            "first_seq": "BIGINT",
            "last_seq": "BIGINT",
            "first_before": "VARCHAR",
            "size": "BIGINT",
            "linked": "BOOLEAN",
        },
        "instance_id",
    ),
    "snapshots": Table(
        "snapshots",
        {
            "instance_id": "VARCHAR",
            "machine_name": "VARCHAR",
            "current_state": "VARCHAR",
            "status": "VARCHAR",
            "context": "VARCHAR",
            "public_member": "VARCHAR",
            "snapshot_at": "BIGINT",
            "last_event_id": "VARCHAR",
            "pending_timeouts": "VARCHAR",
            "document": "VARCHAR",
            "seq": "BIGINT",
        },
        "instance_id, seq",
    ),
    "forgotten": Table("index/forgotten", {"seq": "BIGINT"}, "seq"),
    "definitions": Table(
        "definitions",
        {"hash": "VARCHAR", "component_name": "VARCHAR", "document": "VARCHAR", "seq": "BIGINT"},
        "seq",
    ),
}


def month_of(at: int) -> str:
    """The month of a time in UTC, as folders are named: '2026-01'.

    Examples
    --------
    >>> month_of(1_767_225_600_000), month_of(-1), month_of(2**63 - 1)
    ('2026-01', '1969-12', 'out-of-range')
    """
    return _month_of_day(at // _DAY_MS)


@lru_cache(maxsize=4_096)
def _month_of_day(days: int) -> str:
    try:
        day = _EPOCH + timedelta(days=days)
    except OverflowError:
        return OUT_OF_RANGE
    return f"{day.year:04}-{day.month:02}"


def event_folder(month: str, component_name: str) -> str:
    """Where the events of a month and a component lie. The name is cut where it is long: the column has it whole.

    Examples
    --------
    >>> event_folder("2026-01", "Zoë/../x")
    'events/month=2026-01/component=Zo%C3%AB%2F..%2Fx'
    """
    name = quote(component_name, safe="")
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}-{hashlib.sha256(component_name.encode()).hexdigest()[:16]}"
    return f"events/month={month}/component={name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One Parquet file that counts."""

    path: str
    """Relative to the archive, with `/`."""
    rows: int
    bytes: int
    sha256: str
    component: str | None = None
    """Of events: that of all rows."""
    month: str | None = None
    times: tuple[int, int] | None = None
    """First and last `persisted_at`, where rows have one."""
    seqs: tuple[int, int] | None = None
    groups: tuple[Group, ...] = ()
    """Row groups, of events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is in an archive after the commit of this number; 0 is before the first."""

    number: int = 0
    next_seq: int = 1
    next_snapshot: int = 1
    tables: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)

    def parts(self, table: str) -> tuple[Part, ...]:
        return self.tables.get(table, ())

    def rows(self, table: str) -> int:
        return sum(part.rows for part in self.parts(table))

    def every_part(self) -> list[Part]:
        return [part for parts in self.tables.values() for part in parts]

    def to_json(self) -> bytes:
        """Text of the file. `checksum` is that of the text without it, so that a damaged manifest is never believed."""
        document: dict[str, object] = {
            "format": FORMAT,
            "number": self.number,
            "events": self.rows("events"),
            "next_seq": self.next_seq,
            "next_snapshot": self.next_snapshot,
            "tables": {name: [_part_document(part) for part in parts] for name, parts in self.tables.items()},
        }
        checksum = hashlib.sha256(orjson.dumps(document)).hexdigest()
        return orjson.dumps({**document, "checksum": checksum}, option=orjson.OPT_INDENT_2)


def parse_manifest(raw: bytes, where: str) -> Manifest:
    """The manifest in the file that errors call `where`.

    Raises
    ------
    NotAStoreError
        It was written by a later version than this one.
    StoreError
        It is damaged.
    """
    try:
        document = orjson.loads(raw)
        version = document["format"]
        checksum = document.pop("checksum")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{where} is damaged: it is no manifest ({error})") from error
    if version != FORMAT:
        raise NotAStoreError(f"{where} has the format {version!r}; this version reads {FORMAT}")
    if hashlib.sha256(orjson.dumps(document)).hexdigest() != checksum:
        raise StoreError(f"{where} is damaged: its checksum is not that of its text")
    try:
        return Manifest(
            number=document["number"],
            next_seq=document["next_seq"],
            next_snapshot=document["next_snapshot"],
            tables={name: tuple(map(_part, parts)) for name, parts in document["tables"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"{where} is damaged: {error!r}") from error


def _part_document(part: Part) -> dict[str, object]:
    return {name: value for name in Part.__slots__ if (value := getattr(part, name)) not in (None, ())}


def _part(document: Mapping[str, object]) -> Part:
    fields = dict(document)
    path = str(fields["path"])
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"{path!r} lies outside the archive")
    for name in ("times", "seqs"):
        if name in fields:
            first, last = _sequence(fields[name])
            fields[name] = (first, last)
    fields["groups"] = tuple(tuple(_sequence(group)) for group in _sequence(fields.get("groups", [])))
    return Part(**fields)  # type: ignore[arg-type]


def _sequence(value: object) -> Sequence[object]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value
