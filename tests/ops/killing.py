"""A backup or a restore that is killed by SIGKILL at a chosen point; a process of its own.

`python -m tests.ops.killing backup|restore SOURCE TARGET POINT`: a backup dies after so many bytes of its file, most
often within a member; a restore after so many events and snapshots, most often within a batch. It goes on where the
one before it died; past the end, it ends as any other.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from xcstore.ops import backup, contents, copying
from xcstore.ops.sources import open_source
from xcstore.store.opening import open_stores

T = TypeVar("T")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Dying:
    """A file that is written until `left` bytes are."""

    def __init__(self, file: Any, left: int) -> None:
        self.file, self.left = file, left

    def write(self, raw: bytes) -> None:
        self.file.write(raw[: self.left])
        self.left -= len(raw)
        if self.left <= 0:
            self.file.flush()
            die()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def back_up(url: str, path: Path, point: int) -> None:
    backup.PAGE = contents.PAGE = 20  # type: ignore[misc]
    made = backup._Writer.__init__

    def init(self: Any, stores: Any, file: Any, part: Path) -> None:
        made(self, stores, Dying(file, point), part)

    backup._Writer.__init__ = init  # type: ignore[method-assign]
    with open_stores(url) as stores:
        backup.write_backup(stores, path, resume=True)


def restore(source: str, url: str, point: int) -> None:
    left = point

    def counted(rows: Iterable[T]) -> Iterator[T]:
        nonlocal left
        for row in rows:
            left -= 1
            if left < 0:
                die()
            yield row

    copying.BATCH = 25  # type: ignore[misc]
    with closing(open_source(source)) as found, open_stores(url, read_only=False, snapshot_retention=1_000) as stores:
        events, snapshots = type(stores.events), type(stores.snapshots)
        append, save = events.append_many, snapshots.save_snapshots
        events.append_many = lambda self, rows: append(self, counted(rows))  # type: ignore[method-assign]
        snapshots.save_snapshots = lambda self, rows: save(self, counted(rows))  # type: ignore[method-assign]
        copying.copy_contents(found, stores, resume=True)


if __name__ == "__main__":
    what, source, target, point = sys.argv[1:]
    if what == "backup":
        back_up(source, Path(target), int(point))
    else:
        restore(source, target, int(point))
