"""Streams beside a trace, for its critical path."""

from __future__ import annotations

from tests.factories import START, event
from xcstore.analysis.critical_path import critical_path
from xcstore.demo.generator import generate_demo
from xcstore.queries import critical_path as queries
from xcstore.queries.causality import neighbourhood
from xcstore.queries.correlation import as_neighbourhood, correlation
from xcstore.store.memory import open_memory_stores


def test_what_an_instance_waited_for_is_on_the_path_though_no_cause_leads_to_it():
    stores = open_memory_stores()
    timer = {"reason": "timeout"}
    stores.events.append_many(
        [
            event(id="asked", instance_id="a", persisted_at=START),
            event(id="early", instance_id="b", persisted_at=START - 1, state_before=""),
            event(id="made", instance_id="b", persisted_at=START, caused_by=("asked",), state_after="Open"),
            event(id="signed", instance_id="b", persisted_at=START + 5, state_before="Open", state_after="Open"),
            event(id="late", instance_id="b", persisted_at=START + 9, caused_by=("made",), payload=timer),
            event(id="stranger", instance_id="x", persisted_at=START + 6),
            event(id="after", instance_id="b", persisted_at=START + 10),
        ]
    )
    found = neighbourhood(stores, "asked")

    wide = queries.with_streams(stores, found)

    assert list(wide.graph.events) == [*found.graph.events, "signed"]
    assert wide.graph.links == found.graph.links
    assert not wide.cut
    assert critical_path(found.graph).event_ids == ("asked", "made", "late")
    assert critical_path(wide.graph).event_ids == ("asked", "made", "signed", "late")
    assert [segment.kind for segment in critical_path(wide.graph).segments] == ["working", "event", "timer"]


def test_recorded_causes_of_what_came_in_addition_are_links():
    stores = open_memory_stores()
    stores.events.append_many(
        [
            event(id="a", instance_id="a", persisted_at=START),
            event(id="b", instance_id="b", persisted_at=START + 1),
            event(id="c", instance_id="b", persisted_at=START + 2, caused_by=("b",)),
            event(id="z", instance_id="b", persisted_at=START + 9, caused_by=("a",)),
        ]
    )

    wide = queries.with_streams(stores, neighbourhood(stores, "a"))

    assert {(link.cause_id, link.effect_id) for link in wide.graph.links} == {("a", "z"), ("b", "c")}


def test_a_long_stream_is_cut_and_says_so():
    stores = open_memory_stores()
    stores.events.append(event(id="a", persisted_at=START))
    stores.events.append(event(id="z", persisted_at=START + 10_000, caused_by=("a",)))
    stores.events.append_many(event(persisted_at=START + n) for n in range(1, queries.MAX_EVENTS + 1))

    wide = queries.with_streams(stores, neighbourhood(stores, "a"))

    assert wide.cut
    assert len(wide.graph.events) == queries.MAX_EVENTS + 1


def test_the_way_of_an_order_of_the_demo_is_explained_from_its_creation_to_its_delivery():
    stores = open_memory_stores()
    report = generate_demo(stores, days=7)
    restarted = {planted.instance_id for planted in report.anomalies}
    whole = 0
    for delivered in list(stores.events.get_all_events()):
        if delivered.event_type != "PARCEL_DELIVERED":
            continue
        created = stores.events.get_events_for_instance(delivered.instance_id)[0]
        near = as_neighbourhood(stores, correlation(stores, created.payload["initialContext"]["orderId"]))
        path = critical_path(near.graph, target_id=delivered.id)

        assert (path.event_ids[0], path.start, path.faults) == (created.id, "root", ())
        assert sum(path.totals().values()) == path.elapsed_ms == delivered.persisted_at - created.persisted_at
        if not restarted & {event.instance_id for event in near.graph.events.values()}:
            whole += 1
            assert not [segment for segment in path.segments if segment.faults]
            assert set(path.totals()) == {"working", "timer", "event"}
            assert len({near.graph.events[name].component_name for name in path.event_ids}) == 3
    assert whole


def test_the_path_to_an_event_ends_at_it_and_the_path_from_it_within_its_trace():
    stores = open_memory_stores()
    generate_demo(stores, days=7)
    for asked in list(stores.events.get_all_events())[::97]:
        for direction in ("causes", "effects"):
            found = neighbourhood(stores, asked.id, direction=direction)
            wide = queries.with_streams(stores, found)
            path = critical_path(wide.graph, target_id=wide.target_id)

            assert path.event_ids[-1] in found.graph.events
            if direction == "causes":
                assert path.event_ids[-1] == asked.id
