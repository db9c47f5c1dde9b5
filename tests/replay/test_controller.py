from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tests.backends import open_writable
from tests.replay.conftest import START, counting, stores_of, stream
from xcstore.demo.generator import generate_demo
from xcstore.errors import NotFoundError, QueryError
from xcstore.model.catalog import Catalog
from xcstore.replay.breakpoints import DivergenceBreak, EventTypeBreak, PathBreak, StateBreak
from xcstore.replay.controller import ReplayController
from xcstore.replay.playing import Speed
from xcstore.replay.track import ComponentScope, InstanceScope, RangeScope, TraceScope, open_track
from xcstore.runtime import FSMRuntime
from xcstore.store.base import EventQuery, Stores
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs

READING = {
    "count", "find", "get_all_definitions", "get_event", "get_events", "get_snapshots", "get_streams",
    "list_snapshots", "trace",
}  # fmt: skip


def at(ms: int) -> EpochMs:
    return EpochMs(START + ms)


def controller_of(*streams: Any, catalog: Catalog, scope: Any = None) -> ReplayController:
    stores = stores_of(*streams)
    return ReplayController(open_track(stores, scope or InstanceScope(instance_id="a"), catalog=catalog))


@pytest.fixture
def order(catalog: Catalog) -> ReplayController:
    """Created, changed, paid, sent; a second apart."""
    return controller_of(stream("a", "CHANGE", "PAY", "SEND"), catalog=catalog)


# Going


def test_a_step_shows_the_instance_before_and_after_and_what_changed(order: ReplayController) -> None:
    order.seek(2)
    moment = order.step()

    assert (moment.position, moment.event.id, moment.at) == (3, "a-000002", at(2_000))
    assert (moment.before.current_state, moment.after.current_state) == ("New", "Paid")
    assert {(change.path, change.kind, change.new) for change in moment.changes} == {
        (("total",), "changed", 2),
        (("PAY",), "added", True),
    }
    assert moment.instances == {"a": moment.after}
    assert moment.notes == ()


def test_before_the_first_step_nothing_is_there(order: ReplayController) -> None:
    moment = order.moment()

    assert (moment.position, moment.event, moment.at, dict(moment.instances)) == (0, None, None, {})
    assert order.step().before is None


def test_forward_and_back_again_is_as_it_was(order: ReplayController) -> None:
    forward = [order.moment(), *(order.step() for _ in range(order.length))]
    back = [order.moment(), *(order.back() for _ in range(order.length))]

    assert back == forward[::-1]
    assert order.moments(0, order.length + 1) == forward


def test_at_either_end_it_stays(order: ReplayController) -> None:
    assert order.back() == order.seek(0)
    last = order.seek(4)
    assert order.step() == last
    assert order.position == 4


@pytest.mark.parametrize(
    ("wanted", "position"),
    [({"position": 2}, 2), ({"event_id": "a-000002"}, 3), ({"time": at(2_000)}, 3), ({"time": at(2_999)}, 3),
     ({"time": at(-1)}, 0), ({"time": at(99_999)}, 4)],
)  # fmt: skip
def test_it_goes_to_a_step_an_event_or_what_was_stored_up_to_a_time(
    order: ReplayController, wanted: Any, position: int
) -> None:
    assert order.seek(**wanted).position == position == order.position


def test_what_cannot_be_gone_to_is_refused_and_nothing_moves(order: ReplayController) -> None:
    order.seek(2)
    for odd in ({}, {"position": 1, "time": at(0)}, {"position": -1}, {"position": 5}):
        with pytest.raises(QueryError):
            order.seek(**odd)
    with pytest.raises(NotFoundError):
        order.seek(event_id="b-000000")
    assert order.position == 2


def test_a_time_after_what_was_read_is_refused(catalog: Catalog) -> None:
    stores = stores_of(stream("a", "CHANGE", "CHANGE", "PAY"))
    cut = ReplayController(open_track(stores, InstanceScope(instance_id="a"), catalog=catalog, max_events=2))

    assert cut.seek(time=at(1_000)).position == 2
    with pytest.raises(QueryError, match="was cut after 2 steps"):
        cut.seek(time=at(3_000))


def test_prefetching_moves_nothing_and_is_cut_to_what_there_is(order: ReplayController) -> None:
    order.seek(3)

    assert [moment.position for moment in order.moments(-5, 3)] == [0, 1, 2]
    assert [moment.position for moment in order.moments(3, 400)] == [3, 4]
    assert order.position == 3


def test_of_a_trace_all_instances_are_shown_and_other_events_count_as_silent(catalog: Catalog) -> None:
    one, two = stream("a", "CHANGE", "PAY", "SEND"), stream("b", "CHANGE", "PAY", at=500)
    two[2] = replace(two[2], caused_by=(one[2].id,))
    trace = controller_of(one, two, catalog=catalog, scope=TraceScope(event_id=one[2].id))

    begin, paid, caused = trace.moment(), trace.step(), trace.step()

    assert {name: instance.current_state for name, instance in begin.instances.items()} == {"a": "New", "b": "New"}
    assert (begin.silent, begin.at, begin.event) == (4, at(1_500), None)
    assert (paid.event.id, paid.silent) == ("a-000002", 0)
    assert (caused.event.id, caused.silent) == ("b-000002", 0)
    assert {name: instance.current_state for name, instance in caused.instances.items()} == {"a": "Paid", "b": "Paid"}
    assert trace.position == trace.length == 2


def test_what_a_runtime_needs_to_go_on_is_there_with_running_timers(order: ReplayController) -> None:
    assert order.states(2)["a"].due == {"EXPIRE": (at(61_000), "a-000001")}
    assert order.states(3)["a"].due == {}


# Odd histories


def test_an_odd_step_says_so_there_and_nowhere_else(catalog: Catalog) -> None:
    events = stream("a", "CHANGE", "PAY", "SEND")
    events[2] = replace(events[2], state_before="Sent", event_type="BACK")
    odd = controller_of(events, catalog=catalog)

    notes = [moment.notes for moment in odd.moments(1, 5)]

    assert [bool(found) for found in notes] == [False, False, True, False]
    assert any("leaves 'Sent' where the instance was in 'New'" in note for note in notes[2])


def test_without_a_definition_what_is_recorded_holds_and_no_step_is_odd() -> None:
    events = stream("a", "CHANGE", "PAY", "SEND")
    events[3] = replace(events[3], public_member_snapshot={"total": 99})
    unknown = controller_of(events, catalog=Catalog())

    moments = unknown.moments(1, 5)

    assert [moment.after.current_state for moment in moments] == ["New", "New", "Paid", "Sent"]
    assert moments[2].after.context == {"total": 2, "CHANGE": True, "PAY": True}
    assert moments[3].after.context == {"total": 99}
    assert [moment.notes for moment in moments] == [()] * 4
    assert ["no definition of Shop.Order is known" in note for note in unknown.track.notes] == [True]


def test_public_member_and_context_of_an_unknown_machine_are_kept_apart() -> None:
    events = stream("a", "CHANGE", public_member_snapshot={"shown": 1}, context={"hidden": 2})
    unknown = controller_of(events, catalog=Catalog())

    after = unknown.seek(2).after

    assert (after.public_member, after.context) == ({"shown": 1}, {"hidden": 2})


# Breakpoints and playing


def test_a_breakpoint_is_found_forwards_and_backwards(order: ReplayController) -> None:
    paid, sent = StateBreak(state="Paid"), EventTypeBreak(event_type="SEND")
    order.breakpoints = [paid, sent, PathBreak(path="nowhere")]

    assert order.next_break() == (3, paid)
    assert order.next_break(3) == (4, sent)
    assert order.next_break(4) is None
    assert order.next_break(4, backwards=True) == (3, paid)
    assert order.next_break(3, backwards=True) is None
    assert order.position == 0


def test_playing_goes_on_to_the_end_with_the_recorded_waits(order: ReplayController) -> None:
    played = list(order.play(Speed(factor=4)))

    assert [(wait, moment.position) for wait, moment in played] == [(0, 1), (250, 2), (250, 3), (250, 4)]
    assert order.position == 4


def test_playing_stops_after_a_breakpoint_and_goes_on_behind_it(order: ReplayController) -> None:
    order.breakpoints = [DivergenceBreak(diverges=lambda position: position == 2)]

    assert [moment.position for _, moment in order.play()] == [1, 2]
    assert [moment.position for _, moment in order.play(until=3)] == [3]
    assert [moment.position for _, moment in order.play(until=3)] == []


# Nothing is written, nothing is carried out


def test_replaying_only_reads(backend: str, store_url: str, catalog: Catalog) -> None:
    if backend == "memory":
        pytest.skip("memory:// is always empty where it is opened")
    one, two = stream("a", *["CHANGE"] * 90, "PAY", "SEND"), stream("b", "PAY", at=100)
    two[1] = replace(two[1], caused_by=("a-000001",))
    with open_writable(store_url) as stores:
        stores.events.append_many(sorted([*one, *two], key=lambda event: event.persisted_at))
    called: Counter[str] = Counter()
    with open_stores(store_url) as opened:
        assert opened.events.read_only
        for scope in (
            InstanceScope(instance_id="a"),
            TraceScope(event_id="a-000001"),
            ComponentScope(component_name="Shop"),
            RangeScope(start=at(50_500), end=at(99_999)),
        ):
            stores, calls = counting(opened)
            controller = ReplayController(open_track(stores, scope, catalog=catalog))
            opening = calls.copy()
            for _ in range(controller.length):
                controller.step()
            controller.seek(0)
            list(controller.play())
            controller.moments(0, controller.length + 1)
            assert calls == opening  # a track is read once
            called += calls
    assert called.keys() <= READING
    assert called["find"]


def test_no_method_is_called_and_nothing_is_sent(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*args: object, **kwargs: object) -> None:
        raise AssertionError("a runtime was made")

    monkeypatch.setattr(FSMRuntime, "__init__", made)
    before = {event.id: event for event in stream("a", "PAY", "SEND")}  # PAY books and prints a receipt
    stores = stores_of(list(before.values()))

    controller = ReplayController(open_track(stores, InstanceScope(instance_id="a"), catalog=catalog))
    for _, moment in controller.play():
        assert json.dumps(dict(moment.after.context))

    assert {event.id: event for event in stores.events.get_all_events()} == before


# A real history


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Any:
    url = f"sqlite:///{tmp_path_factory.mktemp('demo') / 'demo.db'}"
    with open_stores(url, read_only=False) as stores:
        generate_demo(stores, days=7)
    with open_stores(url) as stores:
        yield stores


def test_of_the_demo_every_step_ends_where_it_was_recorded_to_end_in_whatever_order_it_is_asked(demo: Stores) -> None:
    first, last = demo.events.time_range()
    middle = EpochMs((first + last) // 2)
    controller = ReplayController(open_track(demo, RangeScope(start=middle, end=last)))
    assert controller.track.before

    forward = [controller.step() for _ in range(controller.length)]
    back = [controller.seek(controller.length), *(controller.back() for _ in range(controller.length - 1))]

    assert len(forward) == demo.events.count(EventQuery(start=middle))[0].count
    for one, two in zip(forward, back[::-1], strict=True):
        assert (one.position, one.before, one.after, one.changes) == (two.position, two.before, two.after, two.changes)
        assert one.after.current_state == one.event.state_after
        assert one.event.public_member_snapshot in (None, one.after.context, one.after.public_member)
        if not one.notes and one.before is not None:
            assert one.before.current_state == one.event.state_before


def test_the_demo_as_of_a_moment_is_what_folding_each_stream_up_to_it_gives(demo: Stores) -> None:
    first, last = demo.events.time_range()
    track = open_track(demo, RangeScope(start=EpochMs((2 * first + last) // 3), end=EpochMs((first + 2 * last) // 3)))
    controller = ReplayController(track)

    for position in (0, controller.length // 2, controller.length):
        moment = controller.seek(position)
        known = {event.id for event in track.events[:position]}
        streams = demo.events.get_streams(moment.instances)
        for name, instance in moment.instances.items():
            held = [event for event in streams[name] if event.persisted_at < track.scope.start or event.id in known]
            assert track.tables.fold(held).instance == instance
