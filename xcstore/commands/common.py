"""What the commands share: how they speak, count, show progress and open what they write into."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from tqdm import tqdm

from xcstore.config import Settings
from xcstore.errors import ReadOnlyStoreError
from xcstore.store.base import EventQuery, Stores
from xcstore.store.opening import open_stores, sqlite_file
from xcstore.units import EpochMs, to_utc

__all__ = [
    "SEEDED_START",
    "SHOWN_PROBLEMS",
    "Subparsers",
    "add_files",
    "add_target",
    "complain",
    "count_events",
    "counted",
    "one_line",
    "positive_count",
    "progress",
    "target",
    "tell",
    "time_text",
]

SHOWN_PROBLEMS: Final = 20
SEEDED_START: Final = "2026-01-01T00:00:00Z"
"""When a seeded run begins unless told: histories are equal only if their times are."""

Subparsers = argparse._SubParsersAction  # argparse has no public name for what `add_subparsers` gives


def add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="components in YAML or JSON, one or several each; or a folder of them"
    )


def add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--into", default="memory://", metavar="URL", help="store to append to; default: memory, gone afterwards"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def positive_count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from 1 to 999999999")
    return int(text)


@contextmanager
def target(url: str, settings: Settings, *, snapshot_retention: int = 10) -> Iterator[Stores]:
    """The stores to write into. A new file of SQLite that nothing went into is removed again."""
    file = sqlite_file(url)
    is_new = file is not None and not file.exists()
    is_empty = False
    try:
        # Nothing is masked here: what comes goes in as it is, and is compared with what is stored as it is.
        with open_stores(
            url,
            read_only=False,
            statement_timeout_ms=settings.statement_timeout_ms,
            snapshot_retention=snapshot_retention,
            latency_alert_ms=None,  # nobody waits for a single append of a batch
        ) as stores:
            if stores.events.read_only:
                raise ReadOnlyStoreError(
                    f"{stores.identity} is a store of another writer, and is never written; name one of your own"
                )
            try:
                yield stores
            finally:
                # Asked of the store: what somebody else wrote meanwhile stays.
                is_empty = is_new and not count_events(stores) and not stores.snapshots.count()
    finally:
        if is_empty and file is not None:
            for suffix in ("", "-wal", "-shm"):
                file.with_name(file.name + suffix).unlink(missing_ok=True)
            print(f"{one_line(str(file))} was not made, as nothing went into it", file=sys.stderr)


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def tell(lines: Sequence[str], total: int) -> None:
    """The first of `total` lines, and how many more there are."""
    for line in lines[:SHOWN_PROBLEMS]:
        print(one_line(line), file=sys.stderr)
    if total > (shown := min(len(lines), SHOWN_PROBLEMS)):
        print(f"… and {total - shown:,} more", file=sys.stderr)


def complain(problem: object) -> None:
    print(f"xcstore: {one_line(' '.join(str(problem).split()))}", file=sys.stderr)


def count_events(stores: Stores) -> int:
    return sum(row.count for row in stores.events.count(EventQuery()))


def time_text(moment: EpochMs) -> str:
    date = to_utc(moment)
    return f"{moment} ms" if date is None else date.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def one_line(text: str) -> str:
    # Stored text may hold what would move the cursor of a terminal.
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


@contextmanager
def progress(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr where that is a terminal; called with (done, total)."""
    with tqdm(desc=what, unit=unit, unit_scale=True, disable=None, leave=False, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
