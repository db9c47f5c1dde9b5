"""A dry run of a restore: every instance told of once, with what could be brought back and what could not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.factories import START, event, snapshot
from tests.ops.living import CATALOG, last_moment, run_shop
from xcstore.errors import ReadOnlyStoreError
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION
from xcstore.ops.fresh_runtime import fresh_runtime
from xcstore.ops.recovery import plan_recovery
from xcstore.ops.restoration import (
    PROBLEMS,
    InstanceRestoration,
    restoration,
    restoration_page,
    restorations,
)
from xcstore.ops.restoration_batch import _KINDS
from xcstore.store.base import OutboxChange, StoredWork, Stores
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores
from xcstore.units import HOUR, EpochMs


def told(stores: Stores, catalog: Catalog = CATALOG, **options: object) -> dict[str, InstanceRestoration]:
    found = list(restorations(stores, catalog, **options))  # type: ignore[arg-type]
    assert len({one.instance_id for one in found}) == len(found)
    return {one.instance_id: one for one in found}


def kinds(one: InstanceRestoration) -> set[str]:
    return {problem.kind for problem in one.problems}


@pytest.mark.needs("expected_last_id", "outbox", "snapshots", "definitions")
def test_what_our_runtime_wrote_comes_back_as_it_was_on_every_backend(stores: Stores) -> None:
    new, paid, packed, shipped, done = run_shop(stores)

    found = told(stores, as_of=last_moment(stores))

    assert {key: (one.outcome, one.base, one.state) for key, one in found.items()} == {
        new: ("restored", "events", "New"),
        paid: ("restored", "events", "Paid"),
        packed: ("restored", "snapshot", "Packed"),
        shipped: ("restored", "snapshot_and_events", "Shipped"),
        done: ("ended", "none", "Done"),
    }
    assert all(one.agrees for one in found.values() if one.outcome == "restored")
    assert not any(one.problems for one in found.values())
    assert [found[key].snapshot.state for key in (new, packed, shipped, done)] == ["none", "agrees", "behind", "agrees"]
    assert (found[shipped].snapshot.behind, found[shipped].snapshot.behind_ms) == (1, 1_000)
    assert found[packed].instance is not None
    assert found[packed].instance.context["orderId"] == "ORD-2"


def test_a_timer_runs_on_with_what_is_left_and_is_overdue_later() -> None:
    stores = open_memory_stores()
    (new,) = run_shop(stores, 1)

    (timer,) = told(stores, as_of=EpochMs(START + 11_000))[new].timers
    (later,) = told(stores, as_of=EpochMs(START + HOUR))[new].timers

    assert (timer.event_type, timer.remaining_ms, timer.overdue) == ("WAITED", 50_000, False)
    assert (later.remaining_ms, later.overdue) == (0, True)
    assert timer.due == later.due == START + 61_000


def test_nothing_is_written_and_no_timer_fires(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    with open_stores(url, read_only=False) as stores:
        run_shop(stores)
    before = (tmp_path / "shop.db").read_bytes()

    with open_stores(url) as stores:
        report = restoration(stores, CATALOG, as_of=EpochMs(START + HOUR))
        fresh = fresh_runtime(stores, CATALOG, as_of=EpochMs(START + HOUR))
        fresh.go_on()
        with pytest.raises(ReadOnlyStoreError):
            stores.events.append(event())

    assert report.components[0].overdue == 1
    assert (tmp_path / "shop.db").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["shop.db"]


def test_a_fresh_runtime_goes_on_in_memory_alone() -> None:
    stores = open_memory_stores()
    new, *_ = run_shop(stores)
    events = stores.events.status().event_count

    fresh = fresh_runtime(stores, CATALOG, as_of=EpochMs(START + HOUR))

    runtime = fresh.runtimes["Shop"]
    assert (fresh.instances, fresh.overdue, fresh.truncated) == (4, 1, False)
    assert runtime.get_instance(new).current_state == "New"
    fresh.go_on()
    fresh.go_on()
    assert runtime.find_instance(new) is None, "the timer led to an end"
    assert stores.events.status().event_count == events


def test_work_that_waits_is_told_and_done_in_memory_alone() -> None:
    stores = open_memory_stores()
    _, paid, *_ = run_shop(stores)
    send = {"kind": "send", "instance": paid, "causes": [], "source": None}
    pack = {**send, "event": {"type": "PACK", "payload": {}, "timestamp": START}}
    odd = {"kind": "odd"}
    stores.events.change_outbox(
        OutboxChange(
            add=tuple(
                StoredWork(id=f"w{number}", position=number, component_name="Shop", document=document)
                for number, document in enumerate((pack, odd))
            )
        )
    )

    report = restoration(stores, CATALOG)
    fresh = fresh_runtime(stores, CATALOG, as_of=EpochMs(START + 11_000))

    assert told(stores)[paid].work == 1
    assert report.components[0].work == 2
    assert (fresh.work, fresh.problem_count) == (1, 1)
    assert "'w1' cannot be read" in fresh.problems[0]
    fresh.go_on()
    assert fresh.runtimes["Shop"].get_instance(paid).current_state == "Packed"
    assert len(stores.events.get_outbox()) == 2


def test_a_fresh_runtime_says_where_it_stopped() -> None:
    stores = open_memory_stores()
    run_shop(stores)

    fresh = fresh_runtime(stores, CATALOG, max_instances=2)

    assert fresh.truncated
    assert fresh.instances == 2


def test_without_a_definition_nothing_comes_back_and_that_is_said() -> None:
    stores = open_memory_stores()
    ids = run_shop(stores)

    found = told(stores, Catalog())

    assert {one.outcome for one in found.values()} == {"not_restored"}
    assert {kind for one in found.values() for kind in kinds(one)} == {"no_definition"}
    assert found[ids[3]].state == "Shipped", "its events tell all the same"


def test_an_event_that_leaves_a_state_never_led_to_is_a_gap_and_one_held_earlier_a_rollback() -> None:
    stores = open_memory_stores()
    chain = [("", "New", CREATION), ("New", "Paid", "PAY"), ("Packed", "Shipped", "SHIP"), ("Paid", "Packed", "PACK")]
    for number, (before, after, kind) in enumerate(chain):
        stores.events.append(
            event(id=f"e{number}", event_type=kind, state_before=before, state_after=after, persisted_at=START + number)
        )

    one = told(stores)["i1"]

    assert [(p.kind, p.event_id) for p in one.problems if p.event_id] == [("gap", "e2"), ("rolled_back", "e3")]
    assert one.outcome == "restored"
    assert one.state == "Packed"


def test_a_snapshot_that_was_altered_disagrees_field_by_field() -> None:
    stores = open_memory_stores()
    packed = run_shop(stores)[2]
    true = stores.snapshots.get_snapshot(packed)
    assert true is not None
    altered = replace(true.instance, context={**true.instance.context, "pay": 99})
    stores.snapshots.save_snapshot(replace(true, instance=altered, original=None))

    one = told(stores)[packed]

    assert one.snapshot.state == "disagrees"
    assert one.agrees is False
    assert [change.path for change in one.changes] == [("pay",)]
    assert {"snapshot_disagrees", "differs"} <= kinds(one)
    assert "pay" in next(problem.text for problem in one.problems if problem.kind == "snapshot_disagrees")


def test_a_snapshot_that_names_an_unknown_event_is_left_aside() -> None:
    stores = open_memory_stores()
    packed = run_shop(stores)[2]
    true = stores.snapshots.get_snapshot(packed)
    assert true is not None
    stores.snapshots.save_snapshot(replace(true, last_event_id="nobody", original=None))

    one = told(stores)[packed]

    assert one.snapshot.state == "unknown_event"
    assert one.base == "events"
    assert one.agrees
    assert kinds(one) == {"unknown_event"}


def test_an_instance_of_which_only_its_snapshot_is_left_comes_back_from_it() -> None:
    stores = open_memory_stores()
    stores.snapshots.save_snapshot(snapshot(id="alone", last_event_id="gone"))

    one = told(stores)["alone"]

    assert (one.outcome, one.base, one.events, one.snapshot.state) == ("restored", "snapshot", 0, "no_events")
    assert kinds(one) == {"no_events"}


def test_an_id_that_is_not_stored_is_told_and_others_are_left_out() -> None:
    stores = open_memory_stores()
    first, *_ = run_shop(stores)

    found = told(stores, instance_ids=[first, "nobody", first])

    assert set(found) == {first, "nobody"}
    assert kinds(found["nobody"]) == {"not_stored"}


def test_the_report_counts_each_instance_once_and_tells_of_those_with_problems() -> None:
    stores = open_memory_stores()
    ids = run_shop(stores, 20)
    stores.events.append(event(id="odd", instance_id="odd", component_name="Nowhere", persisted_at=START))
    steps: list[tuple[int, int]] = []

    report = restoration(stores, CATALOG, limit=0, on_progress=lambda done, total: steps.append((done, total)))

    assert report.instances == len(ids) + 1
    assert (report.restored, report.ended, report.not_restored) == (16, 4, 1)
    assert (report.told, report.told_of) == ((), 1)
    assert steps[-1] == (21, 21)
    assert {one.component_name for one in report.components} == {"Nowhere", "Shop"}


def test_pages_hold_the_same_as_the_whole() -> None:
    stores = open_memory_stores()
    run_shop(stores, 7)
    as_of = EpochMs(START + HOUR)

    found, cursor = [], None
    while True:
        page = restoration_page(stores, CATALOG, after=cursor, limit=3, as_of=as_of)
        found += page.items
        if (cursor := page.next) is None:
            break

    assert {one.instance_id: one for one in found} == told(stores, as_of=as_of)


def test_ids_that_hold_the_mark_between_id_and_problem_keep_their_problems() -> None:
    stores = open_memory_stores()
    for name in ("a", "a: b"):
        stores.events.append(
            event(id=f"of {name}", instance_id=name, state_before="New", state_after="Paid", persisted_at=START)
        )
        stores.snapshots.save_snapshot(snapshot(id=name, last_event_id=f"none of {name}"))

    found = told(stores)

    assert {key: kinds(one) for key, one in found.items()} == {
        "a": {"late_start", "unknown_event"},
        "a: b": {"late_start", "unknown_event"},
    }


def test_every_problem_that_the_runtime_tells_has_a_meaning() -> None:
    assert {kind for _, kind in _KINDS} <= set(PROBLEMS)


@pytest.mark.parametrize("wrong", [{"machine_name": "Nope"}, {"status": "completed"}])
def test_an_odd_snapshot_is_a_problem_of_its_instance_alone(wrong: dict[str, str]) -> None:
    stores = open_memory_stores(retention=100)
    ids = run_shop(stores)
    true = stores.snapshots.get_snapshot(ids[2])
    assert true is not None
    stores.snapshots.save_snapshot(replace(true, instance=replace(true.instance, **wrong), original=None))  # type: ignore[arg-type]

    found = told(stores)
    fresh = fresh_runtime(stores, CATALOG)
    plan = plan_recovery(stores, CATALOG)

    assert [found[one].outcome for one in ids] == ["restored"] * 4 + ["ended"]
    assert (kinds(found[ids[2]]), found[ids[2]].base, found[ids[2]].agrees) == ({"snapshot_disagrees"}, "events", True)
    assert not any(found[one].problems for one in ids if one != ids[2])
    assert fresh.instances == 4
    assert {one.instance_id: one.reason for one in plan.snapshots}[ids[2]] == "disagrees"
