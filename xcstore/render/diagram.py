"""What a diagram says, apart from how it is drawn.

    Diagram(nodes=(Node(id, label, ...), ...), edges=(Edge(source, target, ...), ...), name=, direction=)
    element_ids(diagram)   {'n0': id of the first node, 'e0': id of the first edge, ...}: for clicks
    node_count(diagram)    for the preflight: pictures are laid out up to LAYOUT_LIMIT nodes
    legend(diagram)        the marks that occur in it, with their words

Views build a Diagram from a definition, from observations, or from a causal graph; `render.dot` writes DOT and
`render.drawing` the final SVG. Text in it is as stored: the drawing escapes and shortens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from xcstore.render.theme import ACCENTS, EDGE_KINDS, STATE_KINDS, EdgeKind, StateKind

__all__ = ["LAYOUT_LIMIT", "Diagram", "Edge", "LegendItem", "Node", "element_ids", "legend", "node_count"]

LAYOUT_LIMIT: Final = 500
"""Most nodes for which a layered layout stays quick and the picture legible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A state, a machine or an event."""

    id: str
    """Own id, unique in the diagram; what a click gives back."""
    label: str
    kind: StateKind = "regular"
    count: int | None = None
    sublabel: str = ""
    """A second, smaller line: 'median 4 h'."""
    tooltip: str = ""
    """Further lines on hover, under the whole label."""
    current: bool = False
    visited: bool | None = None
    """True is bold, False faded; None where the diagram is not about a path."""
    never_reached: bool = False
    undeclared: bool = False
    group: str = ""
    """Machine or component it is drawn inside; '' for none."""
    accent: int | None = None
    """Colour of its component (`theme.accents`); None takes the colour of its kind."""
    accent_name: str = ""
    """What the legend says that colour stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A transition or a causal link. `source` and `target` are node ids."""

    source: str
    target: str
    id: str = ""
    """Own id for clicks; '' when it cannot be clicked."""
    label: str = ""
    kind: EdgeKind = "declared"
    count: int | None = None
    tooltip: str = ""
    taken: bool | None = None
    """True is bold, False faded; None where the diagram is not about a path."""
    weight: float = 0.0
    """0 thin to 1 thick, as the view scales it (usually by the logarithm of `count`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """Nodes and edges in the order in which they are drawn: equal diagrams give equal text."""

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    name: str = "diagram"
    direction: Literal["auto", "LR", "TB"] = "auto"
    """auto: from left to right, or downwards where that can be shown larger."""


@dataclass(frozen=True, slots=True)
class LegendItem:
    """One mark and its word. `shape` is 'state', 'edge', 'accent' or 'note'; `name` its CSS class suffix."""

    shape: Literal["state", "edge", "accent", "note"]
    name: str
    word: str


def node_count(diagram: Diagram) -> int:
    """How many nodes would be laid out."""
    return len(diagram.nodes)


def element_ids(diagram: Diagram) -> dict[str, str]:
    """Own ids by the id of the SVG element: n0, n1 … for nodes, e0, e1 … for edges that have an id."""
    ids = {f"n{number}": node.id for number, node in enumerate(diagram.nodes)}
    ids.update((f"e{number}", edge.id) for number, edge in enumerate(diagram.edges) if edge.id)
    return ids


def legend(diagram: Diagram) -> tuple[LegendItem, ...]:
    """The kinds that occur, in the order of the theme, and what faded and filled mean where they do."""
    kinds = {node.kind for node in diagram.nodes}
    links = {edge.kind for edge in diagram.edges}
    items = [LegendItem("state", kind, look.word) for kind, look in STATE_KINDS.items() if kind in kinds]
    items += [LegendItem("edge", kind, look.word) for kind, look in EDGE_KINDS.items() if kind in links]
    if any(node.current for node in diagram.nodes):
        about_events = kinds == {"event"}
        items.append(LegendItem("note", "current", "this event" if about_events else "current state"))
    if any(edge.taken for edge in diagram.edges) or any(node.visited for node in diagram.nodes):
        items.append(LegendItem("note", "taken", "path taken"))
    named: dict[int, dict[str, None]] = {}
    for node in diagram.nodes:
        if node.accent is not None and node.accent_name:
            named.setdefault(node.accent % len(ACCENTS), {}).setdefault(node.accent_name)
    items += [LegendItem("accent", str(accent), ", ".join(names)) for accent, names in sorted(named.items())]
    return tuple(items)
