"""Dumps into stores: what goes in, what is reported, and that running it again is safe."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.factories import START, event, snapshot
from xcstore.errors import DuplicateEventError, ReadOnlyStoreError
from xcstore.model.history import PersistedEvent
from xcstore.ops import importing
from xcstore.ops.importing import import_files
from xcstore.store.base import EventQuery, Stores
from xcstore.store.codec import event_to_document, snapshot_to_document
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores


def dump(path: Path, rows: Iterable[object], *, lines: bool = False) -> Path:
    rows = list(rows)
    path.write_text("\n".join(json.dumps(row) for row in rows) if lines else json.dumps(rows, indent=1))
    return path


def events(count: int) -> list[PersistedEvent]:
    return [event(id=f"e{number}", persisted_at=START + number) for number in range(count)]


def stored_count(stores: Stores) -> int:
    return sum(row.count for row in stores.events.count(EventQuery()))


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH", 3)


def test_events_and_snapshots_go_in_as_they_are(stores: Stores, tmp_path: Path) -> None:
    made, taken = events(10), [snapshot(id="i1"), snapshot(id="i2")]
    documents = [event_to_document(entry) | {"unknown": [1.50, {"b": 1, "a": None}]} for entry in made]

    report = import_files(
        [
            dump(tmp_path / "events.json", documents),
            dump(tmp_path / "snapshots.ndjson", map(snapshot_to_document, taken), lines=True),
        ],
        stores,
    )

    assert (report.events, report.snapshots, report.problems) == (10, 2, ())
    assert [json.dumps(event_to_document(entry)) for entry in stores.events.get_all_events()] == [
        json.dumps(document) for document in documents
    ]
    assert list(stores.snapshots.get_all_snapshots()) == taken


def test_events_and_snapshots_may_be_mixed_in_one_file(tmp_path: Path) -> None:
    stores = open_memory_stores()

    report = import_files(
        [dump(tmp_path / "all.ndjson", [event_to_document(event()), snapshot_to_document(snapshot())], lines=True)],
        stores,
    )

    assert (report.events, report.snapshots) == (1, 1)


@pytest.mark.parametrize("lines", [False, True])
def test_a_bad_row_is_reported_with_its_place_and_reason_and_the_rest_goes_in(tmp_path: Path, lines: bool) -> None:
    stores = open_memory_stores()
    good = [event_to_document(entry) for entry in events(5)]
    rows: list[Any] = [
        good[0],
        {"id": "x"},
        good[1],
        7,
        {**good[2], "id": "y" * 51},
        good[3],
        {"instance": {}},
        good[4],
    ]
    path = dump(tmp_path / "dump.json", rows, lines=lines)

    report = import_files([path], stores)

    assert (report.events, report.bad) == (4, 4)
    assert [problem.row for problem in report.problems] == [2, 4, 5, 7]
    assert "instanceId" in report.problems[0].reason
    assert "must be an object" in report.problems[1].reason
    assert "at most 50 can be stored" in report.problems[2].reason
    text_lines = path.read_text().split("\n")
    for problem in report.problems:
        assert problem.line is not None
        row = rows[(problem.row or 0) - 1]
        assert text_lines[problem.line - 1].strip().startswith(json.dumps(row)[:1])
    assert str(report.problems[0]).startswith(f"{path}, row 2, line {report.problems[0].line}: ")


def test_a_row_over_a_limit_is_not_said_to_have_stopped_the_others(tmp_path: Path) -> None:
    stores = open_memory_stores()
    bad = event_to_document(event(id="nul", payload={"a": "\0"}))

    report = import_files([dump(tmp_path / "dump.json", [bad, event_to_document(event())])], stores)

    assert (report.events, report.bad) == (1, 1)
    assert "which no store holds" in report.problems[0].reason
    assert "PostgreSQL" not in report.problems[0].reason
    assert "nothing was written" not in report.problems[0].reason


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"C": {"name": "C", "stateMachines": []}}, "a component definition"),
        ({"name": "C", "stateMachines": []}, "a component definition"),
        ({"a": 1, "b": 2, "c": 3, "d": 4}, "an object with 'a', 'b', 'c', …"),
        ({}, "{}"),
    ],
)
def test_a_document_of_something_else_is_called_so(tmp_path: Path, document: object, words: str) -> None:
    report = import_files([dump(tmp_path / "other.ndjson", [document], lines=True)], open_memory_stores())

    reason = report.problems[0].reason
    assert reason == f"neither an event (id, instanceId, event, …) nor a snapshot (instance, …): {words}"


def test_a_folder_and_a_pipe_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    report = import_files([tmp_path, tmp_path / "pipe"], open_memory_stores())

    assert [problem.reason for problem in report.problems] == [
        "it is a folder; name the files in it",
        "it is not a file",
    ]


def test_odd_rows_go_in_and_are_counted(stores: Stores, tmp_path: Path) -> None:
    document = {**event_to_document(event(id="odd")), "persistedAt": "soon", "causedBy": "e0"}

    report = import_files([dump(tmp_path / "dump.json", [document])], stores)

    assert (report.events, report.odd, report.bad) == (1, 1, 0)
    assert event_to_document(stores.events.get_event("odd")) == document
    assert len(stores.events.get_event("odd").faults) == 2


def test_an_import_can_be_run_again(stores: Stores, tmp_path: Path) -> None:
    made = events(10)
    first = dump(tmp_path / "first.json", map(event_to_document, made[:4]))
    whole = dump(tmp_path / "whole.json", map(event_to_document, made))
    kept = dump(tmp_path / "snapshots.json", [snapshot_to_document(snapshot(id="i1"))])

    import_files([first], stores)
    second = import_files([whole, kept], stores)
    third = import_files([whole, kept], stores)

    assert (second.events, second.already_there, second.snapshots, second.conflicts) == (6, 4, 1, 0)
    assert (third.events, third.already_there, third.snapshots, third.conflicts) == (0, 11, 0, 0)
    assert stored_count(stores) == 10


def test_other_content_under_a_known_id_is_a_conflict_and_nothing_is_changed(stores: Stores, tmp_path: Path) -> None:
    made = event(id="e1", state_after="Paid")
    stores.events.append(made)
    other = event_to_document(event(id="e1", state_after="Refunded"))

    report = import_files([dump(tmp_path / "dump.json", [other, event_to_document(event(id="e2"))])], stores)

    assert (report.events, report.conflicts) == (1, 1)
    assert "'e1' is already in the store with other content" in report.problems[0].reason
    assert stores.events.get_event("e1") == made


def test_an_id_that_is_twice_in_a_file_goes_in_once(tmp_path: Path) -> None:
    stores = open_memory_stores()
    one, two, other = event(id="e1"), event(id="e2"), event(id="e1", state_after="Elsewhere")

    report = import_files([dump(tmp_path / "dump.json", map(event_to_document, [one, two, one, two, other]))], stores)

    assert (report.events, report.already_there, report.conflicts) == (2, 2, 1)
    assert stores.events.get_event("e1").state_after == one.state_after


def test_an_older_snapshot_never_replaces_a_newer_one(stores: Stores, tmp_path: Path) -> None:
    older = snapshot(id="i1", snapshot_at=START, current_state="Created")
    newer = snapshot(id="i1", snapshot_at=START + 5, current_state="Paid")
    same_time = snapshot(id="i1", snapshot_at=START + 5, current_state="Elsewhere")
    files = {
        name: dump(tmp_path / f"{name}.json", [snapshot_to_document(entry)])
        for name, entry in (("newer", newer), ("older", older), ("same", same_time))
    }

    reports = [import_files([files[name]], stores) for name in ("newer", "older", "same", "newer")]

    assert [(report.snapshots, report.already_there, report.conflicts) for report in reports] == [
        (1, 0, 0),
        (0, 0, 1),
        (0, 0, 1),
        (0, 1, 0),
    ]
    assert stores.snapshots.get_snapshot("i1") == newer


def test_of_a_cut_file_the_whole_rows_go_in_and_the_report_says_so(stores: Stores, tmp_path: Path) -> None:
    path = dump(tmp_path / "dump.json", map(event_to_document, events(8)))
    path.write_text(path.read_text()[:-120])

    report = import_files([path], stores)

    assert report.broken
    assert report.events == stored_count(stores) == 7
    assert report.problems[0].row == 8
    assert "the file ends within the row; the 7 rows before it are in the store" in str(report.problems[0])


def test_a_file_that_is_not_json_or_not_there_does_not_stop_the_others(tmp_path: Path) -> None:
    stores = open_memory_stores()
    (tmp_path / "notes.txt").write_text("hello")
    good = dump(tmp_path / "dump.json", [event_to_document(event())])

    report = import_files([tmp_path / "notes.txt", tmp_path / "absent.json", tmp_path, good], stores)

    assert report.events == 1
    assert [file.broken for file in report.files] == [True, True, True, False]
    assert "nothing of it is in the store" in str(report.problems[0])


def test_what_somebody_else_appended_meanwhile_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = open_memory_stores()
    made = events(3)
    append_many = stores.events.append_many

    def overtaken(batch: Iterable[PersistedEvent]) -> int:
        if stored_count(stores) == 0:
            stores.events.append(made[1])
        return append_many(batch)

    monkeypatch.setattr(stores.events, "append_many", overtaken)

    report = import_files([dump(tmp_path / "dump.json", map(event_to_document, made))], stores)

    assert (report.events, report.already_there, report.problems) == (2, 1, ())
    with pytest.raises(DuplicateEventError):
        stores.events.append(made[1])


def test_a_store_that_others_write_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE fsm_events (id TEXT PRIMARY KEY, instance_id TEXT, machine_name TEXT, component_name TEXT, "
            "event_type TEXT, event_payload TEXT, state_before TEXT, state_after TEXT, persisted_at INTEGER, "
            "caused_by TEXT, caused TEXT, source_component_name TEXT, target_component_name TEXT)"
        )
        connection.commit()

    with (
        pytest.raises(ReadOnlyStoreError),
        open_stores(f"sqlite:///{path}", read_only=False) as stores,
    ):
        import_files([dump(tmp_path / "dump.json", [event_to_document(event())])], stores)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("fsm_events",)]
        assert connection.execute("SELECT count(*) FROM fsm_events").fetchall() == [(0,)]


def test_progress_ends_at_the_size_of_all_files(tmp_path: Path) -> None:
    files = [dump(tmp_path / f"{name}.json", map(event_to_document, events(5))) for name in ("a", "b")]
    seen: list[tuple[int, int]] = []

    import_files(files, open_memory_stores(), on_progress=lambda done, total: seen.append((done, total)))

    size = sum(file.stat().st_size for file in files)
    assert seen[-1] == (size, size)
    assert seen == sorted(seen)
