"""The drill: what is whole is certified, each damage is named."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.ops.living import CATALOG, backed_up, run_shop
from xcstore.config import Settings
from xcstore.demo.generator import generate_demo
from xcstore.errors import QueryError, StoreUnavailableError
from xcstore.jsontext import json_text, parse_json
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.ops.backup import write_backup
from xcstore.ops.backup_file import member_bytes, read_members
from xcstore.ops.digests import digest_store
from xcstore.ops.drill import DrillReport, drill
from xcstore.store.base import OutboxChange, StoredWork
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores

Events = Iterable[PersistedEvent]


def held(source: Path | str, **options: Any) -> DrillReport:
    return drill(str(source), Settings(), **options)


def altered(
    folder: Path,
    *,
    events: Callable[[PersistedEvent], PersistedEvent | None] = lambda event: event,
    snapshots: Callable[[InstanceSnapshot], InstanceSnapshot] = lambda one: one,
) -> tuple[Path, list[str]]:
    """A backup of the shop in which something was changed before its digests were made."""
    stores = open_memory_stores()
    ids = run_shop(stores)
    changed = open_memory_stores(retention=100)
    for definition in stores.definitions.get_all_definitions():
        changed.definitions.save_definition(definition)
    changed.events.append_many(one for event in stores.events.get_all_events() if (one := events(event)) is not None)
    for latest in stores.snapshots.get_all_snapshots():
        changed.snapshots.save_snapshots(map(snapshots, stores.snapshots.list_snapshots(latest.instance.id)))
    write_backup(changed, folder / "altered.backup")
    return folder / "altered.backup", ids


# --- What is whole -------------------------------------------------------------------------------------------------


def test_a_backup_that_is_whole_passes_with_the_digest_of_its_store(tmp_path: Path) -> None:
    path, url, _ = backed_up(tmp_path)

    report = held(path, strict=True)

    assert report.passed, report.damages
    assert (report.damage_count, report.warning_count) == (0, 0)
    with open_stores(url) as stores:
        assert report.digest == digest_store(stores)
    assert report.revived is not None
    assert (report.revived.instances, report.revived.from_snapshot, report.revived.ended) == (4, 2, 1)
    assert report.recovery_point == report.digest.last_at
    assert report.recovery_seconds is not None
    assert [phase.name for phase in report.phases] == ["read", "check", "restore", "bring back", "audit", "causes"]


def test_a_store_passes_too_and_is_only_read(tmp_path: Path) -> None:
    _, url, _ = backed_up(tmp_path)
    before = (tmp_path / "shop.db").read_bytes()

    report = held(url)

    assert report.passed
    assert "only what contradicts itself" in report.notes[0]
    assert (tmp_path / "shop.db").read_bytes() == before


def test_what_is_odd_in_the_demo_is_told_and_does_not_hinder_a_restore(tmp_path: Path) -> None:
    stores = open_memory_stores(retention=100)
    generate_demo(stores, days=7)
    write_backup(stores, tmp_path / "demo.backup")

    report = held(tmp_path / "demo.backup")

    assert report.passed, report.damages
    assert {"rolled_back", "dangling_cause"} <= {one.kind for one in report.warnings}
    assert report.digest == digest_store(stores)


@pytest.mark.parametrize("cancelled_in", [None, "restore", "audit"])
def test_nothing_is_left_of_the_temporary_store(cancelled_in: str | None, tmp_path: Path) -> None:
    path, _, _ = backed_up(tmp_path)
    place = tmp_path / "place"
    place.mkdir()
    seen: set[str] = set()

    def look(phase: str, done: int, total: int) -> None:
        seen.update(file.name for file in place.rglob("*"))
        if phase == cancelled_in:
            raise KeyboardInterrupt

    if cancelled_in is None:
        held(path, folder=place, on_progress=look)
    else:
        with pytest.raises(KeyboardInterrupt):
            held(path, folder=place, on_progress=look)

    assert "drill.db" in seen or cancelled_in == "restore"
    assert list(place.iterdir()) == []


def test_where_the_disk_is_too_small_it_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _, _ = backed_up(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(100, 99, 1))  # type: ignore[attr-defined]

    with pytest.raises(QueryError, match="may need"):
        held(path)


def test_without_a_definition_the_data_is_certified_and_the_rest_is_said(tmp_path: Path) -> None:
    stores = open_memory_stores()
    run_shop(stores)
    bare = open_memory_stores()
    bare.events.append_many(replace(event, definition_hash=None) for event in stores.events.get_all_events())
    write_backup(bare, tmp_path / "bare.backup")

    without, given = held(tmp_path / "bare.backup"), held(tmp_path / "bare.backup", definitions=CATALOG)

    assert without.passed
    assert without.not_revived == 5
    assert "no definition of 'Shop' is known: 5" in " ".join(without.notes)
    assert given.not_revived == 0
    assert given.revived is not None
    assert given.revived.instances == 4


# --- What is damaged -----------------------------------------------------------------------------------------------


def test_a_truncated_file_fails(tmp_path: Path) -> None:
    path, _, _ = backed_up(tmp_path)
    path.write_bytes(path.read_bytes()[:-200])

    report = held(path)

    assert not report.passed
    assert report.damages[0].kind == "unreadable"
    assert "the file ends within it" in report.damages[0].text
    assert any("its trailer is missing" in one.text for one in report.damages)
    assert report.recovery_seconds is None


def test_a_flipped_byte_fails_and_the_member_is_named(tmp_path: Path) -> None:
    path, _, _ = backed_up(tmp_path)
    raw = bytearray(path.read_bytes())
    # In the middle of the events, which are most of the file.
    members = list(read_members(path))
    at = next(number for number, member in enumerate(members) if member.kind == "events")
    raw[(members[at - 1].end + members[at].end) // 2] ^= 0xFF
    path.write_bytes(raw)

    report = held(path)

    assert not report.passed
    assert f"is damaged in member {at + 1}, at byte {members[at - 1].end:,}" in report.damages[0].text


def test_an_event_taken_out_of_the_file_does_not_agree_with_its_trailer(tmp_path: Path) -> None:
    path, _, _ = backed_up(tmp_path)
    parts = []
    for member in read_members(path):
        control = {k: v for k, v in member.control.items() if k not in ("xcstore_backup", "kind", "rows")}
        documents = list(member.documents())
        parts.append(member_bytes(member.kind, documents[:-1] if member.kind == "events" else documents, **control))
    path.write_bytes(b"".join(parts))

    report = held(path)

    assert not report.passed
    assert "events: 15 and 14" in report.damages[0].text


def test_an_event_that_is_missing_leaves_a_gap_though_the_digests_agree(tmp_path: Path) -> None:
    path, ids = altered(
        tmp_path, events=lambda event: None if (event.event_type, event.payload) == ("PACK", {"pack": 3}) else event
    )

    report = held(path)

    assert not report.passed
    assert {one.where for one in report.damages} == {f"instance {ids[3]}"}
    (gap,) = [one for one in report.damages if one.kind == "gap"]
    assert "leaves 'Packed', where none of its events led" in gap.text


def test_an_event_that_was_edited_is_named_though_the_digests_agree(tmp_path: Path) -> None:
    path, ids = altered(
        tmp_path,
        events=lambda event: (
            replace(event, state_after="Late", original=None)
            if (event.event_type, event.payload) == ("PACK", {"pack": 4})
            else event
        ),
    )

    report = held(path)

    assert not report.passed
    assert any(one.kind == "gap" and one.where == f"instance {ids[4]}" for one in report.damages)


def test_a_payload_that_was_edited_is_named_though_the_digests_agree(tmp_path: Path) -> None:
    path, ids = altered(
        tmp_path,
        events=lambda event: (
            replace(event, payload={"pay": 1_000_000}, original=None) if event.payload == {"pay": 1} else event
        ),
    )

    report = held(path)

    assert not report.passed
    assert [(one.kind, one.where) for one in report.damages] == [("values", f"instance {ids[1]}")]
    assert "records other values than its payload gives: pay" in report.damages[0].text


def test_a_creation_that_is_missing_fails_where_no_snapshot_tells_what_was_before(tmp_path: Path) -> None:
    path, _ = altered(
        tmp_path,
        events=lambda event: (
            None
            if isinstance(event.payload, dict) and event.payload.get("initialContext") == {"orderId": "ORD-1"}
            else event
        ),
    )

    report = held(path)

    assert [one.kind for one in report.damages] == ["late_start"]


def test_a_creation_that_retention_removed_is_a_warning_as_a_snapshot_tells_what_was_before(tmp_path: Path) -> None:
    path, ids = altered(
        tmp_path,
        events=lambda event: (
            None
            if isinstance(event.payload, dict) and event.payload.get("initialContext") == {"orderId": "ORD-3"}
            else event
        ),
    )

    report = held(path)

    assert report.passed, report.damages
    assert {(one.kind, one.where) for one in report.warnings} == {("late_start", f"instance {ids[3]}")}
    assert report.revived is not None
    assert report.revived.instances == 4


def test_a_snapshot_that_disagrees_fails_and_the_field_is_named(tmp_path: Path) -> None:
    def change(one: InstanceSnapshot) -> InstanceSnapshot:
        context = {**one.instance.context, "pay": 99} if one.instance.current_state == "Done" else one.instance.context
        return replace(one, instance=replace(one.instance, context=context), original=None)

    path, ids = altered(tmp_path, snapshots=change)

    report = held(path)

    assert not report.passed
    (damage,) = report.damages
    assert (damage.kind, damage.where) == ("snapshot_disagrees", f"instance {ids[4]}")
    assert "pay: by the events 4, in the snapshot 99" in damage.text


def test_a_snapshot_in_another_state_fails(tmp_path: Path) -> None:
    path, ids = altered(
        tmp_path,
        snapshots=lambda one: replace(one, instance=replace(one.instance, current_state="Paid"), original=None),
    )

    report = held(path)

    assert {one.where for one in report.damages if one.kind == "snapshot_disagrees"} >= {f"instance {ids[2]}"}


def test_a_snapshot_whose_event_is_gone_fails(tmp_path: Path) -> None:
    path, ids = altered(tmp_path, events=lambda event: None if event.event_type == "ARRIVE" else event)

    report = held(path)

    assert not report.passed
    assert {(one.kind, one.where) for one in report.damages} == {("unknown_event", f"instance {ids[4]}")}


def test_a_cause_that_is_gone_is_a_warning_and_fails_the_strict(tmp_path: Path) -> None:
    path, _ = altered(
        tmp_path,
        events=lambda event: (
            replace(event, caused_by=("nobody",), original=None) if event.event_type == "ARRIVE" else event
        ),
    )

    lenient, strict = held(path), held(path, strict=True)

    assert lenient.passed
    assert [one.kind for one in lenient.warnings] == ["dangling_cause"]
    assert "nobody" in lenient.warnings[0].text
    assert not strict.passed


# --- What cannot be read at all ------------------------------------------------------------------------------------


def test_what_is_no_source_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("nothing")

    with pytest.raises(QueryError, match="no backup and no dump"):
        held(tmp_path / "note.txt")
    with pytest.raises(StoreUnavailableError):
        held(f"sqlite:///{tmp_path / 'none.db'}")


@pytest.mark.parametrize("wrong", [{"machine_name": "Nope"}, {"status": "completed"}])
def test_a_snapshot_that_contradicts_its_events_fails_and_loses_no_instance(tmp_path: Path, wrong: Any) -> None:
    path, ids = altered(
        tmp_path, snapshots=lambda one: replace(one, instance=replace(one.instance, **wrong), original=None)
    )

    report = held(path)

    assert not report.passed
    assert {(one.kind, one.where) for one in report.damages} >= {("snapshot_disagrees", f"instance {ids[2]}")}
    assert report.revived is not None
    assert report.revived.instances == report.revived.active == 4


def test_fewer_brought_back_than_live_by_their_events_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _, _ = backed_up(tmp_path)
    monkeypatch.setattr("xcstore.runtime.restoring.contradicts", lambda *_: "")  # a restore that trusts the status
    lying, _ = altered(
        tmp_path, snapshots=lambda one: replace(one, instance=replace(one.instance, status="completed"), original=None)
    )

    assert held(path).passed
    assert ("lost", "brought back 3 of 4 instances that live by their events") in {
        (one.kind, one.text) for one in held(lying).damages
    }


def test_waiting_work_that_cannot_be_read_fails(tmp_path: Path) -> None:
    _, url, _ = backed_up(tmp_path)
    rubbish = StoredWork(id="w1", position=1, component_name="Shop", document={"rubbish": True})
    with open_stores(url, read_only=False) as stores:
        stores.events.change_outbox(OutboxChange(add=(rubbish,)))

    report = held(url)

    assert [(one.kind, "'w1'" in one.text) for one in report.damages] == [("work", True)]
    assert (report.passed, report.damage_count) == (False, 1)


def test_a_definition_that_was_altered_under_its_hash_fails(tmp_path: Path) -> None:
    stores, changed = open_memory_stores(), open_memory_stores(retention=100)
    run_shop(stores)
    for item in stores.definitions.get_all_definitions():
        document: Any = parse_json(json_text(item.document).replace("Late", "Lost"))
        changed.definitions.save_definition(replace(item, document=document))
    changed.events.append_many(stores.events.get_all_events())
    write_backup(changed, tmp_path / "altered.backup")

    report = held(tmp_path / "altered.backup")

    assert [(one.kind, one.where) for one in report.damages] == [("definition", "definition of Shop")]


def test_what_a_killed_drill_left_is_removed_by_a_later_one_after_a_day(tmp_path: Path) -> None:
    path, _, _ = backed_up(tmp_path)
    for name, age in (("old", 90_000), ("new", 0)):
        left = tmp_path / f"xcstore-drill-{name}"
        left.mkdir()
        (left / "drill.db").touch()
        for one in (left / "drill.db", left):
            os.utime(one, (time.time() - age,) * 2)

    held(path, folder=tmp_path)

    assert [one.name for one in tmp_path.glob("xcstore-drill-*")] == ["xcstore-drill-new"]
