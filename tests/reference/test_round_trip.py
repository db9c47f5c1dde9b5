"""What the TypeScript runtime wrote comes out as it went in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xcstore.ops.importing import import_files
from xcstore.store.codec import (
    check_writable,
    check_writable_snapshot,
    event_extra_text,
    event_from_document,
    event_from_documented_row,
    event_to_document,
    event_to_documented_row,
    snapshot_extra_text,
    snapshot_from_document,
    snapshot_from_documented_row,
    snapshot_to_document,
    snapshot_to_documented_row,
)
from xcstore.store.opening import open_stores


def text_of(document: object) -> str:
    """JSON text: keys in their order, every number in its kind."""
    return json.dumps(document)


def test_every_event_goes_through_the_model_unchanged(reference_json: Any) -> None:
    documents = reference_json("memory_events.json")
    assert documents

    for document in documents:
        read = event_from_document(document)
        assert read.faults == ()
        assert text_of(event_to_document(read)) == text_of(document)


def test_every_event_goes_through_our_rows_unchanged(reference_json: Any) -> None:
    for document in reference_json("memory_events.json"):
        read = event_from_document(document)
        check_writable(read)
        back = event_from_documented_row(event_to_documented_row(read), extra=event_extra_text(read))
        assert (back, back.faults) == (read, ())
        assert text_of(event_to_document(back)) == text_of(document)


def test_every_snapshot_goes_through_the_model_and_our_rows_unchanged(reference_json: Any) -> None:
    documents = reference_json("memory_snapshots.json")
    assert documents

    for document in documents:
        read = snapshot_from_document(document)
        check_writable_snapshot(read)
        back = snapshot_from_documented_row(snapshot_to_documented_row(read), extra=snapshot_extra_text(read))
        assert (read.faults, back) == ((), read)
        assert text_of(snapshot_to_document(read)) == text_of(snapshot_to_document(back)) == text_of(document)


def test_the_dumps_go_through_a_store_unchanged(reference: Path, reference_json: Any, tmp_path: Path) -> None:
    events, snapshots = reference_json("memory_events.json"), reference_json("memory_snapshots.json")
    url = f"sqlite:///{tmp_path / 'imported.db'}"

    with open_stores(url, read_only=False) as stores:
        report = import_files([reference / "memory_events.json", reference / "memory_snapshots.json"], stores)
    with open_stores(url) as stores:
        read = {event.id: event_to_document(event) for event in stores.events.get_all_events()}
        taken = {
            snapshot.instance.id: snapshot_to_document(snapshot) for snapshot in stores.snapshots.get_all_snapshots()
        }

    assert (report.events, report.snapshots, report.problems) == (len(events), len(snapshots), ())
    assert {key: text_of(value) for key, value in read.items()} == {
        document["id"]: text_of(document) for document in events
    }
    assert {key: text_of(value) for key, value in taken.items()} == {
        document["instance"]["id"]: text_of(document) for document in snapshots
    }
