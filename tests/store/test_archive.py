"""What is particular to archives: their files, how commits come to count, and what becomes of damage."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.contract.helpers import ids
from tests.factories import START, event, snapshot
from tests.store.archive_killing import BATCH, SAVED
from xcstore.errors import (
    ConfigError,
    DuplicateEventError,
    NotAStoreError,
    ReadOnlyStoreError,
    StoreError,
    StoreTimeoutError,
    StoreUnavailableError,
)
from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.store import archive_folder, archive_writing
from xcstore.store.archive import archive_damage, open_archive_stores
from xcstore.store.archive_database import ArchiveDatabase, Question
from xcstore.store.archive_folder import ArchiveFolder
from xcstore.store.archive_layout import Manifest, event_folder, month_of, parse_manifest
from xcstore.store.base import EventQuery, InstanceQuery, OutboxChange, StoredDefinition, Stores
from xcstore.store.cancelling import running_for
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores

ROOT = Path(__file__).parents[2]
YEAR_1 = -62_135_596_800_000
MONTH = 31 * 86_400_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def writer(folder: Path, opened: ExitStack) -> Stores:
    return opened.enter_context(open_archive_stores(f"archive:///{folder}", read_only=False, snapshot_retention=3))


@pytest.fixture
def reader(folder: Path, writer: Stores, opened: ExitStack) -> Stores:
    return opened.enter_context(open_archive_stores(f"archive:///{folder}"))


def files(folder: Path) -> dict[str, tuple[int, int, int]]:
    """All files and folders with size, time of change and inode."""
    return {
        str(path.relative_to(folder)): (status.st_size, status.st_mtime_ns, status.st_ino)
        for path in [folder, *folder.rglob("*")]
        for status in [path.stat()]
    }


def parquet_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if ".parquet" in path.name}


def latest_manifest(folder: Path) -> Path:
    return max((folder / "manifest").glob("*.json"))


def listed(folder: Path) -> Manifest:
    return parse_manifest(latest_manifest(folder).read_bytes(), "manifest")


def event_files(folder: Path) -> list[Path]:
    return sorted((folder / "events").rglob("*.parquet"))


def everything(stores: Stores) -> list[PersistedEvent]:
    return list(stores.events.get_all_events())


# Where it is


@pytest.mark.parametrize("url", ["archive://", "archive:///", "archive:////", "archive://host/folder"])
def test_a_url_without_a_folder_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="archive:///relative"):
        open_archive_stores(url)


def test_a_relative_folder_starts_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_archive_stores("archive:///here", read_only=False) as stores:
        stores.events.append(event(id="e1"))
        monkeypatch.chdir(ROOT)
        assert ids(everything(stores)) == ["e1"]
        assert stores.identity == "archive:///here"
    assert event_files(tmp_path / "here")


def test_a_folder_that_is_not_there_is_named_and_not_made(folder: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="does not exist"):
        open_archive_stores(f"archive:///{folder}")
    assert not folder.exists()
    with pytest.raises(StoreUnavailableError, match="make it first"):
        open_archive_stores(f"archive:///{folder}/deeper", read_only=False)


def test_a_file_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("text")
    for read_only in (True, False):
        with pytest.raises(StoreUnavailableError, match="is a file"):
            open_archive_stores(f"archive:///{path}", read_only=read_only)


def test_a_folder_of_something_else_is_not_a_store_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Zoë")
    before = files(tmp_path)
    for read_only in (True, False):
        with pytest.raises(NotAStoreError):
            open_archive_stores(f"archive:///{tmp_path}", read_only=read_only)
    assert files(tmp_path) == before


def test_a_folder_whose_name_is_a_pattern_is_taken_by_its_name(tmp_path: Path) -> None:
    for name, event_id in (("a[b]*?'", "mine"), ("ab", "other")):
        with open_archive_stores(f"archive:///{tmp_path / name}", read_only=False) as stores:
            stores.events.append(event(id=event_id))
            assert ids(everything(stores)) == [event_id]


# Files


def test_anybody_can_read_the_files(folder: Path, writer: Stores) -> None:
    appended = [
        event(id=f"e{n}", component_name=f"C{n % 2}", persisted_at=START + n * MONTH, payload={"n": n, "ü": [None]})
        for n in range(6)
    ]
    writer.events.append_many(appended)
    writer.snapshots.save_snapshot(snapshot(id="i1", context={"n": 1}))

    with duckdb.connect() as plain:
        rows = plain.execute(
            "SELECT id, component_name, event_payload, document, seq FROM "
            f"read_parquet('{folder}/events/*/*/*.parquet', hive_partitioning = false) ORDER BY persisted_at, seq"
        ).fetchall()
        state = plain.execute(f"SELECT current_state FROM '{folder}/snapshots/*.parquet'").fetchall()
    frame = pd.concat([pd.read_parquet(path) for path in event_files(folder)])

    assert [row[0] for row in rows] == [f"e{n}" for n in range(6)]
    assert [row[1] for row in rows] == [f"C{n % 2}" for n in range(6)]
    assert [json.loads(row[2]) for row in rows] == [one.payload for one in appended]
    assert [json.loads(row[3])["event"]["payload"] for row in rows] == [one.payload for one in appended]
    assert [row[4] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert state == [("Paid",)]
    assert sorted(frame["id"]) == [f"e{n}" for n in range(6)]
    assert {path.parts[-3] for path in event_files(folder)} == {f"month=2026-0{n}" for n in range(1, 7)}


def test_rows_are_in_order_and_groups_know_their_times(folder: Path, writer: Stores) -> None:
    writer.events.append_many(
        event(id=f"e{n * 7919 % 20_000}", persisted_at=START + n * 31 % 50_000) for n in range(20_000)
    )

    (path,) = event_files(folder)
    table = pq.read_table(path, columns=["persisted_at", "seq"])
    keys = list(zip(table["persisted_at"].to_pylist(), table["seq"].to_pylist(), strict=True))
    assert keys == sorted(keys)
    footer = pq.read_metadata(path)
    assert footer.num_row_groups == 5
    assert footer.row_group(0).column(0).compression == "ZSTD"
    (part,) = listed(folder).parts("events")
    times = [at for at, _ in keys]
    assert part.groups == tuple(
        (len(piece), piece[0], piece[-1]) for piece in (times[at : at + 4096] for at in range(0, 20_000, 4096))
    )


HOSTILE = [
    "",
    ".",
    "..",
    "a/b",
    "/etc",
    "a\\b",
    "%2F",
    "C=D",
    "x" * 100,
    "日" * 100,
    "💥",
    "a\nb",
    "*?[a]",
    "'",
    "Shop",
    "shop",
]


def test_any_component_name_has_a_folder_within_the_archive(tmp_path: Path, folder: Path, writer: Stores) -> None:
    writer.events.append_many(
        event(id=f"e{n}", instance_id=f"i{n}", component_name=name) for n, name in enumerate(HOSTILE)
    )
    writer.events.append_many(event(component_name=name, state_after="Two") for name in HOSTILE)

    for number, name in enumerate(HOSTILE):
        found = writer.events.find(EventQuery(components=(name,))).items
        assert [one.component_name for one in found] == [name, name]
        assert found[0].id == f"e{number}"
    assert {one.component_name for one in everything(writer)} == set(HOSTILE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive"]
    assert all(len(os.fsencode(path.relative_to(folder))) < 200 for path in event_files(folder))


@pytest.mark.parametrize(
    ("at", "month"),
    [
        (YEAR_1, "0001-01"),
        (YEAR_1 - 1, "out-of-range"),
        (-1, "1969-12"),
        (0, "1970-01"),
        (253_402_300_799_999, "9999-12"),
        (253_402_300_800_000, "out-of-range"),
        (292_000_000 * 31_556_952_000, "out-of-range"),
        (-(2**63), "out-of-range"),
        (2**63 - 1, "out-of-range"),
    ],
)
def test_any_time_has_a_month(writer: Stores, folder: Path, at: int, month: str) -> None:
    writer.events.append_many([event(id="then", persisted_at=at), event(id="now", instance_id="i2")])

    assert month_of(at) == month
    assert f"month={month}" in {path.parts[-3] for path in event_files(folder)}
    assert writer.events.get_event("then").persisted_at == at
    assert ids(writer.events.get_events_by_time_range(at, at)) == ["then"]  # type: ignore[arg-type]
    assert ids(everything(writer)) == (["then", "now"] if at < START else ["now", "then"])
    assert {count.bucket for count in writer.events.count(EventQuery(), bucket_ms=1000)} > {at // 1000 * 1000}  # type: ignore[arg-type]
    assert {one.updated_at for one in writer.events.instances(InstanceQuery()).items} > {at}


def test_a_long_component_name_is_cut_and_stays_its_own() -> None:
    one, other = event_folder("2026-01", "x" * 99 + "1"), event_folder("2026-01", "x" * 99 + "2")
    assert one != other
    assert len(one) < 160


# Commits


def test_many_small_commits_are_merged_and_nothing_changes(folder: Path, writer: Stores, reader: Stores) -> None:
    memory = open_memory_stores()
    for number in range(40):
        one = event(
            id=f"e{number}",
            instance_id=f"i{number % 3}",
            state_before=["", "A", "B"][number // 3 % 3],
            state_after=["A", "B", "A"][number // 3 % 3],
            persisted_at=START + number // 7,
            caused_by=(f"e{number - 2}",),
        )
        for stores in (writer, memory):
            stores.events.append(one)

    assert len(event_files(folder)) < 16
    assert parquet_files(folder) == {part.path for part in listed(folder).every_part()}
    assert everything(reader) == everything(memory)
    assert [one.seq for one in everything(reader)] == [one.seq for one in everything(memory)]
    assert reader.events.instances(InstanceQuery()).items == memory.events.instances(InstanceQuery()).items
    assert reader.events.count_instances(InstanceQuery()) == memory.events.count_instances(InstanceQuery())
    assert reader.events.trace("e20") == memory.events.trace("e20")
    assert archive_damage(f"archive:///{folder}") == ()


def test_parts_of_an_index_go_on_being_merged_where_those_of_events_are_large_enough(
    folder: Path, writer: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_writing, "_LARGE", 5)
    for commit in range(64):
        writer.events.append_many(event(id=f"e{commit}-{n}", persisted_at=START + commit) for n in range(5))

    assert len(event_files(folder)) == 64
    assert len(listed(folder).parts("ids")) <= 2 * 7
    assert len({one.id for one in everything(writer)}) == 64 * 5
    assert archive_damage(f"archive:///{folder}") == ()


def test_every_question_keeps_what_it_learnt_of_the_files(writer: Stores) -> None:
    writer.events.append(event())
    database: ArchiveDatabase = writer.events._database  # type: ignore[attr-defined]

    (found,) = database.ask(
        lambda question: question.rows("SELECT value FROM duckdb_settings() WHERE name = 'parquet_metadata_cache'")
    )
    assert found == ("true",)


def test_a_refused_batch_leaves_no_file(folder: Path, writer: Stores) -> None:
    writer.events.append(event(id="e1"))
    before = files(folder)

    with pytest.raises(DuplicateEventError):
        writer.events.append_many([event(id="e2"), event(id="e1")])
    with pytest.raises(DuplicateEventError):
        writer.events.append_many([event(id=f"e{n % 700}") for n in range(2, 1000)])

    assert files(folder) == before


def test_a_large_batch_with_a_stored_id_is_refused_by_name(writer: Stores) -> None:
    writer.events.append_many([event(id="known-1"), event(id="known-2")])

    with pytest.raises(DuplicateEventError) as raised:
        writer.events.append_many(event(id={700: "known-2", 800: "known-1"}.get(n, f"e{n}")) for n in range(1000))

    assert raised.value.event_id == "known-2"


@pytest.mark.parametrize("action", ["append", "snapshots"])
def test_a_killed_writer_leaves_the_archive_as_before_or_as_after(tmp_path: Path, folder: Path, action: str) -> None:
    with open_archive_stores(f"archive:///{folder}", read_only=False, snapshot_retention=3) as stores:
        for number in range(7 if action == "append" else 3):  # with the eighth, parts are merged
            stores.events.append(event(id=f"e{number}", persisted_at=START + number))
            stores.snapshots.save_snapshot(snapshot(id="i1", context={"n": number}))
        events, kept = everything(stores), list(stores.snapshots.list_snapshots("i1"))
    after = sorted([*events, *BATCH], key=lambda one: one.persisted_at)
    command = [sys.executable, "-m", "tests.store.archive_killing", str(folder), str(tmp_path / "copies"), action]
    steps = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.split()

    outcomes = []
    for place, step in enumerate([*steps, "whole"]):
        copy = tmp_path / "copies" / step
        url = f"archive:///{copy}"
        with open_archive_stores(url) as stores:
            state = sorted(everything(stores), key=lambda one: one.persisted_at), stores.snapshots.list_snapshots("i1")
            assert archive_damage(url) == ()
        before_it = (events, kept)
        after_it = (after, kept) if action == "append" else (events, [*kept, SAVED[0]][-3:])
        assert state[0] in (before_it[0], after_it[0])
        assert [one.instance.context for one in state[1]] in (
            [one.instance.context for one in before_it[1]],
            [one.instance.context for one in after_it[1]],
        )
        outcomes.append(len(state[0]) + (state[1][-1].instance.context == {"n": "new"}))
        if place % 3 == 0:
            with open_archive_stores(url, read_only=False) as stores:
                stores.events.append(event(id="next"))
                assert parquet_files(copy) == {part.path for part in listed(copy).every_part()}
                assert list((copy / "manifest").glob("*.tmp")) == []
                assert len(everything(stores)) == len(state[0]) + 1
    assert outcomes == sorted(outcomes)
    assert outcomes[0] < outcomes[-1]


def test_writers_wait_for_each_other(folder: Path, opened: ExitStack) -> None:
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            with open_archive_stores(f"archive:///{folder}", read_only=False) as stores:
                for step in range(6):
                    stores.events.append(event(id=f"{number}-{step}", instance_id=f"i{number}"))
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    stores = opened.enter_context(open_archive_stores(f"archive:///{folder}"))
    assert sorted(one.seq or 0 for one in everything(stores)) == list(range(1, 25))
    assert archive_damage(f"archive:///{folder}") == ()


def test_a_reader_goes_on_while_parts_are_merged_under_it(writer: Stores, reader: Stores) -> None:
    writer.events.append_many(event(id=f"e{n}", persisted_at=START + n) for n in range(12_000))
    walk = reader.events.get_all_events()
    seen = [next(walk).id for _ in range(10)]

    for number in range(20):
        writer.events.append(event(id=f"late-{number}", persisted_at=START + 20_000 + number))
    seen += [one.id for one in walk]

    assert seen == [f"e{n}" for n in range(12_000)] + [f"late-{number}" for number in range(20)]


# Reading only


def test_a_reader_touches_nothing(folder: Path, writer: Stores) -> None:
    writer.events.append_many(event(id=f"e{n}", caused_by=("e1",)) for n in range(30))
    writer.snapshots.save_snapshot(snapshot(id="i1"))
    writer.definitions.save_definition(StoredDefinition(hash="h", component_name="Shop", document={"a": 1}))
    before = files(folder)

    with open_archive_stores(f"archive:///{folder}") as stores:
        ask_everything(stores)
        with pytest.raises(ReadOnlyStoreError):
            stores.events.append(event())

    assert files(folder) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_can_be_read(folder: Path, writer: Stores) -> None:
    writer.events.append(event(id="e1"))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with open_archive_stores(f"archive:///{folder}") as stores:
            ask_everything(stores)
    finally:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755)


def ask_everything(stores: Stores) -> list[Any]:
    events = stores.events
    return [
        everything(stores),
        events.count(EventQuery(), by=["state_after"], bucket_ms=3_600_000),  # type: ignore[arg-type]
        events.find(EventQuery(text="needle")),
        events.instances(InstanceQuery()),
        events.count_instances(InstanceQuery()),
        events.get_events(["e1"]),
        events.get_events_for_instance("i1"),
        events.to_arrow(EventQuery()),
        stores.snapshots.find(),
        stores.snapshots.count(),
        stores.definitions.get_all_definitions(),
        events.time_range(),
    ]


def test_the_size_and_the_number_of_events_are_known_unread(folder: Path, writer: Stores, reader: Stores) -> None:
    writer.events.append_many(event() for _ in range(50))
    for path in event_files(folder):
        path.unlink()

    status = reader.events.status()

    assert status.event_count == 50
    assert status.event_count_is_exact
    assert status.size_bytes is not None
    assert status.size_bytes > 1_000
    assert status.server.startswith("DuckDB ")


def test_an_archive_keeps_every_event_and_no_outbox(writer: Stores) -> None:
    writer.events.append(event(id="e1"))

    with pytest.raises(ReadOnlyStoreError, match="keeps every event"):
        writer.events.delete_events(["e1"])
    with pytest.raises(ReadOnlyStoreError, match="no outbox"):
        writer.events.append(event(id="e2"), outbox=OutboxChange())
    with pytest.raises(ReadOnlyStoreError, match="no outbox"):
        writer.events.change_outbox(OutboxChange())
    assert ids(everything(writer)) == ["e1"]
    assert list(writer.events.get_outbox()) == []


# Damage


def test_a_damaged_manifest_is_named_and_the_one_before_not_believed(folder: Path, writer: Stores) -> None:
    writer.events.append(event(id="e1"))
    writer.events.append(event(id="e2"))
    path = latest_manifest(folder)
    whole = path.read_text()

    for damaged in (
        whole[:-100],
        "",
        "[]",
        "{}",
        whole.replace('"rows": 1', '"rows": 2'),
        whole.replace("part-", "../"),
    ):
        path.write_text(damaged)
        with pytest.raises(StoreError, match=path.name):
            open_archive_stores(f"archive:///{folder}")
        with pytest.raises(StoreError, match=path.name):
            writer.events.append(event(id="e3"))

    path.write_text(whole)
    with open_archive_stores(f"archive:///{folder}") as stores:
        assert ids(everything(stores)) == ["e1", "e2"]


def test_an_archive_of_a_later_version_is_not_read(folder: Path, writer: Stores) -> None:
    path = latest_manifest(folder)
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))

    with pytest.raises(NotAStoreError, match="format 2"):
        open_archive_stores(f"archive:///{folder}")


@pytest.mark.parametrize("damage", ["missing", "cut", "emptied", "not Parquet", "overwritten"])
def test_a_damaged_part_is_named_and_what_does_not_need_it_is_answered(
    folder: Path, writer: Stores, damage: str, opened: ExitStack
) -> None:
    writer.events.append_many([event(id="e1", persisted_at=START), event(id="e2", persisted_at=START + 2 * MONTH)])
    path = event_files(folder)[1]
    raw = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(
            {
                "cut": raw[: len(raw) // 2],
                "emptied": b"",
                "not Parquet": b"x" * len(raw),
                "overwritten": raw[:4] + b"\xff" * (len(raw) - 8) + raw[-4:],
            }[damage]
        )
    stores = opened.enter_context(open_archive_stores(f"archive:///{folder}"))

    with pytest.raises(StoreError, match=r"month=2026-03.*part-"):
        everything(stores)
    with pytest.raises(StoreError, match=r"month=2026-03.*part-"):
        stores.events.get_event("e2")
    assert stores.events.get_event("e1").id == "e1"
    assert ids(stores.events.get_events_by_time_range(START, START)) == ["e1"]
    assert len(archive_damage(f"archive:///{folder}")) == 1


def test_a_changed_byte_is_found_by_looking_for_it(folder: Path, writer: Stores) -> None:
    writer.events.append_many(event(payload={"text": "x" * n}) for n in range(100))
    path = event_files(folder)[0]
    raw = bytearray(path.read_bytes())
    raw[200] ^= 1
    path.write_bytes(raw)

    (found,) = archive_damage(f"archive:///{folder}")

    assert path.name in found
    assert "SHA-256" in found


def test_a_document_of_others_that_is_odd_is_shown_with_faults(folder: Path, writer: Stores) -> None:
    """A part that somebody rewrote: what stands in its columns is shown, and that it was changed is said."""
    writer.events.append_many([event(id="e1"), event(id="e2")])
    (path,) = event_files(folder)
    frame = pd.read_parquet(path)
    frame["document"] = ["{broken", '{"id": "e2", "persistedAt": "x"}']
    frame.to_parquet(path, index=False)

    with open_archive_stores(f"archive:///{folder}") as stores:
        found = everything(stores)

    assert ids(found) == ["e1", "e2"]
    assert all(one.faults for one in found)


# Time limits


def test_a_question_that_takes_too_long_is_given_up(writer: Stores, folder: Path) -> None:
    writer.events.append_many(event(payload={"text": "x" * 200, "n": n}) for n in range(20_000))

    with (
        pytest.raises(StoreTimeoutError, match=r"0\.001 s"),
        open_archive_stores(f"archive:///{folder}", statement_timeout_ms=1) as stores,
    ):
        stores.events.to_arrow(EventQuery())


def test_a_question_is_cancelled_from_another_thread(writer: Stores) -> None:
    writer.events.append_many(event(payload={"text": "x" * 500, "n": n}) for n in range(20_000))
    asking, raised = threading.Event(), []

    def ask() -> None:
        with running_for("page"):
            try:
                while True:
                    asking.set()
                    writer.events.to_arrow(EventQuery())
            except StoreTimeoutError as error:
                raised.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    asking.wait()
    while thread.is_alive():
        writer.events.cancel_running("page")  # type: ignore[attr-defined]
        thread.join(0.01)

    assert len(raised) == 1
    assert len(everything(writer)) == 20_000


def test_a_closed_archive_says_so(writer: Stores) -> None:
    writer.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        writer.events.find(EventQuery())


# Instances over commits


def test_the_last_event_is_that_of_the_stream_however_it_is_spread_over_commits(
    folder: Path, opened: ExitStack
) -> None:
    for seed in range(3):
        chance = random.Random(seed)
        memory = open_memory_stores()
        stores = opened.enter_context(open_archive_stores(f"archive:///{folder}{seed}", read_only=False))
        number = 0
        for _ in range(9):
            batch = []
            for _ in range(chance.randrange(1, 8)):
                number += 1
                batch.append(
                    event(
                        id=f"e{number}",
                        instance_id=f"i{chance.randrange(4)}",
                        state_before=chance.choice(["", "A", "B"]),
                        state_after=chance.choice(["", "A", "B"]),
                        event_type=f"T{number}",
                        persisted_at=START + chance.randrange(4),
                    )
                )
            for store in (memory, stores):
                store.events.append_many(batch)
            expected = memory.events.instances(InstanceQuery()).items
            assert stores.events.instances(InstanceQuery()).items == expected
            assert stores.events.count_instances(InstanceQuery()) == memory.events.count_instances(InstanceQuery())
            for summary in expected:
                stream = stores.events.get_events_for_instance(summary.instance_id)
                assert order_stream(stream)[-1].id == summary.last_event_id
        shutil.rmtree(f"{folder}{seed}")


# Snapshots


def test_snapshots_that_no_longer_count_are_written_out_in_the_end(folder: Path, writer: Stores) -> None:
    writer.snapshots.save_snapshots(snapshot(id=f"i{n % 400}", context={"n": n}) for n in range(1200))
    assert listed(folder).rows("snapshots") == 1200
    for turn in range(3):
        writer.snapshots.save_snapshots(snapshot(id=f"i{n}", context={"turn": turn}) for n in range(400))

    assert writer.snapshots.count() == 400
    assert [one.instance.context for one in writer.snapshots.list_snapshots("i7")] == [{"turn": t} for t in range(3)]
    assert listed(folder).rows("snapshots") - listed(folder).rows("forgotten") == 1200
    assert listed(folder).rows("forgotten") < 1000
    assert writer.snapshots.count_beyond(1) == 800
    assert writer.snapshots.trim(1) == 800
    assert writer.snapshots.trim(1) == 0
    assert listed(folder).rows("snapshots") - listed(folder).rows("forgotten") == 400
    assert parquet_files(folder) == {part.path for part in listed(folder).every_part()}


@pytest.mark.parametrize("step", ["unlink", "flush"])
def test_what_fails_after_a_commit_counts_removes_nothing_of_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    url = f"archive:///{folder}"
    unlink, flush = os.unlink, archive_folder._flush_folder

    def interrupted(path: Any, *args: Any, **options: Any) -> None:
        if str(path).endswith(".json.tmp"):
            raise KeyboardInterrupt
        unlink(path, *args, **options)

    def failing(path: Path) -> None:
        if path.name == "manifest":
            raise OSError(5, "Input/output error")
        flush(path)

    with open_stores(url, read_only=False, latency_alert_ms=None) as stores:
        for commit in range(7):  # the eighth merges them
            stores.events.append_many(event(id=f"{commit}.{number}") for number in range(3))
        if step == "unlink":
            monkeypatch.setattr(os, "unlink", interrupted)
        else:
            monkeypatch.setattr(archive_folder, "_flush_folder", failing)
        with pytest.raises((KeyboardInterrupt, StoreError)):
            stores.events.append_many(event(id=f"7.{number}") for number in range(3))
        monkeypatch.undo()

    with open_stores(url, latency_alert_ms=None) as stores:
        assert len(list(stores.events.get_all_events())) == stores.events.status().event_count == 24
    assert archive_damage(url) == ()


def test_an_interrupt_from_the_keyboard_stays_one(folder: Path) -> None:
    database = ArchiveDatabase(ArchiveFolder(folder, read_only=False), statement_timeout_ms=10_000)

    def ask(question: Question) -> None:
        raise RuntimeError("Query interrupted")  # what DuckDB raises then, after up to some seconds

    with pytest.raises(KeyboardInterrupt):
        database.ask(ask)
    database.close()
