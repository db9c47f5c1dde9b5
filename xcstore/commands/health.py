"""`health`: is a store well?

Exit status: 0 all is well; 1 there are warnings, or something could not be found out; 2 something is critical, or
nobody answers.
"""

from __future__ import annotations

import argparse
from time import perf_counter
from typing import TYPE_CHECKING, Final

from xcstore.commands.common import Subparsers, one_line, positive_count, time_text
from xcstore.config import Settings, hide_password
from xcstore.errors import StoreError
from xcstore.jsontext import json_text
from xcstore.store.kinds import kind_text
from xcstore.store.opening import open_stores

if TYPE_CHECKING:
    from xcstore.ops.health import HealthReport

__all__ = ["add_to"]

_TIMEOUT_MS: Final = 5_000
_MARKS: Final = {"ok": "✓ ok", "warning": "▲ warning", "critical": "✕ critical", "unknown": "? unknown"}
_STATUS: Final = {"ok": 0, "unknown": 1, "warning": 1, "critical": 2}
_SHOWN: Final = 10


def add_to(commands: Subparsers[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "health",
        help="check how a store is doing",
        description="Measure a store and judge it; nothing is written. Exit status: 0 all is well; 1 warnings, or "
        "something could not be found out; 2 something is critical, or nobody answers.",
    )
    parser.add_argument("url", nargs="?", metavar="URL", help="default: the first store of the settings")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    parser.add_argument(
        "--latency-ms",
        type=positive_count,
        metavar="MS",
        help="from which appends and questions count as slow; default: XCSTORE_LATENCY_ALERT_MS, or 100",
    )
    parser.set_defaults(command=_health)


def _health(arguments: argparse.Namespace, settings: Settings) -> int:
    report = _report(arguments.url or next(iter(settings.store_urls().values())), arguments.latency_ms, settings)
    if arguments.json:
        print(json_text(report.document()))
    else:
        _print(report)
    return _STATUS[report.worst]


def _report(url: str, latency_ms: int | None, settings: Settings) -> HealthReport:
    from xcstore.ops.health import HealthSettings, check_health, not_opened
    from xcstore.ops.health_snapshots import ended_states
    from xcstore.queries.definitions import stored_definitions

    started = perf_counter()
    try:
        opened = open_stores(
            url,
            read_only=True,
            redact=settings.redact,
            statement_timeout_ms=min(_TIMEOUT_MS, settings.statement_timeout_ms),
        )
    except StoreError as error:
        return not_opened(hide_password(url), error)
    with opened as stores:
        opened_ms = (perf_counter() - started) * 1_000
        in_force = HealthSettings(
            latency_ms=latency_ms or settings.latency_alert_ms,
            snapshot_interval=settings.snapshot_interval,
            retention_days=settings.event_retention_days,
            snapshots_kept=settings.snapshot_retention_count,
        )
        try:
            ended = ended_states(stored_definitions(stores.definitions, settings.definitions).catalog)
        except StoreError:  # the checks will say why
            ended = ()
        return check_health(stores, in_force, ended=ended, opened_ms=opened_ms)


def _print(report: HealthReport) -> None:
    print(f"store       {one_line(report.identity)}")
    if report.layout is not None:
        print(f"layout      {kind_text(report.identity, report.layout)}")
    print(f"as of       {time_text(report.asked_at)}")
    print()
    width = max(len(check.name) for check in report.checks)
    values = max(len(check.value) for check in report.checks)
    for check in report.checks:
        words = one_line(" ".join(check.sentence.split()))
        print(f"{_MARKS[check.mark]:<11} {check.name:<{width}}  {check.value:<{values}}  {words}")
    if not report.advice:
        return
    print()
    print("snapshots: an interval for each machine, by the transitions of an instance and by how long it takes")
    for item in report.advice[:_SHOWN]:
        machine = "/".join(filter(None, (item.component_name, item.machine_name)))
        if item.interval is None or item.per_hour is None:
            print(f"{'–':>11} {one_line(machine)}: not known, as no instance has moved")
            continue
        rate = f"{item.per_hour:,.3g}/h"
        length = "long-running" if item.is_long_running else "short"
        print(f"{item.interval:>11} {one_line(machine)}: {item.frequency} frequency ({rate}), {length}")
    if len(report.advice) > _SHOWN:
        print(f"            shown {_SHOWN} of {len(report.advice)} machines")
