from __future__ import annotations

from dataclasses import replace

from xcstore.analysis.causality import Link, causal_graph
from xcstore.analysis.component_map import component_map


def three_places(event):
    """Orders cause shipments: 10, 20 and 90 ms later, and once well before; one link inside, one from nowhere."""
    orders = [
        event(f"o{n}", at, "A>B", instance_id=f"order{n % 2}", component_name="Orders")
        for n, at in enumerate((0, 100, 200, 2_000))
    ]
    ships = [
        event(f"s{n}", at, "A>B", instance_id=f"ship{n}", component_name="Ships", machine_name="S")
        for n, at in enumerate((10, 120, 290, 299))
    ]
    lone = event("lone", 5, "A>B", component_name="")
    pairs = [*((f"o{n}", f"s{n}") for n in range(4)), ("o0", "o1"), ("gone", "lone")]
    return causal_graph([*orders, *ships, lone], pairs)


def test_places_count_events_and_instances_and_links_of_their_own(event):
    found = component_map(three_places(event))

    assert [(p.component, p.events, p.instances, p.missing_causes) for p in found.places] == [
        ("", 1, 1, 1),
        ("Orders", 4, 2, 0),
        ("Ships", 4, 4, 0),
    ]
    inside = found.places[1].inside
    assert inside is not None
    assert (inside.links, inside.latency.median_ms) == (1, 100)
    assert found.places[2].inside is None


def test_a_flow_counts_its_links_and_their_times_without_those_against_the_clock(event):
    (flow,) = component_map(three_places(event)).flows

    assert (flow.source, flow.target) == (("Orders", ""), ("Ships", ""))
    assert (flow.links, flow.recorded, flow.inferred, flow.doubtful, flow.negative) == (4, 3, 0, 1, 1)
    latency = flow.latency
    assert (latency.median_ms, latency.p95_ms, latency.min_ms, latency.max_ms) == (20, 90, 10, 90)


def test_links_are_told_apart_by_who_says_so(event):
    graph = three_places(event)
    links = tuple(
        replace(link, provenance="inferred", rule="cascade", doubts=()) if link.effect_id == "s0" else link
        for link in graph.links
    )

    (flow,) = component_map(replace(graph, links=links)).flows

    assert (flow.recorded, flow.inferred, flow.doubtful) == (2, 1, 1)


def test_machines_of_one_component_are_places_of_their_own_when_asked_for(event):
    events = [event("a", 0, "A>B", machine_name="M"), event("b", 4, "A>B", machine_name="N", instance_id="n")]

    found = component_map(causal_graph(events, [("a", "b")]), by="machine")

    assert [place.name for place in found.places] == [("C", "M"), ("C", "N")]
    assert [(flow.source[1], flow.target[1]) for flow in found.flows] == [("M", "N")]


def test_the_95th_percentile_is_a_latency_that_occurred(event):
    causes = [event(f"c{n}", 0, "A>A") for n in range(100)]
    effects = [event(f"e{n}", n + 1, "A>A", component_name="D") for n in range(100)]
    graph = causal_graph([*causes, *effects], [(f"c{n}", f"e{n}") for n in range(100)])

    (flow,) = component_map(graph).flows

    assert (flow.latency.median_ms, flow.latency.p95_ms) == (50, 95)


def test_links_to_events_that_were_not_loaded_are_no_flow(event):
    graph = causal_graph([event("a", 0, ">A")], [])
    graph = replace(graph, links=(Link(cause_id="a", effect_id="elsewhere"),))

    assert component_map(graph).flows == ()
    assert component_map(causal_graph([], [])).places == ()
