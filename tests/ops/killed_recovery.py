"""Recoveries that are killed at each of their writes, in turn: `python -m tests.ops.killed_recovery URL BACKUP LOG N…`.

`recover` or `undo` is what is done; each run is killed by itself before or after the write with the given number.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.ops.living import CATALOG
from xcstore.ops import recovery
from xcstore.ops.pruning import ALL_SNAPSHOTS
from xcstore.ops.sources import open_source
from xcstore.store.opening import open_stores

WRITES = {
    "events": ("append", "delete_events"),
    "snapshots": ("save_snapshot", "save_snapshots", "delete_snapshot"),
}


class Marked:
    """A store that counts its writes, before and after each."""

    def __init__(self, store: Any, names: tuple[str, ...], mark: Any) -> None:
        self._store, self._names, self._mark = store, names, mark

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in self._names:
            return found

        def marked(*given: Any, **options: Any) -> Any:
            self._mark()
            answer = found(*given, **options)
            self._mark()
            return answer

        return marked


def main(what: str, url: str, backup: str, log: str, last: int) -> int:
    marks = 0

    def mark() -> None:
        nonlocal marks
        marks += 1
        if marks == last:
            os.kill(os.getpid(), signal.SIGKILL)

    with open_stores(url, read_only=False, snapshot_retention=ALL_SNAPSHOTS) as stores:
        for name, names in WRITES.items():
            object.__setattr__(stores, name, Marked(getattr(stores, name), names, mark))
        if what == "undo":
            recovery.undo(stores, Path(log))
            return marks
        with closing(open_source(backup)) as source:
            plan = recovery.plan_recovery(stores, CATALOG, source)
            recovery.recover(stores, CATALOG, plan, Path(log), source)
    return marks


if __name__ == "__main__":
    what, url, backup, log, *steps = sys.argv[1:]
    for step in map(int, steps):
        pid = os.fork()
        if pid == 0:
            try:
                main(what, url.format(step), backup, log.format(step), step)
            finally:
                os._exit(0)
        print(step, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
