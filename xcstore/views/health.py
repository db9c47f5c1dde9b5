"""What the Health page shows of a report, and of the times that this process kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from xcstore.config import SETTINGS, Settings, hide_password
from xcstore.ops.health import HealthReport, Mark
from xcstore.ops.health_checks import WRITES, bytes_text, ms_text
from xcstore.ops.health_measures import Growth
from xcstore.ops.health_snapshots import MachineAdvice, SnapshotLag
from xcstore.redaction import Redaction
from xcstore.render.labels import ago_text, count_text, duration_text, markdown_escape, moment_text, visible_text
from xcstore.store.latency import OperationLatency, Timing
from xcstore.units import EpochMs

__all__ = [
    "MARKS",
    "Fact",
    "advice_rows",
    "advice_text",
    "check_rows",
    "facts",
    "growth_rows",
    "lag_rows",
    "lag_text",
    "latency_points",
    "latency_rows",
    "settings_rows",
    "slow_rows",
    "verdict",
]

Row = dict[str, object]

MARKS: Final[Mapping[Mark, str]] = {
    "ok": "✓ ok",
    "warning": "▲ warning",
    "critical": "✕ critical",
    "unknown": "? unknown",
}
_UNBROKEN: Final = "\N{NO-BREAK SPACE}"
LAGS: Final = 50
"""Instances of which the lag is shown."""
_WORKFLOWS: Final = {True: "long-running", False: "short", None: "not known"}
_URLS: Final = ("url", "database_url", "mongo_uri")
_SECRETS: Final = ("api_token",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A number at the top, and what it means."""

    label: str
    value: str
    meaning: str


def verdict(report: HealthReport) -> str:
    """All checks in one line."""
    counts = {mark: sum(check.mark == mark for check in report.checks) for mark in MARKS}
    if report.worst == "ok":
        return f"{MARKS['ok']}: {count_text(len(report.checks), 'check')}, all well"
    told = [f"{MARKS[mark]}: {counts[mark]}" for mark in ("critical", "warning", "unknown") if counts[mark]]
    return f"{' · '.join(told)} of {count_text(len(report.checks), 'check')}"


def facts(report: HealthReport, zone: tzinfo) -> tuple[Fact, ...]:
    """The numbers at the top; '–' for what is not known."""
    status, lag, span, grown = report.status, report.snapshots, report.time_range, report.growth
    pool = status.pool if status else None
    events = "–"
    if status is not None and status.event_count is not None:
        events = f"{'' if status.event_count_is_exact else '~'}{status.event_count:,}"
    estimate = "" if status is None or status.event_count_is_exact else "; ~ is the database's own estimate"
    return (
        Fact(
            label="Answers in",
            value=next((check.value for check in report.checks if check.name == "answers"), "–"),
            meaning="What the store takes to tell what it knows about itself"
            + ("" if status is None else f"; {visible_text(status.server, 60)}"),
        ),
        Fact(label="Events", value=events, meaning=f"Stored events{estimate}"),
        Fact(
            label="Instances",
            value="–" if report.instances is None else f"{report.instances:,}",
            meaning="Instances that have events",
        ),
        Fact(
            label="Snapshots",
            value="–" if lag is None else f"{lag.snapshots:,}",
            meaning="Instances that have a snapshot",
        ),
        Fact(
            label="Size",
            value="–" if status is None or status.size_bytes is None else bytes_text(status.size_bytes),
            meaning="Events, snapshots, indexes and what is kept beside them",
        ),
        Fact(
            label="Events a day",
            value="–" if grown is None else f"{grown.per_day_week:,.0f}",
            meaning="Mean of the last 7 days, or of as many as there are"
            + ("" if grown is None else f", up to {moment_text(grown.until, zone)}"),
        ),
        Fact(
            label="Connections",
            value="–" if pool is None else f"{pool.in_use} of {pool.maximum}",
            meaning="In use by this process, of as many as it may have"
            if pool is None
            else f"In use by this process, of as many as it may have; {pool.open} open, {pool.waiting} callers waiting",
        ),
        Fact(
            label="Newest",
            value="–" if span is None else ago_text(span[1], report.asked_at),
            meaning="Newest event: " + moment_text(None if span is None else span[1], zone),
        ),
    )


def check_rows(report: HealthReport) -> list[Row]:
    """A row for each check, the worst first. All text, as markdown."""
    order = ("critical", "warning", "unknown", "ok")
    return [
        {
            "is": MARKS[check.mark].replace(" ", _UNBROKEN),
            "check": check.name.replace(" ", _UNBROKEN),
            "value": markdown_escape(check.value),
            "what it means": markdown_escape(check.sentence, 400),
            "limit": check.threshold,
        }
        for check in sorted(report.checks, key=lambda check: order.index(check.mark))
    ]


def latency_rows(operations: Sequence[OperationLatency]) -> list[Row]:
    """A row for each operation that this process has asked of the store."""
    return [
        {
            "operation": row.operation,
            "kind": _kind(row.operation),
            "calls": row.count,
            "half within": ms_text(row.p50_ms),
            "95 % within": ms_text(row.p95_ms),
            "99 % within": ms_text(row.p99_ms),
            "slowest": ms_text(row.slowest_ms),
            "of latest calls": row.window,
        }
        for row in operations
    ]


def latency_points(timings: Sequence[Timing], now: EpochMs) -> list[tuple[float, str, str, float]]:
    """(seconds ago, operation, kind, ms), as `charts.latency_points` draws them."""
    return [
        (max(0.0, (now - timing.at) / 1_000), timing.operation, _kind(timing.operation), timing.ms)
        for timing in timings
    ]


def slow_rows(timings: Sequence[Timing], zone: tzinfo) -> list[Row]:
    """The latest slow calls, newest first: what was asked by name, never its values."""
    return [
        {"at": moment_text(timing.at, zone), "operation": timing.operation, "took": ms_text(timing.ms)}
        for timing in reversed(timings)
    ]


def growth_rows(growth: Growth) -> list[Row]:
    """A row for each day, newest first."""
    return [{"day (UTC)": moment_text(day)[:10], "events": count} for day, count in reversed(growth.days)]


def lag_rows(lag: SnapshotLag) -> list[Row]:
    """Live instances by how far their snapshot is behind, those without one first."""
    return [
        {
            "instance": visible_text(item.instance_id, 60),
            "machine": visible_text(item.machine_name, 60),
            "component": visible_text(item.component_name, 60) or "(none)",
            "state": visible_text(item.state, 60),
            "events": item.events,
            "snapshot": "yes" if item.has_snapshot else "none",
            "events since it": item.behind,
        }
        for item in lag.instances[:LAGS]
    ]


def lag_text(lag: SnapshotLag) -> str:
    """What the rows are of."""
    looked = f"the {len(lag.instances):,} newest of {count_text(lag.live, 'live instance')}"
    shown = min(LAGS, len(lag.instances))
    uncounted = (
        " · where nothing is said, there were too many events to count"
        if any(item.behind is None for item in lag.instances[:LAGS])
        else ""
    )
    return f"shown {shown:,} of those looked at: {looked}{uncounted}"


def advice_rows(advice: Sequence[MachineAdvice], in_force: int) -> list[Row]:
    """A row for each machine: the interval that its numbers speak for."""
    return [
        {
            "machine": visible_text(item.machine_name, 60),
            "component": visible_text(item.component_name, 60) or "(none)",
            "advised interval": item.interval,
            "in force": in_force,
            "transitions": "not known" if item.frequency is None else f"{item.frequency} frequency",
            "an hour": None if item.per_hour is None else float(f"{item.per_hour:.3g}"),
            "life": "–" if item.interval is None else duration_text(item.median_ms),
            "workflow": _WORKFLOWS[item.is_long_running],
            "each makes": item.median_transitions,
            "looked at": f"{item.looked_at:,} of {item.instances:,}",
        }
        for item in advice
    ]


def advice_text(long_running: str, high_rate: float) -> str:
    """The rule of the specification, with our numbers in it."""
    return (
        "Transitions from one snapshot to the next: 10 to 20 where transitions are rare, 50 to 100 where they are "
        f"frequent (from {high_rate:g} an hour in one instance); the lower end where half of the instances take "
        f"{long_running} or longer, as these have to come back faster. The end of an instance always makes a snapshot."
    )


def settings_rows(settings: Settings) -> list[Row]:
    """What is in force; of URLs without the password, of secrets only whether they are set."""
    rows: list[Row] = []
    for setting in SETTINGS:
        value = getattr(settings, setting.field)
        if setting.field in _SECRETS:
            text = "not set" if value is None else "set"
        elif value is None:
            text = "not set"
        elif setting.field in _URLS:
            text = hide_password(str(value))
        elif isinstance(value, bool):
            text = str(value).lower()
        elif isinstance(value, Redaction):
            text = ", ".join(".".join(path) for path in value.paths) or "not set"
        else:
            text = str(value)
        rows.append({"setting": setting.name, "value": visible_text(text, 200), "meaning": setting.meaning})
    return rows


def _kind(operation: str) -> str:
    return "write" if operation in WRITES else "question"
