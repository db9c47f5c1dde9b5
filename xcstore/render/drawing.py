"""A finished picture: SVG text, and what each clickable element in it stands for.

    Drawing(svg, ids, width, height, legend, alternatives)  what `ui.viewer.show` takes; `render.timeline` makes one too
    draw(diagram, laid_out, direction='LR') -> Drawing      puts our boxes, marks and labels where Graphviz placed them

Graphviz decides positions; everything that is seen is drawn here, from the Diagram, so that stored text never
depends on how Graphviz reads a label. Colours are CSS classes (`theme.css`), one SVG for light and dark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from xcstore.render.diagram import Diagram, Edge, LegendItem, Node, element_ids, legend
from xcstore.render.dot import Direction, bundle_lines, bundles, edge_lines, node_lines
from xcstore.render.labels import compact_count, count_text, text_width, visible_text
from xcstore.render.theme import ACCENTS, EDGE_KINDS, STATE_KINDS

__all__ = ["Drawing", "draw", "state_mark", "tag", "title"]

_SVG: Final = "{http://www.w3.org/2000/svg}"
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_TITLE_LIMIT: Final = 1_000
_TITLE_LINES: Final = 12


@dataclass(frozen=True, slots=True)
class Drawing:
    """An SVG and the own id of each element that can be clicked."""

    svg: str
    ids: Mapping[str, str] = field(hash=False)
    width: float
    height: float
    legend: tuple[LegendItem, ...] = ()
    alternatives: tuple[str, ...] = ()
    """The same picture in narrower shapes, with the same ids; the viewer takes the first that can be read."""


def tag(name: str, attributes: Mapping[str, object], inner: str | None = None) -> str:
    """One SVG element; attribute values are quoted here, `inner` is markup that is escaped already."""
    text = "".join(f" {key}={quoteattr(_shown(value))}" for key, value in attributes.items() if value is not None)
    return f"<{name}{text}/>" if inner is None else f"<{name}{text}>{inner}</{name}>"


def title(lines: Iterable[str]) -> str:
    """A <title>: tooltip and accessible name. Each line is made visible and cut."""
    return tag("title", {}, escape("\n".join(visible_text(line, _TITLE_LIMIT) for line in lines if line)))


def _shown(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def draw(diagram: Diagram, laid_out: str, direction: Direction = "LR") -> Drawing:
    """`diagram` drawn at the places of `laid_out`, the SVG that Graphviz made of `to_dot(diagram, direction)`."""
    direction = direction if diagram.direction == "auto" else diagram.direction
    root = ElementTree.fromstring(laid_out)
    box = [float(number) for number in _NUMBER.findall(root.get("viewBox", "0 0 100 100"))]
    graph = root.find(f"{_SVG}g")
    parts: list[str] = []
    if graph is not None:
        placed = {group.get("id", ""): group for group in graph.findall(f"{_SVG}g")}
        parts += [_cluster(group, name) for name, group in placed.items() if "cluster" in group.get("class", "")]
        # Faint things first, what was taken over them; boxes last, so that no line crosses a label.
        drawn = [bundle for bundle in bundles(diagram) if f"e{bundle[0]}" in placed]
        drawn.sort(key=lambda bundle: any(diagram.edges[number].taken for number in bundle))
        for bundle in drawn:
            edges = [diagram.edges[number] for number in bundle]
            group = placed[f"e{bundle[0]}"]
            single = len(bundle) == 1
            parts.append(_edge(group, bundle[0], edges[0], direction) if single else _bundle(group, bundle, edges))
        parts += [_node(placed[f"n{n}"], n, node) for n, node in enumerate(diagram.nodes) if f"n{n}" in placed]
    transform = graph.get("transform") if graph is not None else None
    body = tag("g", {"class": "graph", "transform": transform}, "\n".join(parts))
    svg = tag(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": " ".join(_shown(number) for number in box),
            "width": box[2],
            "height": box[3],
            "role": "group",
        },
        f"{title([diagram.name])}\n{body}\n",
    )
    return Drawing(svg, element_ids(diagram), box[2], box[3], legend(diagram))


def _points(group: ElementTree.Element) -> list[tuple[float, float]]:
    shape = next((child for child in group.iter() if child.tag in (f"{_SVG}path", f"{_SVG}polygon")), None)
    if shape is None:
        return [(0.0, 0.0)]
    numbers = [float(number) for number in _NUMBER.findall(shape.get("d") or shape.get("points") or "0 0")]
    return list(zip(numbers[::2], numbers[1::2], strict=False))


def _bounds(group: ElementTree.Element) -> tuple[float, float, float, float]:
    points = _points(group)
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _cluster(group: ElementTree.Element, name: str) -> str:
    x, y, width, height = _bounds(group)
    label = "".join(text.text or "" for text in group.iter(f"{_SVG}text"))
    return tag(
        "g",
        {"id": name, "class": "cluster"},
        tag("rect", {"class": "cluster-box", "x": x, "y": y, "width": width, "height": height, "rx": 8})
        + tag("text", {"class": "cluster-label", "x": x + 12, "y": y + 17}, escape(label)),
    )


def _node(group: ElementTree.Element, number: int, node: Node) -> str:
    x, y, width, height = _bounds(group)
    kind = node.kind if node.kind in STATE_KINDS else "unknown"
    classes = ["node", f"state-{kind}"]
    if node.accent is not None:
        classes += ["accented", f"accent-{node.accent % len(ACCENTS)}"]
    classes += [
        name
        for name, holds in (
            ("current", node.current),
            ("visited", node.visited is True),
            ("unvisited", node.visited is False and not node.current),
            ("never", node.never_reached),
            ("undeclared", node.undeclared),
        )
        if holds
    ]
    lines, sublabel = node_lines(node)
    parts = [title(_node_title(node, kind))]
    if node.current:
        parts.append(_outline(kind, x - 3.5, y - 3.5, width + 7, height + 7, "ring"))
    parts += [
        _outline(kind, x, y, width, height, "box"),
        tag("path", {"class": "stripe", "d": _stripe(kind, x, y, height)}),
    ]
    if kind == "final":
        inner = {"x": x + 3, "y": y + 3, "width": width - 6, "height": height - 6, "rx": 4.5}
        parts.append(tag("rect", {"class": "inner", **inner}))
    tall = 16 * len(lines) + (14 if sublabel else 0)
    top = y + (height - tall) / 2
    parts.append(state_mark(kind, x + 17, top + 8))
    for row, line in enumerate(lines):
        parts.append(tag("text", {"class": "label", "x": x + 28, "y": top + 12.5 + 16 * row}, escape(line)))
    if sublabel:
        at = {"class": "sublabel", "x": x + 28, "y": top + 11 + 16 * len(lines)}
        parts.append(tag("text", at, escape(sublabel)))
    if node.count is not None:
        text = compact_count(node.count)
        wide = text_width(text, 11) + 10
        right = x + width - 8
        pill = {"class": "pill", "x": right - wide, "y": top, "width": wide, "height": 16, "rx": 8}
        at = {"class": "count", "x": right - wide / 2, "y": top + 12}
        parts.append(tag("rect", pill) + tag("text", at, escape(text)))
    return tag("g", {"id": f"n{number}", "class": " ".join(classes)}, "".join(parts))


def _node_title(node: Node, kind: str) -> list[str]:
    facts = [STATE_KINDS[kind].word]
    facts += ["current state"] if node.current else []
    facts += ["never reached"] if node.never_reached else []
    facts += ["not declared"] if node.undeclared and kind != "unknown" else []
    facts += [count_text(node.count, "time")] if node.count is not None else []
    return [node.label or "(no name)", " · ".join(facts), node.sublabel, *node.tooltip.splitlines()]


def _outline(kind: str, x: float, y: float, width: float, height: float, name: str) -> str:
    """The shape that tells the kind without colour: rounded, round-ended, or with cut corners."""
    if kind == "error":
        cut = 8.0
        right, bottom = x + width, y + height
        corners = [(x + cut, y), (right - cut, y), (right, y + cut), (right, bottom - cut)]
        corners += [(right - cut, bottom), (x + cut, bottom), (x, bottom - cut), (x, y + cut)]
        return tag("polygon", {"class": name, "points": " ".join(f"{_shown(a)},{_shown(b)}" for a, b in corners)})
    radius = min(height / 2, 17.0) if kind == "entry" else 7.0
    return tag("rect", {"class": name, "x": x, "y": y, "width": width, "height": height, "rx": radius})


def _stripe(kind: str, x: float, y: float, height: float) -> str:
    """The coloured left edge, following the outline's corners."""
    bottom = y + height
    if kind == "error":
        return _path("M", x + 8, y, "L", x, y + 8, "V", bottom - 8, "L", x + 8, bottom, "Z")
    r = min(height / 2, 17.0) if kind == "entry" else 7.0
    corner = ("A", r, r, 0, 0, 0)
    outer = ("M", x + r, y, *corner, x, y + r, "V", bottom - r, *corner, x + r, bottom)
    if kind == "entry":  # a crescent, as the end is round
        return _path(*outer, "A", r * 0.72, height / 2, 0, 0, 1, x + r, y, "Z")
    return _path(*outer, "L", x + 5, bottom - 0.5, "V", y + 0.5, "Z")


def _path(*parts: str | float) -> str:
    return " ".join(_shown(float(part)) if isinstance(part, int | float) else part for part in parts)


def state_mark(kind: str, x: float, y: float) -> str:
    """The small sign before the label, drawn (not a character, which a font may lack)."""
    ring = tag("circle", {"class": "mark-line", "cx": x, "cy": y, "r": 4.5})
    if kind == "entry":
        return tag("circle", {"class": "mark-fill", "cx": x, "cy": y, "r": 4.5})
    if kind == "final":
        return ring + tag("circle", {"class": "mark-fill", "cx": x, "cy": y, "r": 2.2})
    if kind == "error":
        d = _path("M", x - 3.5, y - 3.5, "L", x + 3.5, y + 3.5, "M", x + 3.5, y - 3.5, "L", x - 3.5, y + 3.5)
        return tag("path", {"class": "mark-line bold", "d": d})
    if kind == "unknown":
        return tag("text", {"class": "mark-text", "x": x, "y": y + 4.5}, "?")
    if kind == "event":
        d = _path("M", x, y - 5, "L", x + 5, y, "L", x, y + 5, "L", x - 5, y, "Z")
        return tag("path", {"class": "mark-fill", "d": d})
    return ring


def _edge(group: ElementTree.Element, number: int, edge: Edge, direction: Direction) -> str:
    parts = [_edge_title(edge), _line(group)]
    lines = edge_lines(edge, direction)
    counted = edge.count is not None
    for row, (x, y) in enumerate(_label_places(group, len(lines))):
        name = "edge-count" if counted and row == len(lines) - 1 else "edge-label"
        parts.append(tag("text", {"class": name, "x": x, "y": y}, escape(lines[row])))
    return tag("g", {"id": f"e{number}", "class": _edge_classes(edge)}, "".join(parts))


def _bundle(group: ElementTree.Element, numbers: Sequence[int], edges: Sequence[Edge]) -> str:
    """One line for all, and a label of its own for each."""
    lines = bundle_lines(edges)
    leader = max(edges, key=lambda edge: (bool(edge.taken), edge.weight))
    names = [f"{visible_text(edge.label, 60)} · {_edge_facts(edge)}" for edge in edges[:_TITLE_LINES]]
    more = [f"and {count_text(len(edges) - _TITLE_LINES)} more"] if len(edges) > _TITLE_LINES else []
    parts = [title([count_text(len(edges), "transition"), *names, *more]), _line(group)]
    own = []
    for row, (x, y) in enumerate(_label_places(group, len(lines))):
        text = tag("text", {"class": "edge-label", "x": x, "y": y}, escape(lines[row]))
        if row == len(lines) - 1 and len(lines) < len(edges):  # 'and 12 more'
            parts.append(text)
        else:
            edge = edges[row]
            attributes = {"id": f"e{numbers[row]}", "class": _edge_classes(edge)}
            own.append(tag("g", attributes, _edge_title(edge) + text))
    kind = _edge_classes(replace(leader, id=""))
    return tag("g", {"class": kind}, "".join(parts)) + "".join(own)


def _edge_classes(edge: Edge) -> str:
    kind = edge.kind if edge.kind in EDGE_KINDS else "declared"
    classes = ["edge", f"edge-{kind}", f"w{max(0, min(4, round(edge.weight * 4)))}"]
    if edge.taken is not None:
        classes.append("taken" if edge.taken else "untaken")
    if edge.id:
        classes.append("linked")
    return " ".join(classes)


def _edge_facts(edge: Edge) -> str:
    facts = [EDGE_KINDS[edge.kind if edge.kind in EDGE_KINDS else "declared"].word]
    facts += [count_text(edge.count, "time")] if edge.count is not None else []
    facts += ["taken"] if edge.taken else []
    return " · ".join(facts)


def _edge_title(edge: Edge) -> str:
    return title([edge.label, _edge_facts(edge), *edge.tooltip.splitlines()])


def _line(group: ElementTree.Element) -> str:
    parts = [tag("path", {"class": "line", "d": path.get("d")}) for path in group.iter(f"{_SVG}path")]
    parts += [tag("polygon", {"class": "head", "points": p.get("points")}) for p in group.iter(f"{_SVG}polygon")]
    return "".join(parts)


def _label_places(group: ElementTree.Element, lines: int) -> list[tuple[float, float]]:
    """Where the lines of a label go: in the middle of the place that Graphviz kept for it."""
    spots = [(float(text.get("x", "0")), float(text.get("y", "0"))) for text in group.iter(f"{_SVG}text")]
    if not spots or not lines:
        return []
    x = sum(x for x, _ in spots) / len(spots)
    middle = sum(y for _, y in spots) / len(spots) - 1.5  # clear of the line below
    return [(x, middle + (row - (lines - 1) / 2) * 13) for row in range(lines)]
