"""A MongoDB store of ours at which others work too: who append, delete, or put in documents of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract import others
from tests.contract.helpers import ids
from tests.factories import START, event, snapshot
from tests.store.test_mongodb import NAMES, ODD, UNUSABLE
from xcstore.errors import ConcurrencyError, StoreError
from xcstore.store import mongo_instances, mongo_writing
from xcstore.store.base import EventQuery, InstanceQuery, OutboxChange, StoredWork, Stores
from xcstore.store.codec import event_from_document, event_to_document
from xcstore.store.mongo_batches import Visible
from xcstore.store.mongo_database import MongoDatabase, MongoReader
from xcstore.store.mongo_layout import EXTRA
from xcstore.store.mongo_writing import MongoWriter
from xcstore.store.opening import open_stores


def once_after(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, act: Callable[[], object]) -> None:
    """Do this when the method has been called for the first time, before its caller goes on."""
    method = getattr(owner, name)

    def called(self: Any, *args: Any, **options: Any) -> Any:
        monkeypatch.setattr(owner, name, method)
        result = method(self, *args, **options)
        act()
        return result

    monkeypatch.setattr(owner, name, called)


def check_heads(url: str, stores: Stores) -> None:
    """Each instance has one head, which says what its stream does, and nothing is left to do."""
    summaries = {one.instance_id: one for one in stores.events.instances(InstanceQuery()).items}
    streams: dict[str, list[Any]] = {}
    for one in stores.events.get_all_events():
        streams.setdefault(one.instance_id, []).append(one)
    assert {key: one.event_count for key, one in summaries.items()} == {key: len(of) for key, of in streams.items()}
    for instance_id in streams:
        stream = stores.events.get_events_for_instance(instance_id)
        assert summaries[instance_id].last_event_id == stream[-1].id
        assert summaries[instance_id].created_at == min(one.persisted_at for one in stream)
    assert sum(one.count for one in stores.events.count_instances(InstanceQuery())) == len(streams)
    with others.documents(url) as database:
        assert database.events.count_documents({"xcstore.open": {"$exists": True}}) == 0
        heads = [one["xcstore"]["head"] for one in database.events.find({"xcstore.head": {"$exists": True}})]
        assert {head["instance"]: head["count"] for head in heads} == {key: len(of) for key, of in streams.items()}
        assert len(heads) == len(streams)


# Appended while others delete


@pytest.mark.parametrize("going", [range(5), [4], [3, 4], [0, 1, 2]], ids=["whole", "last", "end", "beginning"])
@pytest.mark.parametrize("step", ["standing read", "place found", "put in"])
def test_what_is_appended_while_others_delete_leaves_a_true_head(
    mongodb_database: str, monkeypatch: pytest.MonkeyPatch, going: list[int], step: str
) -> None:
    method = {"standing read": "_standing", "place found": "_beside", "put in": "_insert"}[step]
    with open_stores(mongodb_database, read_only=False) as stores, open_stores(mongodb_database, read_only=False) as b:
        for number in range(5):
            stores.events.append(event(id=f"e{number}", persisted_at=START + number))
        once_after(monkeypatch, MongoWriter, method, lambda: stores.events.delete_events([f"e{n}" for n in going]))
        b.events.append(event(id="new", persisted_at=START + 9))
        check_heads(mongodb_database, stores)
        b.events.append(event(id="next", persisted_at=START + 10), expected_last_id="new")
        check_heads(mongodb_database, stores)


@pytest.mark.parametrize("going", [range(5), [4]], ids=["whole", "last"])
@pytest.mark.parametrize("step", ["_read_standings", "_insert", "commit"])
def test_a_batch_that_is_appended_while_others_delete_leaves_a_true_head(
    mongodb_database: str, monkeypatch: pytest.MonkeyPatch, going: list[int], step: str
) -> None:
    # Whoever deletes does not wait for the batch: that would wait for whoever deletes.
    monkeypatch.setattr(mongo_writing, "_WAIT_SECONDS", 0.0)

    def delete() -> None:
        try:
            stores.events.delete_events([f"e{n}" for n in going])
        except mongo_writing.StoreTimeoutError:
            assert step == "_insert"

    with open_stores(mongodb_database, read_only=False) as stores, open_stores(mongodb_database, read_only=False) as b:
        for number in range(5):
            stores.events.append(event(id=f"e{number}", persisted_at=START + number))
        once_after(monkeypatch, mongo_writing._Many, step, delete)
        b.events.append_many([event(id=f"n{n}", persisted_at=START + 9 + n) for n in range(3)])
        check_heads(mongodb_database, stores)


def test_what_is_appended_while_others_delete_before_their_second_step(
    mongodb_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the marks of those who delete, before the events are gone."""
    with open_stores(mongodb_database, read_only=False) as stores, open_stores(mongodb_database, read_only=False) as b:
        for number in range(5):
            stores.events.append(event(id=f"e{number}", persisted_at=START + number))
        once_after(
            monkeypatch, MongoDatabase, "write", lambda: b.events.append(event(id="new", persisted_at=START + 9))
        )
        stores.events.delete_events([f"e{n}" for n in range(5)])
        check_heads(mongodb_database, stores)


def test_an_append_killed_behind_a_deleted_event_is_put_right_by_the_next_opening(
    mongodb_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_stores(mongodb_database, read_only=False) as stores, open_stores(mongodb_database, read_only=False) as b:
        for number in range(5):
            stores.events.append(event(id=f"e{number}", persisted_at=START + number))
        once_after(
            monkeypatch, MongoWriter, "_standing", lambda: stores.events.delete_events([f"e{n}" for n in range(5)])
        )
        with monkeypatch.context() as broken:
            broken.setattr(MongoWriter, "_finish", lambda *args: None)
            b.events.append(event(id="new", persisted_at=START + 9))
        summary = stores.events.instances(InstanceQuery()).items[0]
        assert (summary.event_count, summary.created_at) == (1, START + 9)
        with open_stores(mongodb_database, read_only=False):
            check_heads(mongodb_database, stores)


def test_an_append_behind_an_event_that_others_delete_meanwhile_is_refused_where_others_remain(
    mongodb_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_stores(mongodb_database, read_only=False) as stores, open_stores(mongodb_database, read_only=False) as b:
        for number in range(3):
            stores.events.append(event(id=f"e{number}", persisted_at=START + number))
        once_after(monkeypatch, MongoWriter, "_standing", lambda: stores.events.delete_events(["e2"]))
        with pytest.raises(ConcurrencyError):
            b.events.append(event(id="new"), expected_last_id="e2")
        check_heads(mongodb_database, stores)


def test_a_rebuilt_head_forgets_no_work_of_a_writer_that_was_killed(
    mongodb_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_stores(mongodb_database, read_only=False) as stores:
        stores.events.append(event(id="e1"))
        added = OutboxChange(add=(StoredWork(id="w1", position=0, component_name="", document={}),))
        with monkeypatch.context() as broken:
            broken.setattr(MongoWriter, "_finish", lambda *args: None)
            stores.events.append(event(id="e2"), outbox=added)
        stores.events.delete_events(["e1"])
        assert [work.id for work in stores.events.get_outbox()] == ["w1"]
        with others.documents(mongodb_database) as database:
            assert database.fsm_outbox.count_documents({"pending": {"$exists": True}}) == 0
        check_heads(mongodb_database, stores)


# Instances read while others append


def test_an_instance_with_two_heads_for_a_moment_is_counted_once(mongodb_database: str) -> None:
    """As it is for who reads the head before, and after an append that began and ended meanwhile the new one."""
    with (
        open_stores(mongodb_database, read_only=False) as stores,
        others.documents(mongodb_database) as database,
    ):
        stores.events.append_many(
            event(id=f"e{n}", instance_id=f"i{n}", state_after="A", persisted_at=START + n) for n in range(3)
        )
        before = database.events.find_one({"_id": "e1"}, {"xcstore.head": 1})
        stores.events.append(event(id="new", instance_id="i1", state_after="B", persisted_at=START + 10**7))
        database.events.update_one({"_id": "e1"}, {"$set": {"xcstore.head": before["xcstore"]["head"]}})  # type: ignore[index]

        counted = {one.state: one.count for one in stores.events.count_instances(InstanceQuery())}
        assert counted == {"A": 2, "B": 1}


def test_an_instance_whose_new_head_is_not_settled_is_counted(mongodb_database: str) -> None:
    with (
        open_stores(mongodb_database, read_only=False) as stores,
        others.documents(mongodb_database) as database,
    ):
        stores.events.append(event(id="e1", state_before="A", state_after="B"))
        # As where it became so after the marks were read.
        stores.events.append(event(id="e2", state_before="B", state_after="B"))
        changed = database.events.update_one({"_id": "e2"}, {"$set": {"xcstore.head.settled": False}})
        assert changed.matched_count == 1
        for query in (InstanceQuery(), InstanceQuery(states=("B",))):
            assert [one.count for one in stores.events.count_instances(query)] == [1]
        assert stores.events.count_instances(InstanceQuery(states=("C",))) == []


def test_a_batch_that_comes_to_count_while_instances_are_counted_hides_none(
    mongodb_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_stores(mongodb_database, read_only=False) as stores, open_stores(mongodb_database) as reading:
        stores.events.append_many(event(id=f"e{n}", instance_id=f"i{n}") for n in range(3))
        commit, asked = mongo_writing._Many.commit, []

        def counted_meanwhile(self: Any) -> None:
            def go_on() -> None:
                commit(self)
                self.finish()

            # The batch is there and does not count, when it is asked for.
            once_after(monkeypatch, Visible, "uncounted", go_on)
            asked.append(sum(one.count for one in reading.events.count_instances(InstanceQuery())))

        monkeypatch.setattr(mongo_writing._Many, "commit", counted_meanwhile)
        stores.events.append_many(event(id=f"n{n}", instance_id=f"i{n}", persisted_at=START + 10**7) for n in range(3))
        assert asked == [3]


@pytest.mark.parametrize("newest_first", [True, False])
def test_an_instance_that_is_appended_to_while_a_page_is_read_is_on_it(
    mongodb_database: str, monkeypatch: pytest.MonkeyPatch, newest_first: bool
) -> None:
    """The walk has passed the place that the head goes to, and has not come to the one that it leaves."""
    with open_stores(mongodb_database, read_only=False) as stores, open_stores(mongodb_database) as reading:
        stores.events.append_many(event(id=f"e{n}", instance_id=f"i{n}", persisted_at=START + n) for n in range(5))
        walk = mongo_instances._from_heads

        def walked(*args: Any, **options: Any) -> Any:
            monkeypatch.setattr(mongo_instances, "_from_heads", walk)
            found = [one for one in walk(*args, **options) if one[1].instance_id != "i2"]
            stores.events.append(event(id="new", instance_id="i2", persisted_at=START + 10))
            return found

        monkeypatch.setattr(mongo_instances, "_from_heads", walked)
        page = reading.events.instances(InstanceQuery(), limit=10, newest_first=newest_first)
        found = [one.instance_id for one in page.items]
        assert found == (["i2", "i4", "i3", "i1", "i0"] if newest_first else ["i0", "i1", "i3", "i4", "i2"])


def test_a_page_is_full_where_an_instance_on_it_is_appended_to(
    mongodb_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_stores(mongodb_database, read_only=False) as stores, open_stores(mongodb_database) as reading:
        stores.events.append_many(event(id=f"e{n}", instance_id=f"i{n}", persisted_at=START + n) for n in range(9))
        first = reading.events.instances(InstanceQuery(), limit=3)
        walk = mongo_instances._from_heads

        def walked(*args: Any, **options: Any) -> Any:
            monkeypatch.setattr(mongo_instances, "_from_heads", walk)
            found = walk(*args, **options)
            stores.events.append(event(id="new", instance_id="i4", persisted_at=START + 10))
            return found

        monkeypatch.setattr(mongo_instances, "_from_heads", walked)
        second = reading.events.instances(InstanceQuery(), after=first.next, limit=3)
        assert [one.instance_id for one in second.items] == ["i5", "i3", "i2"]
        third = reading.events.instances(InstanceQuery(), after=second.next, limit=3)
        assert [one.instance_id for one in third.items] == ["i1", "i0"]


# Events that others put in


def test_odd_events_that_others_put_beside_ours_are_found_everywhere(mongodb_database: str) -> None:
    with open_stores(mongodb_database, read_only=False) as stores:
        stores.events.append_many(event(id=f"o{n}", persisted_at=START, state_after="A") for n in range(4))
        own = [one.id for one in stores.events.get_all_events()]
        with others.documents(mongodb_database) as database:
            database.events.insert_many([*ODD, *UNUSABLE])

        everything = sorted([*own, *NAMES])
        whole = ids(stores.events.find(EventQuery()).items)
        assert sorted(whole) == everything
        for newest_first in (False, True):
            paged, after = [], None
            while True:
                page = stores.events.find(EventQuery(), after=after, limit=2, newest_first=newest_first)
                paged += ids(page.items)
                after = page.next
                if after is None:
                    break
            assert paged == (whole[::-1] if newest_first else whole)
        assert sorted(one.id for one in stores.events.get_all_events()) == everything
        assert sorted(stores.events.get_events(everything)) == everything
        assert all(stores.events.trace(one, max_events=1).events[0].id == one for one in everything)
        assert stores.events.count(EventQuery())[0].count == len(everything)
        assert sum(one.count for one in stores.events.count(EventQuery(), bucket_ms=1_000)) == len(everything)
        assert stores.events.status().event_count == len(everything)
        assert stores.events.to_arrow(EventQuery()).num_rows == len(everything)
        assert stores.events.time_range() == (0, START)
        assert ids(stores.events.get_events_for_instance("8")) == ["7"]
        counts = {one.instance_id: one.event_count for one in stores.events.instances(InstanceQuery()).items}
        assert counts == {"i1": len(everything) - 1, "8": 1}
        assert sum(one.count for one in stores.events.count_instances(InstanceQuery())) == 2

        assert stores.events.delete_events(NAMES) == len(NAMES)
        assert sorted(one.id for one in stores.events.get_all_events()) == own
        with others.documents(mongodb_database) as database:
            database.events.delete_many({"xcstore": {"$exists": False}})
        check_heads(mongodb_database, stores)


@pytest.mark.parametrize(
    "odd",
    [
        {"persistedAt": str(START)},
        {"persistedAt": "2026-01-01T00:00:00Z"},
        {"persistedAt": START + 0.5},
        {"persistedAt": None},
        {"persistedAt": [START]},
        {"instanceId": 5},
        {"causedBy": "e0"},
        {"causedBy": [7, "e0"]},
        {"componentName": ["Shop"], "stateAfter": 3, "machineName": None},
    ],
    ids=repr,
)
def test_an_odd_event_of_another_store_is_found_everywhere_in_ours_and_comes_back_as_it_was(
    mongodb_database: str, odd: dict[str, Any]
) -> None:
    one = event_from_document({**event_to_document(event(id="e1")), **odd})
    with open_stores(mongodb_database, read_only=False) as stores:
        stores.events.append_many([event(id="e0", persisted_at=START), one])

        found = stores.events.get_event("e1")
        assert found == one
        assert event_to_document(found) == event_to_document(one)
        assert found.faults == one.faults
        assert "e1" in ids(stores.events.find(EventQuery()).items)
        assert "e1" in ids(stores.events.find(EventQuery(start=one.persisted_at, end=one.persisted_at)).items)
        assert "e1" in ids(stores.events.get_events_for_instance(one.instance_id))
        assert sum(count.count for count in stores.events.count(EventQuery(), bucket_ms=1_000)) == 2
        assert ids(stores.events.get_caused_events("e0")) == (["e1"] if "e0" in one.caused_by else [])
        check_heads(mongodb_database, stores)


def test_an_event_is_shown_with_a_fault_where_the_text_beside_it_is_gone_and_not_at_all_where_it_is_gone_too(
    mongodb_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = event(id="e1", payload={"t": "ü" * 4_000_000, "n": 2**70}, context={"c": "x" * 8_000_000})
    with open_stores(mongodb_database, read_only=False) as stores, open_stores(mongodb_database) as reading:
        stores.events.append(large)
        with others.documents(mongodb_database) as database:
            texts = list(database.fsm_event_extra.find({}))
            database.fsm_event_extra.delete_many({})
            for found in (
                reading.events.get_event("e1"),
                *reading.events.find(EventQuery()).items,
                *reading.events.get_events_for_instance("i1"),
            ):
                assert (found.id, found.seq) == ("e1", 1)
                assert "is missing" in found.faults[-1]
            database.fsm_event_extra.insert_many(texts)
            assert reading.events.get_event("e1") == large
        find = MongoReader.find

        def deleted_meanwhile(self: Any, collection: str, *args: Any, **options: Any) -> Any:
            if collection == EXTRA:
                monkeypatch.setattr(MongoReader, "find", find)
                stores.events.delete_events(["e1"])
            return find(self, collection, *args, **options)

        monkeypatch.setattr(MongoReader, "find", deleted_meanwhile)
        assert reading.events.find(EventQuery()).items == ()


# Broken off


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_delete_of_a_whole_instance_that_is_killed_leaves_its_end_and_is_mended(
    mongodb_database: str, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    large = {"text": "x" * 7_900_000, "number": 2**70}
    with open_stores(mongodb_database, read_only=False) as stores:
        for number in range(4):
            payload, context = (large, large) if number == 3 else ({}, None)
            state = "Final" if number == 3 else "Open"
            stores.events.append(
                event(id=f"e{number}", state_after=state, persisted_at=START + number, payload=payload, context=context)
            )
        method, calls = MongoDatabase.delete, []

        def delete(self: MongoDatabase, *args: Any) -> int:
            calls.append(args)
            if len(calls) == steps:
                raise KeyboardInterrupt
            return method(self, *args)

        monkeypatch.setattr(MongoDatabase, "delete", delete)
        with pytest.raises(KeyboardInterrupt):
            stores.events.delete_events([f"e{number}" for number in range(4)])
        monkeypatch.undo()

    with open_stores(mongodb_database, read_only=False) as stores:
        check_heads(mongodb_database, stores)
        left = stores.events.get_events_for_instance("i1")
        assert not left or left[-1].state_after == "Final"
        stores.events.delete_events([one.id for one in left])
        assert not stores.events.instances(InstanceQuery()).items


def test_what_the_server_refuses_is_said_in_our_words_and_not_swallowed(mongodb_database: str) -> None:
    with open_stores(mongodb_database, read_only=False) as stores:
        with others.documents(mongodb_database) as database:
            database.drop_collection("snapshots")
            database.create_collection("snapshots", validator={"instance.currentState": "Open"})
            database.snapshots.create_index("instance.id", unique=True)
        stores.snapshots.save_snapshot(snapshot(id="i1", current_state="Open"))

        with pytest.raises(StoreError, match="Document failed validation"):
            stores.snapshots.save_snapshot(snapshot(id="i1", current_state="Closed"))
