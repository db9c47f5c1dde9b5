"""A program that writes to copies of an archive and is killed at steps on the disk in turn.

    python -m tests.store.archive_killing template copies append|snapshots

Prints the numbers of these steps, in order: all around the one that makes the commit count, and every sixth of the
others. Copy `n` is what is left of the archive where the kill came before step `n`; copy `whole` is of a run that
nobody killed. Each run is a fork: what takes long, the imports, is done once.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.factories import START, event, snapshot
from xcstore.store.archive import open_archive_stores
from xcstore.store.base import Stores

__all__ = ["BATCH", "SAVED"]

MONTH = 31 * 86_400_000
BATCH = [
    event(id="new-1", instance_id="i1", persisted_at=START + 1_000_000, caused_by=("e1",)),
    event(id="new-2", instance_id="i2", component_name="Depot", persisted_at=START + 2 * MONTH),
    event(id="new-3", instance_id="i2", persisted_at=START),
]
SAVED = [snapshot(id="i1", context={"n": "new"}), snapshot(id="i2", context={"n": "new"})]

ACTIONS: dict[str, Callable[[Stores], object]] = {
    "append": lambda stores: stores.events.append_many(BATCH),
    "snapshots": lambda stores: stores.snapshots.save_snapshots(SAVED),
}
STEPS = ("fsync", "link", "unlink")
"""A rename comes between two flushes: before or after it makes no difference to who reads."""


def main(template: Path, copies: Path, action: str) -> None:
    shutil.copytree(template, copies / "whole")
    steps = copies / "steps"
    forked(lambda: run(copies / "whole", None, ACTIONS[action], steps))
    names = steps.read_text().split()
    counts = names.index("link")
    kills = sorted({*range(0, len(names), 6), *range(counts - 2, counts + 4), len(names) - 1} & set(range(len(names))))
    for number in kills:
        copy = copies / str(number)
        shutil.copytree(template, copy)
        status = forked(partial(run, copy, number, ACTIONS[action], steps))
        assert os.WTERMSIG(status) == signal.SIGKILL, f"step {number} was not reached"
    print(*kills)


def forked(work: Callable[[], object]) -> int:
    """The status that a fork which does this ends with."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "a run failed"
    return status


def run(folder: Path, last: int | None, action: Callable[[Stores], object], steps: Path) -> None:
    stores = open_archive_stores(f"archive:///{folder}", read_only=False, snapshot_retention=3)
    taken: list[str] = []

    def stopping(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **options: Any) -> Any:
            if len(taken) == last:
                os.kill(os.getpid(), signal.SIGKILL)
            taken.append(name)
            return step(*args, **options)

        return stepped

    for name in STEPS:
        setattr(os, name, stopping(name, getattr(os, name)))
    action(stores)
    steps.write_text(" ".join(taken))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
