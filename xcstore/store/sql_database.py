"""What a SQL backend must bring: connections, transactions, and errors in our words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import sqlalchemy as sa

from xcstore.store.base import PoolUse
from xcstore.store.cancelling import RunningQueries
from xcstore.store.sql_layout import AnySelect

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["EventRow", "ExtraRow", "MovedOnError", "SqlDatabase", "WorkRows"]

T = TypeVar("T")

EventRow = tuple[Any, ...]
"""Values of `sql_tables.EVENT_COLUMNS`, lists as lists."""
ExtraRow = tuple[str, str | None, str | None]
"""Event id, original, definition hash."""
WorkRows = Sequence[tuple[str, str | None, int | None, str | None]]
"""Columns of `fsm_outbox` to put, in the order of ids; document None: to remove."""


class MovedOnError(Exception):
    """Between a database and `sql_writing`: the stream ends with `last`; None: its events must be ordered to know."""

    def __init__(self, last: str | None) -> None:
        super().__init__(last)
        self.last = last


class SqlDatabase(ABC):
    """One database behind a URL. Safe to share between threads.

    Parameters
    ----------
    identity : str
        The URL without password.
    read_only : bool
        Enforced by the database itself, not by us.
    statement_timeout_ms : int
        After which one statement is cancelled, with `StoreTimeoutError`.
    """

    dialect: str

    def __init__(self, identity: str, *, read_only: bool, statement_timeout_ms: int) -> None:
        self.identity: Final = identity
        self.read_only: Final = read_only
        self.statement_timeout_ms: Final = statement_timeout_ms
        self._running: Final = RunningQueries()

    @abstractmethod
    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """`work` in one transaction, all of it on one state of the data. May run it again; it must only read."""

    @abstractmethod
    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """`work` in one transaction, durable when this returns; undone where it raises.

        Errors come out in our words, but for `sqlalchemy.exc.IntegrityError`: only the caller knows what was there.
        """

    @abstractmethod
    def lock(self, connection: sa.Connection, name: str) -> None:
        """Let no other writer that locks this name pass until the transaction ends."""

    @abstractmethod
    def await_writers(self, connection: sa.Connection) -> None:
        """Wait until what others have begun to write is written, or is not going to be.

        A server finishes what a killed client has sent. Where writing ends with its process there is none to wait for.
        """

    @abstractmethod
    def add_event(self, connection: sa.Connection, row: EventRow, extra: ExtraRow, works: WorkRows) -> None:
        """Insert one event, all that is kept beside it, and the change of the outbox that comes with it."""

    @abstractmethod
    def add_event_alone(self, row: EventRow, extra: ExtraRow, works: WorkRows, expected_last_id: str | None) -> None:
        """`add_event` in a transaction of its own; errors as `write`.

        Raises
        ------
        MovedOnError
            The stream does not end with `expected_last_id`, or only its events tell what it ends with.
        """

    @abstractmethod
    def add_many(self, connection: sa.Connection, rows: Sequence[EventRow], extras: Sequence[ExtraRow]) -> None:
        """Insert many events, in their order, and what is kept beside each, by the fastest road."""

    @abstractmethod
    def save_snapshots(self, connection: sa.Connection, rows: Sequence[Mapping[str, object]]) -> None:
        """Insert or replace the documented rows of snapshots; rows as `sql_tables.upsert_snapshots` wants them."""

    @abstractmethod
    def fetch_arrow(self, select: AnySelect, schema: pa.Schema) -> pa.Table:
        """The rows of `select` as Arrow of `schema`, by the fastest road. Lists come as JSON text."""

    def is_like(self, haystack: sa.ColumnElement[Any], needle: str) -> sa.ColumnElement[bool]:
        """Whether the text holds `needle`, whatever the case of its letters. Wild cards are taken literally."""
        return sa.cast(haystack, sa.Text).icontains(needle, autoescape=True)

    @abstractmethod
    def pool_use(self) -> PoolUse:
        """The connections at this moment; asks nobody."""

    @abstractmethod
    def close(self) -> None: ...

    def cancel_running(self, owner: Hashable) -> int:
        """Cancel what runs under `running_for(owner)`, from any thread; returns how many queries that were."""
        return self._running.cancel(owner)
