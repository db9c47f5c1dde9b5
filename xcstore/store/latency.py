"""How long a store takes, as this process has seen it: counts in fixed buckets, the latest times, a warning when slow.

`latency_of(identity)` is the one record of a store, whoever opened it and how often. Kept are durations and the names
of methods, never what was asked.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from bisect import bisect_left
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from xcstore.units import EpochMs

__all__ = [
    "APPEND",
    "BOUNDS_MS",
    "DEFAULT_ALERT_MS",
    "Buckets",
    "Latency",
    "OperationLatency",
    "Timing",
    "all_latencies",
    "latency_of",
]

log = logging.getLogger(__name__)

APPEND: Final = "append"
BOUNDS_MS: Final = tuple(0.125 * 2**step for step in range(17))
"""Upper bounds of the buckets, 0.125 ms to 8.2 s; what takes longer is in one more."""
DEFAULT_ALERT_MS: Final = 100

_WINDOW: Final = 500
"""Latest times of each operation, from which quantiles are taken."""
_RECENT: Final = 300
_SLOW: Final = 50
_STORES: Final = 64
_QUIET_S: Final = 10.0
"""Between two warnings about one store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One question to the store, or one write."""

    at: EpochMs
    operation: str
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationLatency:
    """Times of one operation in ms. Quantiles are exact, of the latest `window` of all `count`."""

    operation: str
    count: int
    window: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    slowest_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """A histogram of one operation since the process began: as many counts as `BOUNDS_MS`, and one more."""

    operation: str
    counts: tuple[int, ...]
    sum_ms: float


@dataclass(slots=True)
class _Operation:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    sum_ms: float = 0.0
    window: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))


class Latency:
    """What one store took. Safe to share between threads; bounded, however long the process lives.

    Parameters
    ----------
    identity : str
        The store's URL without password.
    alert_ms : float
        Longer appends are warned of, at most one warning in 10 s; all that takes longer is kept as slow.
    clock : callable
        Seconds that only grow.

    Examples
    --------
    >>> latency = Latency("memory://x")
    >>> latency.observe("find", 2.0)
    >>> [(row.operation, row.count, row.p50_ms) for row in latency.operations()]
    [('find', 1, 2.0)]
    """

    def __init__(
        self, identity: str, alert_ms: float = DEFAULT_ALERT_MS, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.identity: Final = identity
        self.alert_ms = alert_ms
        self._clock: Final = clock
        self._lock: Final = threading.Lock()
        self._operations: Final[dict[str, _Operation]] = {}
        self._recent: Final[deque[tuple[int, str, float]]] = deque(maxlen=_RECENT)
        self._slow: Final[deque[tuple[int, str, float]]] = deque(maxlen=_SLOW)
        self._warned_at: float | None = None
        self._unsaid = 0

    def observe(self, operation: str, ms: float) -> None:
        """Keep that `operation` took so many milliseconds."""
        timing = time.time_ns(), operation, ms  # made into a `Timing` when somebody looks
        with self._lock:
            known = self._operations.get(operation)
            if known is None:
                known = self._operations[operation] = _Operation()
            known.counts[bisect_left(BOUNDS_MS, ms)] += 1
            known.sum_ms += ms
            known.window.append(ms)
            self._recent.append(timing)
            if ms <= self.alert_ms:
                return
            self._slow.append(timing)
            if operation != APPEND:
                return
            now = self._clock()
            if self._warned_at is not None and now - self._warned_at < _QUIET_S:
                self._unsaid += 1
                return
            self._warned_at, unsaid, self._unsaid = now, self._unsaid, 0
        more = f" ({unsaid:,} more since the last warning)" if unsaid else ""
        log.warning(
            "High event store latency: %.0f ms to append to %s; the limit is %g ms%s",
            ms,
            self.identity,
            self.alert_ms,
            more,
        )

    def operations(self) -> tuple[OperationLatency, ...]:
        """By name, appends first."""
        with self._lock:
            seen = [(name, sum(known.counts), sorted(known.window)) for name, known in self._operations.items()]
        rows = [
            OperationLatency(
                operation=name,
                count=count,
                window=len(window),
                p50_ms=_quantile(window, 0.50),
                p95_ms=_quantile(window, 0.95),
                p99_ms=_quantile(window, 0.99),
                slowest_ms=window[-1],
            )
            for name, count, window in seen
        ]
        return tuple(sorted(rows, key=lambda row: (row.operation != APPEND, row.operation)))

    def operation(self, name: str) -> OperationLatency | None:
        return next((row for row in self.operations() if row.operation == name), None)

    def recent(self) -> tuple[Timing, ...]:
        """The latest, oldest first."""
        return self._timings(self._recent)

    def slow(self) -> tuple[Timing, ...]:
        """The latest that took longer than `alert_ms`, oldest first."""
        return self._timings(self._slow)

    def _timings(self, kept: deque[tuple[int, str, float]]) -> tuple[Timing, ...]:
        with self._lock:
            timings = list(kept)
        return tuple(Timing(at=EpochMs(at // 1_000_000), operation=name, ms=ms) for at, name, ms in timings)

    def histograms(self) -> tuple[Buckets, ...]:
        """Since the process began, by operation."""
        with self._lock:
            return tuple(
                Buckets(operation=name, counts=tuple(known.counts), sum_ms=known.sum_ms)
                for name, known in sorted(self._operations.items())
            )


_known: Final[OrderedDict[str, Latency]] = OrderedDict()
_known_lock: Final = threading.Lock()


def latency_of(identity: str) -> Latency:
    """The record of this store in this process; of more than 64 stores, the one unused for longest is forgotten."""
    with _known_lock:
        latency = _known.setdefault(identity, Latency(identity))
        _known.move_to_end(identity)
        while len(_known) > _STORES:
            _known.popitem(last=False)
        return latency


def all_latencies() -> tuple[Latency, ...]:
    """Of the stores that this process has opened."""
    with _known_lock:
        return tuple(_known.values())


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
