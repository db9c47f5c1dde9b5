"""Sorting more rows than memory should hold, by runs in temporary files."""

from __future__ import annotations

import heapq
import marshal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, Final

__all__ = ["Sorter"]

RUN_BYTES: Final = 32 << 20
"""Size of the rows, as they are written, that are held in memory before they go into a file."""


class Sorter:
    """Takes pairs (key, value) of plain values (text, numbers, None, tuples, lists, dicts), and gives them in order.

    Equal keys come in the order in which they were added. Can be read again. Use as a context manager, or call
    `close`, which removes the files.

    Examples
    --------
    >>> with Sorter() as sorter:
    ...     sorter.add((2, "b"), "second")
    ...     sorter.add((1, "a"), "first")
    ...     list(sorter)
    [((1, 'a'), 'first'), ((2, 'b'), 'second')]
    """

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._runs: list[Path] = []
        self._held: list[tuple[tuple[Any, ...], bytes]] = []
        self._size = 0
        self._is_sorted = True

    def add(self, key: tuple[Any, ...], value: Any) -> None:
        row = marshal.dumps(value)
        self._held.append((key, row))
        self._is_sorted = False
        self._size += len(row)
        if self._size >= RUN_BYTES:
            self._write_run()

    def __iter__(self) -> Iterator[tuple[tuple[Any, ...], Any]]:
        if not self._is_sorted:
            self._held.sort(key=itemgetter(0))
            self._is_sorted = True
        with ExitStack() as stack:
            files = [stack.enter_context(run.open("rb")) for run in self._runs]
            runs: list[Iterator[tuple[tuple[Any, ...], bytes]]] = [*map(_read_run, files), iter(self._held)]
            for key, row in heapq.merge(*runs, key=itemgetter(0)):
                yield key, marshal.loads(row)

    def close(self) -> None:
        self._held.clear()
        self._runs.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Sorter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_run(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="xcstore-")
        self._held.sort(key=itemgetter(0))
        path = Path(self._folder.name, f"run{len(self._runs)}")
        with path.open("wb") as file:
            for row in self._held:
                marshal.dump(row, file)
        self._runs.append(path)
        self._held, self._size = [], 0


def _read_run(file: IO[bytes]) -> Iterator[tuple[tuple[Any, ...], bytes]]:
    while True:
        try:
            row: tuple[tuple[Any, ...], bytes] = marshal.load(file)
        except EOFError:
            return
        yield row
