"""`recover`: put right what can be put right in a store that is in use; logged, and taken back by its log.

Exit status: 0 done, or nothing to do; 1 done, but something was left as it is; 2 not done.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xcstore.commands.common import SHOWN_PROBLEMS, Subparsers, complain, counted, one_line, progress, time_text
from xcstore.commands.restore import add_json, open_checked, patient
from xcstore.config import Settings
from xcstore.errors import ConfigError, QueryError
from xcstore.jsontext import json_text
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores

if TYPE_CHECKING:
    from xcstore.model.catalog import Catalog
    from xcstore.ops.contents import Contents
    from xcstore.ops.recovery import RecoveryPlan

__all__ = ["add_to"]

_REASONS: Final = ("missing", "behind", "disagrees", "unknown_event")


def add_to(commands: Subparsers[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "recover",
        help="make snapshots anew, and add events that a backup has, in a store that is in use",
        description="Say what can be put right: snapshots that are missing, lag or disagree are made from the events, "
        "and events that a backup has and the store lacks are added. It asks before it writes, writes a log first, and "
        "takes it back by it. Needs XCSTORE_ALLOW_WRITE=true. Exit status: 0 done, or nothing to do; 1 done, "
        "but something was left as it is; 2 not done.",
    )
    parser.add_argument("url", metavar="URL", help="a store of ours")
    parser.add_argument("--from", dest="source", metavar="BACKUP", help="a backup, a dump, or the URL of a store")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=_REASONS,
        metavar="REASON",
        help=f"put snapshots right for this reason alone; may be given again: {', '.join(_REASONS)}",
    )
    parser.add_argument(
        "--definitions",
        nargs="+",
        default=[],
        metavar="FILE",
        help="components; besides XCSTORE_DEFINITIONS and those in the store",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be written, and write nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--log", metavar="FILE", help="where the log goes; default: a new file in this folder")
    parser.add_argument("--undo", metavar="FILE", help="take back what the recovery of this log wrote")
    add_json(parser)
    parser.set_defaults(command=_recover)


def _recover(arguments: argparse.Namespace, settings: Settings) -> int:
    from xcstore.ops.recovery import check_recoverable, plan_recovery, recover

    if not arguments.dry_run and not settings.allow_write:
        raise ConfigError(
            "stores may not be written to here; set XCSTORE_ALLOW_WRITE=true, or look first with --dry-run"
        )
    if arguments.undo:
        return _undo(arguments, settings)
    with (
        _source(arguments.source, settings) as source,
        _opened(arguments.url, settings, write=not arguments.dry_run) as stores,
    ):
        if not arguments.dry_run:
            check_recoverable(stores)
        catalog = _catalog(arguments, settings, stores)
        with progress("look", " instances") as show:
            plan = plan_recovery(stores, catalog, source, reasons=arguments.only, on_progress=show)
        if arguments.dry_run or plan.is_empty or plan.conflicts:
            print(json_text({"plan": plan.document(), "recovery": None})) if arguments.json else _print_plan(plan)
            if plan.conflicts and not arguments.dry_run:
                complain(f"nothing was written: {counted(plan.conflict_count, 'event')} with other content")
            return 2 if plan.conflicts else 0
        if not arguments.json or not arguments.yes:
            _print_plan(plan, sys.stderr if arguments.json else sys.stdout)
        if not arguments.yes:
            _confirm(plan)
        log = Path(arguments.log or time.strftime("recovery-%Y%m%dT%H%M%SZ.jsonl", time.gmtime()))
        with progress("recover", "") as show:
            report = recover(stores, catalog, plan, log, source, on_progress=show)
    if arguments.json:
        print(json_text({"plan": plan.document(), "recovery": report.document()}))
    else:
        print(f"written: {counted(report.events, 'event')} and {counted(report.snapshots, 'snapshot')}")
        for one in report.skipped[:SHOWN_PROBLEMS]:
            print(one_line(f"left as it is: instance {one.instance_id}: {one.reason}"))
        if len(report.skipped) > SHOWN_PROBLEMS:
            print(f"… and {len(report.skipped) - SHOWN_PROBLEMS:,} more")
        print(one_line(f"log: {report.log}; to take all of it back: recover URL --undo {report.log}"))
    return 1 if report.skipped else 0


def _undo(arguments: argparse.Namespace, settings: Settings) -> int:
    from xcstore.ops.recovery import undo

    if arguments.dry_run or arguments.source:
        raise QueryError("--undo takes back what its log says; leave --from and --dry-run out")
    if not arguments.yes:
        _confirm_undo(arguments.undo)
    with _opened(arguments.url, settings, write=True) as stores, progress("undo", "") as show:
        report = undo(stores, Path(arguments.undo), on_progress=show)
    if arguments.json:
        print(
            json_text(
                {
                    "events": report.events,
                    "snapshots": report.snapshots,
                    "untouched": report.untouched,
                    "left": report.left,
                }
            )
        )
    else:
        print(
            f"taken back: {counted(report.events, 'event')}, and the snapshots of "
            f"{counted(report.snapshots, 'instance')}; {report.untouched:,} had not been written, "
            "or were taken back before"
        )
        for one in report.left[:SHOWN_PROBLEMS]:
            print(one_line(f"left as it is, changed since: {one}"))
        if len(report.left) > SHOWN_PROBLEMS:
            print(f"… and {len(report.left) - SHOWN_PROBLEMS:,} more")
    return 1 if report.left else 0


def _confirm(plan: RecoveryPlan) -> None:
    _ask(plan.writes)


def _confirm_undo(log: str) -> None:
    from xcstore.ops.recovery_log import read_log

    written = read_log(Path(log))
    events = sum(len(one.event_ids) for one in written.events)
    print(
        f"{log} tells of {counted(events, 'event')} added and {counted(len(written.snapshots), 'snapshot')} saved, in "
        f"{one_line(written.store)}; those that are still as they were left will be taken back",
        file=sys.stderr,
    )
    _ask(events + len(written.snapshots))


def _ask(writes: int) -> None:
    if not sys.stdin.isatty():
        raise QueryError("nobody can be asked here whether to go on; give --yes to write without being asked")
    print(f"Type {writes} to go on: ", end="", flush=True)
    if sys.stdin.readline().strip().replace(",", "") != str(writes):
        raise QueryError("not confirmed; nothing was written")


def _source(name: str | None, settings: Settings) -> Any:
    """The contents to take events from, closed after use; None where there are none."""
    if name is None:
        return nullcontext(None)
    contents: Contents = open_checked(name, settings)
    return closing(contents)


def _opened(url: str, settings: Settings, *, write: bool) -> Stores:
    from xcstore.ops.pruning import ALL_SNAPSHOTS

    # Nothing is masked: what is written would be masked for ever. All snapshots stay, so that they can be put back.
    return open_stores(
        url,
        read_only=not write,
        statement_timeout_ms=patient(settings).statement_timeout_ms,
        snapshot_retention=ALL_SNAPSHOTS,
        latency_alert_ms=None,
    )


def _catalog(arguments: argparse.Namespace, settings: Settings, stores: Stores) -> Catalog:
    from xcstore.ops.definitions import load_definitions
    from xcstore.queries.definitions import stored_definitions

    given = load_definitions(arguments.definitions) if arguments.definitions else ()
    known = stored_definitions(stores.definitions, settings.definitions)
    for problem in known.problems:
        complain(problem)
    return known.catalog.merged(given)


def _print_plan(plan: RecoveryPlan, file: Any = None) -> None:
    from xcstore.ops.recovery import REASONS

    def show(text: str) -> None:
        print(one_line(text), file=file)

    show(f"store      {plan.store}")
    show(f"as of      {time_text(plan.asked_at)}")
    if plan.source is not None:
        show(f"source     {plan.source}")
    for conflict in plan.conflicts[:SHOWN_PROBLEMS]:
        show(f"  refused: {conflict.text}")
    if plan.conflict_count > SHOWN_PROBLEMS:
        show(f"  … shown {min(SHOWN_PROBLEMS, len(plan.conflicts))} of {plan.conflict_count:,}")
    if plan.is_empty:
        show("Nothing can be put right here." if plan.skipped else "Nothing is to be put right.")
    if plan.events:
        show(f"events     {plan.event_count:,} would be added to {counted(len(plan.events), 'instance')}:")
        for one in plan.events[:SHOWN_PROBLEMS]:
            show(f"  {len(one.event_ids):>9,}  {one.machine_name}  {one.instance_id}, then in {one.state!r}")
        _more(len(plan.events), show)
    if plan.snapshots:
        show(f"snapshots  {len(plan.snapshots):,} would be made from the events:")
        for each in plan.snapshots[:SHOWN_PROBLEMS]:
            detail = f": {each.text}" if each.text else ""
            show(f"  {each.machine_name}  {each.instance_id} in {each.state!r}; {REASONS[each.reason]}{detail}")
        _more(len(plan.snapshots), show)
    if plan.skipped:
        show(f"left as it is: {counted(len(plan.skipped), 'instance')}")
        for left in plan.skipped[:SHOWN_PROBLEMS]:
            show(f"  {left.instance_id}: {left.reason}")
        _more(len(plan.skipped), show)
    for note in plan.notes:
        show(f"note: {note}")


def _more(count: int, show: Any) -> None:
    if count > SHOWN_PROBLEMS:
        show(f"  … shown {SHOWN_PROBLEMS} of {count:,}")
