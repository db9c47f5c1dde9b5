"""`drill`: could this backup, dump or store be restored?

Exit status: 0 certified; 1 not, as something is damaged; 2 it cannot be read.
"""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from xcstore.commands.common import Subparsers, counted, one_line, progress, time_text
from xcstore.commands.restore import add_json, print_digest
from xcstore.config import Settings
from xcstore.jsontext import json_text

if TYPE_CHECKING:
    from xcstore.ops.drill import Damage, DrillReport

__all__ = ["add_to"]


def add_to(commands: Subparsers[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "drill",
        help="certify that a backup, a dump or a store can be restored",
        description="Restore everything into a temporary store, compare counts and digests, bring all live instances "
        "back in memory, and hold snapshots against events; the temporary store is removed. Exit status: 0 certified; "
        "1 not, as something is damaged; 2 it cannot be read.",
    )
    parser.add_argument("source", metavar="SOURCE", help="a file, a folder, or the URL of a store; only read")
    parser.add_argument(
        "--definitions",
        nargs="+",
        default=[],
        metavar="FILE",
        help="components by which instances are brought back; besides XCSTORE_DEFINITIONS and those in the source",
    )
    parser.add_argument("--strict", action="store_true", help="fail by warnings too")
    add_json(parser)
    parser.set_defaults(command=_drill)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM end it as Ctrl-C does, so that the temporary store is removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _drill(arguments: argparse.Namespace, settings: Settings) -> int:
    from xcstore.ops.definitions import load_definitions
    from xcstore.ops.drill import drill

    given = load_definitions(arguments.definitions) if arguments.definitions else ()
    with _stoppable(), progress("drill", "") as show:
        report = drill(
            arguments.source,
            settings,
            definitions=given,
            strict=arguments.strict,
            on_progress=lambda phase, done, total: show(done, total),
        )
    if arguments.json:
        print(json_text(report.document()))
    else:
        _print(report)
    return 0 if report.passed else 1


def _print(report: DrillReport) -> None:
    print(one_line(f"{'PASSED' if report.passed else 'FAILED'}  {report.source}"))
    print(f"as of          {time_text(report.asked_at)}")
    for phase in report.phases:
        print(f"{phase.name:<15}{phase.seconds:>11,.2f} s")
    if report.digest is not None:
        print_digest(report.digest)
    if (back := report.revived) is not None:
        print(
            f"brought back   {counted(back.instances, 'instance')}, {back.from_snapshot:,} of them from snapshots; "
            f"ended: {back.ended:,}; {counted(back.timers, 'timer')} running, {back.overdue:,} overdue; "
            f"{counted(back.work, 'piece')} of waiting work"
        )
    if report.recovery_seconds is not None:
        print(f"recovery time  {report.recovery_seconds:,.1f} s, on this machine")
    if report.recovery_point is not None:
        print(f"recovery point {time_text(report.recovery_point)}: what came later is not in it")
    _print_some("damaged", report.damages, report.damage_count)
    _print_some("warning", report.warnings, report.warning_count)
    for note in report.notes:
        print(one_line(f"note: {note}"))


def _print_some(word: str, found: tuple[Damage, ...], count: int) -> None:
    if count:
        print(f"{word}: {count:,}" + (f", shown {len(found):,}" if len(found) < count else ""))
    for one in found:
        print(one_line(f"  {one.where}: {one.text}"))
