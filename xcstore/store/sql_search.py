"""Searching through text and payloads in SQL: a bounded walk along page order, in pieces.

No layout has an index that helps. The database throws out most rows by a condition that is too wide on purpose;
`filtering` has the last word on the rest, after redaction, so that every backend means the same and masked values are
never found.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from xcstore.errors import QueryError
from xcstore.store.base import EventQuery
from xcstore.store.codec import Redaction
from xcstore.store.filtering import condition, list_position, number_of
from xcstore.store.searching import Searched
from xcstore.store.sql_database import SqlDatabase
from xcstore.store.sql_layout import AnyRow, SqlLayout
from xcstore.store.sql_pages import Key, after_key, conditions, ordered, select_events
from xcstore.units import EpochMs

__all__ = ["refuse_masked", "search"]

_FIRST_PIECE: Final = 4_000
_LARGEST_PIECE: Final = 128_000
_PIECE_SECONDS: Final = 0.4
_ROWS: Final = 500
"""Decoded at a time."""

_SAFE: Final = re.compile(r"[ !#-.0-\[\]-~]+")
"""Characters that JSON writes in one way only (at least in every writer known)."""
_REWRITTEN: Final = re.compile(r"e[+-]|\.0")
"""Parts of numbers that Python and a stored text may write differently."""
_EXPONENT: Final = re.compile(r"[+-]?[0-9]{0,3}")
"""What may be found in the exponent of a number as Python writes it, such as the 05 of 1e-05."""


def refuse_masked(query: EventQuery, redact: Redaction) -> None:
    """Asking for the value at a masked path would tell it."""
    if query.payload_path and redact.covers(query.payload_path):
        raise QueryError(f"the payload path {'.'.join(query.payload_path)!r} is masked; it cannot be searched")


def search(
    database: SqlDatabase,
    layout: SqlLayout,
    query: EventQuery,
    redact: Redaction,
    *,
    after: Key | None,
    newest_first: bool,
) -> Iterator[Searched[Key]]:
    """Found events in page order, and after each piece of the way how far it is searched."""
    holds = condition(query)
    wide = _wide_condition(database, layout, query)
    size = _FIRST_PIECE
    while True:
        started = time.monotonic()
        end = None if query.instance_ids else _piece_end(database, layout, query, after, size, newest_first)
        piece = _Piece(layout, query, wide, end, newest_first)
        while True:
            rows = database.read(partial(piece.rows, after))
            for row in rows:
                event = layout.event(row._mapping, redact)
                if holds(event):
                    yield Searched(_key(row), event)
            if len(rows) < _ROWS:
                break
            after = _key(rows[-1])
            yield Searched(after, None)
        if end is None:
            return
        after = _past(layout, end, newest_first=newest_first)
        yield Searched(after, None)
        if time.monotonic() - started > _PIECE_SECONDS:
            size = max(_FIRST_PIECE, size // 2)
        else:
            size = min(_LARGEST_PIECE, size * 2)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of the way, up to and including the moment `end`."""

    layout: SqlLayout
    query: EventQuery
    wide: sa.ColumnElement[bool]
    end: EpochMs | None
    newest_first: bool

    def rows(self, after: Key | None, connection: sa.Connection) -> list[AnyRow]:
        at, last = self.layout.order()
        select = select_events(self.layout).add_columns(at.label("key_at"), last.label("key_last"))
        select = select.where(*conditions(self.layout, self.query), self.wide)
        if after is not None:
            select = select.where(after_key(self.layout, after, newest_first=self.newest_first))
        if self.end is not None:
            select = select.where(at >= self.end if self.newest_first else at <= self.end)
        select = ordered(select, self.layout, newest_first=self.newest_first).limit(_ROWS)
        return list(connection.execute(select))


def _piece_end(
    database: SqlDatabase, layout: SqlLayout, query: EventQuery, after: Key | None, size: int, newest_first: bool
) -> EpochMs | None:
    """The moment of the event `size` events further on; None where there are not so many left."""
    at = layout.columns["persisted_at"]
    select = sa.select(at).select_from(layout.events).where(*conditions(layout, _times_only(query)))
    if after is not None:
        select = select.where(at <= after[0] if newest_first else at >= after[0])
    # The only OFFSET: within an index on the time, and never more than one piece long.
    select = select.order_by(at.desc() if newest_first else at).offset(size).limit(1)
    return database.read(lambda connection: connection.execute(select).scalar())


def _times_only(query: EventQuery) -> EventQuery:
    return EventQuery(start=query.start, end=query.end)


def _key(row: AnyRow) -> Key:
    last = row._mapping["key_last"]
    return row._mapping["key_at"], last if isinstance(last, int) else str(last)


def _past(layout: SqlLayout, moment: EpochMs, *, newest_first: bool) -> Key:
    """A key behind every event of `moment`."""
    if layout.is_ours:
        return moment, -(2**63) if newest_first else 2**63 - 1
    if layout.uuid_ids:
        return moment, f"{0:032x}" if newest_first else "ffffffff-ffff-ffff-ffff-ffffffffffff"
    return (moment, "") if newest_first else (EpochMs(moment + 1), "")


def _wide_condition(database: SqlDatabase, layout: SqlLayout, query: EventQuery) -> sa.ColumnElement[bool]:
    """Holds for every row that the query asks for, and for some that it does not."""
    payload = layout.events.c.get("event_payload")
    if payload is None:
        return sa.true()
    found: list[sa.ColumnElement[bool]] = []
    if query.text:
        part = _searchable(query.text.lower())
        if part:
            beside = [layout.text(name) for name in ("id", "instance_id", "event_type")]
            likes = [database.is_like(column, part) for column in (*beside, payload)]
            rest = [*_escapes(database, payload), *_lowered(database, [*beside, payload], part)]
            if _EXPONENT.fullmatch(query.text):
                rest.append(_very_large_or_small(database, payload))
            found.append(sa.or_(*likes, *rest))
    if query.payload_path:
        parts = [key for key in query.payload_path if list_position(key) is None]
        if number_of(query.payload_value) is None:
            parts.append(query.payload_value)
        for part in filter(None, map(_searchable, parts)):
            found.append(sa.or_(database.is_like(payload, part), *_escapes(database, payload)))
    return sa.and_(sa.true(), *found)


def _searchable(text: str) -> str:
    """The longest part of `text` that a stored JSON text is sure to hold where the value holds `text`; may be ''."""
    if _REWRITTEN.search(text):
        return ""
    runs: list[str] = _SAFE.findall(text)
    # Letters without case, such as Chinese, are stored as they are.
    runs += re.findall(r"[^\x00-\x7f]+", "".join(c if c.isalpha() and c.lower() == c.upper() else " " for c in text))
    return max(runs, key=len, default="")


def _escapes(database: SqlDatabase, payload: sa.ColumnElement[Any]) -> list[sa.ColumnElement[bool]]:
    """A text that was stored as it came may hold any character as an escape; JSONB holds none."""
    return [sa.func.instr(payload, "\\u") > 0] if database.dialect == "sqlite" else []


def _very_large_or_small(database: SqlDatabase, payload: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Python writes these numbers with an exponent; a stored text may write it otherwise, and JSONB writes none."""
    if database.dialect == "sqlite":
        like = payload.op("GLOB", is_comparison=True)
        return sa.or_(like("*[0-9][eE][-+0-9]*"), like("*0.0000*"))
    return sa.cast(payload, sa.Text).regexp_match(r"0\.0000|[0-9]{17}")


def _lowered(database: SqlDatabase, columns: list[sa.ColumnElement[Any]], part: str) -> list[sa.ColumnElement[bool]]:
    """The two characters beyond ASCII whose lower case holds an ASCII letter: the Kelvin sign and the dotted I."""
    odd = [character for character, letter in (("\u212a", "k"), ("\u0130", "i")) if letter in part]
    return [database.is_like(column, character) for column in columns for character in odd]
