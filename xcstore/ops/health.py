"""Is a store well? Checks with values, thresholds and a sentence each; measured now, at bounded cost.

Nothing is written: how long appends take is what this process has seen, and what the latest events themselves say.
A check that fails is unknown, for the reason given; it is never an exception.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Final

from xcstore.errors import NotAStoreError, StoreError
from xcstore.ops import health_checks as checks
from xcstore.ops.health_checks import Check, Mark, RetentionUse
from xcstore.ops.health_measures import Growth, QueryTime, StoredDelay, Watch, growth, questions, stored_delay
from xcstore.ops.health_snapshots import MachineAdvice, SnapshotLag, machine_advice, snapshot_lag
from xcstore.ops.pruning import notes_of
from xcstore.store.base import EventQuery, InstanceQuery, Layout, Stores, StoreStatus
from xcstore.store.latency import APPEND, DEFAULT_ALERT_MS, OperationLatency, latency_of
from xcstore.units import DAY, EpochMs

__all__ = ["Check", "HealthReport", "HealthSettings", "Mark", "check_health", "not_opened"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """What is in force, and what counts as slow."""

    latency_ms: float = DEFAULT_ALERT_MS
    """From which an append or a simple question is slow."""
    snapshot_interval: int = 10
    retention_days: int | None = None
    snapshots_kept: int = 10
    seconds: float = 20.0
    """After which nothing more is asked; each question has the time limit of its store besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """What was found. What could not be found out is None, and its check is unknown."""

    identity: str
    asked_at: EpochMs
    checks: tuple[Check, ...]
    layout: Layout | None = None
    read_only: bool | None = None
    opened_ms: float | None = None
    """What it took to open the store, where that was measured."""
    status: StoreStatus | None = None
    time_range: tuple[EpochMs, EpochMs] | None = None
    instances: int | None = None
    queries: tuple[QueryTime, ...] = ()
    appends: OperationLatency | None = None
    """As this process saw them."""
    stored_delay: StoredDelay | None = None
    growth: Growth | None = None
    snapshots: SnapshotLag | None = None
    retention: RetentionUse | None = None
    advice: tuple[MachineAdvice, ...] = ()

    @property
    def worst(self) -> Mark:
        """Of all checks; unknown is worse than ok, and better than a warning."""
        return max((check.mark for check in self.checks), key=_WORSE.index, default="ok")

    def document(self) -> dict[str, object]:
        """As JSON has it."""
        return {"worst": self.worst, **asdict(self)}


_WORSE: Final[tuple[Mark, ...]] = ("ok", "unknown", "warning", "critical")


def not_opened(identity: str, error: StoreError) -> HealthReport:
    """The report on a store that could not be opened: nobody answers, or what answers holds no store."""
    told = checks.no_history(str(error)) if isinstance(error, NotAStoreError) else (checks.no_answer(str(error)),)
    return HealthReport(identity=identity, asked_at=_now(), checks=told)


def check_health(
    stores: Stores,
    settings: HealthSettings | None = None,
    *,
    ended: Collection[tuple[str, str, str]] = (),
    opened_ms: float | None = None,
    now: EpochMs | None = None,
) -> HealthReport:
    """Measure a store and judge it.

    Parameters
    ----------
    stores : Stores
        Only read.
    settings : HealthSettings, optional
        Thresholds, and what is in force.
    ended : collection of (component, machine, state)
        Where instances end, see `health_snapshots.ended_states`.
    opened_ms : float, optional
        What it took to open `stores`.
    now : EpochMs, optional
        This moment unless given.

    Examples
    --------
    >>> from xcstore.store.opening import open_stores
    >>> with open_stores("memory://") as stores:
    ...     check_health(stores).worst
    'ok'
    """
    return _Examination(stores, settings or HealthSettings(), ended, opened_ms, _now() if now is None else now).report()


class _Examination:
    """One report in the making."""

    def __init__(
        self,
        stores: Stores,
        settings: HealthSettings,
        ended: Collection[tuple[str, str, str]],
        opened_ms: float | None,
        now: EpochMs,
    ) -> None:
        self._stores: Final = stores
        self._settings: Final = settings
        self._ended: Final = ended
        self._opened_ms: Final = opened_ms
        self._now: Final = now
        self._watch: Final = Watch(settings.seconds)

    def report(self) -> HealthReport:
        stores, settings = self._stores, self._settings
        # Seen before our own questions, and so not of them.
        appends = latency_of(stores.identity).operation(APPEND)
        status, took_ms, problem = self._watch.timed(stores.events.status)
        if status is None:
            return HealthReport(
                identity=stores.identity,
                asked_at=self._now,
                opened_ms=self._opened_ms,
                checks=(checks.no_answer(problem),),
            )
        times, latest, flows = questions(stores, self._watch)
        span, _, span_problem = self._watch.timed(stores.events.time_range)
        counts, _, counts_problem = self._watch.timed(lambda: stores.events.count_instances(InstanceQuery()))
        until = min(self._now, span[1]) if span else self._now
        grown, _, growth_problem = self._watch.timed(lambda: growth(stores, until, span[0] if span else None))
        lag, _, lag_problem = self._watch.timed(lambda: snapshot_lag(stores, counts or (), flows, self._ended))
        use, _, use_problem = self._watch.timed(self._retention)
        advice, _, _ = self._watch.timed(lambda: machine_advice(stores, counts or ()))
        delay = stored_delay(latest)
        is_empty = span is None and not span_problem
        calls = latency_of(stores.identity).operations()
        slow = sum(timing.ms > settings.latency_ms for timing in latency_of(stores.identity).slow())
        return HealthReport(
            identity=stores.identity,
            asked_at=self._now,
            layout=stores.events.layout,
            read_only=stores.events.read_only,
            opened_ms=self._opened_ms,
            status=status,
            time_range=span,
            instances=None if counts is None else sum(row.count for row in counts),
            queries=times,
            appends=appends,
            stored_delay=delay,
            growth=grown,
            snapshots=None if counts is None else lag,
            retention=use,
            advice=advice or (),
            checks=(
                checks.answers(status, took_ms, self._opened_ms, settings.latency_ms),
                *(checks.query(one, settings.latency_ms) for one in times),
                checks.appends_seen(appends, settings.latency_ms),
                checks.appends_recorded(delay, settings.latency_ms, is_empty=is_empty),
                *([checks.calls_seen(calls, settings.latency_ms, slow)] if calls else []),
                *([checks.connections(status.pool)] if status.pool else []),
                checks.newest(span, self._now, span_problem),
                checks.size(status, grown, growth_problem, is_empty=is_empty),
                *checks.snapshots(lag, counts_problem or lag_problem),
                checks.retention(use, self._now, use_problem),
            ),
        )

    def _retention(self) -> RetentionUse:
        days, keep = self._settings.retention_days, self._settings.snapshots_kept
        beyond = None
        if days is not None:
            before = EventQuery(end=EpochMs(self._now - days * DAY - 1))
            beyond = sum(count.count for count in self._stores.events.count(before))
        runs = [run for run in notes_of(self._stores) if run.finished]
        return RetentionUse(
            days=days,
            events_beyond=beyond,
            snapshots_kept=keep,
            snapshots_beyond=self._stores.snapshots.count_beyond(keep),
            pruned_at=runs[-1].at if runs else None,
            pruned_events=runs[-1].events if runs else 0,
        )


def _now() -> EpochMs:
    return EpochMs(time.time_ns() // 1_000_000)
