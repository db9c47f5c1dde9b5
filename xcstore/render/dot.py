"""DOT text of a diagram: `to_dot(diagram, direction='LR') -> str`. Same diagram, same text.

Labels come from stored data: every one passes through `_text`, so that '<x>' is not HTML and '\\N' no placeholder.
Names in the DOT are n0, n1 … and ids in the SVG n0 … and e0 … (`diagram.element_ids`); nothing stored is a name.
Boxes have the size that `render.drawing` needs to draw into; the labels are for those who use the DOT elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import graphviz  # type: ignore[import-untyped,unused-ignore]

from xcstore.render.diagram import Diagram, Edge, Node
from xcstore.render.labels import compact_count, text_width, visible_text, wrap_text
from xcstore.render.theme import EDGE_KINDS, STATE_KINDS

Direction = Literal["LR", "TB"]

__all__ = ["Direction", "bundle_lines", "bundles", "edge_lines", "node_lines", "node_size", "to_dot"]

NODE_CHARACTERS = 22
EDGE_CHARACTERS = {"LR": 15, "TB": 22}
"""From left to right a label widens the picture, downwards it lengthens it."""
BUNDLE_LINES = 9
_PX = 72  # Graphviz counts sizes in inches of 72 points; a point is a px here


def to_dot(diagram: Diagram, direction: Direction = "LR") -> str:
    """DOT text of `diagram`; edges with an end that is not a node are left out, as a view may cap its nodes.

    `direction` counts where the diagram leaves it open.
    """
    direction = direction if diagram.direction == "auto" else diagram.direction
    graph = graphviz.Digraph(
        name=None,
        graph_attr={
            "rankdir": direction,
            "newrank": "true",  # else a group is ranked by itself, and causes may stand right of their effects
            "nodesep": "0.3",
            "ranksep": "0.36" if direction == "LR" else "0.4",
            "bgcolor": "transparent",
            "pad": "0.12",
            "fontname": "Helvetica",
            "fontsize": "11",
            "tooltip": " ",
        },
        node_attr={"shape": "box", "style": "rounded", "margin": "0", "fontname": "Helvetica", "fontsize": "12"},
        edge_attr={"fontname": "Helvetica", "fontsize": "11", "arrowsize": "0.75"},
    )
    names = {node.id: f"n{number}" for number, node in enumerate(diagram.nodes)}
    groups: dict[str, list[Node]] = {}
    for node in diagram.nodes:
        groups.setdefault(node.group, []).append(node)
    for number, (group, members) in enumerate(groups.items()):
        if not group:
            _add_nodes(graph, names, members)
            continue
        with graph.subgraph(name=f"cluster_{number}") as cluster:
            cluster.attr(
                label=_text([visible_text(group, 60)]),
                id=f"g{number}",
                labeljust="l",
                style="rounded",
                margin="12",
                tooltip=" ",
            )
            _add_nodes(cluster, names, members)
    for bundle in bundles(diagram):
        _add_edge(graph, names, bundle, [diagram.edges[number] for number in bundle], direction)
    return str(graph.source)


def bundles(diagram: Diagram) -> list[tuple[int, ...]]:
    """Numbers of the edges that are drawn as one line, by the first of them.

    Loops at one state, and more than two transitions of one kind between the same states, would only hide one
    another. Edges with an end that is not a node are in no bundle.
    """
    nodes = {node.id for node in diagram.nodes}
    alike: dict[tuple[object, ...], list[int]] = {}
    for number, edge in enumerate(diagram.edges):
        if edge.source in nodes and edge.target in nodes:
            loop = edge.source == edge.target
            alike.setdefault((edge.source, edge.target, *(() if loop else (edge.kind, edge.taken))), []).append(number)
    out: list[tuple[int, ...]] = []
    for (source, target, *_), numbers in alike.items():
        together = len(numbers) > (1 if source == target else 2)
        out += [tuple(numbers)] if together else [(number,) for number in numbers]
    return sorted(out)


def node_lines(node: Node) -> tuple[tuple[str, ...], str]:
    """The lines of a node's label, and its smaller line."""
    sublabel = node.sublabel
    if not sublabel and node.undeclared:
        sublabel = "not declared"
    if not sublabel and node.never_reached:
        sublabel = "never reached"
    return wrap_text(node.label, NODE_CHARACTERS, 2), visible_text(sublabel, 30)


def node_size(node: Node) -> tuple[int, int]:
    """Width and height in px that its box needs."""
    lines, sublabel = node_lines(node)
    count = text_width(compact_count(node.count), 11) + 16 if node.count is not None else 0
    wide = max(text_width(lines[0], 13) + count, *(text_width(line, 13) for line in lines), text_width(sublabel, 11))
    tall = 18 + 16 * len(lines) + (14 if sublabel else 0)
    return max(64, round(wide + 42)), tall


def edge_lines(edge: Edge, direction: Direction) -> tuple[str, ...]:
    """The lines on an edge: its label, then how often. The last one starts with '×' when it is the count."""
    lines = wrap_text(edge.label, EDGE_CHARACTERS[direction], 3) if edge.label.strip() else ()
    return (*lines, _times(edge)) if edge.count is not None else lines


def bundle_lines(edges: Sequence[Edge]) -> tuple[str, ...]:
    """A line for each of several edges drawn as one; the last one counts what there is no room for."""
    lines = [" ".join(filter(None, [visible_text(edge.label, 28), _times(edge)])) or "–" for edge in edges]
    over = len(lines) - BUNDLE_LINES
    return tuple(lines) if over <= 0 else (*lines[: BUNDLE_LINES - 1], f"and {over + 1} more")


def _times(edge: Edge) -> str:
    return f"× {compact_count(edge.count)}" if edge.count is not None else ""


def _add_nodes(graph: graphviz.Digraph, names: dict[str, str], nodes: Iterable[Node]) -> None:
    for node in nodes:
        lines, sublabel = node_lines(node)
        width, height = node_size(node)
        kind = node.kind if node.kind in STATE_KINDS else "unknown"
        graph.node(
            names[node.id],
            label=_text([*lines, sublabel] if sublabel else lines),
            id=names[node.id],
            **{"class": f"state-{kind}"},
            tooltip=_text([visible_text(node.label, 1_000)]),
            width=f"{width / _PX:.4f}",
            height=f"{height / _PX:.4f}",
        )


def _add_edge(
    graph: graphviz.Digraph,
    names: dict[str, str],
    numbers: Sequence[int],
    edges: Sequence[Edge],
    direction: Direction,
) -> None:
    edge = edges[0]
    lines = edge_lines(edge, direction) if len(edges) == 1 else bundle_lines(edges)
    kind = edge.kind if edge.kind in EDGE_KINDS else "declared"
    graph.edge(
        names[edge.source],
        names[edge.target],
        label=_text(lines),
        id=f"e{numbers[0]}",
        **{"class": f"edge-{kind}"},
        tooltip=_text([visible_text(edge.label, 1_000) or " " for edge in edges[:BUNDLE_LINES]]),
    )


def _text(lines: Iterable[str]) -> str:
    # escape() doubles backslashes. Joining loses its mark that says "not HTML", so it is set on the whole. Graphviz
    # reads entities in quoted labels too.
    text = "\\n".join(str(graphviz.escape(line.replace("&", "&amp;"))) for line in lines)
    return graphviz.nohtml(text)  # type: ignore[no-any-return,unused-ignore]
