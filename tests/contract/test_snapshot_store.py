"""Promises of `SnapshotStore` and `DefinitionStore`, on every backend."""

from __future__ import annotations

import pytest

from tests.contract.helpers import walk
from tests.factories import START, snapshot
from xcstore.errors import LimitExceededError
from xcstore.model.history import PendingTimeout
from xcstore.store.base import StoredDefinition, Stores
from xcstore.units import DurationMs


def test_what_is_saved_is_read_back_equal(stores: Stores) -> None:
    original = snapshot(
        id="i1",
        status="completed",
        context={"total": 12.5, "lines": [{"sku": "A"}], "none": None},
        public_member={"name": "Zoë"},
        internal_member={"x": 1},
        parent_instance_id="parent",
        parent_machine_name="Basket",
        is_entry_point=True,
        pending_timeouts=(PendingTimeout(state_key="Paid", event_type="EXPIRE", remaining_ms=DurationMs(1500)),),
        created_at=START - 100,
        updated_at=START,
    )
    stores.snapshots.save_snapshot(original)

    assert stores.snapshots.get_snapshot("i1") == original
    assert stores.snapshots.find().items == (original,)


def test_a_snapshot_with_nothing_optional_is_read_back_equal(stores: Stores) -> None:
    original = snapshot(id="i1", component_name="", context={}, created_at=None, updated_at=None, last_event_id="")
    stores.snapshots.save_snapshot(original)

    assert stores.snapshots.get_snapshot("i1") == original


def test_a_later_snapshot_takes_the_place_of_the_one_before(stores: Stores) -> None:
    first = snapshot(id="i1", current_state="New")
    second = snapshot(id="i1", current_state="Paid")
    stores.snapshots.save_snapshot(first)
    stores.snapshots.save_snapshot(second)

    assert stores.snapshots.get_snapshot("i1") == second
    assert stores.snapshots.count() == 1
    assert list(stores.snapshots.get_all_snapshots()) == [second]


@pytest.mark.needs("snapshots")
def test_the_last_few_are_kept_oldest_first(stores: Stores) -> None:
    saved = [snapshot(id="i1", context={"n": number}) for number in range(15)]
    for one in saved:
        stores.snapshots.save_snapshot(one)
    stores.snapshots.save_snapshot(snapshot(id="i2"))

    assert list(stores.snapshots.list_snapshots("i1")) == saved[-10:]
    assert len(stores.snapshots.list_snapshots("i2")) == 1
    assert list(stores.snapshots.list_snapshots("nobody")) == []


@pytest.mark.needs("snapshots")
def test_snapshots_of_one_moment_are_kept_in_the_order_of_saving(stores: Stores) -> None:
    saved = [snapshot(id="i1", snapshot_at=START, last_event_id="e", context={"n": number}) for number in range(4)]
    for one in saved:
        stores.snapshots.save_snapshot(one)

    assert list(stores.snapshots.list_snapshots("i1")) == saved
    assert stores.snapshots.get_snapshot("i1") == saved[-1]


def test_an_unknown_instance_has_no_snapshot(stores: Stores) -> None:
    assert stores.snapshots.get_snapshot("nobody") is None
    assert stores.snapshots.get_snapshots(["nobody"]) == {}


def test_several_snapshots_at_once(stores: Stores) -> None:
    saved = {f"i{number}": snapshot(id=f"i{number}") for number in range(300)}
    stores.snapshots.save_snapshots(saved.values())

    assert stores.snapshots.get_snapshots([*saved, "nobody", "i1"]) == saved
    assert stores.snapshots.get_snapshots([]) == {}


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_all_snapshots_come_by_instance_id_in_byte_order(stores: Stores, limit: int) -> None:
    names = ["b", "a", "B", "é", "a-1", "A_1", "a1", "Z", "日", "💥", "ﬀ"]
    for name in names:
        stores.snapshots.save_snapshot(snapshot(id=name))

    in_order = sorted(names, key=str.encode)
    assert [one.instance.id for one in stores.snapshots.get_all_snapshots()] == in_order
    assert [one.instance.id for one in walk(stores.snapshots.find, limit=limit)] == in_order


def test_snapshots_saved_while_paging_neither_repeat_nor_hide_others(stores: Stores) -> None:
    for name in "bdfhj":
        stores.snapshots.save_snapshot(snapshot(id=name))
    page = stores.snapshots.find(limit=2)

    for name in "aceg":
        stores.snapshots.save_snapshot(snapshot(id=name))
    stores.snapshots.save_snapshot(snapshot(id="b", current_state="Sent"))
    rest = stores.snapshots.find(after=page.next)

    assert [one.instance.id for one in page.items] == ["b", "d"]
    assert [one.instance.id for one in rest.items] == ["e", "f", "g", "h", "j"]


@pytest.mark.needs("snapshots")
def test_a_deleted_snapshot_is_gone_with_its_history(stores: Stores) -> None:
    stores.snapshots.save_snapshot(snapshot(id="i1"))
    stores.snapshots.save_snapshot(snapshot(id="i1"))
    stores.snapshots.save_snapshot(snapshot(id="i2"))

    stores.snapshots.delete_snapshot("i1")
    stores.snapshots.delete_snapshot("nobody")

    assert stores.snapshots.get_snapshot("i1") is None
    assert list(stores.snapshots.list_snapshots("i1")) == []
    assert stores.snapshots.count() == 1


@pytest.mark.needs("definitions")
def test_definitions_are_kept_in_the_order_of_saving_and_never_change(stores: Stores) -> None:
    first = StoredDefinition(hash="b" * 64, component_name="Shop", document={"name": "Shop", "z": 1, "a": [None]})
    second = StoredDefinition(hash="a" * 64, component_name="Depot", document={"name": "Depot"})
    stores.definitions.save_definition(first)
    stores.definitions.save_definition(second)
    stores.definitions.save_definition(StoredDefinition(hash="b" * 64, component_name="Other", document={}))

    assert list(stores.definitions.get_all_definitions()) == [first, second]
    assert list(stores.definitions.get_all_definitions()[0].document) == ["name", "z", "a"]


@pytest.mark.needs("snapshots")
def test_many_snapshots_are_saved_in_their_order(stores: Stores) -> None:
    stores.snapshots.save_snapshot(snapshot(id="i1", context={"n": -1}))
    saved = [snapshot(id=f"i{number % 3}", context={"n": number}) for number in range(40)]

    assert stores.snapshots.save_snapshots(one for one in saved) == 40
    assert stores.snapshots.save_snapshots([]) == 0

    for number in range(3):
        assert list(stores.snapshots.list_snapshots(f"i{number}")) == saved[number::3][-10:]
    assert [one.instance.context["n"] for one in stores.snapshots.get_all_snapshots()] == [39, 37, 38]


@pytest.mark.needs("snapshots")
def test_of_many_snapshots_one_that_cannot_be_saved_keeps_all_out(stores: Stores) -> None:
    before = snapshot(id="i1")
    stores.snapshots.save_snapshot(before)

    with pytest.raises(LimitExceededError):
        stores.snapshots.save_snapshots(
            [snapshot(id="i1", context={"n": 1}), snapshot(id="i2", current_state="x" * 51)]
        )

    assert list(stores.snapshots.list_snapshots("i1")) == [before]
    assert stores.snapshots.count() == 1
