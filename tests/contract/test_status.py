"""What a store knows about itself, on every backend."""

from __future__ import annotations

import random

import pytest

from tests.contract import foreign
from tests.contract.helpers import uid
from tests.factories import event
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores


def test_an_empty_store_names_its_server_and_holds_no_events(stores: Stores) -> None:
    status = stores.events.status()

    assert status.server
    assert "://" not in status.server
    assert (status.event_count, status.event_count_is_exact) == (0, True)


def test_few_events_are_counted_exactly(stores: Stores) -> None:
    stores.events.append_many(event() for _ in range(7))
    stores.events.append(event(instance_id="i2"))

    status = stores.events.status()

    assert (status.event_count, status.event_count_is_exact) == (8, True)


def test_many_events_are_counted_or_estimated_to_a_tenth_of_their_number(stores: Stores) -> None:
    """As for new tables, that no server has looked at yet."""
    stores.events.append_many(event(instance_id=f"i{number % 100}") for number in range(20_000))

    status = stores.events.status()

    assert status.event_count == pytest.approx(20_000, rel=0.0 if status.event_count_is_exact else 0.1)


def test_a_store_on_disk_grows_with_what_is_written(stores: Stores, backend: str) -> None:
    before = stores.events.status().size_bytes
    if before is None:
        pytest.skip(f"{backend} does not know its size")
    chance = random.Random(1)  # what is all alike takes next to no room where it is compressed
    stores.events.append_many(event(payload={"text": chance.randbytes(500).hex()}) for _ in range(2_000))

    after = stores.events.status().size_bytes

    assert after is not None
    assert after - before > 200_000


def test_connections_are_counted_while_they_are_used(stores: Stores) -> None:
    stores.events.append(event())
    pool = stores.events.status().pool

    if pool is None:
        pytest.skip("there are no connections")
    assert pool.in_use == 0
    assert 1 <= pool.open <= pool.maximum == 20
    assert pool.waiting == 0


@pytest.mark.parametrize("layout", ["documented", "shipped"])
def test_tables_of_others_have_a_status_as_well(postgresql_database: str, layout: str) -> None:
    events = [event(id=uid(number), instance_id=uid(1)) for number in range(1, 4)]
    foreign.make(postgresql_database, layout, events)

    with open_stores(postgresql_database) as stores:
        status = stores.events.status()

    assert status.server.startswith("PostgreSQL 1")
    assert status.event_count == 3
    assert status.size_bytes is not None
    assert status.size_bytes > 8_192
