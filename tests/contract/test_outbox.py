"""Promise 11: what is still to do, kept in one transaction with the events, on every backend."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
import pytest

from tests.contract.helpers import ids, nested
from tests.factories import event
from xcstore.errors import ConcurrencyError, DuplicateEventError, LimitExceededError, StoreError
from xcstore.store.base import EventQuery, OutboxChange, StoredWork, Stores
from xcstore.store.opening import open_stores

pytestmark = pytest.mark.needs("outbox")


def work(id_: str, position: int = 0, component_name: str = "Shop", **document: object) -> StoredWork:
    return StoredWork(id=id_, position=position, component_name=component_name, document=document)


def added(*works: StoredWork) -> OutboxChange:
    return OutboxChange(add=works)


def test_a_new_store_has_nothing_to_do(stores: Stores) -> None:
    assert stores.events.keeps_outbox
    assert list(stores.events.get_outbox()) == []
    assert list(stores.events.get_outbox("Shop")) == []


def test_work_is_read_back_equal(stores: Stores) -> None:
    kept = work("w1", 7, b=1, a=[1.5, None, {"ü": "\\ '\" %"}], big=2**70, nothing=None)
    stores.events.append(event(id="e1"), outbox=added(kept))

    (found,) = stores.events.get_outbox()

    assert found == kept
    assert list(found.document) == list(kept.document)
    assert ids(stores.events.get_events_for_instance("i1")) == ["e1"]


def test_work_comes_by_position_then_id_in_byte_order(stores: Stores) -> None:
    stores.events.change_outbox(
        added(work("b", 1), work("é", 0), work("Z", 0), work("a", 0), work("c", -(2**63)), work("d", 2**63 - 1))
    )

    assert ids(stores.events.get_outbox()) == ["c", "Z", "a", "é", "b", "d"]


def test_work_of_one_component_can_be_asked_for(stores: Stores) -> None:
    stores.events.change_outbox(added(work("a"), work("b", component_name="Depot"), work("c", component_name="")))

    assert ids(stores.events.get_outbox("Depot")) == ["b"]
    assert ids(stores.events.get_outbox("")) == ["c"]
    assert ids(stores.events.get_outbox("depot")) == []
    assert ids(stores.events.get_outbox("a\0\ud800")) == []
    assert ids(stores.events.get_outbox()) == ["a", "b", "c"]


def test_a_present_id_is_replaced(stores: Stores) -> None:
    stores.events.change_outbox(added(work("a", 1, step=1), work("b", 2)))

    stores.events.append(event(), outbox=added(work("a", 3, "Depot", step=2)))

    assert list(stores.events.get_outbox()) == [work("b", 2), work("a", 3, "Depot", step=2)]


def test_of_one_id_twice_the_last_counts_and_what_is_removed_and_added_stays(stores: Stores) -> None:
    stores.events.change_outbox(added(work("a", step=1)))

    stores.events.change_outbox(
        OutboxChange(add=(work("a", step=2), work("a", step=3), work("b")), remove=("a", "a", "b"))
    )

    assert list(stores.events.get_outbox()) == [work("a", step=3), work("b")]


def test_removing_what_is_not_there_is_no_error(stores: Stores, subtests: pytest.Subtests) -> None:
    stores.events.change_outbox(added(work("b")))

    for unknown in ["nobody", "", "x" * 500, "a\0b", "\ud800", "%"]:
        with subtests.test(repr(unknown)):
            stores.events.change_outbox(added(work("a")))
            stores.events.change_outbox(OutboxChange(remove=(unknown, "a")))
            stores.events.append(event(), outbox=OutboxChange(remove=(unknown,)))
            stores.events.append(event(), outbox=OutboxChange())

            assert ids(stores.events.get_outbox()) == ["b"]


def test_an_event_goes_in_with_its_change(stores: Stores) -> None:
    stores.events.append(event(id="a"), expected_last_id="", outbox=added(work("w1"), work("w2")))
    stores.events.append(
        event(id="b"), expected_last_id="a", outbox=OutboxChange(add=(work("w3"),), remove=("w1", "w2"))
    )

    assert ids(stores.events.get_outbox()) == ["w3"]
    assert ids(stores.events.get_events_for_instance("i1")) == ["a", "b"]


REFUSED: dict[str, tuple[type[StoreError], Callable[[Stores, OutboxChange], None]]] = {
    "a stored id": (DuplicateEventError, lambda stores, change: stores.events.append(event(id="e1"), outbox=change)),
    "a stored id, expected": (
        DuplicateEventError,
        lambda stores, change: stores.events.append(event(id="e1"), expected_last_id="e1", outbox=change),
    ),
    "another last event": (
        ConcurrencyError,
        lambda stores, change: stores.events.append(event(id="e2"), expected_last_id="e0", outbox=change),
    ),
    "no last event yet": (
        ConcurrencyError,
        lambda stores, change: stores.events.append(event(id="e2"), expected_last_id="", outbox=change),
    ),
    "a limit": (
        LimitExceededError,
        lambda stores, change: stores.events.append(event(id="e2", payload={"a": "\0"}), outbox=change),
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_an_event_that_is_refused_leaves_the_outbox_as_it_was(stores: Stores, reason: str) -> None:
    stores.events.append(event(id="e1"), outbox=added(work("kept", step=1)))
    error, append = REFUSED[reason]

    with pytest.raises(error):
        append(stores, OutboxChange(add=(work("new"), work("kept", step=2)), remove=("kept",)))

    assert list(stores.events.get_outbox()) == [work("kept", step=1)]
    assert ids(stores.events.get_events_for_instance("i1")) == ["e1"]


BAD: list[dict[str, Any]] = [
    {"id": "x" * 51},
    {"id": ""},
    {"id": "a\0"},
    {"id": "\ud800"},
    {"component_name": "x" * 101},
    {"component_name": "a\0"},
    {"position": 2**63},
    {"position": -(2**63) - 1},
    {"position": 1.5},
    {"document": {"a": ["b\0"]}},
    {"document": {"a": float("nan")}},
    {"document": {"a": {1, 2}}},
    {"document": {"deep": nested(100)}},
    {"document": [1]},
]


def test_work_that_cannot_be_written_keeps_its_event_out(stores: Stores, subtests: pytest.Subtests) -> None:
    stores.events.change_outbox(added(work("kept")))
    fields: dict[str, Any] = {"id": "w", "position": 0, "component_name": "Shop", "document": {}}
    for bad in BAD:
        change = OutboxChange(add=(work("fine"), StoredWork(**{**fields, **bad})), remove=("kept",))
        with subtests.test(repr(bad)[:40]):
            with pytest.raises(LimitExceededError, match=r"^(a key of )?work\."):
                stores.events.append(event(), outbox=change)
            with pytest.raises(LimitExceededError):
                stores.events.change_outbox(change)

    assert stores.events.count(EventQuery())[0].count == 0
    assert ids(stores.events.get_outbox()) == ["kept"]


def test_work_just_within_the_limits_is_kept(stores: Stores) -> None:
    kept = StoredWork(id="é" * 50, position=0, component_name="日" * 100, document={"deep": nested(99)})

    stores.events.change_outbox(added(kept))

    assert list(stores.events.get_outbox()) == [kept]


def test_threads_change_the_same_work_and_none_fails(stores: Stores) -> None:
    failures: list[BaseException] = []

    def change(number: int) -> None:
        try:
            for turn in range(10):
                names = [f"w{n}" for n in range(6)]
                works = tuple(work(name, turn) for name in (names if number % 2 else names[::-1]))
                stores.events.append(
                    event(id=f"{number}-{turn}", instance_id=f"i{number}"),
                    outbox=OutboxChange(add=works, remove=("w1", "w5") if number % 3 else ("w5", "w1")),
                )
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert sorted(ids(stores.events.get_outbox())) == [f"w{n}" for n in range(6)]
    assert stores.events.count(EventQuery())[0].count == 40


# Stores that are opened a second time


@pytest.fixture
def lasting_url(backend: str, store_url: str) -> str:
    if backend == "memory":
        pytest.skip("memory:// is gone when it is closed")
    return store_url


KILLED = """
import os, signal, sys
from xcstore.model.history import PersistedEvent
from xcstore.store.base import OutboxChange, StoredWork
from xcstore.store.opening import open_stores

stores, last = open_stores(sys.argv[1], read_only=False), ""
for number in range(int(sys.argv[2])):
    work = StoredWork(id=f"w{number}", position=0, component_name="Shop", document={})
    event = PersistedEvent(
        id=f"e{number}", instance_id="i", machine_name="m", event_type="GO", state_before="A", state_after="A",
        persisted_at=number,
    )
    change = OutboxChange(add=(work,), remove=(f"w{number - 1}",))
    stores.events.append(event, expected_last_id=last, outbox=change)
    last = event.id
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_leaves_the_event_and_its_work(lasting_url: str) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, lasting_url, "5"], check=False)

    assert killed.returncode == -9
    with open_stores(lasting_url) as stores:
        assert ids(stores.events.get_events_for_instance("i")) == [f"e{n}" for n in range(5)]
        assert ids(stores.events.get_outbox("Shop")) == ["w4"]


def _without_outbox(url: str) -> None:
    """As an earlier version left it."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute("DROP TABLE fsm_outbox")
    else:
        with psycopg.connect(url) as connection:
            connection.execute("DROP TABLE fsm_outbox")
            connection.execute("DROP FUNCTION fsm_append")


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
def test_a_store_of_an_earlier_version_gets_its_outbox_when_it_is_opened_for_writing(lasting_url: str) -> None:
    with open_stores(lasting_url, read_only=False) as stores:
        stores.events.append(event(id="e1"))
    _without_outbox(lasting_url)

    with open_stores(lasting_url) as reading:
        assert list(reading.events.get_outbox()) == []
        with open_stores(lasting_url, read_only=False) as stores:
            stores.events.append(event(id="e2"), expected_last_id="e1", outbox=added(work("w")))
        assert ids(reading.events.get_outbox()) == ["w"]
        assert ids(reading.events.get_outbox("Depot")) == []
