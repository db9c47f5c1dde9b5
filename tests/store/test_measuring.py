"""Latency: what is measured, how it is summed up, and the warning about slow appends."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.factories import event, snapshot
from xcstore.errors import DuplicateEventError
from xcstore.store.base import EventQuery
from xcstore.store.latency import BOUNDS_MS, Latency, all_latencies, latency_of
from xcstore.store.measuring import measured
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores
from xcstore.store.sql_events import SqlEventStore


class Seconds:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def counts(latency: Latency) -> dict[str, int]:
    return {row.operation: row.count for row in latency.operations()}


def test_every_method_of_the_contract_is_measured_under_its_name(tmp_path: Path) -> None:
    with open_stores(f"sqlite:///{tmp_path / 'a.db'}", read_only=False) as stores:
        stores.events.append(event(id="e1"))
        stores.events.append_many([event(id="e2")])
        stores.events.find(EventQuery())
        stores.events.find(EventQuery(text="pay"))
        stores.events.trace("e1")
        stores.events.count(EventQuery())
        stores.snapshots.save_snapshot(snapshot())
        stores.snapshots.find()

    seen = counts(latency_of(stores.identity))

    assert seen == {
        "append": 1,
        "append_many": 1,
        "count": 1,
        "find": 1,
        "find_snapshots": 1,
        "save_snapshot": 1,
        "search": 1,
        "trace": 1,
    }


def test_measured_methods_answer_as_the_store_does() -> None:
    plain = open_memory_stores("measured")
    stores = measured(plain)
    first, second = event(id="e1"), event(id="e2", caused_by=("e1",))

    assert stores.events.append_many([first, second]) == 2
    assert stores.events.get_events_for_instance("i1") == [first, second]
    assert stores.events.find(EventQuery(), limit=1, newest_first=True) == plain.events.find(
        EventQuery(), limit=1, newest_first=True
    )
    assert list(stores.events.get_all_events()) == [first, second]
    assert stores.events.trace("e1", "effects", 1) == plain.events.trace("e1", "effects", 1)
    assert stores.events.status() == plain.events.status()
    with pytest.raises(DuplicateEventError):
        stores.events.append(first)


def test_a_measured_store_is_still_one_of_its_class_with_all_that_it_has(tmp_path: Path) -> None:
    with open_stores(f"sqlite:///{tmp_path / 'a.db'}", read_only=False) as stores:
        assert isinstance(stores.events, SqlEventStore)
        assert stores.events.cancel_running(object()) == 0
        stores.events.connect()
        with pytest.raises(AttributeError):
            stores.events.nothing_of_the_kind  # type: ignore[attr-defined]  # noqa: B018


def test_stores_in_memory_are_left_as_they_are_and_so_is_what_asks_not_to_be_measured(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with open_stores("memory://quick") as stores, open_stores(url, read_only=False, latency_alert_ms=None) as others:
        stores.events.append(event())
        others.events.append(event())

    known = {latency.identity for latency in all_latencies()}
    assert not known & {stores.identity, others.identity}


def test_what_fails_is_measured_too(tmp_path: Path) -> None:
    with open_stores(f"sqlite:///{tmp_path / 'a.db'}", read_only=False) as stores:
        stores.events.append(event(id="e1"))
        with pytest.raises(DuplicateEventError):
            stores.events.append(event(id="e1"))

    assert counts(latency_of(stores.identity)) == {"append": 2}


def test_quantiles_are_exact_and_the_buckets_hold_every_time() -> None:
    latency = Latency("x")
    for ms in range(1, 101):
        latency.observe("find", float(ms))
    latency.observe("count", 60_000.0)

    (count, find) = latency.operations()

    assert (find.p50_ms, find.p95_ms, find.p99_ms, find.slowest_ms) == (50, 95, 99, 100)
    assert (count.p50_ms, count.p99_ms) == (60_000, 60_000)
    buckets = {row.operation: row for row in latency.histograms()}
    assert sum(buckets["find"].counts) == 100
    assert sum(buckets["find"].counts[: BOUNDS_MS.index(64.0) + 1]) == 64
    assert buckets["find"].sum_ms == 5_050
    assert buckets["count"].counts[-1] == 1


def test_the_record_stays_bounded_and_says_of_how_many_its_quantiles_are() -> None:
    latency = Latency("x")
    for _ in range(2_000):
        latency.observe("find", 200.0)

    (row,) = latency.operations()

    assert (row.count, row.window) == (2_000, 500)
    assert len(latency.recent()) == 300
    assert len(latency.slow()) == 50


def test_appends_come_first_and_the_latest_times_last() -> None:
    latency = Latency("x")
    for operation in ("find", "append", "count"):
        latency.observe(operation, 1.0)

    assert [row.operation for row in latency.operations()] == ["append", "count", "find"]
    assert [timing.operation for timing in latency.recent()] == ["find", "append", "count"]


def test_a_slow_append_is_warned_of_once_in_a_while_with_how_many_were_not(caplog: pytest.LogCaptureFixture) -> None:
    clock = Seconds()
    latency = Latency("postgresql://db/shop", 100, clock=clock)
    with caplog.at_level(logging.WARNING):
        latency.observe("append", 100.0)
        latency.observe("append", 250.4)
        latency.observe("append", 300.0)
        latency.observe("append", 300.0)
        clock.now += 11
        latency.observe("append", 400.0)

    assert [record.getMessage() for record in caplog.records] == [
        "High event store latency: 250 ms to append to postgresql://db/shop; the limit is 100 ms",
        "High event store latency: 400 ms to append to postgresql://db/shop; the limit is 100 ms "
        "(2 more since the last warning)",
    ]


def test_slow_questions_are_kept_by_name_and_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    latency = Latency("x", 50)
    with caplog.at_level(logging.WARNING):
        latency.observe("count", 51.0)
        latency.observe("count", 50.0)

    assert [(timing.operation, timing.ms) for timing in latency.slow()] == [("count", 51.0)]
    assert not caplog.records


def test_the_threshold_is_the_one_the_store_was_opened_with(tmp_path: Path) -> None:
    with open_stores(f"sqlite:///{tmp_path / 'a.db'}", read_only=False, latency_alert_ms=7) as stores:
        assert latency_of(stores.identity).alert_ms == 7


def test_nothing_is_lost_between_threads() -> None:
    latency = Latency("x")

    def observe() -> None:
        for _ in range(2_000):
            latency.observe("append", 0.1)

    threads = [threading.Thread(target=observe) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counts(latency) == {"append": 16_000}


def test_only_so_many_stores_are_remembered() -> None:
    for number in range(100):
        latency_of(f"test://{number}")

    known = [latency.identity for latency in all_latencies()]
    assert len(known) == 64
    assert known[-1] == "test://99"


def test_what_is_kept_holds_no_value_that_was_asked_for(tmp_path: Path) -> None:
    secret = "4111-1111"
    with open_stores(f"sqlite:///{tmp_path / 'a.db'}", read_only=False, latency_alert_ms=0) as stores:
        stores.events.append(event(payload={"card": secret}))
        stores.events.find(EventQuery(text=secret))
        stores.events.get_events_for_instance(secret)

    latency = latency_of(stores.identity)
    kept: Any = (latency.slow(), latency.recent(), latency.operations(), latency.histograms())
    assert len(latency.slow()) == 3
    assert secret not in repr(kept)
