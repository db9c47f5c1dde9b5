"""What is well and what is not: one function for each check, from what was measured to a mark and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from xcstore.ops.health_measures import WEEK_DAYS, Growth, QueryTime, StoredDelay
from xcstore.ops.health_snapshots import SnapshotLag
from xcstore.store.base import PoolUse, StoreStatus
from xcstore.store.latency import OperationLatency
from xcstore.units import DAY, HOUR, MINUTE, SECOND, EpochMs

__all__ = [
    "LAG_CRITICAL",
    "LAG_WARNING",
    "Check",
    "Mark",
    "RetentionUse",
    "answers",
    "appends_recorded",
    "appends_seen",
    "bytes_text",
    "calls_seen",
    "connections",
    "newest",
    "no_answer",
    "no_history",
    "query",
    "retention",
    "size",
    "snapshots",
]

Mark = Literal["ok", "warning", "critical", "unknown"]

CRITICAL_TIMES: Final = 10
"""So many times the limit of latency is critical."""
COUNTS_TIMES: Final = 10
"""Counts of everything may take so many times longer than a page."""
COUNTING: Final = frozenset({"count", "count_beyond", "count_instances", "count_snapshots", "time_range", "to_arrow"})
"""Calls that look at everything."""
WRITES: Final = frozenset(
    {
        "append",
        "append_many",
        "change_outbox",
        "delete_events",
        "delete_snapshot",
        "save_snapshot",
        "save_snapshots",
        "trim",
    }
)
"""Calls that change something; batches take as long as they are large."""
FEW_CALLS: Final = 3
"""Fewer say nothing: the first one connects."""
MANY_CALLS: Final = 20
"""From so many on, 95 % of them have to be fast, else half."""
LAG_WARNING: Final = 100
"""Events behind: the largest interval that is advised for snapshots."""
LAG_CRITICAL: Final = 1_000
POOL_WARNING: Final = 0.8
PRUNED_MS: Final = 7 * DAY
"""What is still old so long after a run of `prune` had to stay, as the rules of retention say."""
CLOCK_MS: Final = MINUTE
"""How far clocks may differ before an event is from the future."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. All but the mark is in words."""

    name: str
    mark: Mark
    value: str
    threshold: str = ""
    """From when on it is not well; '' where it only informs."""
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionUse:
    """What is to be kept, and how much there is beyond that."""

    days: int | None
    """None: events are kept for ever."""
    events_beyond: int | None
    snapshots_kept: int
    snapshots_beyond: int
    pruned_at: EpochMs | None = None
    """When the latest run of `prune` began that went to its end; None where none is noted."""
    pruned_events: int = 0
    """How many events went in that run."""


def no_answer(reason: str) -> Check:
    return Check(name="answers", mark="critical", value="no", threshold="critical: no answer", sentence=reason)


def no_history(reason: str) -> tuple[Check, ...]:
    """It answers, and holds no store: a name with a mistake in it, or nothing was written yet."""
    return (
        Check(name="answers", mark="ok", value="yes", threshold="critical: no answer", sentence="It can be reached."),
        Check(
            name="history",
            mark="warning",
            value="none",
            threshold="warning: no store there",
            sentence=f"No store is there: nothing was written yet, or its name is another. {reason}",
        ),
    )


def answers(status: StoreStatus, took_ms: float, opened_ms: float | None, limit_ms: float) -> Check:
    opened = "" if opened_ms is None else f"; opening it took {ms_text(opened_ms)}"
    return Check(
        name="answers",
        mark=_latency_mark(took_ms, limit_ms),
        value=ms_text(took_ms),
        threshold=_latency_limit(limit_ms),
        sentence=f"{status.server} answered in {ms_text(took_ms)}{opened}.",
    )


def query(time: QueryTime, limit_ms: float) -> Check:
    limit_ms = limit_ms * COUNTS_TIMES if time.name == "counts" else limit_ms
    if time.median_ms is None:
        return _unknown(time.name, time.problem, _latency_limit(limit_ms))
    runs = "once" if time.runs == 1 else f"{time.runs} times"
    return Check(
        name=time.name,
        mark=_latency_mark(time.median_ms, limit_ms),
        value=ms_text(time.median_ms),
        threshold=_latency_limit(limit_ms),
        sentence=f"Asked {runs} just now; half of the answers came within {ms_text(time.median_ms)}."
        if time.runs > 1
        else f"Asked once just now; the answer came within {ms_text(time.median_ms)}.",
    )


def appends_seen(seen: OperationLatency | None, limit_ms: float) -> Check:
    name = "appends, seen here"
    if seen is None:
        return Check(
            name=name,
            mark="ok",
            value="none",
            threshold=_latency_limit(limit_ms),
            sentence="This process has not appended; what it takes others is in what they recorded.",
        )
    return Check(
        name=name,
        mark=_latency_mark(seen.p95_ms, limit_ms),
        value=f"p95 {ms_text(seen.p95_ms)}",
        threshold=_latency_limit(limit_ms),
        sentence=f"The latest {seen.window:,} of {seen.count:,} appends of this process: half took at most "
        f"{ms_text(seen.p50_ms)}, 95 % at most {ms_text(seen.p95_ms)}, 99 % at most {ms_text(seen.p99_ms)}.",
    )


def calls_seen(operations: Sequence[OperationLatency], limit_ms: float, single: int = 0) -> Check:
    """All questions of this process, by the slowest kind; appends have a check of their own.

    `single`: calls over `limit_ms` that are kept, which are told of where no kind is slow.
    """
    judged = [row for row in operations if row.operation not in WRITES and row.window >= FEW_CALLS]
    excess = {
        row.operation: (row.p95_ms if row.window >= MANY_CALLS else row.p50_ms)
        / (limit_ms * (COUNTS_TIMES if row.operation in COUNTING else 1))
        for row in judged
    }
    slow = sorted((row for row in judged if excess[row.operation] > 1), key=lambda row: -excess[row.operation])
    limit = f"{_latency_limit(limit_ms)}; counts {COUNTS_TIMES} times that"
    name = "calls, seen here"
    if not slow:
        return Check(
            name=name,
            mark="ok",
            value=f"{single:,} slow" if single else "fast",
            threshold=limit,
            sentence="Of each kind of question that this process asked at least 3 times, nearly all, or of fewer than "
            f"{MANY_CALLS} half, came within the limit"
            + (f"; {single:,} single calls of all kinds took over {ms_text(limit_ms)}." if single else "."),
        )
    told = [
        f"{row.operation} (half within {ms_text(row.p50_ms)}, 95 % within {ms_text(row.p95_ms)})" for row in slow[:3]
    ]
    more = f" and {len(slow) - 3:,} more" if len(slow) > 3 else ""
    return Check(
        name=name,
        mark="critical" if excess[slow[0].operation] > CRITICAL_TIMES else "warning",
        value=_kinds(len(slow)),
        threshold=limit,
        sentence=f"Slow in this process: {', '.join(told)}{more}.",
    )


def appends_recorded(delay: StoredDelay | None, limit_ms: float, *, is_empty: bool = False) -> Check:
    name = "appends, recorded"
    if delay is None:
        return Check(
            name=name,
            mark="ok",
            value="none",
            threshold=_latency_limit(limit_ms),
            sentence="No event is stored yet."
            if is_empty
            else "The latest events do not say when they were made, so nothing tells how long storing them took.",
        )
    return Check(
        name=name,
        mark=_latency_mark(delay.p95_ms, limit_ms),
        value=f"p95 {ms_text(delay.p95_ms)}",
        threshold=_latency_limit(limit_ms),
        sentence=f"From made to stored, as the latest {delay.events:,} events recorded it: half took at most "
        f"{ms_text(delay.p50_ms)}, 95 % at most {ms_text(delay.p95_ms)}.",
    )


def connections(pool: PoolUse) -> Check:
    mark: Mark = "ok"
    if pool.waiting:
        mark = "critical"
    elif pool.in_use >= POOL_WARNING * pool.maximum:
        mark = "warning"
    return Check(
        name="connections",
        mark=mark,
        value=f"{pool.in_use} of {pool.maximum}",
        threshold=f"warning from {POOL_WARNING:.0%} in use; critical: someone waits",
        sentence=f"{pool.in_use} in use, {pool.open} open, of at most {pool.maximum}; {pool.waiting} waiting.",
    )


def newest(span: tuple[EpochMs, EpochMs] | None, now: EpochMs, problem: str) -> Check:
    name, limit = "newest event", "warning: from the future"
    if problem:
        return _unknown(name, problem, limit)
    if span is None:
        return Check(name=name, mark="ok", value="none", threshold=limit, sentence="No event is stored yet.")
    age = now - span[1]
    if age < -CLOCK_MS:
        return Check(
            name=name,
            mark="warning",
            value=f"in {age_text(-age)}",
            threshold=limit,
            sentence=f"The newest event is of {age_text(-age)} from now: a clock is off, its writer's or ours.",
        )
    return Check(
        name=name,
        mark="ok",
        value=f"{age_text(max(0, age))} ago",
        threshold=limit,
        sentence=f"The newest event is {age_text(max(0, age))} old, the oldest {age_text(max(0, now - span[0]))}.",
    )


def size(status: StoreStatus, grown: Growth | None, problem: str, *, is_empty: bool = False) -> Check:
    about = "" if status.event_count_is_exact else "about "
    held = "an unknown number of events" if status.event_count is None else f"{about}{status.event_count:,} events"
    on_disk = "" if status.size_bytes is None else f" in {bytes_text(status.size_bytes)}"
    value = "not known" if status.size_bytes is None else bytes_text(status.size_bytes)
    if grown is None:
        return Check(name="size", mark="unknown", value=value, sentence=f"It holds {held}{on_disk}; {problem}.")
    if is_empty:
        return Check(name="size", mark="ok", value=value, sentence=f"It holds no event yet{on_disk}.")
    daily = f"{_rate(grown.per_day_week)} events a day"
    if grown.week_days < WEEK_DAYS:
        rate = f"In its {_days(grown.week_days)} so far it got {daily}"
    else:
        rate = f"In the 7 days up to its newest event it got {daily}"
        if grown.month_days > WEEK_DAYS:
            rate += f", in the {_days(grown.month_days)} up to it {_rate(grown.per_day_month)} a day"
    rate += f"; 30 more days like the latest bring {grown.next_month:,}"
    if status.size_bytes and status.event_count:
        rate += f", about {bytes_text(round(status.size_bytes / status.event_count * grown.next_month))}"
    return Check(name="size", mark="ok", value=value, sentence=f"It holds {held}{on_disk}. {rate}.")


def snapshots(lag: SnapshotLag | None, problem: str) -> Sequence[Check]:
    limit = f"warning from {LAG_WARNING} events behind, critical from {LAG_CRITICAL:,}"
    missing_limit = f"warning: {LAG_WARNING} events and no snapshot"
    if problem or lag is None:
        return [_unknown(name, problem, "") for name in ("snapshots behind", "without snapshot")]
    shown = f"of the {len(lag.instances):,} newest of {lag.live:,} live instances"
    if not lag.instances:
        none = "No instance is known to be live."
        return [
            Check(name="snapshots behind", mark="ok", value="none", threshold=limit, sentence=none),
            Check(name="without snapshot", mark="ok", value="none", threshold=missing_limit, sentence=none),
        ]
    uncounted = sum(item.behind is None for item in lag.instances)
    left = f"; {uncounted:,} have too many events to count" if uncounted else ""
    behind: Mark = "critical" if lag.worst >= LAG_CRITICAL else "warning" if lag.worst >= LAG_WARNING else "ok"
    long = sum(not item.has_snapshot and item.events >= LAG_WARNING for item in lag.instances)
    return [
        Check(
            name="snapshots behind",
            mark=behind,
            value=f"at most {lag.worst:,}",
            threshold=limit,
            sentence=f"Events since the latest snapshot, {shown}: at most {lag.worst:,}{left}.",
        ),
        Check(
            name="without snapshot",
            mark="warning" if long else "ok",
            value=f"{lag.without:,} of {len(lag.instances):,}",
            threshold=missing_limit,
            sentence=f"{lag.without:,} {shown} have no snapshot, {long:,} of these have {LAG_WARNING} events or more; "
            f"{lag.snapshots:,} snapshots are stored in all.",
        ),
    ]


def retention(use: RetentionUse | None, now: EpochMs, problem: str) -> Check:
    limit = "warning: something is beyond, and nothing was pruned for 7 days"
    if use is None:
        return _unknown("retention", problem, limit)
    kept = "for ever" if use.days is None else f"for {_days(use.days)}"
    beyond = [
        f"{count:,} {what}"
        for count, what in ((use.events_beyond or 0, "events"), (use.snapshots_beyond, "snapshots"))
        if count
    ]
    pruned = "No run of prune is noted."
    if use.pruned_at is not None:
        pruned = f"The latest prune, {age_text(max(0, now - use.pruned_at))} ago, removed {use.pruned_events:,} events."
    is_recent = use.pruned_at is not None and now - use.pruned_at <= PRUNED_MS
    return Check(
        name="retention",
        mark="warning" if beyond and not is_recent else "ok",
        value=" and ".join(beyond) + " beyond" if beyond else "kept",
        threshold=limit,
        sentence=f"Events are kept {kept}, and {use.snapshots_kept:,} snapshots of each instance; "
        + (
            f"{' and '.join(beyond)} are beyond that, of which the command prune says what may go. {pruned}"
            if beyond
            else f"nothing is beyond that. {pruned}"
        ),
    )


def _unknown(name: str, problem: str, threshold: str) -> Check:
    return Check(name=name, mark="unknown", value="–", threshold=threshold, sentence=problem)


def _kinds(kinds: int) -> str:
    return f"{kinds:,} slow kind" + ("" if kinds == 1 else "s")


def _rate(per_day: float) -> str:
    """'528', '0.3'."""
    return f"{per_day:,.0f}" if per_day >= 10 or per_day == round(per_day) else f"{per_day:.1f}"


def _days(days: float) -> str:
    whole = max(1, round(days))
    return f"{whole:,} day" + ("" if whole == 1 else "s")


def _latency_mark(ms: float, limit_ms: float) -> Mark:
    return "critical" if ms > CRITICAL_TIMES * limit_ms else "warning" if ms > limit_ms else "ok"


def _latency_limit(limit_ms: float) -> str:
    return f"warning over {ms_text(limit_ms)}, critical over {ms_text(CRITICAL_TIMES * limit_ms)}"


def ms_text(ms: float) -> str:
    """'0.42 ms', '12 ms', '1.5 s'."""
    if ms >= 1_000:
        return f"{ms / 1_000:,.3g} s" if ms < 1_000_000 else f"{ms / 1_000:,.0f} s"
    return f"{ms:.2g} ms" if ms < 10 else f"{ms:.0f} ms"


def bytes_text(size: float) -> str:
    """'512 B', '31.9 MB'; as disks are sold, by thousands."""
    for name in ("B", "kB", "MB", "GB"):
        if abs(size) < 1_000:
            return f"{size:.0f} {name}" if name == "B" else f"{size:.1f} {name}"
        size /= 1_000
    return f"{size:,.1f} TB"


def age_text(ms: float) -> str:
    """'3 h', '12 d'."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")):
        if ms >= unit:
            return f"{ms // unit:,.0f} {name}"
    return "under 1 s"
