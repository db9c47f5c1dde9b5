"""What each backend declares is what `tests/backends.py` says: none can promise less without this table knowing."""

from __future__ import annotations

from tests.backends import BACKENDS, EVERYTHING
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores

LEFT_OUT = {
    "memory": set(),
    "sqlite": set(),
    "postgresql": set(),
    "mongodb": set(),
    "archive": {"outbox", "delete"},
    "influxdb": {"append_many_whole", "expected_last_id", "outbox", "delete", "definitions", "any_time"},
    "redis": EVERYTHING - {"any_time", "large_values"},
}
"""The features that are not declared, spelled out a second time, on purpose."""


def test_the_table_of_the_tests_leaves_out_what_is_known_to_be_left_out() -> None:
    assert {name: EVERYTHING - backend.declares for name, backend in BACKENDS.items()} == LEFT_OUT


def test_a_store_declares_what_the_tests_ask_of_it(backend: str, stores: Stores, store_url: str) -> None:
    expected = BACKENDS[backend].declares

    assert stores.events.keeps_outbox is ("outbox" in expected)
    with open_stores(store_url, read_only="append" not in expected, latency_alert_ms=None) as plain:
        assert plain.events.declares == expected
