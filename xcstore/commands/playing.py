"""What `run` and `simulate` share: the stage, and what is said of what happened on it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xcstore.commands.common import SEEDED_START, SHOWN_PROBLEMS, complain, one_line, tell, time_text
from xcstore.config import Settings
from xcstore.errors import QueryError
from xcstore.model.definition import Component
from xcstore.store.base import Stores
from xcstore.units import EpochMs

if TYPE_CHECKING:
    from xcstore.ops.running import RunReport, Stage

__all__ = ["print_run", "run_document", "run_status", "stage_on", "start_of"]


def stage_on(
    components: Sequence[Component],
    stores: Stores,
    settings: Settings,
    start: EpochMs | None,
    seed: int | None,
    *,
    restore: bool = False,
) -> Stage:
    from xcstore.ops.running import Stage

    interval = settings.snapshot_interval if settings.snapshots_enabled else None
    return Stage(components, stores, start=start, seed=seed, snapshot_interval=interval, restore=restore)


def start_of(text: str | None) -> EpochMs:
    from xcstore.ops.steps import parse_moment

    if text is None:
        return EpochMs(time.time_ns() // 1_000_000)
    moment = parse_moment(text)
    if moment is None:
        raise QueryError(f"--start is {text[:40]!r}; it must be a time such as {SEEDED_START}")
    return moment


def run_status(report: RunReport) -> int:
    tell(report.failures, report.failed)
    if report.stopped is not None:
        complain(report.stopped)
        return 2
    return 1 if report.refused or report.failed else 0


def run_document(report: RunReport, identity: str, total: int) -> dict[str, object]:
    return {
        "store": identity,
        "total": total,
        **dataclasses.asdict(report),
        "now": time_text(report.now),
        "next_timer": None if report.next_timer is None else time_text(report.next_timer),
    }


def print_run(report: RunReport, identity: str) -> None:
    print(f"store           {identity}")
    print(f"clock           {time_text(report.now)}")
    print(f"events written  {report.written:,}")
    print(f"ignored         {report.all_ignored:,}")
    for row in report.ignored[:SHOWN_PROBLEMS]:
        print(one_line(f"{row.count:>15,} {row.component}/{row.machine}: {row.event} in {row.state}"))
    if len(report.ignored) > SHOWN_PROBLEMS:
        print(f"              … and {len(report.ignored) - SHOWN_PROBLEMS:,} kinds more")
    print(f"ambiguous       {report.ambiguous:,}")
    print(f"failed          {report.failed:,}")
    waiting = "" if report.next_timer is None else f", the next due {time_text(report.next_timer)}"
    print(f"pending timers  {report.pending_timers:,}{waiting}")
    print(f"instances       {sum(total.count for total in report.states):,}")
    for total in report.states:
        print(one_line(f"{total.count:>15,} {total.component}/{total.machine}: {total.state}"))
