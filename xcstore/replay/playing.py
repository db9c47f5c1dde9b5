"""How fast a track plays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from xcstore.errors import QueryError
from xcstore.units import DurationMs

__all__ = ["ORIGINAL", "Speed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How long to wait before a step is shown.

    Raises
    ------
    QueryError
        A factor, rate or idle time that is not above 0, or neither a factor nor a rate.

    Examples
    --------
    >>> Speed(factor=10, idle_ms=DurationMs(2_000)).wait(DurationMs(5_000))
    500
    >>> Speed(factor=10, idle_ms=DurationMs(2_000)).wait(DurationMs(86_400_000))
    2000
    >>> Speed(per_second=4).wait(DurationMs(86_400_000))
    250
    """

    factor: float | None = 1.0
    """1: the recorded intervals; 10: ten times as fast."""
    per_second: float | None = None
    """A fixed rate of steps instead, whatever the recorded intervals are."""
    idle_ms: DurationMs | None = None
    """No wait is longer than this."""

    def __post_init__(self) -> None:
        for name in ("factor", "per_second", "idle_ms"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise QueryError(f"nothing can be played with {name}={value!r}; give a number above 0")
        if self.factor is None and self.per_second is None:
            raise QueryError("nothing can be played without a factor or a rate; give factor or per_second")

    def wait(self, recorded_ms: DurationMs) -> DurationMs:
        """How long to wait where that much time lay between two steps."""
        if self.per_second is not None:
            wait = 1_000 / self.per_second
        else:
            assert self.factor is not None  # as one of the two is given
            wait = max(recorded_ms, 0) / self.factor
        return DurationMs(round(wait if self.idle_ms is None else min(wait, self.idle_ms)))


ORIGINAL: Final = Speed()
"""The recorded intervals."""
