"""Pictures for the viewer's tests, written by hand."""

from __future__ import annotations

from itertools import pairwise

from xcstore.render.diagram import Diagram, Edge, Node
from xcstore.render.timeline import Interval, Link, Point, Snapshot, Timeline
from xcstore.units import DAY, HOUR, MINUTE, SECOND

START = 1_772_000_000_000

HOSTILE = (
    "<x>",
    "<img src=x onerror=document.title='hit'>",
    "<script>document.title='hit'</script>",
    "\"quoted\" 'too'",
    "back\\slash \\N \\G \\l",
    "two\nlines\r\n\ttabs",
    "abc\u202e\u2066fdp.exe\u200b\ufeff",
    "\u0000nul \ud800 surrogate \ufffe",
    "&lt;&amp;&#x41;",
    "a{b|c}<p0>",
    "[link](javascript:alert(1)) ![i](http://example.invalid/i.png) http://example.invalid www.example.invalid",
    ":red[x] :smile: :material/home: $\\frac{1}{2}$ `code` **bold** a@example.invalid",
    "x" * 10_000,
    "",
    "العربية 中文 😀",
)

EVIL_SVG = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 200 100"
 onload="document.title='hit'">
<script>document.title='hit'</script>
<foreignObject width="10" height="10"><body xmlns="http://www.w3.org/1999/xhtml">
<img src="x" onerror="document.title='hit'"/></body></foreignObject>
<style>@import url(http://example.invalid/a.css);</style>
<image href="http://example.invalid/a.png" width="9" height="9"/>
<use xlink:href="http://example.invalid/a.svg#x"/>
<a href="javascript:document.title='hit'"><g id="a">
<rect width="50" height="50" fill="url(http://example.invalid/f.svg#p)"
 style="background:url(http://example.invalid/b.png)" onclick="document.title='hit'"/>
<text x="5" y="20">A</text></g></a>
<g id="b"><rect x="100" width="50" height="50"/><animate attributeName="x" onbegin="document.title='hit'" dur="1s"/>
<set attributeName="href" to="javascript:1"/></g>
</svg>"""


def expense_machine() -> Diagram:
    """The ExpenseRequest machine of the reference components, with counts as an analyst would see them."""
    states = {
        "Draft": ("entry", 1_204, "median 3 h 10 min"),
        "Submitted": ("regular", 1_180, "median 12 min"),
        "ManagerReview": ("regular", 1_143, "median 1 d 2 h"),
        "FinanceReview": ("regular", 880, "median 6 h 40 min"),
        "ExecutiveReview": ("regular", 91, "median 2 d 1 h"),
        "InfoRequested": ("regular", 212, "median 9 h"),
        "Escalated": ("regular", 0, ""),
        "Approved": ("final", 812, ""),
        "Rejected": ("error", 204, ""),
        "Cancelled": ("final", 61, ""),
        "OnHold": ("unknown", 14, "median 4 d"),
    }
    nodes = tuple(
        Node(id=name, label=name, kind=kind, count=count or None, sublabel=text, never_reached=count == 0)
        for name, (kind, count, text) in states.items()
    )
    moves = (
        ("Draft", "Submitted", "SUBMIT", "declared", 1_180, 0.9),
        ("Draft", "Cancelled", "CANCEL", "declared", 24, 0.3),
        ("Submitted", "ManagerReview", "automatic", "auto", 1_143, 0.9),
        ("ManagerReview", "FinanceReview", "MANAGER_APPROVE", "declared", 880, 0.8),
        ("ManagerReview", "Rejected", "MANAGER_REJECT", "declared", 143, 0.5),
        ("ManagerReview", "InfoRequested", "REQUEST_INFO", "declared", 212, 0.5),
        ("InfoRequested", "ManagerReview", "PROVIDE_INFO", "declared", 175, 0.5),
        ("ManagerReview", "Escalated", "after 3 d", "timeout", None, 0.0),
        ("Escalated", "ExecutiveReview", "ESCALATION_ACCEPTED", "declared", None, 0.0),
        ("FinanceReview", "ExecutiveReview", "NEEDS_EXECUTIVE", "declared", 91, 0.4),
        ("FinanceReview", "Approved", "FINANCE_APPROVE", "declared", 741, 0.8),
        ("ExecutiveReview", "Approved", "EXECUTIVE_APPROVE", "declared", 71, 0.4),
        ("ExecutiveReview", "Rejected", "EXECUTIVE_REJECT", "declared", 20, 0.3),
        ("InfoRequested", "Cancelled", "after 7 d", "timeout", 37, 0.3),
        ("FinanceReview", "OnHold", "HOLD", "undeclared", 14, 0.2),
        ("OnHold", "FinanceReview", "RESUME", "undeclared", 11, 0.2),
        ("FinanceReview", "FinanceReview", "RECALCULATE", "internal", 55, 0.2),
    )
    edges = tuple(
        Edge(source=a, target=b, id=f"{a}→{b}", label=label, kind=kind, count=count, weight=weight)
        for a, b, label, kind, count, weight in moves
    )
    return Diagram(nodes=nodes, edges=edges, name="ExpenseRequest")


def order_path() -> Diagram:
    """The way of one order through its machine."""
    visited = {"Created": 1, "Validated": 1, "Confirmed": 2, "Shipped": 1}
    kinds = {"Created": "entry", "Delivered": "final", "Cancelled": "final", "Failed": "error"}
    names = ("Created", "Validated", "Confirmed", "Shipped", "Delivered", "Cancelled", "Failed")
    nodes = tuple(
        Node(
            id=name,
            label=name,
            kind=kinds.get(name, "regular"),
            count=visited.get(name),
            visited=name in visited,
            current=name == "Shipped",
            sublabel="for 2 d 4 h" if name == "Shipped" else "",
        )
        for name in names
    )
    moves = (
        ("Created", "Validated", "VALIDATE", "declared", True),
        ("Validated", "Confirmed", "CONFIRM", "declared", True),
        ("Confirmed", "Confirmed", "RETRY", "internal", True),
        ("Confirmed", "Shipped", "SHIP", "cross_component", True),
        ("Shipped", "Delivered", "DELIVER", "declared", False),
        ("Created", "Cancelled", "CANCEL", "declared", False),
        ("Validated", "Failed", "REJECT", "declared", False),
        ("Confirmed", "Failed", "after 2 h", "timeout", False),
    )
    edges = tuple(Edge(source=a, target=b, label=label, kind=kind, taken=taken) for a, b, label, kind, taken in moves)
    return Diagram(nodes=nodes, edges=edges, name="order-path")


def causes() -> Diagram:
    """A small causal graph over three components."""
    events = (
        ("e1", "ORDER_PLACED", "Orders", 0, "Created → Validated"),
        ("e2", "RESERVE", "Inventory", 1, "Idle → Reserving"),
        ("e3", "RESERVED", "Inventory", 1, "Reserving → Reserved"),
        ("e4", "CONFIRM", "Orders", 0, "Validated → Confirmed"),
        ("e5", "SHIP", "Shipping", 2, "Waiting → Packing"),
        ("e6", "TIMEOUT", "Shipping", 2, "Packing → Late"),
    )
    nodes = tuple(
        Node(id=i, label=label, kind="event", group=group, accent=accent, sublabel=sub, current=i == "e4")
        for i, label, group, accent, sub in events
    )
    links = (
        ("e1", "e2", "recorded"),
        ("e2", "e3", "recorded"),
        ("e3", "e4", "inferred"),
        ("e4", "e5", "recorded"),
        ("e5", "e6", "doubtful"),
    )
    return Diagram(nodes=nodes, edges=tuple(Edge(source=a, target=b, kind=kind) for a, b, kind in links), name="causes")


def order_timeline() -> Timeline:
    """One order: a busy minute, three idle days, a burst of retries, still running."""
    t = START
    marks = [t, t + 4 * SECOND, t + 40 * SECOND, t + 3 * DAY, t + 3 * DAY + 2 * MINUTE]
    states = [("Created", "entry"), ("Validated", "regular"), ("Confirmed", "regular"), ("Shipped", "regular")]
    intervals = tuple(
        Interval(
            lane=state,
            state=state,
            kind=kind,
            start_ms=marks[n],
            end_ms=marks[n + 1] if n < 3 else None,
            id=f"stay-{state}",
        )
        for n, (state, kind) in enumerate(states)
    )
    labels = ["INSTANCE_CREATED", "VALIDATE", "CONFIRM"]
    points = [Point(id=f"ev{n}", label=label, at_ms=marks[n]) for n, label in enumerate(labels)]
    points += [
        Point(id=f"retry{n}", label="RETRY", at_ms=t + 3 * DAY - 90 * SECOND + n * 700, tooltip="again")
        for n in range(60)
    ]
    points.append(Point(id="ship", label="SHIP", at_ms=marks[3]))
    return Timeline(
        lanes=("Created", "Validated", "Confirmed", "Shipped", "Delivered"),
        intervals=intervals,
        points=tuple(points),
        snapshots=(Snapshot(at_ms=marks[2], id="snap"),),
        now_ms=t + 3 * DAY + 5 * MINUTE,
        name="order-timeline",
    )


def several_instances() -> Timeline:
    """A lane per instance."""
    intervals = []
    for number, lane in enumerate(("order 1f0c22aa", "payment 77b1c0de", "shipment 0badcafe")):
        at = START + number * 7 * MINUTE
        for state, kind, length in (
            ("Created", "entry", 3 * MINUTE),
            ("Running", "regular", 25 * MINUTE),
            ("Done" if number != 1 else "Failed", "final" if number != 1 else "error", 2 * HOUR),
        ):
            colour = {"accent": number, "group": ("Orders", "Payments", "Shipping")[number]}
            intervals.append(Interval(lane=lane, state=state, kind=kind, start_ms=at, end_ms=at + length, **colour))
            at += length
    points = [
        Point(id=f"x{n}", label="SENT", at_ms=START + n * 9 * MINUTE, lane="payment 77b1c0de") for n in range(1, 5)
    ]
    points.append(Point(id="o", label="ORDERED", at_ms=START + 2 * MINUTE, lane="order 1f0c22aa"))
    points.append(Point(id="s", label="SHIPPED", at_ms=START + 26 * MINUTE, lane="shipment 0badcafe"))
    links = [
        Link(source="o", target="x1"),
        Link(source="x1", target="x2"),
        Link(source="x2", target="s", kind="inferred"),
    ]
    links += [Link(source="s", target="x4", kind="doubtful"), Link(source="gone", target="o")]
    return Timeline(intervals=tuple(intervals), points=tuple(points), links=tuple(links), name="several")


def hostile_diagram() -> Diagram:
    """Every hostile text as a node, a group and an edge label."""
    nodes = tuple(
        Node(id=f"h{n}" + text[:50], label=text, sublabel=text[:40], tooltip=text, group=text if n % 5 == 0 else "")
        for n, text in enumerate(HOSTILE)
    )
    edges = tuple(
        Edge(source=a.id, target=b.id, id=f"edge {n}", label=b.label, tooltip=b.label)
        for n, (a, b) in enumerate(pairwise(nodes))
    )
    return Diagram(nodes=nodes, edges=edges, name="<x>&\"'", direction="TB")


def hostile_timeline() -> Timeline:
    """Hostile lanes, and times no calendar holds."""
    intervals = tuple(
        Interval(
            lane=text or "-", state=text, start_ms=START + n * MINUTE, end_ms=START + (n + 1) * MINUTE, tooltip=text
        )
        for n, text in enumerate(HOSTILE)
    )
    points = tuple(Point(id=f"p{n}", label=text, at_ms=START + n * MINUTE) for n, text in enumerate(HOSTILE))
    return Timeline(intervals=intervals, points=points)
