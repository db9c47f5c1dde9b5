"""`prune`: what is old goes from a store, into an archive first."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xcstore.commands.common import (
    Subparsers,
    complain,
    counted,
    one_line,
    positive_count,
    progress,
    time_text,
)
from xcstore.config import Settings
from xcstore.errors import QueryError
from xcstore.jsontext import json_text
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs

if TYPE_CHECKING:
    from xcstore.model.catalog import Catalog
    from xcstore.ops.pruning import Prune
    from xcstore.ops.retention import Rules
    from xcstore.ops.retention_plan import Preview

__all__ = ["add_to"]


def add_to(commands: Subparsers[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "prune",
        help="remove what is old, into an archive first",
        description="Say what is older than EVENT_RETENTION_DAYS and may go; with --apply, put it into an archive, "
        "compare, and remove it. Of instances that have not ended, what restore needs always stays.",
    )
    parser.add_argument("url", metavar="URL", help="the store, such as sqlite:///history.db")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--preview", action="store_true", help="only say what would go (the default)")
    what.add_argument("--apply", action="store_true", help="do it")
    what.add_argument("--undo", action="store_true", help="put back what the archive holds")
    parser.add_argument("--days", type=positive_count, metavar="N", help="default: EVENT_RETENTION_DAYS")
    parser.add_argument(
        "--snapshots",
        type=positive_count,
        metavar="N",
        help="snapshots that stay of each instance; default: SNAPSHOT_RETENTION_COUNT",
    )
    parser.add_argument(
        "--definitions",
        nargs="+",
        default=[],
        metavar="FILE",
        help="components, which say how instances end; besides XCSTORE_DEFINITIONS and those in the store",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--archive",
        metavar="DIR",
        help="folder, or URL; default: XCSTORE_ARCHIVE, else FILE.archive beside a SQLite file FILE.db",
    )
    where.add_argument("--no-archive", action="store_true", help="with --apply: what goes is lost")
    parser.add_argument("--yes", action="store_true", help="with --apply: do not ask")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.set_defaults(command=_prune)


def _prune(arguments: argparse.Namespace, settings: Settings) -> int:
    from xcstore.ops.pruning import archive_url
    from xcstore.ops.retention import Rules

    if arguments.undo:
        return _undo(arguments, settings)
    days = arguments.days if arguments.days is not None else settings.event_retention_days
    rules = Rules.since(
        EpochMs(time.time_ns() // 1_000_000), days, arguments.snapshots or settings.snapshot_retention_count
    )
    # Before anything is read: that no place for an archive is named must not be said at the end of a long look.
    url = (
        None
        if arguments.no_archive or not arguments.apply
        else archive_url(arguments.url, arguments.archive or settings.archive)
    )
    with _opened(arguments.url, settings, write=arguments.apply) as stores:
        if "delete" not in stores.events.declares:
            raise QueryError(f"nothing can be removed from {stores.identity}: a store of its kind keeps every event")
        catalog = _catalog(arguments, settings, stores)
        found = _preview(stores, catalog, rules)
        if not arguments.apply:
            print(json_text(found.to_document())) if arguments.json else _print_preview(found, arguments)
            return 0
        return _apply(arguments, settings, stores, catalog, rules, found, url)


def _apply(
    arguments: argparse.Namespace,
    settings: Settings,
    stores: Stores,
    catalog: Catalog,
    rules: Rules,
    found: Preview,
    url: str | None,
) -> int:
    from xcstore.ops.pruning import archive_folder, check_deletable, prune

    check_deletable(stores)
    if not arguments.json:
        _print_preview(found, None)
    if found.is_empty:
        if arguments.json:
            print(json_text({"preview": found.to_document(), "prune": None}))
        return 0
    if not arguments.yes:
        _confirm(found, url)
    archive = None if url is None else _opened(url, settings, write=True)
    try:
        with progress("prune", " events") as show:
            run = prune(
                stores,
                archive,
                catalog,
                rules,
                now=EpochMs(time.time_ns() // 1_000_000),
                archive_folder=None if url is None else archive_folder(url),
                on_progress=lambda events: show(events, max(events, found.events)),
            )
    finally:
        if archive is not None:
            archive.close()
    if arguments.json:
        print(json_text({"preview": found.to_document(), "prune": run.to_document()}))
    else:
        _print_run(run)
    return 0


def _confirm(found: Preview, url: str | None) -> None:
    if not sys.stdin.isatty():
        raise QueryError("nobody can be asked here whether to go on; give --yes to remove without being asked")
    where = "lost, as there is no archive" if url is None else f"archived in {one_line(url)}, then removed"
    print(f"What goes is {where}. Type {found.events} to go on: ", end="", flush=True)
    if sys.stdin.readline().strip().replace(",", "") != str(found.events):
        raise QueryError("not confirmed; nothing was removed")


def _undo(arguments: argparse.Namespace, settings: Settings) -> int:
    from xcstore.ops.pruning import archive_folder, archive_url, undo

    if arguments.no_archive:
        raise QueryError("--undo puts back what an archive holds; name it with --archive DIR")
    url = archive_url(arguments.url, arguments.archive or settings.archive)
    with (
        _opened(url, settings, write=False) as archive,
        _opened(arguments.url, settings, write=True) as stores,
        progress("undo", " events") as show,
    ):
        report = undo(
            stores, archive, archive_folder=archive_folder(url), on_progress=lambda events: show(events, events)
        )
        went = f"{counted(report.events, 'event')} and {counted(report.snapshots, 'snapshot')}"
        if arguments.json:
            print(json_text({"events": report.events, "there": report.already_there, "snapshots": report.snapshots}))
        else:
            print(one_line(f"{went} went back into {stores.identity}; {report.already_there:,} were there already"))
    return 0


def _opened(url: str, settings: Settings, *, write: bool) -> Stores:
    from xcstore.ops.pruning import ALL_SNAPSHOTS

    # Nothing is masked: what is archived would be masked for ever.
    return open_stores(
        url,
        read_only=not write,
        statement_timeout_ms=settings.statement_timeout_ms,
        snapshot_retention=ALL_SNAPSHOTS,
    )


def _catalog(arguments: argparse.Namespace, settings: Settings, stores: Stores) -> Catalog:
    from xcstore.ops.definitions import load_definitions
    from xcstore.queries.definitions import stored_definitions

    given = load_definitions(arguments.definitions) if arguments.definitions else ()
    known = stored_definitions(stores.definitions, settings.definitions)
    for problem in known.problems:
        complain(problem)
    return known.catalog.merged(given)


def _preview(stores: Stores, catalog: Catalog, rules: Rules) -> Preview:
    from xcstore.ops.retention_plan import preview

    with progress("look", " instances") as show:
        return preview(stores, catalog, rules, on_progress=show)


def _print_preview(found: Preview, arguments: argparse.Namespace | None) -> None:
    print(f"store      {one_line(found.store)}")
    print(f"rules      older than {counted(found.days, 'day')}, so before {time_text(found.cutoff)};")
    print(f"           {counted(found.keep_snapshots, 'snapshot')} of each instance")
    if found.is_empty:
        print("Nothing would go." if arguments else "Nothing goes.")
    else:
        _print_going(found)
    if found.kept:
        print("stays, though it has events that are older:")
        _print_rows([(f"{kept.instances:,}", f"{kept.events:,}", kept.words) for kept in found.kept])
    if arguments is not None and not found.is_empty:
        print("Nothing was changed. To do it: the same with --apply")


def _print_going(found: Preview) -> None:
    from xcstore.ops.health_checks import bytes_text

    share = f" of {found.stored_events:,}"
    size = "" if found.size_bytes is None else f", about {bytes_text(found.size_bytes)}"
    print(f"events     {found.events:,}{share}{size}")
    if found.first_at is not None and found.last_at is not None:
        print(f"from, to   {time_text(found.first_at)}, {time_text(found.last_at)}")
    print(f"instances  {found.whole:,} with all they have, {found.part:,} lose their oldest events")
    print(f"snapshots  {found.snapshots:,} of these, and {found.old_snapshots:,} beyond those that are kept")
    if found.links is None:
        print("links      not counted: the store is large")
    elif found.links:
        print(f"links      {found.links:,} from events that stay lead into the archive afterwards")
    if found.shares:
        print("by month and component:")
        _print_rows([(share.month, f"{share.events:,}", share.component or "(none)") for share in found.shares])
    if found.examples:
        print(f"the first {len(found.examples)} instances:" if found.whole + found.part > 1 else "the instance:")
        _print_rows(
            [
                (f"{one.events:,} of {one.of:,}", time_text(one.updated_at), one.instance_id, one.machine, one.state)
                for one in found.examples
            ]
        )


def _print_rows(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if i else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + one_line("  ".join(cells).rstrip()))


def _print_run(run: Prune) -> None:
    where = "" if run.archive is None else f"; archived in {run.archive}"
    print(one_line(f"{counted(run.events, 'event')} of {counted(run.whole + run.part, 'instance')} went{where}"))
    print(f"{counted(run.snapshots, 'snapshot')} went with them, and {run.old_snapshots:,} that were beyond those kept")
    if run.moved_on:
        print(f"{counted(run.moved_on, 'instance')} changed meanwhile and stayed as they are")
