"""Figures for Prometheus: how each configured store is, and how long this process waited for it.

A scrape asks each store what it knows about itself, at the same time for all, and waits two seconds at most. A store
that has not answered by then is down, whatever it may say later; it is not asked again before it has.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from xcstore.errors import XcstoreError
from xcstore.store.base import Stores, StoreStatus
from xcstore.store.latency import BOUNDS_MS, Buckets, all_latencies
from xcstore.units import EpochMs

__all__ = ["CONTENT_TYPE", "Metrics"]

log = logging.getLogger(__name__)

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_WAIT_S: Final = 2.0
_KEEP_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One store; None for what it did not say."""

    identity: str
    status: StoreStatus
    snapshots: int | None
    newest: EpochMs | None


class Metrics:
    """The text that Prometheus reads, at most 10 seconds old.

    Parameters
    ----------
    names : callable
        Gives the names of the configured stores.
    open_named : callable
        Gives the store of a name, which is opened once and kept by whoever gives it.
    clock : callable
        Seconds that only grow.
    """

    def __init__(
        self,
        names: Callable[[], Sequence[str]],
        open_named: Callable[[str], Stores],
        *,
        wait_s: float = _WAIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._names: Final = names
        self._open_named: Final = open_named
        self._wait_s: Final = wait_s
        self._clock: Final = clock
        self._pool: Final = ThreadPoolExecutor(max_workers=8, thread_name_prefix="xcstore-metrics")
        self._lock: Final = threading.Lock()
        self._asked: Final[dict[str, Future[_Seen | None]]] = {}
        self._text = b""
        self._made_at: float | None = None

    def text(self) -> bytes:
        """One caller asks; others that come meanwhile wait for its answer."""
        with self._lock:
            if self._made_at is None or self._clock() - self._made_at >= _KEEP_S:
                names = list(self._names())
                registry = CollectorRegistry()
                registry.register(_Collected(names, self._look(names)))
                self._text = generate_latest(registry)
                self._made_at = self._clock()
            return self._text

    def _look(self, names: Sequence[str]) -> Mapping[str, _Seen]:
        for name in names:
            # One that still waits for its store is left to wait: else each scrape would leave another one behind.
            if name not in self._asked:
                self._asked[name] = self._pool.submit(self._see, name)
        wait([self._asked[name] for name in names], timeout=self._wait_s)
        found: dict[str, _Seen] = {}
        for name in list(self._asked):
            if self._asked[name].done():
                asked = self._asked.pop(name)
                if (error := asked.exception()) is not None:
                    log.error("looking at store %r failed", name, exc_info=error)
                elif (seen := asked.result()) is not None and name in names:
                    found[name] = seen
        return found

    def _see(self, name: str) -> _Seen | None:
        try:
            stores = self._open_named(name)
            status = stores.events.status()
            span = stores.events.time_range()
        except XcstoreError:  # down; why, the page says
            return None
        try:
            snapshots = stores.snapshots.count()
        except XcstoreError:  # counting them may take too long
            snapshots = None
        return _Seen(
            identity=stores.identity, status=status, snapshots=snapshots, newest=None if span is None else span[1]
        )


class _Collected:
    """What was seen, as the library collects it. It escapes labels: an identity may hold any character."""

    def __init__(self, names: Sequence[str], seen: Mapping[str, _Seen]) -> None:
        self._names: Final = names
        self._seen: Final = seen

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("xcstore_up", "Whether the store answered in time.", labels=["store"])
        for name in self._names:
            up.add_metric([name], float(name in self._seen))
        yield up
        info = GaugeMetricFamily(
            "xcstore_store_info", "What the store is; always 1.", labels=["store", "identity", "server"]
        )
        for name, seen in self._seen.items():
            info.add_metric([name, seen.identity, seen.status.server], 1)
        yield info
        yield self._gauge("xcstore_events", "Events stored; an estimate in large stores.", _events)
        yield self._gauge("xcstore_snapshots", "Instances with a snapshot.", lambda seen: seen.snapshots)
        yield self._gauge("xcstore_size_bytes", "What the store takes on disk.", lambda seen: seen.status.size_bytes)
        yield self._gauge(
            "xcstore_newest_event_timestamp_seconds",
            "When the newest event was stored.",
            lambda seen: None if seen.newest is None else seen.newest / 1_000,
        )
        yield self._connections()
        yield self._latency()

    def _gauge(self, name: str, meaning: str, value: Callable[[_Seen], float | None]) -> Metric:
        family = GaugeMetricFamily(name, meaning, labels=["store"])
        for store, seen in self._seen.items():
            number = value(seen)
            if number is not None:
                family.add_metric([store], number)
        return family

    def _connections(self) -> Metric:
        family = GaugeMetricFamily(
            "xcstore_connections", "Connections of this process, and callers that wait.", labels=["store", "state"]
        )
        for store, seen in self._seen.items():
            if pool := seen.status.pool:
                for state in ("open", "in_use", "waiting", "maximum"):
                    family.add_metric([store, state], getattr(pool, state))
        return family

    def _latency(self) -> Metric:
        family = HistogramMetricFamily(
            "xcstore_operation_seconds",
            "How long this process waited for the store; operation append is one event.",
            labels=["store", "operation"],
        )
        known = {latency.identity: latency for latency in all_latencies()}
        for store, seen in self._seen.items():
            for buckets in known[seen.identity].histograms() if seen.identity in known else ():
                family.add_metric([store, buckets.operation], _cumulative(buckets), buckets.sum_ms / 1_000)
        return family


def _events(seen: _Seen) -> int | None:
    return seen.status.event_count


def _cumulative(buckets: Buckets) -> list[tuple[str, float]]:
    bounds = [*(f"{bound / 1_000:g}" for bound in BOUNDS_MS), "+Inf"]
    total = 0
    rows: list[tuple[str, float]] = []
    for bound, count in zip(bounds, buckets.counts, strict=True):
        total += count
        rows.append((bound, float(total)))
    return rows
