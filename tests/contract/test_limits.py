"""Promise 6: what cannot be written is refused and nothing is written. What that is: test_values.py."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.helpers import nested
from tests.factories import event, snapshot
from xcstore.errors import LimitExceededError
from xcstore.store.base import EventQuery, Stores


@pytest.mark.needs("append_many_whole")
def test_one_bad_event_among_many_keeps_the_whole_batch_out(stores: Stores) -> None:
    batch = [event(id=f"e{number}") for number in range(500)]

    with pytest.raises(LimitExceededError):
        stores.events.append_many([*batch, event(payload={"note": "\0"})])

    assert stores.events.count(EventQuery())[0].count == 0


REFUSED_SNAPSHOTS: list[dict[str, Any]] = [
    {"id": "x" * 51},
    {"id": ""},
    {"machine_name": "x" * 101},
    {"current_state": "x" * 51},
    {"current_state": "a\0"},
    {"context": {"a": "b\0"}},
    {"context": {"a": "\ud800"}},
    {"context": {"deep": nested(100)}},
    {"public_member": {"a\0": 1}},
    {"last_event_id": "x" * 51},
    {"snapshot_at": 2**63},
]


@pytest.mark.needs("snapshots")
def test_a_snapshot_that_cannot_be_written_is_refused(stores: Stores, subtests: pytest.Subtests) -> None:
    for given in REFUSED_SNAPSHOTS:
        with subtests.test(repr(given)[:40]):
            with pytest.raises(LimitExceededError):
                stores.snapshots.save_snapshot(snapshot(**given))
            assert stores.snapshots.count() == 0
