"""Which instance was in which state from when to when, and how long instances stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.units import DurationMs, EpochMs

__all__ = ["DWELL_COLUMNS", "Break", "Interval", "StateHistory", "Visits", "dwell", "state_history", "visits"]

DWELL_COLUMNS = ("component_name", "machine_name", "state", "median_ms", "p95_ms", "n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """One stay in a state."""

    state: str
    entered_at: EpochMs
    entered_by: str
    """Id of the event that led here."""
    left_at: EpochMs | None = None
    left_by: str | None = None
    end: Literal["left", "open", "break"] = "open"
    """`open`: still there after the last event. `break`: the next event starts elsewhere, so when and how this
    stay ended is not recorded."""
    last_seen_at: EpochMs
    """The last event that shows the instance in this state: the entry, or a self-loop."""
    event_ids: tuple[str, ...]
    """The entry and the self-loops during the stay."""

    def duration_ms(self, now: EpochMs | None = None) -> DurationMs | None:
        """Length of the stay; of an open one until `now`. None where the end is not known."""
        end = self.left_at if self.end == "left" else now if self.end == "open" else None
        return None if end is None else DurationMs(max(0, end - self.entered_at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """Two neighbours in a stream that do not chain."""

    event_id: str
    """The later event."""
    at: EpochMs
    expected: str
    """Where the event before ended; '' where there is none before (the history starts late)."""
    found: str
    """Where the event starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateHistory:
    """The stays of one instance, oldest first, and where its stream does not chain."""

    intervals: tuple[Interval, ...] = ()
    breaks: tuple[Break, ...] = ()

    @property
    def current(self) -> Interval | None:
        return self.intervals[-1] if self.intervals else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """How often one instance was in a state, and for how long as far as it is known."""

    state: str
    count: int
    total_ms: DurationMs


def state_history(events: Sequence[PersistedEvent], *, cut_self_loops: bool = False) -> StateHistory:
    """The stays of one instance.

    Parameters
    ----------
    events : sequence of PersistedEvent
        One instance, in stream order.
    cut_self_loops : bool
        Whether an event that leads back to the same state starts a new stay.

    Notes
    -----
    Where two events do not chain, the stay before has no known end and no stay is made up for the time between.
    Times are integers all through, so moments that no calendar can show are no trouble here.
    """
    intervals: list[Interval] = []
    breaks: list[Break] = []
    stay: list[PersistedEvent] = []  # the entry of the stay at hand, then its self-loops
    for event in events:
        before = stay[-1] if stay else None
        chains = event.state_before == (before.state_after if before else "")
        if not chains:
            breaks.append(
                Break(
                    event_id=event.id,
                    at=event.persisted_at,
                    expected=before.state_after if before else "",
                    found=event.state_before,
                )
            )
        if before is None:
            stay = [event]
        elif chains and event.state_after == event.state_before and not cut_self_loops:
            stay.append(event)
        else:
            intervals.append(_interval(stay, event if chains else None, "left" if chains else "break"))
            stay = [event]
    if stay:
        intervals.append(_interval(stay, None, "open"))
    return StateHistory(intervals=tuple(intervals), breaks=tuple(breaks))


def visits(history: StateHistory, now: EpochMs | None = None) -> tuple[Visits, ...]:
    """Stays counted by state, in order of first visit. An open stay counts until `now`."""
    counts: dict[str, int] = {}
    totals: dict[str, int] = {}
    for interval in history.intervals:
        counts[interval.state] = counts.get(interval.state, 0) + 1
        totals[interval.state] = totals.get(interval.state, 0) + (interval.duration_ms(now) or 0)
    return tuple(
        Visits(state=state, count=count, total_ms=DurationMs(totals[state])) for state, count in counts.items()
    )


def dwell(events: pd.DataFrame) -> pd.DataFrame:
    """How long instances stay in each state: completed stays only.

    Parameters
    ----------
    events : DataFrame
        Columns `id`, `instance_id`, `component_name`, `machine_name`, `state_before`, `state_after`,
        `persisted_at_ms` (integer epoch ms); any row order. Parts of streams are fine.

    Returns
    -------
    DataFrame
        `DWELL_COLUMNS`, one row per component, machine and state, sorted by these; median and 95th percentile in
        milliseconds over `n` stays. A stay counts when both its ends are among the events and all between chains.
        Self-loops do not cut a stay. A stay whose entry is not among the events is left out.
    """
    if events.empty:
        return pd.DataFrame({name: pd.Series(dtype="object") for name in DWELL_COLUMNS})
    # Stores hand names over as categories, whose values cannot be compared with those of another column.
    frame = _stream_order(events.astype({"state_before": object, "state_after": object}))
    by_instance = frame.groupby("instance_id", sort=False)
    # A self-loop that chains belongs to the stay that it happened in.
    chains = frame["state_before"].eq(by_instance["state_after"].shift())
    frame = frame[~(chains & frame["state_before"].eq(frame["state_after"]))]
    by_instance = frame.groupby("instance_id", sort=False)
    left_at = by_instance["persisted_at_ms"].shift(-1)
    left_from = by_instance["state_before"].shift(-1)
    stays = frame.assign(state=frame["state_after"], ms=left_at - frame["persisted_at_ms"])
    stays = stays[left_from.eq(stays["state"])]
    if stays.empty:
        return pd.DataFrame({name: pd.Series(dtype="object") for name in DWELL_COLUMNS})
    grouped = stays.groupby(["component_name", "machine_name", "state"], observed=True)["ms"]
    result = grouped.agg(median_ms="median", p95_ms=lambda ms: ms.quantile(0.95), n="count").reset_index()
    return result[list(DWELL_COLUMNS)]


def _stream_order(events: pd.DataFrame) -> pd.DataFrame:
    """Rows by instance, each instance in stream order, in a new frame with a new index."""
    frame = events.sort_values(["instance_id", "persisted_at_ms"], kind="stable", ignore_index=True)
    tied = frame.duplicated(["instance_id", "persisted_at_ms"], keep=False)
    if not tied.any():
        return frame
    # Ties are few: lay each moment end to end as `order_stream` does, after the event before it.
    instances, before, after = (list(frame[name]) for name in ("instance_id", "state_before", "state_after"))
    order = list(range(len(frame)))
    for _, group in frame[tied].groupby(["instance_id", "persisted_at_ms"], sort=False):
        positions = list(group.index)
        first = positions[0]
        lead = [order[first - 1]] if first and instances[first - 1] == instances[first] else []
        light = [
            PersistedEvent(
                id=str(position),
                instance_id="",
                machine_name="",
                event_type="",
                state_before=str(before[position]),
                state_after=str(after[position]),
                persisted_at=EpochMs(moment),  # only earlier or later counts here
                seq=position,
            )
            for moment, some in enumerate((lead, positions))
            for position in some
        ]
        placed = [int(event.id) for event in order_stream(light)][len(lead) :]
        for place, source in zip(positions, placed, strict=True):
            order[place] = source
    return frame.iloc[order].reset_index(drop=True)


def _interval(
    stay: Sequence[PersistedEvent], left: PersistedEvent | None, end: Literal["left", "open", "break"]
) -> Interval:
    return Interval(
        state=stay[0].state_after,
        entered_at=stay[0].persisted_at,
        entered_by=stay[0].id,
        left_at=left.persisted_at if left else None,
        left_by=left.id if left else None,
        end=end,
        last_seen_at=stay[-1].persisted_at,
        event_ids=tuple(event.id for event in stay),
    )
