"""Two traces laid over each other from their roots.

A step is found by the path that leads to it, and repeated siblings match in order.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from xcstore.analysis.causality import CausalGraph
from xcstore.analysis.comparing import MAX_STEPS, Comparison, Row, Step, StepKey, row_of, step_key, with_elsewhere
from xcstore.units import DurationMs

__all__ = ["compare_traces"]


def compare_traces(
    left: CausalGraph,
    left_root: str,
    right: CausalGraph,
    right_root: str,
    *,
    left_cut: bool = False,
    right_cut: bool = False,
    max_steps: int = MAX_STEPS,
) -> Comparison:
    """Lay the effects of two events over each other.

    The roots belong together, whatever they are. Below two steps that belong together, effects of the same key do,
    the first with the first; of what is left, those that are akin, in order. Everything under a step that only one
    side has is only on that side.

    Parameters
    ----------
    left, right : CausalGraph
        With the links to follow. An event with several causes hangs on the nearest to the root, of equally near ones
        on the one walked first; cycles are walked once.
    left_cut, right_cut : bool
        That side was loaded to some depth only: nothing deeper is compared, as it would seem to be missing.
    max_steps : int
        Most events of each side, the nearest to the root.

    Notes
    -----
    The first difference is, of those that no other difference leads to, the one that came earliest after its root.
    """
    one, two = _tree(left, left_root, max_steps), _tree(right, right_root, max_steps)
    cut = [tree.depth for tree, is_cut in ((one, left_cut), (two, right_cut)) if is_cut or tree.cut]
    deepest = min(cut, default=None)
    rows = with_elsewhere(list(_merged(one, two, deepest)))
    different = [number for number, row in enumerate(rows) if row.kind != "same"]
    turns = [number for number in different if rows[number].turns]
    return Comparison(
        rows=tuple(rows),
        first=_earliest(rows, different),
        first_turn=_earliest(rows, turns),
        left=sum(row.left is not None for row in rows),
        right=sum(row.right is not None for row in rows),
        max_depth=deepest,
    )


def _earliest(rows: Sequence[Row], chosen: Sequence[int]) -> int | None:
    """Of the chosen rows that no other of them leads to, the one that came first after its root."""
    under: set[int] = set()
    tops: list[tuple[int, int]] = []
    wanted = set(chosen)
    for number, row in enumerate(rows):  # a cause is before its effects
        if row.parent is not None and (row.parent in under or row.parent in wanted):
            under.add(number)
        elif number in wanted:
            tops.append((min(step.offset_ms for step in (row.left, row.right) if step is not None), number))
    return min(tops)[1] if tops else None


@dataclass(frozen=True, slots=True)
class _Tree:
    """The effects of one event, each under one cause."""

    root: Step
    effects: Mapping[str, Sequence[Step]]
    depth: int
    """How deep it was walked whole."""
    cut: bool


def _tree(graph: CausalGraph, root_id: str, max_steps: int) -> _Tree:
    """Breadth first, so that each event hangs on the cause that is nearest to the root."""
    root = graph.events[root_id]
    start = Step(event=root, depth=0, offset_ms=DurationMs(0))
    order = {name: number for number, name in enumerate(graph.events)}
    effects: dict[str, list[Step]] = {}
    seen = {root_id}
    waiting = deque([start])
    deepest = 0
    cut = False
    while waiting:
        cause = waiting.popleft()
        node = graph.nodes[cause.event.id]
        links = {graph.graph[target]: link for _, target, link in graph.graph.out_edges(node)}
        # What is named as a cause and is not in the store has no event, so nothing to compare.
        found = [graph.events[name] for name in links if name in graph.events and name not in seen]
        found.sort(key=lambda event: (event.persisted_at, order[event.id]))
        if len(seen) + len(found) > max_steps:
            # This level is not whole, so it is not walked at all: its other half would seem to be missing.
            deepest, cut = cause.depth, True
            break
        seen.update(event.id for event in found)
        effects[cause.event.id] = [
            Step(
                event=event,
                depth=cause.depth + 1,
                offset_ms=DurationMs(event.persisted_at - root.persisted_at),
                after_ms=DurationMs(event.persisted_at - cause.event.persisted_at),
                link=links[event.id],
            )
            for event in found
        ]
        waiting.extend(effects[cause.event.id])
        deepest = max([deepest, *(step.depth for step in effects[cause.event.id])])
    return _Tree(root=start, effects=effects, depth=deepest, cut=cut)


def _merged(left: _Tree, right: _Tree, deepest: int | None) -> Iterator[Row]:
    """Rows, depth first. A stack, not recursion: a chain may be longer than Python's own stack allows."""
    pending: list[tuple[Step | None, Step | None, int | None]] = [(left.root, right.root, None)]
    number = 0
    while pending:
        one, two, parent = pending.pop()
        yield row_of(one, two, parent)
        depth = (one or two or left.root).depth
        if deepest is None or depth < deepest:
            pairs = _siblings(
                left.effects.get(one.event.id, ()) if one else (), right.effects.get(two.event.id, ()) if two else ()
            )
            pending.extend((a, b, number) for a, b in reversed(pairs))
        number += 1


def _siblings(left: Sequence[Step], right: Sequence[Step]) -> list[tuple[Step | None, Step | None]]:
    """Effects of one cause on either side: the same ones in order, then those that are akin; by time."""
    waiting: defaultdict[StepKey, deque[Step]] = defaultdict(deque)
    for step in right:
        waiting[step_key(step.event)].append(step)
    pairs: list[tuple[Step | None, Step | None]] = []
    alone: list[Step] = []
    for step in left:
        same = waiting[step_key(step.event)]
        if same:
            pairs.append((step, same.popleft()))
        else:
            alone.append(step)
    others = sorted((step for steps in waiting.values() for step in steps), key=lambda step: step.offset_ms)
    pairs.extend(_paired_by_kin(alone, others))
    return sorted(pairs, key=lambda pair: (pair[0] or pair[1] or left[0]).offset_ms)


def _paired_by_kin(left: Sequence[Step], right: Sequence[Step]) -> Iterator[tuple[Step | None, Step | None]]:
    """Each with the first that is akin and free; by what they share, so that many siblings stay cheap."""
    by_state: defaultdict[tuple[str, str, str], deque[Step]] = defaultdict(deque)
    by_event: defaultdict[tuple[str, str, str], deque[Step]] = defaultdict(deque)
    for step in right:
        kind = step.event.component_name, step.event.machine_name
        by_state[*kind, step.event.state_before].append(step)
        by_event[*kind, step.event.event_type].append(step)
    taken: set[str] = set()
    for step in left:
        kind = step.event.component_name, step.event.machine_name
        match: Step | None = None
        for free in (by_state[*kind, step.event.state_before], by_event[*kind, step.event.event_type]):
            while free and free[0].event.id in taken:
                free.popleft()
            if free and match is None:
                match = free.popleft()
        if match is not None:
            taken.add(match.event.id)
        yield step, match
    yield from ((None, step) for step in right if step.event.id not in taken)
