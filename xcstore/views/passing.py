"""Ways from one shown event to another that lead through hidden ones: `passages(links, shown)`.

Hiding a lane must not hide that something on one side of it caused something on the other.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from xcstore.render.spacetime import ARROW_KINDS
from xcstore.render.theme import EdgeKind

__all__ = ["MOST_SOURCES", "Passage", "passages"]

MOST_SOURCES: Final = 8
"""Of so many shown causes, the nearest, each hidden event is reached; more would make a mesh that nobody can read."""


@dataclass(frozen=True, slots=True)
class Passage:
    """The shortest way from a shown event to a shown one through hidden events alone."""

    source: str
    target: str
    hidden: int
    """How many events it passes; 1 or more."""
    kind: EdgeKind
    """That of its least certain link."""


def passages(links: Iterable[tuple[str, str, EdgeKind]], shown: Collection[str]) -> tuple[list[Passage], int]:
    """The ways through what is hidden, and how many more a hidden event had than are followed.

    Parameters
    ----------
    links : iterable of (cause, effect, kind)
        Those with a hidden event at one end at least.
    shown : collection of str
        All other events that occur are hidden.

    Notes
    -----
    Breadth first from all shown events at once, so that the nearest arrive first. A hidden event passes on the first
    `MOST_SOURCES` that reach it, each once: linear in the links, and cycles end.
    """
    after: dict[str, list[tuple[str, EdgeKind]]] = defaultdict(list)
    starts: list[tuple[str, str, EdgeKind]] = []
    for cause, effect, kind in links:
        if cause in shown:
            starts.append((cause, effect, kind))
        else:
            after[cause].append((effect, kind))
    reached: dict[str, set[str]] = defaultdict(set)
    found: dict[tuple[str, str], Passage] = {}
    cut: set[tuple[str, str]] = set()
    queue = deque((source, event, 1, kind) for source, event, kind in starts)
    while queue:
        source, event, hidden, kind = queue.popleft()
        if source in reached[event]:
            continue
        if len(reached[event]) >= MOST_SOURCES:
            cut.add((source, event))
            continue
        reached[event].add(source)
        for effect, following in after.get(event, ()):
            least = max(kind, following, key=ARROW_KINDS.index)
            if effect not in shown:
                queue.append((source, effect, hidden + 1, least))
            elif effect != source:
                found.setdefault((source, effect), Passage(source, effect, hidden, least))
    return list(found.values()), len(cut)
