"""What a SQL database holds: which layout its columns are, and how to speak of them.

Everything above uses the names of the model; the layouts differ in names, in types (ids are uuid in the shipped
layout) and in what may be NULL. Columns that are not there read as NULL, others than ours are left alone.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from xcstore.errors import NotAStoreError
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.store import codec, sql_tables
from xcstore.store.base import Layout
from xcstore.store.codec import Redaction

__all__ = ["AnyRow", "AnySelect", "SqlLayout", "detect_layout", "int64", "is_storable"]

AnySelect = sa.Select[*tuple[Any, ...]]
AnyRow = sa.Row[*tuple[Any, ...]]

_DOCUMENTED: Final = {"state_before": "state_before", "state_after": "state_after"}
_SHIPPED: Final = {"state_before": "from_state", "state_after": "to_state"}
_NEEDED: Final = ("id", "instance_id", "machine_name", "event_type", "persisted_at")
_UNREAD: Final = "created_at"
"""A column of each event that nothing asks for: its time would be made into an object for every row."""
_LONG_NUMBER: Final = re.compile(r"\d{17}")
_ALIASES: Final = ("seq", "original", "definition_hash")


@dataclass(frozen=True, slots=True)
class SqlLayout:
    """The tables of one store, with the names of the model for the columns that queries use."""

    name: Layout
    dialect: str
    events: sa.TableClause
    snapshots: sa.TableClause | None
    columns: Mapping[str, sa.ColumnClause[Any]]
    """By the model's name, those that queries use: ids, names, type, states, `persisted_at`."""
    nullable: frozenset[str]
    """Model names of those that may be NULL."""
    uuid_ids: bool
    has_outbox: bool = False
    """Stores of ours that an earlier version made have none until they are opened for writing."""

    @property
    def is_ours(self) -> bool:
        return self.name == "ours"

    def text(self, name: str) -> sa.ColumnElement[str]:
        """The column as text that is never NULL."""
        column = self.columns.get(name)
        if column is None:
            return sa.literal("")
        text: sa.ColumnElement[str] = sa.cast(column, sa.Text) if self._is_id(name) else column
        return sa.func.coalesce(text, "") if name in self.nullable else text

    def among(self, name: str, values: Sequence[str]) -> sa.ColumnElement[bool]:
        """Whether the column is one of the values; '' finds NULL too. A value that no row can hold finds nothing."""
        column = self.columns.get(name)
        if column is None:
            return sa.true() if "" in values else sa.false()
        wanted = self.ids(values) if self._is_id(name) else [value for value in values if is_storable(value)]
        found = column == wanted[0] if len(wanted) == 1 else column.in_(wanted) if wanted else sa.false()
        return sa.or_(found, column.is_(None)) if "" in values and name in self.nullable else found

    def ids(self, values: Iterable[str]) -> list[str]:
        """Those of the ids that this layout can hold, as it writes them."""
        if not self.uuid_ids:
            return [value for value in values if is_storable(value)]
        return [value for value in values if _is_uuid(value)]

    def order_id(self) -> sa.ColumnElement[str]:
        """The id, comparing by its bytes."""
        column = self.columns["id"]
        if self.dialect == "postgresql" and not self.uuid_ids:  # a uuid compares by its bytes, as its text does
            return sa.collate(column, "C")
        return column

    def order(self) -> tuple[sa.ColumnElement[int], sa.ColumnElement[Any]]:
        """Page order."""
        last = sql_tables.event_extra.c.seq if self.is_ours else self.order_id()
        return self.columns["persisted_at"], last

    def source(self) -> sa.FromClause:
        """The events, with what is kept beside them."""
        if not self.is_ours:
            return self.events
        extra = sql_tables.event_extra
        return self.events.join(extra, extra.c.event_id == self.columns["id"])

    def event_columns(self) -> list[sa.ColumnElement[Any]]:
        """What `event` needs."""
        columns = [column for column in _readable(self.events) if column.name != _UNREAD]
        if self.is_ours:
            columns += [sql_tables.event_extra.c[name] for name in _ALIASES]
        return columns

    def snapshot_columns(self) -> list[sa.ColumnElement[Any]]:
        """What `snapshot` needs."""
        return [] if self.snapshots is None else _readable(self.snapshots)

    def event(self, row: Mapping[Any, Any], redact: Redaction) -> PersistedEvent:
        if self.name == "shipped":
            return codec.event_from_shipped_row(row, redact=redact)
        if self.name == "ours":
            extra = cast(str | None, row["original"])
            payload = row.get("event_payload")
            if extra and self.dialect == "postgresql" and isinstance(payload, str) and _LONG_NUMBER.search(payload):
                row = _without_rewritten_payload(row, payload, extra)
            return codec.event_from_documented_row(row, extra=extra, redact=redact)
        return codec.event_from_documented_row(row, redact=redact)

    def snapshot(self, row: Mapping[Any, Any], redact: Redaction) -> InstanceSnapshot:
        if self.name == "shipped":
            return codec.snapshot_from_shipped_row(row, redact=redact)
        return codec.snapshot_from_documented_row(row, extra=row.get("document"), redact=redact)

    def _is_id(self, name: str) -> bool:
        return self.uuid_ids and name in ("id", "instance_id")


def detect_layout(connection: sa.Connection, identity: str) -> SqlLayout:
    """Look at the columns.

    Raises
    ------
    NotAStoreError
        No table `fsm_events`, or one without the columns that every layout has.
    """
    inspector = sa.inspect(connection)
    tables = sorted({*inspector.get_table_names(), *inspector.get_view_names()})
    if "fsm_events" not in tables:
        found = ", ".join(tables[:10]) + (f" and {len(tables) - 10} more" if len(tables) > 10 else "")
        raise NotAStoreError(
            f"{identity} has no table fsm_events; tables found: {found or 'none'}; "
            "import a history with `python -m xcstore import FILE --into URL`"
        )
    described = inspector.get_columns("fsm_events")
    present = {column["name"] for column in described}
    names = _SHIPPED if "from_state" in present or "to_state" in present else _DOCUMENTED
    missing = [name for name in (*_NEEDED, *names.values()) if name not in present]
    if missing:
        raise NotAStoreError(
            f"table fsm_events of {identity} has no column {missing[0]}; the layouts known are those with "
            "state_before and state_after, and with from_state and to_state"
        )
    events = _table("fsm_events", described)
    model_names = (*_NEEDED, "component_name", "state_before", "state_after")
    columns = {name: events.c[names.get(name, name)] for name in model_names if names.get(name, name) in present}
    by_name = {column["name"]: column for column in described}
    is_ours = names is _DOCUMENTED and "fsm_meta" in tables and _has_version(inspector)
    if is_ours:
        _check_version(connection, identity)
    return SqlLayout(
        name="ours" if is_ours else "shipped" if names is _SHIPPED else "documented",
        dialect=connection.dialect.name,
        events=events,
        snapshots=_table("fsm_snapshots", inspector.get_columns("fsm_snapshots"))
        if "fsm_snapshots" in tables
        else None,
        columns=columns,
        nullable=frozenset(name for name, column in columns.items() if by_name[column.name]["nullable"]),
        uuid_ids=isinstance(by_name["id"]["type"], sa.Uuid),
        has_outbox=is_ours and sql_tables.outbox.name in tables,
    )


def int64(value: int) -> int:
    """The nearest number that a BIGINT can be compared with."""
    return max(-(2**63), min(2**63 - 1, value))


def is_storable(value: str) -> bool:
    """Whether a text column can hold the value at all: drivers refuse the others."""
    if "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _table(name: str, described: Iterable[Mapping[str, object]]) -> sa.TableClause:
    kept = (sa.BigInteger, sa.Integer, sa.String, postgresql.ARRAY, sa.JSON)
    columns = []
    for column in described:
        kind = column["type"]
        if isinstance(kind, sa.Uuid):
            columns.append(sa.column(str(column["name"]), postgresql.UUID(as_uuid=False)))
        elif isinstance(kind, kept):
            columns.append(sa.column(str(column["name"]), kind))  # type: ignore[arg-type]
        else:
            columns.append(sa.column(str(column["name"])))
    return sa.table(name, *columns)


def _readable(table: sa.TableClause) -> list[sa.ColumnElement[Any]]:
    """The columns, JSON as text: parsed by the driver, a text within could not be told from JSON text.

    Arrays as the driver gives them, which SQLAlchemy would copy one value at a time.
    """
    return [
        sa.cast(c, sa.Text).label(c.name)
        if isinstance(c.type, sa.JSON)
        else sa.type_coerce(c, sa.types.NullType()).label(c.name)
        if isinstance(c.type, sa.ARRAY)
        else c
        for c in table.c
    ]


def _without_rewritten_payload(row: Mapping[str, object], payload: str, original: str) -> Mapping[str, object]:
    """The row without its payload where only JSONB's way of writing numbers (1e23 as 24 digits) tells it from ours."""
    event = cast(Mapping[str, Mapping[str, object]], codec.parse_json(original)).get("event", {})
    if not _is_equal(codec.parse_json(payload), event.get("payload")):
        return row
    return {name: value for name, value in row.items() if name != "event_payload"}


def _is_equal(left: object, right: object) -> bool:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_is_equal(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_is_equal, left, right))
    if isinstance(left, int) and isinstance(right, float):
        return float(left) == right
    return left == right


def _has_version(inspector: sa.Inspector) -> bool:
    return any(column["name"] == "schema_version" for column in inspector.get_columns("fsm_meta"))


def _check_version(connection: sa.Connection, identity: str) -> None:
    version = connection.execute(sa.select(sql_tables.meta.c.schema_version)).scalar()
    if version != sql_tables.SCHEMA_VERSION:
        raise NotAStoreError(
            f"{identity} has schema version {version!r}; this version of xcstore knows "
            f"{sql_tables.SCHEMA_VERSION!r}; use the version that wrote it"
        )


def _is_uuid(value: str) -> bool:
    """Only as the layout gives it out: PostgreSQL would take other spellings for the same id, other stores do not."""
    try:
        return str(uuid.UUID(value)) == value
    except ValueError:
        return False
