"""The demo history reaches every backend whole, but for what is said to be left out."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.factories import START, event, snapshot
from xcstore.demo import filling
from xcstore.demo.filling import fill_demo
from xcstore.demo.redis_writer import RedisWriter
from xcstore.errors import LimitExceededError, QueryError
from xcstore.model.history import PersistedEvent
from xcstore.store.base import EventQuery, Stores
from xcstore.store.codec import event_to_document
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores

DAYS = 7


@pytest.fixture(scope="session")
def expected() -> Stores:
    """The same history in memory."""
    stores = open_memory_stores()
    filling.generate_demo(stores, days=DAYS)
    return stores


@pytest.fixture(params=["sqlite", "archive", "postgresql", "mongodb", "influxdb", "redis"])
def empty_url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'demo.db'}"
    if request.param == "archive":
        return f"archive:///{tmp_path / 'demo'}"
    return request.getfixturevalue(f"{request.param}_database")


def documents(events: Iterable[PersistedEvent]) -> dict[str, object]:
    return {e.id: event_to_document(e) for e in events}


def test_what_was_not_left_out_reads_back_as_it_was_made(empty_url, expected):
    filled = fill_demo(empty_url, days=DAYS)
    with open_stores(empty_url) as stores:
        held = documents(stores.events.get_all_events())
        assert len(held) == filled.events
        assert stores.snapshots.count() == filled.report.snapshots - filled.snapshots_left_out
    made = documents(expected.events.get_all_events())
    assert len(made) == filled.report.events == filled.events + filled.events_left_out
    assert {key: document for key, document in made.items() if key in held} == held
    if not empty_url.startswith("influxdb"):  # which alone has limits of its own
        assert (filled.events_left_out, filled.snapshots_left_out, filled.reason) == (0, 0, "")


def test_a_store_that_holds_something_is_left_alone(empty_url):
    fill_demo(empty_url, days=DAYS)
    with open_stores(empty_url) as stores:
        held = stores.events.count(EventQuery())[0].count
    with pytest.raises(QueryError, match="already; the demo goes into an empty store only"):
        fill_demo(empty_url, days=DAYS, seed=8)
    with open_stores(empty_url) as stores:
        assert stores.events.count(EventQuery())[0].count == held


def test_what_a_backend_refuses_is_left_out_and_counted_alone():
    kept: list[int] = []

    def put(batch):
        if any(number % 100 == 7 for number in batch):
            raise LimitExceededError(f"{next(number for number in batch if number % 100 == 7)} is refused")
        kept.extend(batch)
        return len(batch)

    sieve = filling._Sieve(put)
    assert sieve.put(range(1_000)) == 1_000
    assert kept == [number for number in range(1_000) if number % 100 != 7]
    assert (sieve.held, sieve.left_out, sieve.reason) == (990, 10, "7 is refused")


def test_redis_is_written_as_the_typescript_runtime_writes_it(redis_database):
    one, state = event(persisted_at=START), snapshot()
    with RedisWriter(f"{redis_database}?prefix=shop") as writer:
        writer.append(one)
        writer.save_snapshot(state)
        kinds = {key.decode(): writer.client.type(key).decode() for key in writer.client.scan_iter()}
        assert kinds == {
            f"shop:events:{one.instance_id}": "zset",
            "shop:events:all": "zset",
            f"shop:event:{one.id}": "string",
            f"shop:snapshot:{state.instance.id}": "string",
            "shop:snapshots:all": "set",
        }
        assert [score for _, score in writer.client.zrange("shop:events:all", 0, -1, withscores=True)] == [START]
