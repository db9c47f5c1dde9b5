"""Prunes that are killed at each of their writes, in turn: `python -m tests.ops.killed_pruning URL ARCHIVE RULES…`.

Prints how many writes a whole run makes, or is killed by itself before or after the write with that number.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from tests.ops.test_retention import CATALOG
from xcstore.ops import pruning
from xcstore.ops.retention import Rules
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs

WRITES = {
    "events": ("append_many", "delete_events", "put_note"),
    "snapshots": ("save_snapshots", "delete_snapshots", "trim"),
    "definitions": ("save_definition",),
}


class Marked:
    """A store that counts its writes, before and after each."""

    def __init__(self, store: Any, names: tuple[str, ...], mark: Any) -> None:
        self._store, self._names, self._mark = store, names, mark

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in self._names:
            return found

        def marked(*given: Any) -> Any:
            self._mark()
            answer = found(*given)
            self._mark()
            return answer

        return marked


def main(url: str, archive_url: str, cutoff: int, last: int) -> int:
    marks = 0

    def mark() -> None:
        nonlocal marks
        marks += 1
        if marks == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def opened(url: str) -> Any:
        stores = open_stores(url, read_only=False)
        for name, names in WRITES.items():
            object.__setattr__(stores, name, Marked(getattr(stores, name), names, mark))
        return stores

    pruning.BATCH = 5  # type: ignore[misc]
    with opened(url) as stores, opened(archive_url) as archive:
        pruning.prune(stores, archive, CATALOG, Rules(cutoff=EpochMs(cutoff), days=1, snapshots=2), now=EpochMs(cutoff))
    return marks


if __name__ == "__main__":
    url, archive_url, cutoff, *steps = sys.argv[1:]
    if not steps:
        print(main(url, archive_url, int(cutoff), 0))
    for step in map(int, steps):
        pid = os.fork()
        if pid == 0:
            try:
                main(url.format(step), archive_url.format(step), int(cutoff), step)
            finally:
                os._exit(0)
        print(step, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
