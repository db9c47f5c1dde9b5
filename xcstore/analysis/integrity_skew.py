"""Effects that were stored before their causes: clocks that differ, or something that cannot have been.

Each component stores by its own clock. Where the clock of one is behind that of another by more than a message takes,
effects seem to come before their causes: often, and always by about as much. Something else moves an event once, and by
anything.

The rules, for the links from one component to another:

1. Within one component there is one clock, so an effect before its cause is a violation.
2. Across components, an effect up to `JITTER_MS` too early is skew, as on the Causality page: clocks that are kept by
   NTP agree within some tens of milliseconds, at bad times within a second.
3. Earlier ones are skew where they are a habit: `MANY` of the links or more, and `SHARE` of them or more; and then
   those up to `SPREAD` times their median. An offset of S, less what messages take, gives anything from 0 to S: the
   median is about S/2 where that time is spread evenly, nothing reaches past S, and the rest is for clocks that drift.
4. What is neither is a violation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from xcstore.analysis.causality import CLOCK_TOLERANCE_MS
from xcstore.analysis.integrity_columns import Ints
from xcstore.units import DurationMs

__all__ = ["JITTER_MS", "MANY", "SHARE", "SPREAD", "Skew", "tell_apart"]

JITTER_MS: Final = CLOCK_TOLERANCE_MS
MANY: Final = 20
SHARE: Final = 0.05
SPREAD: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """The clock of one component against that of another. Links are named by their place in what was given."""

    worst: int
    """The link with the largest gap that is skew."""
    early: int
    """Links that are skew."""
    links: int
    """All links from the one to the other."""
    median_ms: DurationMs
    """By how much effects seem early, at the median of these."""
    most_ms: DurationMs


def tell_apart(gaps: Ints, causes: npt.NDArray[np.int32], effects: npt.NDArray[np.int32]) -> tuple[list[Skew], Ints]:
    """Skews, one for each pair of components, and the places of links that are violations.

    Parameters
    ----------
    gaps : array of int64
        From cause to effect, in ms, one for each link.
    causes, effects : arrays of int32
        The component of the cause, and of the effect.

    Examples
    --------
    >>> gaps = np.array([40, -300, 20, -90_000])
    >>> skews, violations = tell_apart(gaps, np.array([0, 0, 0, 0], np.int32), np.array([0, 1, 1, 1], np.int32))
    >>> [(skew.worst, int(skew.most_ms)) for skew in skews], violations.tolist()
    ([(1, 300)], [3])
    """
    early = np.flatnonzero(gaps < 0).astype(np.int64)
    within = causes[early] == effects[early]
    violations = [early[within]]
    skews = []
    across = early[~within]
    pairs = causes.astype(np.int64) << 32 | effects
    for pair in np.unique(pairs[across]).tolist():
        links = int(np.count_nonzero(pairs == pair))
        mine = across[pairs[across] == pair]
        by = -gaps[mine]
        allowed = int(JITTER_MS)
        if len(mine) >= MANY and len(mine) >= SHARE * links:
            allowed = max(allowed, int(SPREAD * np.median(by)))
        is_skew = by <= allowed
        violations.append(mine[~is_skew])
        if is_skew.any():
            skews.append(
                Skew(
                    worst=int(mine[is_skew][by[is_skew].argmax()]),
                    early=int(is_skew.sum()),
                    links=links,
                    median_ms=DurationMs(int(np.median(by[is_skew]))),
                    most_ms=DurationMs(int(by[is_skew].max())),
                )
            )
    return skews, np.sort(np.concatenate(violations))
