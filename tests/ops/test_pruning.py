"""Pruning: archived, compared, then deleted; resumed after a kill; undone; noted."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.contract import foreign
from tests.contract.helpers import uid
from tests.factories import START, event, snapshot
from tests.ops.test_retention import CATALOG, NOW, RULES, stream
from xcstore.errors import ConfigError, QueryError, ReadOnlyStoreError
from xcstore.model.history import CREATION
from xcstore.ops import pruning
from xcstore.ops.digests import digest_store
from xcstore.ops.pruning import ArchiveDiffersError, archive_folder, archive_url, notes_of, prune, undo
from xcstore.ops.retention import Rules
from xcstore.ops.retention_plan import preview
from xcstore.redaction import Redaction
from xcstore.store.base import StoredDefinition, Stores
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores
from xcstore.units import DAY, EpochMs

DEFINITION = StoredDefinition(hash="h", component_name="Shop", document={"name": "Shop"})


def fill(stores: Stores) -> None:
    """Two that go whole, one that goes in part, one that stays, and the young one with the newest event."""
    for name in ("a", "b"):
        stores.events.append_many(stream(name, "New", "Paid", "Done", days=[0, 1, 2]))
        stores.snapshots.save_snapshots(
            [
                snapshot(id=name, last_event_id=f"{name}-1", snapshot_at=START + DAY),
                snapshot(
                    id=name, status="completed", current_state="Done", last_event_id=f"{name}-2", snapshot_at=START
                ),
            ]
        )
    stores.events.append_many(stream("c", *["New", *["Paid"] * 5]))
    saved = [snapshot(id="c", last_event_id=f"c-{n}", snapshot_at=START + n * DAY, updated_at=START) for n in (1, 2, 4)]
    stores.snapshots.save_snapshots(saved)
    stores.events.append_many(stream("d", "New", "Paid"))
    stores.events.append(
        event(
            id="newest", instance_id="young", event_type=CREATION, state_before="", caused_by=("a-2",), persisted_at=NOW
        )
    )
    if not stores.events.read_only:
        stores.definitions.save_definition(DEFINITION)


@pytest.fixture(params=["archive", "sqlite"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """A folder of Parquet files, and another store of ours."""
    with open_stores(place(request.param, tmp_path), read_only=False) as opened:
        yield opened


def place(kind: str, folder: Path) -> str:
    return f"archive:///{folder / 'archive'}" if kind == "archive" else f"sqlite:///{folder / 'archive.db'}"


def ids(stores: Stores) -> set[str]:
    return {found.id for found in stores.events.get_all_events()}


GONE = {"a-0", "a-1", "a-2", "b-0", "b-1", "b-2", "c-1", "c-2", "c-3"}


@pytest.mark.needs("delete")
def test_what_goes_is_in_the_archive_and_the_rest_is_as_it_was(stores: Stores, archive: Stores) -> None:
    fill(stores)
    before = {found.id: found for found in stores.events.get_all_events()}
    snapshots = {name: list(stores.snapshots.list_snapshots(name)) for name in "abcd"}
    planned = preview(stores, CATALOG, RULES)
    seen: list[int] = []

    run = prune(stores, archive, CATALOG, replace(RULES, snapshots=2), now=NOW, on_progress=seen.append)

    assert ids(stores) == before.keys() - GONE
    assert {found.id: found for found in archive.events.get_all_events()} == {name: before[name] for name in GONE}
    assert all(before[found.id] == found for found in stores.events.get_all_events())
    for name in "ab":
        assert stores.snapshots.get_snapshot(name) is None
        assert archive.snapshots.get_snapshot(name) == snapshots[name][-1]
    assert list(stores.snapshots.list_snapshots("c")) == snapshots["c"][-2:]
    assert list(archive.definitions.get_all_definitions()) == list(stores.definitions.get_all_definitions())
    assert (run.events, run.whole, run.part, run.snapshots, run.moved_on) == (9, 2, 1, 2, 0)
    assert (planned.events, planned.whole, planned.part, planned.snapshots) == (9, 2, 1, 2)
    assert planned.links == 1
    assert stores.events.trace("newest").missing == ("a-2",)
    assert seen == [9]
    assert preview(stores, CATALOG, replace(RULES, snapshots=2)).is_empty


@pytest.mark.needs("delete")
def test_a_store_is_never_its_own_archive_however_it_is_spelled(
    backend: str, stores: Stores, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(stores)
    monkeypatch.chdir(tmp_path)
    relative = store_url.replace(f"{tmp_path}/", "")  # where it is a file
    again = stores if backend == "memory" else open_stores(relative, read_only=False)

    with again, pytest.raises(ConfigError, match="is the store itself"):
        prune(stores, again, CATALOG, RULES, now=NOW)

    assert ids(stores) > GONE


def test_a_second_run_has_nothing_to_do_and_the_archive_takes_the_next(archive: Stores) -> None:
    stores = open_memory_stores()
    fill(stores)
    prune(stores, archive, CATALOG, RULES, now=NOW)

    again = prune(stores, archive, CATALOG, RULES, now=NOW)
    stores.events.append_many(stream("e", "New", "Paid", "Done"))
    third = prune(stores, archive, CATALOG, RULES, now=NOW)

    assert (again.events, again.whole, again.snapshots, again.finished) == (0, 0, 0, True)
    assert (third.events, third.whole) == (3, 1)
    assert ids(archive) == {*GONE, "e-0", "e-1", "e-2"}


def test_without_an_archive_what_goes_is_lost() -> None:
    stores = open_memory_stores()
    fill(stores)

    run = prune(stores, None, CATALOG, RULES, now=NOW)

    assert (run.events, run.archive) == (9, None)
    assert not ids(stores) & GONE


# Each store has its own


@pytest.mark.parametrize("kind", ["archive", "sqlite", "memory"])
def test_an_archive_is_of_one_store(kind: str, tmp_path: Path) -> None:
    archive = open_memory_stores() if kind == "memory" else open_stores(place(kind, tmp_path), read_only=False)
    folder = tmp_path / "archive" if kind == "archive" else None
    stores, other = open_memory_stores("one"), open_memory_stores("other")
    fill(stores)
    other.events.append_many(stream("x", "New", "Paid", "Done", days=[0, 1, 2]))
    other.events.append(event(id="last", instance_id="y", persisted_at=NOW))
    prune(stores, archive, CATALOG, RULES, now=NOW, archive_folder=folder)

    with archive:
        with pytest.raises(ConfigError, match=r"holds what was removed from memory://one.*name another.*[Nn]othing"):
            prune(other, archive, CATALOG, RULES, now=NOW, archive_folder=folder)
        with pytest.raises(ConfigError, match="holds what was removed from memory://one"):
            undo(other, archive, archive_folder=folder)

        assert ids(other) == {"x-0", "x-1", "x-2", "last"}
        assert notes_of(other) == []
        assert ids(archive) == GONE
        prune(stores, archive, CATALOG, RULES, now=NOW, archive_folder=folder)
        assert undo(stores, archive, archive_folder=folder).events == len(GONE)


def test_a_store_that_was_moved_keeps_its_archive(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    with (
        open_stores(f"sqlite:///{tmp_path / 'old.db'}", read_only=False) as stores,
        open_stores(place("archive", tmp_path), read_only=False) as archive,
    ):
        fill(stores)
        prune(stores, archive, CATALOG, RULES, now=NOW, archive_folder=folder)
    (tmp_path / "old.db").rename(tmp_path / "new.db")

    with (
        open_stores(f"sqlite:///{tmp_path / 'new.db'}", read_only=False) as stores,
        open_stores(place("archive", tmp_path), read_only=False) as archive,
    ):
        assert prune(stores, archive, CATALOG, RULES, now=NOW, archive_folder=folder).finished
        assert undo(stores, archive, archive_folder=folder).events == len(GONE)


def test_an_archive_that_was_pruned_itself_is_still_that_of_its_store(archive: Stores, tmp_path: Path) -> None:
    stores = open_memory_stores()
    fill(stores)
    prune(stores, archive, CATALOG, RULES, now=NOW)
    if "delete" in archive.events.declares:
        prune(archive, open_memory_stores(), CATALOG, RULES, now=NOW)

    assert prune(stores, archive, CATALOG, RULES, now=NOW).finished


# All snapshots that were kept


def test_every_snapshot_of_what_goes_is_archived_and_put_back(tmp_path: Path, archive: Stores) -> None:
    archive.close()
    with (
        open_stores(f"sqlite:///{tmp_path / 'shop.db'}", read_only=False, snapshot_retention=50) as stores,
        open_stores(archive.identity, read_only=False, snapshot_retention=50) as wide,
    ):
        fill(stores)
        stores.snapshots.save_snapshots(snapshot(id="a", last_event_id="a-2", snapshot_at=n) for n in range(15))
        before = list(stores.snapshots.list_snapshots("a"))
        wide.snapshots.save_snapshots(before[:4])  # by a run that was killed

        prune(stores, wide, CATALOG, RULES, now=NOW)

        assert len(before) == 17
        assert list(wide.snapshots.list_snapshots("a")) == before
        assert list(stores.snapshots.list_snapshots("a")) == []
        undo(stores, wide)
        assert list(stores.snapshots.list_snapshots("a")) == before


def test_an_archive_that_keeps_fewer_snapshots_than_the_store_stops_it() -> None:
    stores, archive = open_memory_stores(retention=50), open_memory_stores(retention=10)
    fill(stores)
    stores.snapshots.save_snapshots(snapshot(id="a", last_event_id="a-2", snapshot_at=n) for n in range(15))

    with pytest.raises(ArchiveDiffersError, match="of instance 'a'"):
        prune(stores, archive, CATALOG, RULES, now=NOW)

    assert ids(stores) >= GONE
    assert len(stores.snapshots.list_snapshots("a")) == 17


# Nothing is deleted that is not archived


def test_an_archive_with_another_event_of_the_same_id_stops_it(archive: Stores) -> None:
    stores = open_memory_stores()
    fill(stores)
    archive.events.append(event(id="b-1", instance_id="b", payload={"other": True}))

    with pytest.raises(ArchiveDiffersError, match="'b-1'"):
        prune(stores, archive, CATALOG, RULES, now=NOW)

    assert ids(stores) >= GONE


class Forgetful:
    """An archive that does not keep what it is given."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def append_many(self, events: Any) -> int:
        kept = list(events)[:-1]
        self._store.append_many(kept)
        return len(kept) + 1

    def save_snapshots(self, snapshots: Any) -> int:
        return len(list(snapshots))


@pytest.mark.parametrize(("part", "words"), [("events", "lacks 1"), ("snapshots", "another snapshot")])
def test_what_the_archive_does_not_give_back_is_not_deleted(part: str, words: str) -> None:
    stores, archive = open_memory_stores(), open_memory_stores()
    fill(stores)
    forgetful = replace(archive, **{part: Forgetful(getattr(archive, part))})

    with pytest.raises(ArchiveDiffersError, match=words):
        prune(stores, forgetful, CATALOG, RULES, now=NOW)

    assert ids(stores) >= GONE
    assert stores.snapshots.get_snapshot("a") is not None


def test_what_is_masked_is_not_archived(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    with open_stores(url, read_only=False) as stores:
        fill(stores)
    with (
        open_stores(url, read_only=False, redact=Redaction.parse("payload.amount")) as stores,
        pytest.raises(QueryError, match="mask"),
    ):
        prune(stores, open_memory_stores(), CATALOG, RULES, now=NOW)


def test_an_instance_that_moves_on_meanwhile_is_left() -> None:
    stores, archive = open_memory_stores(), open_memory_stores()
    fill(stores)

    class Slow(Forgetful):
        """While the archive writes, somebody appends."""

        def append_many(self, events: Any) -> int:
            stores.events.append(
                event(id="a-3", instance_id="a", state_before="Done", state_after="Paid", persisted_at=NOW - 1)
            )
            return int(self._store.append_many(events))

    run = prune(stores, replace(archive, events=Slow(archive.events)), CATALOG, RULES, now=NOW)

    assert (run.moved_on, run.whole, run.events) == (1, 1, 6)
    assert {"a-0", "a-1", "a-2", "a-3"} <= ids(stores)
    assert stores.snapshots.get_snapshot("a") is not None


def test_a_store_opened_for_reading_is_refused_before_anything_is_archived(tmp_path: Path, archive: Stores) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    with open_stores(url, read_only=False) as stores:
        fill(stores)
    with open_stores(url) as stores, pytest.raises(ReadOnlyStoreError):
        prune(stores, archive, CATALOG, RULES, now=NOW)

    assert ids(archive) == set()


@pytest.mark.parametrize("layout", ["documented", "shipped"])
def test_a_store_of_another_writer_is_pruned_and_gets_nothing(
    postgresql_database: str, layout: str, archive: Stores
) -> None:
    made = [
        replace(found, id=uid(number), instance_id=uid(100 + ord(found.instance_id[0])))
        for number, found in enumerate([*stream("a", "New", "Paid", "Done"), *stream("b", "New", "Paid")])
    ]
    made.append(event(id=uid(99), instance_id=uid(98), persisted_at=NOW))
    foreign.make(postgresql_database, layout, made, [snapshot(id=made[0].instance_id, current_state="Done")])
    if layout == "shipped":
        made = [replace(found, component_name=found.component_name) for found in made]

    with open_stores(postgresql_database, read_only=False) as stores:
        run = prune(stores, archive, CATALOG, RULES, now=NOW)

        assert (run.events, run.whole, run.snapshots) == (3, 1, 1)
        assert ids(stores) == {found.id for found in made[3:]}
        assert ids(archive) == {found.id for found in made[:3]}
        assert notes_of(stores) == []


# Killed, and run again


@pytest.mark.parametrize("first", [1, 2])  # two halves, for two workers
def test_wherever_it_is_killed_nothing_is_lost_and_another_run_finishes(tmp_path: Path, first: int) -> None:
    cutoff = str(RULES.cutoff)
    with open_stores(f"sqlite:///{tmp_path / 'all.db'}", read_only=False) as stores:
        fill(stores)
        everything = {found.id: found for found in stores.events.get_all_events()}
        latest = {found.instance.id: found for found in stores.snapshots.get_all_snapshots()}
    command = [sys.executable, "-m", "tests.ops.killed_pruning"]
    url = f"sqlite:///{tmp_path}/{{}}.db"
    shutil.copy(tmp_path / "all.db", tmp_path / "whole.db")
    whole = [url.format("whole"), f"archive:///{tmp_path}/whole", cutoff]
    writes = int(subprocess.run([*command, *whole], check=True, capture_output=True, text=True).stdout)
    with open_stores(url.format("whole")) as stores:
        expected = digest_store(stores)
    assert writes > 20
    killed = range(first, writes + 1, 2)
    for step in killed:
        shutil.copy(tmp_path / "all.db", tmp_path / f"{step}.db")
    steps = [url, f"archive:///{tmp_path}/archive-{{}}", cutoff, *map(str, killed)]
    told = subprocess.run([*command, *steps], check=True, capture_output=True, text=True).stdout.splitlines()
    assert told == [f"{step} {-signal.SIGKILL}" for step in killed]

    for step in killed:
        place = f"archive:///{tmp_path}/archive-{step}"
        with open_stores(url.format(step), read_only=False) as stores, open_stores(place, read_only=False) as archive:
            left, archived = ids(stores), {found.id: found for found in archive.events.get_all_events()}
            assert left | archived.keys() == everything.keys(), step
            assert archived.items() <= everything.items()
            for name, saved in latest.items():
                assert saved in (stores.snapshots.get_snapshot(name), archive.snapshots.get_snapshot(name)), step

            prune(stores, archive, CATALOG, Rules(cutoff=RULES.cutoff, days=1, snapshots=2), now=NOW)

            assert digest_store(stores) == expected, step
            assert ids(archive) == GONE
            assert {name: archive.snapshots.get_snapshot(name) for name in "ab"} == {
                name: latest[name] for name in "ab"
            }
            assert notes_of(stores)[-1].finished


# Undone


def test_what_was_archived_can_be_put_back(archive: Stores, tmp_path: Path) -> None:
    with open_stores(f"sqlite:///{tmp_path / 'events.db'}", read_only=False) as stores:
        fill(stores)
        before = {found.id: found for found in stores.events.get_all_events()}
        prune(stores, archive, CATALOG, RULES, now=NOW)

        first = undo(stores, archive)
        again = undo(stores, archive)

        assert {found.id: found for found in stores.events.get_all_events()} == before
        assert stores.snapshots.get_snapshot("a") == archive.snapshots.get_snapshot("a") is not None
        assert (first.events, first.already_there, first.snapshots) == (9, 0, 2)
        assert (again.events, again.already_there, again.snapshots) == (0, 9, 0)


def test_nothing_is_put_back_over_another_event(archive: Stores) -> None:
    stores = open_memory_stores()
    fill(stores)
    prune(stores, archive, CATALOG, RULES, now=NOW)
    stores.events.append(event(id="a-0", payload={"other": True}))

    with pytest.raises(ArchiveDiffersError, match="'a-0'"):
        undo(stores, archive)


def test_nothing_is_put_back_into_a_store_of_another_writer(postgresql_database: str) -> None:
    foreign.make(postgresql_database, "documented")
    with open_stores(postgresql_database, read_only=False) as stores, pytest.raises(ReadOnlyStoreError):
        undo(stores, open_memory_stores())


# Noted


@pytest.mark.parametrize("backend", ["memory", "sqlite", "postgresql"])
def test_each_run_is_noted_where_that_stays(stores: Stores, tmp_path: Path) -> None:
    fill(stores)
    archive = open_memory_stores()

    first = prune(stores, archive, CATALOG, RULES, now=NOW, archive_folder=tmp_path / "archive")
    second = prune(stores, archive, CATALOG, RULES, now=EpochMs(NOW + 1), archive_folder=tmp_path / "archive")

    for noted in (notes_of(stores), notes_of(archive), notes_of(open_memory_stores(), tmp_path / "archive")):
        assert noted == [first, second]
    assert (first.at, first.store, first.archive, first.finished) == (NOW, stores.identity, archive.identity, True)
    for file in (tmp_path / "archive" / "prunes").iterdir():
        assert json.loads(file.read_text())["days"] == 90


def test_a_note_of_a_later_version_is_left_out() -> None:
    stores = open_memory_stores()
    stores.events.put_note("n1", json.dumps({"id": "n1", "what": "else"}))  # type: ignore[attr-defined]
    stores.events.put_note("n2", "no JSON")  # type: ignore[attr-defined]

    assert notes_of(stores) == []


# Where the archive is


def test_the_archive_of_a_file_is_beside_it_and_that_of_others_is_named() -> None:
    assert archive_url("sqlite:///data/shop.db", None) == "archive:///data/shop.archive"
    assert archive_url("sqlite:////srv/shop.db", None) == "archive:////srv/shop.archive"
    assert archive_url("sqlite:///data/shop.db", "/mnt/old") == "archive:////mnt/old"
    assert archive_url("postgresql://db/shop", "mongodb://db/old") == "mongodb://db/old"
    assert archive_folder("archive:////srv/archive") == Path("/srv/archive")
    assert archive_folder("sqlite:///x.db") is None
    with pytest.raises(ConfigError, match="--archive DIR"):
        archive_url("postgresql://db/shop", None)


def test_a_stream_longer_than_a_batch_goes_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "BATCH", 2)
    stores, archive = open_memory_stores(), open_memory_stores()
    fill(stores)
    seen: list[int] = []

    prune(stores, archive, CATALOG, RULES, now=NOW, on_progress=seen.append)

    assert seen == [3, 6, 9]
