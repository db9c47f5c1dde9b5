"""Rows of a SQLite file as Arrow, made by ADBC's driver in C: several times faster than rows of Python objects.

ADBC brings a SQLite library of its own. Two of them on one file in one process undo each other's locks (a trap of
POSIX locks; sqlite.org/howtocorrupt.html, "Multiple copies of SQLite linked into the same application"). So this road
is open only while nobody writes, when neither takes locks, and a store that this process opens for writing waits until
nobody is on it: `writers`.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Writers", "fetch_table", "writers"]

_BATCH: Final = 10_000
"""Rows between two looks at the clock; the driver cannot be interrupted."""


class Writers:
    """Which files this process has open for writing; nobody reads these by ADBC."""

    def __init__(self) -> None:
        self._change: Final = threading.Condition()
        self._written: Final[Counter[str]] = Counter()
        self._read: Final[Counter[str]] = Counter()

    def add(self, path: Path) -> None:
        """Waits for those who read the file by ADBC."""
        name = os.path.realpath(path)
        with self._change:
            self._change.wait_for(lambda: not self._read[name])
            self._written[name] += 1

    def remove(self, path: Path) -> None:
        with self._change:
            self._written[os.path.realpath(path)] -= 1

    @contextmanager
    def kept_out(self, path: Path) -> Iterator[bool]:
        """Whether there are none; if so, none comes within the block."""
        name = os.path.realpath(path)
        with self._change:
            alone = not self._written[name]
            self._read[name] += alone
        try:
            yield alone
        finally:
            with self._change:
                self._read[name] -= alone
                self._change.notify_all()


writers: Final = Writers()


def fetch_table(
    path: Path, statement: str, parameters: Sequence[Any], schema: pa.Schema, check: Callable[[], None]
) -> pa.Table:
    """The rows of `statement` as a table of `schema`; words are encoded, lists are read from JSON text.

    `check` is called between batches, and may raise. The driver takes the type of a column from the first rows, which
    may all be NULL: a first row of ours says which they are.
    """
    import adbc_driver_sqlite.dbapi as driver
    import pyarrow as pa

    example = ", ".join("0" if pa.types.is_integer(field.type) else "''" for field in schema)
    batches = []
    with (
        driver.connect(f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1") as connection,
        connection.cursor() as cursor,
    ):
        cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(_BATCH)})
        cursor.execute(f"SELECT {example} UNION ALL SELECT * FROM ({statement})", parameters or None)
        with cursor.fetch_record_batch() as reader:
            for batch in reader:
                check()
                batches.append(batch)
    columns = pa.Table.from_batches(batches).slice(1).columns
    del batches
    # As a whole, and one column after the other: what is encoded while others are still read leaves holes in memory.
    for position, field in enumerate(schema):
        columns[position] = _column(columns[position], field.type)
    return pa.table(columns, schema=schema)


def _column(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa

    from xcstore.store.sql_arrow import lists

    if pa.types.is_dictionary(kind):
        return values.dictionary_encode().cast(kind)
    if pa.types.is_list(kind):
        return pa.chunked_array([lists(chunk.to_pylist(), kind) for chunk in values.chunks], kind)
    return values
