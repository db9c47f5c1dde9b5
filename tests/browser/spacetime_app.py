"""A page with a space-time diagram on it, for test_spacetime.py."""

from datetime import UTC
from itertools import pairwise

import streamlit as st

from tests.browser.examples import HOSTILE
from tests.factories import START, event
from xcstore.analysis.causality import Link, linked_graph
from xcstore.model.history import PersistedEvent
from xcstore.queries.causality import Neighbourhood
from xcstore.render.spacetime import Order
from xcstore.ui import spacetime, state
from xcstore.units import HOUR
from xcstore.views import spacetime as views

MACHINES = ("Order", "Payment", "Stock", "Parcel")


def made(name: str, at: int, machine: str, **more: object) -> PersistedEvent:
    fields = {
        "instance_id": f"{machine} 1", "event_type": name.upper(), "component_name": f"{machine}Component",
        "machine_name": machine, "persisted_at": START + at, **more,
    }  # fmt: skip
    return event(id=name, **fields)


def around(events: list[PersistedEvent], links: list[Link], root: str = "") -> Neighbourhood:
    graph = linked_graph(events, links)
    root = root or events[0].id
    depths = graph.depths(root) if len(events) < 1_000 else {}
    return Neighbourhood(root_id=root, direction="both", mode="both", graph=graph, depths=depths)


def link(cause: str, effect: str) -> Link:
    return Link(cause_id=cause, effect_id=effect)


def sale() -> Neighbourhood:
    """A submitted order, its payment with a run of four, a doubtful and an inferred cause, a missing one."""
    events = [
        made("submit", 0, "Order"),
        made("created", 40, "Payment", event_type="INSTANCE_CREATED", state_before=""),
        *(made(f"try{n}", 100 + n * 50, "Payment") for n in range(4)),
        made("captured", 700, "Payment"),
        made("paid", 760, "Order"),
        made("reserve", 800, "Stock"),
        made("packed", 30 * HOUR, "Parcel", payload={"reason": "timeout"}),
    ]
    links = [
        link("submit", "created"), link("created", "try0"), *(link(f"try{n}", f"try{n + 1}") for n in range(3)),
        link("try3", "captured"), link("captured", "paid"), link("paid", "reserve"), link("nowhere", "paid"),
        Link(cause_id="submit", effect_id="packed", doubts=("it cannot be",)),
        Link(cause_id="reserve", effect_id="packed", provenance="inferred", rule="cascade"),
        Link(cause_id="submit", effect_id="paid", provenance="inferred", rule="succession"),
    ]  # fmt: skip
    return around(events, links)


def few() -> Neighbourhood:
    events = [made("a", 0, "Order"), made("b", 0, "Payment"), made("c", 900, "Order")]
    return around(events, [link("a", "b"), link("b", "c")])


def many(count: int) -> Neighbourhood:
    """Instances of eight machines that pass work on, as many links as events."""
    events = [
        made(f"e{n}", n * 37 + (n // 500) * HOUR, f"Machine{n * 7 % 8}", instance_id=f"i{n // 12}-{n * 7 % 8}")
        for n in range(count)
    ]
    return around(events, [link(f"e{max(n - 1 - n % 5, 0)}", f"e{n}") for n in range(1, count)], f"e{count // 2}")


def hostile() -> Neighbourhood:
    events = [
        event(
            id=f"{n}{text}", instance_id=text, event_type=text, component_name=text, machine_name=text,
            state_before=text, state_after=text, persisted_at=START + n * 10,
        )
        for n, text in enumerate(HOSTILE)
    ]  # fmt: skip
    return around(events, [link(a.id, b.id) for a, b in pairwise(events)])


@st.cache_resource
def example(which: str) -> Neighbourhood:
    made_by = {"order": sale, "few": few, "hostile": hostile}
    if which == "one":
        return around([made("alone", 0, "Order")], [])
    return many(int(which)) if which.isdecimal() else made_by[which]()


st.set_page_config(layout="wide", page_title="space-time")
which = st.query_params.get("show", "order")
if which.isdecimal():
    order: Order = "causal" if state.text("order") == "causal" else "time"
    drawn = spacetime.Options(lanes="machine", order=order, collapse=False)
else:
    drawn = spacetime.options("picture")
found = example(which)
if st.toggle("As recorded"):
    sound = [link for link in found.graph.links if link.standing == "recorded"]
    found = around(list(found.graph.events.values()), sound, found.root_id)
picture = views.build(
    found, zone=UTC, lanes=drawn.lanes, order=drawn.order, hidden=state.texts("hide"), collapse=drawn.collapse,
    expanded=spacetime.expanded("picture"),
)  # fmt: skip
clicked = spacetime.show(
    picture,
    key="picture",
    label="Causes and effects",
    selected=st.session_state.get("picked"),
    on_hide=lambda lanes: state.put(hide=lanes),
)
if clicked is not None and clicked.event_id:
    st.session_state["picked"] = clicked.event_id
st.text(f"clicked: {clicked.event_id[:60] if clicked and clicked.event_id else None}")
st.text(f"marks: {len(picture.marks)}")
st.button("Run again", key="again")
