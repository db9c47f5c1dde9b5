"""Recovery into a store that is in use: what was planned is written, logged first, and taken back exactly."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.factories import event
from tests.ops import killed_recovery
from tests.ops.living import CATALOG, backed_up, run_shop
from xcstore.errors import QueryError, ReadOnlyStoreError, StoreError
from xcstore.jsontext import json_text, parse_json
from xcstore.model.catalog import Catalog
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.ops import recovery_log
from xcstore.ops.contents import StoreContents
from xcstore.ops.digests import StoreDigest, digest_store
from xcstore.ops.pruning import ALL_SNAPSHOTS
from xcstore.ops.recovery import RecoveryPlan, check_recoverable, plan_recovery, recover, undo
from xcstore.ops.recovery_log import read_log
from xcstore.ops.restoration import restorations
from xcstore.store.base import Stores
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.needs("expected_last_id", "outbox", "snapshots", "definitions", "delete")


@pytest.fixture
def damaged(stores: Stores) -> tuple[Stores, list[str]]:
    """A shop whose second order has no snapshot, as it has few events; the third's is altered, the fifth's gone."""
    ids = run_shop(stores)
    spoil(stores, ids)
    return stores, ids


def spoil(stores: Stores, ids: list[str]) -> None:
    true = stores.snapshots.get_snapshot(ids[2])
    assert true is not None
    stores.snapshots.save_snapshot(
        replace(true, instance=replace(true.instance, context={"orderId": "?"}), original=None)
    )
    stores.snapshots.delete_snapshot(ids[4])


@pytest.fixture
def shop() -> tuple[Stores, list[str]]:
    stores = open_memory_stores(retention=ALL_SNAPSHOTS)
    return stores, run_shop(stores)


def lost(stores: Stores, *event_types: str) -> tuple[StoreContents, list[PersistedEvent]]:
    """What the store held, and then the store without its events of these types."""
    whole = open_memory_stores(retention=ALL_SNAPSHOTS)
    events = list(stores.events.get_all_events())
    whole.events.append_many(events)
    gone = [one for one in events if one.event_type in event_types]
    stores.events.delete_events(one.id for one in gone)
    return StoreContents(whole), gone


def snapshots_of(stores: Stores) -> dict[str, list[InstanceSnapshot]]:
    return {
        one.instance.id: list(stores.snapshots.list_snapshots(one.instance.id))
        for one in stores.snapshots.get_all_snapshots()
    }


def sound(stores: Stores) -> bool:
    return all(one.snapshot.state == "agrees" and not one.problems for one in restorations(stores, CATALOG))


# --- Snapshots -----------------------------------------------------------------------------------------------------


def test_snapshots_are_made_from_the_events_and_put_back_by_undo_on_every_backend(
    damaged: tuple[Stores, list[str]], tmp_path: Path
) -> None:
    stores, (new, paid, packed, shipped, done) = damaged
    before, digest = snapshots_of(stores), digest_store(stores)

    plan = plan_recovery(stores, CATALOG)
    assert {one.instance_id: one.reason for one in plan.snapshots} == {
        new: "missing",
        paid: "missing",
        packed: "disagrees",
        shipped: "behind",
        done: "missing",
    }
    assert digest_store(stores) == digest, "planning writes nothing"
    report = recover(stores, CATALOG, plan, tmp_path / "log")

    assert (report.snapshots, report.events, report.skipped) == (5, 0, ())
    assert sound(stores)
    made = stores.snapshots.get_snapshot(done)
    assert made is not None
    assert (made.instance.status, made.instance.context["arrive"]) == ("completed", 4)
    assert plan_recovery(stores, CATALOG).is_empty
    undone = undo(stores, tmp_path / "log")
    assert (undone.snapshots, undone.events, undone.untouched) == (5, 0, 0)
    assert snapshots_of(stores) == before
    assert digest_store(stores) == digest


def test_a_snapshot_that_is_made_holds_the_timers_that_run(shop: Any, tmp_path: Path) -> None:
    stores, (new, *_) = shop

    recover(stores, CATALOG, plan_recovery(stores, CATALOG, reasons=["missing"]), tmp_path / "log")

    made = stores.snapshots.get_snapshot(new)
    assert made is not None
    assert [timer.event_type for timer in made.pending_timeouts] == ["WAITED"]


def test_what_no_event_tells_is_kept(shop: Any, tmp_path: Path) -> None:
    stores, ids = shop
    true = stores.snapshots.get_snapshot(ids[3])
    stores.snapshots.save_snapshot(
        replace(true, instance=replace(true.instance, internal_member={"kept": 1}), original=None)
    )

    recover(stores, CATALOG, plan_recovery(stores, CATALOG, reasons=["behind"]), tmp_path / "log")

    assert stores.snapshots.get_snapshot(ids[3]).instance.internal_member == {"kept": 1}


def test_where_the_events_do_not_tell_for_certain_the_snapshot_is_left_alone(shop: Any) -> None:
    stores, ids = shop
    stores.events.append(
        event(id="odd", instance_id=ids[3], event_type="ARRIVE", state_before="New", state_after="Done")
    )
    undefined = plan_recovery(stores, Catalog())

    plan = plan_recovery(stores, CATALOG)

    assert ids[3] not in {one.instance_id for one in plan.snapshots}
    (skipped,) = [one for one in plan.skipped if one.instance_id == ids[3]]
    assert "left alone" in skipped.reason
    # Those that agree need nothing; of the others nobody knows.
    assert undefined.is_empty
    assert {one.instance_id for one in undefined.skipped} == {ids[0], ids[1], ids[3]}


def test_what_moved_on_since_the_plan_is_left_as_it_is(shop: Any, tmp_path: Path) -> None:
    stores, ids = shop
    plan = plan_recovery(stores, CATALOG)
    moved = replace(
        stores.events.get_events_for_instance(ids[1])[-1],
        id="later",
        event_type="PACK",
        state_before="Paid",
        state_after="Packed",
        original=None,
    )
    stores.events.append(moved)

    report = recover(stores, CATALOG, plan, tmp_path / "log")

    assert [(one.instance_id, one.reason) for one in report.skipped] == [
        (ids[1], "it moved on since the plan was made")
    ]
    assert stores.snapshots.get_snapshot(ids[1]) is None
    assert report.snapshots == len(plan.snapshots) - 1


# --- Events --------------------------------------------------------------------------------------------------------


def test_events_that_a_backup_has_are_added_and_taken_out_by_undo_on_every_backend(
    stores: Stores, tmp_path: Path
) -> None:
    ids = run_shop(stores)
    whole = digest_store(stores).events
    source, gone = lost(stores, "PACK", "ARRIVE")
    digest = digest_store(stores)

    plan = plan_recovery(stores, CATALOG, source)

    assert {one.instance_id for one in plan.events} == {ids[2], ids[3], ids[4]}
    assert plan.event_count == len(gone) == 4
    report = recover(stores, CATALOG, plan, tmp_path / "log", source)
    assert (report.events, report.skipped) == (4, ())
    assert digest_store(stores).events.count == whole.count
    assert {one.id for one in stores.events.get_events_for_instance(ids[4])} >= {one.id for one in gone[2:]}
    assert sound(stores)
    undone = undo(stores, tmp_path / "log")
    assert undone.events == 4
    assert digest_store(stores) == digest


def test_an_instance_that_is_gone_comes_back_whole(shop: Any, tmp_path: Path) -> None:
    stores, ids = shop
    whole = open_memory_stores()
    whole.events.append_many(stores.events.get_all_events())
    stream = list(stores.events.get_events_for_instance(ids[4]))
    stores.events.delete_events(one.id for one in stream)
    source = StoreContents(whole)

    plan = plan_recovery(stores, CATALOG, source)
    recover(stores, CATALOG, plan, tmp_path / "log", source)

    assert [one.last_event_id for one in plan.events] == [""]
    assert stores.events.get_events_for_instance(ids[4]) == stream


def test_an_event_of_other_content_refuses_the_whole(shop: Any, tmp_path: Path) -> None:
    stores, ids = shop
    other = open_memory_stores()
    for one in stores.events.get_all_events():
        other.events.append(replace(one, payload={"pay": 99}, original=None) if one.event_type == "PAY" else one)
    stores.events.delete_events([stores.events.get_events_for_instance(ids[4])[-1].id])
    digest, source = digest_store(stores), StoreContents(other)

    plan = plan_recovery(stores, CATALOG, source)

    assert plan.conflict_count == len(plan.conflicts) == 4
    assert plan.conflicts[0].event_id in plan.conflicts[0].text
    with pytest.raises(QueryError, match=plan.conflicts[0].event_id):
        recover(stores, CATALOG, plan, tmp_path / "log", source)
    assert digest_store(stores) == digest
    assert not (tmp_path / "log").exists()


def test_an_instance_that_went_on_otherwise_is_left_as_it_is(shop: Any) -> None:
    stores, ids = shop
    source, _ = lost(stores, "ARRIVE")
    last = stores.events.get_events_for_instance(ids[4])[-1]
    stores.events.append(
        replace(
            last,
            id="other",
            event_type="LOSE",
            state_before="Shipped",
            state_after="Late",
            persisted_at=EpochMs(last.persisted_at + 500),
            original=None,
        )
    )

    plan = plan_recovery(stores, CATALOG, source)

    assert plan.events == ()
    assert [(one.instance_id, "went on otherwise" in one.reason) for one in plan.skipped][:1] == [(ids[4], True)]


def test_who_appends_while_events_are_added_wins(shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores, ids = shop
    source, gone = lost(stores, "SHIP", "ARRIVE")
    mine = [one.id for one in gone if one.instance_id == ids[4]]
    last = stores.events.get_events_for_instance(ids[4])[-1]
    theirs = replace(last, id="theirs", persisted_at=EpochMs(last.persisted_at + 1), original=None)
    plan = plan_recovery(stores, CATALOG, source)
    append = stores.events.append

    def meanwhile(one: PersistedEvent, **options: Any) -> None:
        if one.id == mine[1]:
            append(replace(theirs, persisted_at=EpochMs(one.persisted_at + 1)))
        append(one, **options)

    monkeypatch.setattr(stores.events, "append", meanwhile, raising=False)
    report = recover(stores, CATALOG, plan, tmp_path / "log", source)

    there = {one.id for one in stores.events.get_events_for_instance(ids[4])}
    assert "theirs" in there
    assert not there & set(mine), "all of them, or none"
    assert ids[4] in {one.instance_id for one in report.skipped}
    assert report.events == len(gone) - len(mine)


# --- The log -------------------------------------------------------------------------------------------------------


def test_each_write_is_in_the_log_on_disk_before_it_is_made(
    shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores, _ = shop
    source, _ = lost(stores, "ARRIVE")
    log, synced = tmp_path / "log", [0]
    fsync = recovery_log.os.fsync

    def sync(number: int) -> None:
        fsync(number)
        synced[0] = len(log.read_bytes())

    append, save = stores.events.append, stores.snapshots.save_snapshot

    def checked_append(one: PersistedEvent, **options: Any) -> None:
        assert one.id.encode() in log.read_bytes()[: synced[0]]
        append(one, **options)

    def checked_save(one: InstanceSnapshot) -> None:
        assert any(each.instance_id == one.instance.id for each in read_log(log).snapshots)
        assert synced[0] == len(log.read_bytes())
        save(one)

    monkeypatch.setattr(recovery_log.os, "fsync", sync)
    monkeypatch.setattr(stores.events, "append", checked_append, raising=False)
    monkeypatch.setattr(stores.snapshots, "save_snapshot", checked_save, raising=False)
    report = recover(stores, CATALOG, plan_recovery(stores, CATALOG, source), log, source)

    assert report.events == 1
    assert report.snapshots > 1


@pytest.mark.parametrize("broken_after", range(4))
def test_what_is_interrupted_is_taken_back_or_done_again(
    broken_after: int, shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores, ids = shop
    spoil(stores, ids)
    before, digest = snapshots_of(stores), digest_store(stores)
    save, saved = stores.snapshots.save_snapshot, [0]

    def failing(one: InstanceSnapshot) -> None:
        if saved[0] == broken_after:
            raise StoreError("the disk is full")
        saved[0] += 1
        save(one)

    with monkeypatch.context() as patch:
        patch.setattr(stores.snapshots, "save_snapshot", failing, raising=False)
        with pytest.raises(StoreError, match="the disk is full"):
            recover(stores, CATALOG, plan_recovery(stores, CATALOG), tmp_path / "log")

    undone = undo(stores, tmp_path / "log")
    assert undone.snapshots == broken_after
    assert (snapshots_of(stores), digest_store(stores)) == (before, digest)
    assert undo(stores, tmp_path / "log").snapshots == 0, "a second time there is nothing left"
    recover(stores, CATALOG, plan_recovery(stores, CATALOG), tmp_path / "again")
    assert sound(stores)


def test_an_undo_that_is_interrupted_goes_on(shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores, ids = shop
    spoil(stores, ids)
    digest = digest_store(stores)
    recover(stores, CATALOG, plan_recovery(stores, CATALOG), tmp_path / "log")

    def failing(snapshots: Any) -> int:
        raise StoreError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(stores.snapshots, "save_snapshots", failing, raising=False)
        with pytest.raises(StoreError, match="killed"):
            undo(stores, tmp_path / "log")
    undo(stores, tmp_path / "log")

    assert digest_store(stores) == digest


def test_undo_takes_back_what_it_can_and_names_what_has_changed_since(shop: Any, tmp_path: Path) -> None:
    stores, ids = shop
    source, gone = lost(stores, "ARRIVE")
    before = snapshots_of(stores)
    recover(stores, CATALOG, plan_recovery(stores, CATALOG, source), tmp_path / "log", source)
    true = stores.snapshots.get_snapshot(ids[1])
    theirs = replace(true, snapshot_at=EpochMs(true.snapshot_at + 1), original=None)
    stores.snapshots.save_snapshot(theirs)
    stores.events.append(event(id="new", instance_id=ids[4]))

    report = undo(stores, tmp_path / "log")

    assert set(report.left) == {f"the snapshots of {ids[1]!r}", f"the events of {ids[4]!r}"}
    assert snapshots_of(stores)[ids[1]][-1] == theirs
    assert {"new", *(one.id for one in gone)} <= {one.id for one in stores.events.get_events_for_instance(ids[4])}
    now = snapshots_of(stores)
    assert [now.get(one) for one in (ids[0], ids[2], ids[3])] == [before.get(one) for one in (ids[0], ids[2], ids[3])]
    assert not read_log(tmp_path / "log").undone


def test_what_was_taken_out_again_while_it_was_added_does_not_hinder_undo(
    shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores, ids = shop
    source, gone = lost(stores, "SHIP", "ARRIVE")
    mine = [one.id for one in gone if one.instance_id == ids[4]]
    append = stores.events.append

    def meanwhile(one: PersistedEvent, **options: Any) -> None:
        if one.id == mine[1]:
            append(event(id="theirs", instance_id=ids[4], persisted_at=EpochMs(one.persisted_at + 1)))
        append(one, **options)

    plan = plan_recovery(stores, CATALOG, source)
    monkeypatch.setattr(stores.events, "append", meanwhile, raising=False)
    recover(stores, CATALOG, plan, tmp_path / "log", source)
    report = undo(stores, tmp_path / "log")

    assert (report.left, report.events, report.untouched) == ((), len(gone) - len(mine), 1)
    assert stores.events.get_event("theirs") is not None


def live_snapshot(stores: Stores, of: InstanceSnapshot) -> InstanceSnapshot:
    newer = replace(
        of,
        instance=replace(of.instance, internal_member={"live": 1}),
        snapshot_at=EpochMs(of.snapshot_at + 1),
        original=None,
    )
    stores.snapshots.save_snapshot(newer)
    return newer


def test_a_snapshot_that_a_runtime_saves_meanwhile_stays_the_latest(
    shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores, ids = shop
    old = stores.snapshots.get_snapshot(ids[3])
    plan = plan_recovery(stores, CATALOG)
    assert plan.snapshots[-1].instance_id == ids[3]
    save, theirs = stores.snapshots.save_snapshot, []

    def meanwhile(one: InstanceSnapshot) -> None:
        save(one)
        if not theirs:  # all of the batch were looked at
            monkeypatch.setattr(stores.snapshots, "save_snapshot", save, raising=False)
            theirs.append(live_snapshot(stores, old))

    monkeypatch.setattr(stores.snapshots, "save_snapshot", meanwhile, raising=False)
    report = recover(stores, CATALOG, plan, tmp_path / "log")

    assert [(one.instance_id, one.reason) for one in report.skipped] == [
        (ids[3], "its snapshot was replaced meanwhile")
    ]
    assert stores.snapshots.get_snapshot(ids[3]) == theirs[0]
    assert undo(stores, tmp_path / "log").left == ()
    assert stores.snapshots.get_snapshot(ids[3]) == theirs[0]


def test_a_snapshot_that_a_runtime_saves_during_an_undo_stays(
    shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores, _ = shop
    plan = plan_recovery(stores, CATALOG)
    recover(stores, CATALOG, plan, tmp_path / "log")
    first = plan.snapshots[0].instance_id  # the last that is taken back
    delete, theirs = stores.snapshots.delete_snapshot, []

    def meanwhile(instance_id: str) -> bool:
        if not theirs:
            theirs.append(live_snapshot(stores, stores.snapshots.get_snapshot(first)))
        return delete(instance_id)

    monkeypatch.setattr(stores.snapshots, "delete_snapshot", meanwhile, raising=False)
    report = undo(stores, tmp_path / "log")

    assert report.left == (f"the snapshots of {first!r}",)
    assert report.snapshots == len(plan.snapshots) - 1
    assert stores.snapshots.get_snapshot(first) == theirs[0]


def test_a_line_that_was_not_written_whole_is_left_out(shop: Any, tmp_path: Path) -> None:
    stores, _ = shop
    log = tmp_path / "log"
    recover(stores, CATALOG, plan_recovery(stores, CATALOG), log)
    whole = read_log(log)
    log.write_bytes(log.read_bytes() + b'{"kind": "snap')

    assert read_log(log) == whole
    undo(stores, log)
    assert read_log(log).undone
    assert read_log(log).snapshots == whole.snapshots


def test_a_log_is_never_written_over_and_another_store_is_refused(shop: Any, tmp_path: Path) -> None:
    stores, _ = shop
    plan = plan_recovery(stores, CATALOG)
    recover(stores, CATALOG, plan, tmp_path / "log")
    url = f"sqlite:///{tmp_path / 'other.db'}"

    with pytest.raises(QueryError, match="name a new one"):
        recover(stores, CATALOG, plan, tmp_path / "log")
    (tmp_path / "no.log").write_text("{}\n")
    with pytest.raises(QueryError, match="no log of a recovery"):
        undo(stores, tmp_path / "no.log")
    with open_stores(url, read_only=False) as other:
        with pytest.raises(QueryError, match="nothing was taken back"):
            undo(other, tmp_path / "log")
        with pytest.raises(QueryError, match="nothing was written"):
            recover(other, CATALOG, plan, tmp_path / "new")


@pytest.fixture
def wounded(tmp_path: Path) -> tuple[Path, Path, StoreDigest]:
    """A shop in a file that lacks some events and snapshots, its backup, and the digest that it has now."""
    backup, url, ids = backed_up(tmp_path)
    with open_stores(url, read_only=False) as stores:
        stores.events.delete_events(
            [one.id for one in stores.events.get_all_events() if one.event_type in ("SHIP", "ARRIVE")]
        )
        spoil(stores, ids)
    return tmp_path / "shop.db", backup, held(tmp_path / "shop.db")


def held(file: Path) -> StoreDigest:
    with open_stores(f"sqlite:///{file}") as stores:
        return digest_store(stores)


def whole(what: str, file: Path, backup: Path, log: Path) -> int:
    """Not killed, and here; returns how many writes it made."""
    return killed_recovery.main(what, f"sqlite:///{file}", str(backup), str(log), 0)


def killed(what: str, files: Path, backup: Path, logs: Path, steps: Iterable[int]) -> list[str]:
    command = [sys.executable, "-m", "tests.ops.killed_recovery", what, f"sqlite:///{files}", str(backup), str(logs)]
    done = subprocess.run([*command, *map(str, steps)], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.split("\n")[:-1]


def test_wherever_it_is_killed_it_is_taken_back_or_done_again(wounded: Any, tmp_path: Path) -> None:
    file, backup, digest = wounded
    shutil.copy(file, tmp_path / "count.db")
    writes = whole("recover", tmp_path / "count.db", backup, tmp_path / "count.log")
    steps = range(1, writes + 1)
    for step in steps:
        shutil.copy(file, tmp_path / f"shop-{step}.db")

    told = killed("recover", tmp_path / "shop-{}.db", backup, tmp_path / "log-{}", steps)

    assert told == [f"{step} {-signal.SIGKILL}" for step in steps]
    for step in steps:
        url = f"sqlite:///{tmp_path / f'shop-{step}.db'}"
        if step % 2:
            with open_stores(url, read_only=False, snapshot_retention=ALL_SNAPSHOTS) as stores:
                undo(stores, tmp_path / f"log-{step}")
                assert digest_store(stores) == digest, f"killed at write {step}"
        else:
            whole("recover", tmp_path / f"shop-{step}.db", backup, tmp_path / f"again-{step}")
            with open_stores(url) as stores:
                assert sound(stores), f"killed at write {step}"


def test_wherever_an_undo_is_killed_another_one_finishes(wounded: Any, tmp_path: Path) -> None:
    file, backup, digest = wounded
    whole("recover", file, backup, tmp_path / "log")
    shutil.copy(file, tmp_path / "count.db")
    logs = [tmp_path / "count.log", tmp_path / "log"]
    name_log(logs, tmp_path / "count.db")
    writes = whole("undo", tmp_path / "count.db", backup, tmp_path / "count.log")
    steps = range(1, writes + 1)
    for step in steps:
        shutil.copy(file, tmp_path / f"shop-{step}.db")
        name_log([tmp_path / f"log-{step}", tmp_path / "log"], tmp_path / f"shop-{step}.db")

    told = killed("undo", tmp_path / "shop-{}.db", backup, tmp_path / "log-{}", steps)

    assert told == [f"{step} {-signal.SIGKILL}" for step in steps]
    for step in steps:
        whole("undo", tmp_path / f"shop-{step}.db", backup, tmp_path / f"log-{step}")
        assert held(tmp_path / f"shop-{step}.db") == digest, f"killed at write {step}"


def name_log(logs: list[Path], file: Path) -> None:
    """The second log as the first, of the store in `file`."""
    first, rest = logs[1].read_bytes().split(b"\n", 1)
    document: Any = parse_json(first)
    logs[0].write_bytes(json_text({**document, "store": f"sqlite:///{file}"}).encode() + b"\n" + rest)


# --- What is refused -----------------------------------------------------------------------------------------------


def test_stores_that_are_not_ours_to_write_are_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    with open_stores(url, read_only=False) as stores:
        run_shop(stores)
        check_recoverable(stores)
    with open_stores(url) as stores:
        plan = plan_recovery(stores, CATALOG)
        assert isinstance(plan, RecoveryPlan)
        assert not plan.is_empty
        with pytest.raises(ReadOnlyStoreError):
            recover(stores, CATALOG, plan, tmp_path / "log")
    with (
        open_stores(f"archive:///{tmp_path / 'archive'}", read_only=False) as archive,
        pytest.raises(QueryError, match="cannot take back"),
    ):
        check_recoverable(archive)


def test_a_backup_into_an_empty_store_goes_by_restore(shop: Any) -> None:
    stores, _ = shop
    with pytest.raises(QueryError, match="restore"):
        plan_recovery(open_memory_stores(), CATALOG, StoreContents(stores))
