"""Two histories side by side: where they are the same, and where they first go different ways.

A step is known by what happened, not to whom or when: (component, machine, event type, state before, state after).
Ids and times are left out. Streams of two instances are aligned step by step; two traces are laid over each other
from their roots (`analysis.comparing_traces`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from rapidfuzz.distance import LCSseq

from xcstore.analysis.causality import Link
from xcstore.analysis.context import Change, diff, same_json
from xcstore.model.history import PersistedEvent
from xcstore.units import DurationMs

__all__ = [
    "MAX_STEPS",
    "Comparison",
    "Difference",
    "Kind",
    "Row",
    "Step",
    "StepKey",
    "compare_streams",
    "differences",
    "row_of",
    "step_key",
    "with_elsewhere",
]

MAX_STEPS: Final = 10_000
"""Most steps of each side that are compared: the first ones."""

StepKey = tuple[str, str, str, str, str]
"""Component, machine, event type, state before, state after."""
Kind = Literal["same", "changed", "only left", "only right"]
"""`changed`: both have a step here, of the same machine and from the same state or by the same event, but not the
same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event in its history."""

    event: PersistedEvent
    depth: int
    """Streams: its place, from 0. Traces: links from the root."""
    offset_ms: DurationMs
    """Time since the first event, or the root."""
    after_ms: DurationMs | None = None
    """Time since the event before it, or since its cause; None for the first."""
    link: Link | None = field(default=None, hash=False)
    """Traces: the link that leads here; None for the root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A step of the left history, of the right, or of both where they belong together."""

    kind: Kind
    left: Step | None = None
    right: Step | None = None
    parent: int | None = None
    """Traces: number of the row that leads here."""
    data_differs: bool = False
    """Both payloads are there and are not equal. Ids and times inside payloads differ nearly always."""
    elsewhere: bool = False
    """It is on one side only here, but the other side has such a step at another place."""

    @property
    def turns(self) -> bool:
        """Whether a step of it leads to another state."""
        events = [step.event for step in (self.left, self.right) if step is not None]
        return any(event.state_before != event.state_after for event in events)

    @property
    def slower_ms(self) -> DurationMs | None:
        """How much longer the right took to get here from the step before; None where they cannot be compared."""
        if self.left is None or self.right is None or self.left.after_ms is None or self.right.after_ms is None:
            return None
        return DurationMs(self.right.after_ms - self.left.after_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two histories, aligned."""

    rows: tuple[Row, ...]
    """Streams: in their order. Traces: a cause before its effects, depth first, siblings by time."""
    first: int | None
    """Row where they first differ in structure; None where they do not."""
    first_turn: int | None = None
    """The same, of rows with a step that leads to another state: `first` may be one that leaves it."""
    left: int
    """Steps of the left side that were compared."""
    right: int
    max_depth: int | None = None
    """Traces: how deep was compared, where one side was not loaded any deeper."""

    @property
    def counts(self) -> Mapping[Kind, int]:
        """Rows of each kind, all four of them."""
        found = Counter(row.kind for row in self.rows)
        kinds: tuple[Kind, ...] = ("same", "changed", "only left", "only right")
        return {kind: found[kind] for kind in kinds}

    @property
    def first_data(self) -> int | None:
        """The first row that both have and whose payloads differ."""
        return next((number for number, row in enumerate(self.rows) if row.data_differs), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that differs between two events. For fields of the payload see `Difference.changes`."""

    what: str
    """'event', 'from', 'to', 'machine', 'component', 'time since the step before', or 'payload'."""
    left: str | DurationMs | None = None
    right: str | DurationMs | None = None
    changes: tuple[Change, ...] = ()
    """Of 'payload': from the left's to the right's."""


def step_key(event: PersistedEvent) -> StepKey:
    """What makes two events the same step."""
    return event.component_name, event.machine_name, event.event_type, event.state_before, event.state_after


def compare_streams(
    left: Sequence[PersistedEvent], right: Sequence[PersistedEvent], *, max_steps: int = MAX_STEPS
) -> Comparison:
    """Align the streams of two instances.

    Parameters
    ----------
    left, right : sequence of PersistedEvent
        In stream order; the first `max_steps` of each are compared.

    Notes
    -----
    After the common beginning, what is same is a longest common subsequence of the rest (rapidfuzz, bit-parallel).
    Between two such matches, steps pair off in order as `changed` as long as they are akin.

    Examples
    --------
    >>> def event(number, kind, before, after):
    ...     return PersistedEvent(id=f"e{number}", instance_id="i", machine_name="Order", event_type=kind,
    ...                           state_before=before, state_after=after, persisted_at=number * 1_000)
    >>> common = [event(1, "INSTANCE_CREATED", "", "New"), event(2, "SUBMIT", "New", "Paying")]
    >>> found = compare_streams([*common, event(5, "DECLINED", "Paying", "Failed")],
    ...                         [*common, event(3, "CHARGE", "Paying", "Paid")])
    >>> found.first, found.rows[2].kind, found.rows[2].slower_ms
    (2, 'changed', -2000)
    """
    one, two = _stream_steps(left[:max_steps]), _stream_steps(right[:max_steps])
    rows = with_elsewhere([row_of(a, b) for a, b in _aligned(one, two)])
    different = [number for number, row in enumerate(rows) if row.kind != "same"]
    return Comparison(
        rows=tuple(rows),
        first=next(iter(different), None),
        first_turn=next((number for number in different if rows[number].turns), None),
        left=len(one),
        right=len(two),
    )


def differences(left: Step, right: Step) -> tuple[Difference, ...]:
    """What differs between two steps; payloads field by field. Times are only told apart, not judged."""
    a, b = left.event, right.event
    texts = (
        ("component", a.component_name, b.component_name),
        ("machine", a.machine_name, b.machine_name),
        ("event", a.event_type, b.event_type),
        ("from", a.state_before, b.state_before),
        ("to", a.state_after, b.state_after),
    )
    found = [Difference(what=what, left=one, right=two) for what, one, two in texts if one != two]
    if left.after_ms != right.after_ms:
        found.append(Difference(what="time since the step before", left=left.after_ms, right=right.after_ms))
    changes = diff(a.payload, b.payload)
    if changes:
        found.append(Difference(what="payload", changes=changes))
    return tuple(found)


def _stream_steps(events: Sequence[PersistedEvent]) -> list[Step]:
    steps: list[Step] = []
    for number, event in enumerate(events):
        before = events[number - 1] if number else None
        steps.append(
            Step(
                event=event,
                depth=number,
                offset_ms=DurationMs(event.persisted_at - events[0].persisted_at),
                after_ms=DurationMs(event.persisted_at - before.persisted_at) if before else None,
            )
        )
    return steps


def _aligned(left: Sequence[Step], right: Sequence[Step]) -> Iterator[tuple[Step | None, Step | None]]:
    # Numbers for keys: the library compares hashes, and those of tuples may collide.
    numbers: defaultdict[StepKey, int] = defaultdict(lambda: len(numbers))
    one = [numbers[step_key(step.event)] for step in left]
    two = [numbers[step_key(step.event)] for step in right]
    # The common beginning is taken first, so that the first difference is where it ends, and nowhere before.
    same = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    yield from zip(left[:same], right[:same], strict=True)
    i = j = same
    for block in LCSseq.editops(one[same:], two[same:]).as_matching_blocks():
        a, b = same + block.a, same + block.b
        yield from _gap(left[i:a], right[j:b])
        yield from zip(left[a : a + block.size], right[b : b + block.size], strict=True)
        i, j = a + block.size, b + block.size


def _gap(left: Sequence[Step], right: Sequence[Step]) -> Iterator[tuple[Step | None, Step | None]]:
    """What lies between two matches: pairs while they are akin, then the rest of either side."""
    paired = 0
    for a, b in zip(left, right, strict=False):
        if not _akin(a, b):
            break
        yield a, b
        paired += 1
    yield from ((step, None) for step in left[paired:])
    yield from ((None, step) for step in right[paired:])


def _akin(left: Step, right: Step) -> bool:
    a, b = left.event, right.event
    if (a.component_name, a.machine_name) != (b.component_name, b.machine_name):
        return False
    return a.state_before == b.state_before or a.event_type == b.event_type


def row_of(left: Step | None, right: Step | None, parent: int | None = None) -> Row:
    """The row of a step of either side, or of two that belong together."""
    if left is None or right is None:
        return Row(kind="only left" if right is None else "only right", left=left, right=right, parent=parent)
    same = step_key(left.event) == step_key(right.event)
    return Row(
        kind="same" if same else "changed",
        left=left,
        right=right,
        parent=parent,
        data_differs=not same_json(left.event.payload, right.event.payload),
    )


def with_elsewhere(rows: list[Row]) -> list[Row]:
    """Mark steps that both sides have, but at different places: the first of the left with the first of the right."""
    counts: dict[Kind, Counter[StepKey]] = {
        kind: Counter(step_key(_only(row).event) for row in rows if row.kind == kind)
        for kind in ("only left", "only right")
    }
    if not all(counts.values()):
        return rows
    both = counts["only left"] & counts["only right"]
    left = {kind: both.copy() for kind in counts}
    marked: list[Row] = []
    for row in rows:
        if row.kind in left:
            key = step_key(_only(row).event)
            if left[row.kind][key] > 0:
                left[row.kind][key] -= 1
                row = Row(kind=row.kind, left=row.left, right=row.right, parent=row.parent, elsewhere=True)
        marked.append(row)
    return marked


def _only(row: Row) -> Step:
    step = row.left or row.right
    assert step is not None
    return step
