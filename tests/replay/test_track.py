from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.factories import snapshot
from tests.replay.conftest import SHOP, START, stores_of, stream
from xcstore.errors import NotFoundError, QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.model.loader import component_from_document
from xcstore.replay import earlier
from xcstore.replay.controller import ReplayController
from xcstore.replay.ordering import in_replay_order
from xcstore.replay.track import ComponentScope, EventsScope, InstanceScope, RangeScope, TraceScope, open_track
from xcstore.store.base import StoredDefinition, Stores
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs


def ids(events: Any) -> list[str]:
    return [event.id for event in events]


def at(ms: int) -> EpochMs:
    return EpochMs(START + ms)


# The order of replay


def test_streams_keep_their_order_and_at_equal_times_causes_come_first() -> None:
    one, two = stream("a", "PAY", at=0, every=0), stream("b", "PAY", at=0, every=0)
    two[0] = replace(two[0], caused_by=(one[1].id,))  # by id, b's creation would come before a's payment
    expected = ["a-000000", "a-000001", "b-000000", "b-000001"]

    for seed in range(10):
        mixed = [*one, *two]
        random.Random(seed).shuffle(mixed)
        assert ids(in_replay_order(mixed)) == expected


def test_causes_that_contradict_the_streams_or_each_other_are_given_up() -> None:
    one, two = stream("a", "PAY", every=0), stream("b", "PAY", every=0)
    one[0] = replace(one[0], caused_by=(two[1].id,))
    two[0] = replace(two[0], caused_by=(one[1].id, two[0].id))

    ordered = ids(in_replay_order([*two, *one]))

    assert ordered == ids(in_replay_order([*one, *two]))
    assert sorted(ordered) == sorted(ids([*one, *two]))
    for events in (one, two):
        assert [name for name in ordered if name in ids(events)] == ids(events)


def test_an_insertion_order_counts_before_the_id() -> None:
    one, two = stream("a", seq=2), stream("b", seq=1)

    assert ids(in_replay_order([*one, *two])) == ["b-000000", "a-000000"]


# Scopes


def test_an_instance_is_all_of_its_events_in_stream_order(catalog: Catalog) -> None:
    stores = stores_of(stream("a", "CHANGE", "PAY", "SEND", every=0), stream("b", "PAY"))

    track = open_track(stores, InstanceScope(instance_id="a"), catalog=catalog)

    assert [event.event_type for event in track.events] == [CREATION, "CHANGE", "PAY", "SEND"]
    assert (track.instance_ids, track.length, track.total, track.truncated) == (("a",), 4, 4, False)
    assert track.before == {}
    assert track.notes == ()
    assert [track.position_of(event.id) for event in track.events] == [1, 2, 3, 4]
    assert track.position_of("b-000000") is None


def test_of_what_is_too_much_the_earliest_are_read_and_it_says_so(catalog: Catalog) -> None:
    stores = stores_of(stream("a", *["CHANGE"] * 9))

    track = open_track(stores, InstanceScope(instance_id="a"), catalog=catalog, max_events=4)

    assert ids(track.events) == [f"a-{number:06}" for number in range(4)]
    assert (track.truncated, track.total) == (True, 10)
    assert track.notes == ("4 of 10 events were read, the earliest first",)


def test_the_steps_of_a_trace_are_its_events_and_the_others_of_its_instances_are_silent(catalog: Catalog) -> None:
    one, two, other = stream("a", "CHANGE", "PAY", "SEND"), stream("b", "PAY", at=500), stream("c", at=100)
    two[1] = replace(two[1], caused_by=(one[2].id,), persisted_at=at(2_500))
    stores = stores_of(one, two, other)

    track = open_track(stores, TraceScope(event_id=one[2].id), catalog=catalog)

    assert track.instance_ids == ("a", "b")
    assert ids(track.events) == ["a-000000", "b-000000", "a-000001", "a-000002", "b-000001", "a-000003"]
    assert [track.step(position).id for position in (1, 2)] == ["a-000002", "b-000001"]
    assert track.length == 2


def test_where_the_streams_of_a_trace_are_too_long_only_what_lies_between_its_steps_is_read(catalog: Catalog) -> None:
    one = stream("a", *["CHANGE"] * 50, "PAY")
    two = stream("b", "PAY", at=48_500, caused_by=("a-000048",))
    stores = stores_of(one, two)

    track = open_track(stores, TraceScope(event_id="a-000048"), catalog=catalog, max_events=10)

    assert ids(track.events) == ["a-000048", "b-000000", "a-000049", "b-000001"]
    assert [track.step(position).id for position in range(1, track.length + 1)] == ["a-000048", "b-000000", "b-000001"]
    assert track.before["a"].instance.context["total"] == 47
    assert not track.truncated
    assert any("between the first and the last step" in note for note in track.notes)


def test_events_of_any_ids_are_steps_and_what_is_not_stored_is_counted(catalog: Catalog) -> None:
    stores = stores_of(stream("a", "PAY"), stream("b", "PAY", at=10))

    track = open_track(stores, EventsScope(event_ids=("b-000001", "gone", "a-000000")), catalog=catalog)

    assert [track.step(position).id for position in (1, 2)] == ["a-000000", "b-000001"]
    assert "1 of the events to replay are not in the store" in track.notes


def test_a_range_begins_with_what_its_instances_were_then(catalog: Catalog) -> None:
    stores = stores_of(stream("a", "CHANGE", "PAY", "SEND"), stream("b", at=1_600), stream("idle", at=10))

    track = open_track(stores, RangeScope(start=at(1_500), end=at(2_500)), catalog=catalog)

    assert ids(track.events) == ["b-000000", "a-000002"]
    assert set(track.before) == {"a"}
    assert (track.before["a"].instance.current_state, track.before["a"].last_event_id) == ("New", "a-000001")
    assert track.before["a"].instance.context == {"total": 1, "CHANGE": True}
    assert track.before["a"].due["EXPIRE"][0] == at(61_000)
    assert track.instance_ids == ("b", "a")


def test_a_component_is_replayed_without_the_others(catalog: Catalog) -> None:
    stores = stores_of(stream("a"), stream("b", component_name="Bank"))

    track = open_track(stores, ComponentScope(component_name="Bank"), catalog=catalog)

    assert track.instance_ids == ("b",)
    assert track.notes[0].startswith("no definition of Bank.Order is known: its 1 events are followed as recorded")


def test_an_instance_whose_creation_is_not_kept_begins_with_the_latest_snapshot_from_before(
    catalog: Catalog, tmp_path: Path
) -> None:
    events = stream("a", "CHANGE", "CHANGE", "PAY")
    taken = [
        snapshot(id="a", current_state=event.state_after, context={"as of": event.id}, last_event_id=event.id,
                 updated_at=event.persisted_at, snapshot_at=event.persisted_at)
        for event in (events[0], events[1], events[3])
    ]  # fmt: skip
    with open_stores(f"sqlite:///{tmp_path / 'x.db'}", read_only=False) as stores:
        stores.events.append_many(events[2:])
        stores.snapshots.save_snapshots(taken)
        track = open_track(stores, InstanceScope(instance_id="a"), catalog=catalog)

    assert track.before["a"].instance.context == {"as of": events[1].id}
    assert track.notes == ("1 instances begin with a snapshot, not with their creation",)


def test_what_an_instance_held_is_not_known_without_creation_and_without_a_snapshot_from_before(
    catalog: Catalog,
) -> None:
    events = stream("a", "CHANGE", "PAY")
    stores = stores_of(events[1:])
    late = snapshot(id="a", last_event_id=events[2].id, updated_at=events[2].persisted_at)
    stores.snapshots.save_snapshot(replace(late, snapshot_at=events[2].persisted_at))

    track = open_track(stores, InstanceScope(instance_id="a"), catalog=catalog)

    assert track.before == {}
    assert track.notes == ("1 instances begin without creation or snapshot: what they held before is not known",)


@pytest.mark.parametrize("tries", [0, 1_000])
def test_what_was_not_read_for_its_size_is_not_said_to_be_lost(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, tries: int
) -> None:
    monkeypatch.setattr(earlier, "MAX_EARLIER", 3)
    monkeypatch.setattr(earlier, "_TRIES", tries)
    monkeypatch.setattr(earlier, "_IDS", 2)
    told: list[tuple[int, int | None]] = []
    streams = [stream(name, "CHANGE", "PAY", every=1_000) for name in "abc"]
    scope = RangeScope(start=at(1_500), end=at(9_000))

    track = open_track(stores_of(*streams), scope, catalog=catalog, on_progress=lambda *done: told.append(done))

    # Of each, two events lie before the range: one alone can be read.
    read = {"a"} if tries else {"c"}
    assert set(track.before) == read
    assert set(track.unknown) == {*"abc"} - read
    assert all(why == "more than 3 earlier events would have had to be read" for why in track.unknown.values())
    (note,) = [note for note in track.notes if note.startswith("2 instances")]
    assert "were not read further back, as at most 3 earlier events are read" in note
    assert len(told) == 4  # at the beginning, at the end, and for each batch of instances


def test_an_instance_whose_beginning_is_not_known_is_marked_until_its_values_are_recorded(catalog: Catalog) -> None:
    events = stream("a", "CHANGE", "CHANGE", "CHANGE", "CHANGE")[1:]
    events[2] = replace(events[2], public_member_snapshot={"total": 3})

    track = open_track(stores_of(events), InstanceScope(instance_id="a"), catalog=catalog)
    moments = ReplayController(track).moments(1, 5)
    marked = [
        any("not all that it holds is known: neither its creation nor a snapshot" in note for note in moment.notes)
        for moment in moments
    ]

    assert marked == [True, True, False, False]
    assert [moment.is_known for moment in moments] == [False, False, True, True]


def test_an_instance_of_which_only_a_snapshot_is_left_is_as_the_snapshot_says(catalog: Catalog) -> None:
    stores = stores_of()
    stores.snapshots.save_snapshot(snapshot(id="a", current_state="Paid"))

    track = open_track(stores, InstanceScope(instance_id="a"), catalog=catalog)

    assert (track.length, track.instance_ids) == (0, ("a",))
    assert track.before["a"].instance.current_state == "Paid"


# Definitions


def test_an_event_is_taken_by_the_version_that_it_names_else_by_the_definition_of_today(catalog: Catalog) -> None:
    document = {
        "name": "Shop",
        "stateMachines": [
            {
                "name": "Order",
                "initialState": "New",
                "states": [{"name": "New"}, {"name": "Paid"}],
                "transitions": [{"from": "New", "to": "Paid", "event": "PAY", "type": "regular"}],
            }
        ],
    }
    old = component_from_document(document)
    stores = stores_of(stream("a", "PAY", definition_hash=old.hash), stream("b", "PAY", definition_hash="gone"))
    stores.definitions.save_definition(StoredDefinition(hash=old.hash, component_name="Shop", document=document))

    track = open_track(stores, RangeScope(start=at(0), end=at(9_000)), catalog=catalog)

    by_id = {event.id: event for event in track.events}
    assert track.tables.of(by_id["a-000001"]).machine.find_state("Sent") is None
    assert track.tables.of(by_id["b-000001"]).machine.find_state("Sent") is not None
    assert [track.tables.found(by_id[name]) for name in ("a-000001", "b-000001")] == ["version", "today"]
    assert track.notes[-1].startswith("2 events of Shop.Order name a version of the definition that is not kept")
    assert track.tables.machine("Shop", "Order") is SHOP.machines[0]


def test_without_a_catalog_the_last_definition_that_the_store_keeps_stands_in() -> None:
    stores = stores_of(stream("a", "PAY"))
    document = {"name": "Shop", "stateMachines": [{"name": "Order", "initialState": "New", "states": [{"name": "New"}],
                                                   "transitions": []}]}  # fmt: skip
    stores.definitions.save_definition(StoredDefinition(hash="h", component_name="Shop", document=document))
    stores.definitions.save_definition(StoredDefinition(hash="bad", component_name="Bank", document={"odd": 1}))

    track = open_track(stores, InstanceScope(instance_id="a"))

    assert track.tables.found(track.events[0]) == "unnamed"
    assert [note for note in track.notes if "'Bank'" in note] == list(track.notes)


# What cannot be opened


@pytest.mark.parametrize(
    "scope", [InstanceScope(instance_id="no"), TraceScope(event_id="no"), EventsScope(event_ids=("no", "nor"))]
)
def test_what_is_not_stored_cannot_be_opened(scope: Any) -> None:
    with pytest.raises(NotFoundError):
        open_track(stores_of(stream("a")), scope)


def test_a_range_without_events_is_a_track_without_steps() -> None:
    track = open_track(stores_of(), RangeScope(start=at(0), end=at(1)))

    assert (track.length, track.total, track.instance_ids) == (0, 0, ())


def test_a_range_that_ends_before_it_starts_and_a_track_of_nothing_are_refused() -> None:
    with pytest.raises(QueryError, match="before it starts"):
        open_track(stores_of(), RangeScope(start=at(1), end=at(0)))
    with pytest.raises(QueryError, match="max_events"):
        open_track(stores_of(), InstanceScope(instance_id="a"), max_events=0)


def test_who_waits_is_told_how_far_it_is(stores: Stores, catalog: Catalog) -> None:
    stores.events.append_many([*stream("a", "PAY"), *stream("b", "PAY", at=1)])
    told: list[tuple[int, int | None]] = []

    track = open_track(
        stores, RangeScope(start=at(0), end=at(9_000)), catalog=catalog, on_progress=lambda *now: told.append(now)
    )

    assert (told[0], told[-1]) == ((0, 4), (4, 4))
    assert ids(track.events) == ["a-000000", "b-000000", "a-000001", "b-000001"]


def test_what_was_there_before_is_folded_the_same_on_every_backend(stores: Stores, catalog: Catalog) -> None:
    events: list[PersistedEvent] = [*stream("a", "CHANGE", "PAY", "SEND"), *stream("b", "CHANGE", "CHANGE", at=100)]
    stores.events.append_many(sorted(events, key=lambda event: event.persisted_at))

    track = open_track(stores, RangeScope(start=at(1_500), end=at(9_000)), catalog=catalog)

    assert {
        name: (f.instance.current_state, f.instance.context, f.last_event_id) for name, f in track.before.items()
    } == {
        "a": ("New", {"total": 1, "CHANGE": True}, "a-000001"),
        "b": ("New", {"total": 1, "CHANGE": True}, "b-000001"),
    }
