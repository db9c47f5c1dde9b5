"""Dumps as mongodump lays them out: BSON one after the other, packed or not, and archives."""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import bson
import pymongo
import pytest
from bson.raw_bson import RawBSONDocument

from tests.factories import event, snapshot
from xcstore.errors import NotAStoreError, QueryError
from xcstore.ops import sorting
from xcstore.ops.contents import DamagedFileError
from xcstore.ops.copying import copy_contents
from xcstore.ops.crc64 import Crc64
from xcstore.ops.digests import digest_contents, digest_store
from xcstore.ops.sources import open_source
from xcstore.store.base import StoredDefinition
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores

Documents = list[dict[str, Any]]
END = b"\xff\xff\xff\xff"


def events(count: int = 50) -> Documents:
    """As the specification's store writes them."""
    made: Documents = [
        {
            "_id": f"e{number:03}",
            "id": f"e{number:03}",
            "instanceId": f"i{number % 3}",
            "machineName": "Order",
            "componentName": "Größe",
            "event": {"type": "PAY", "payload": {"n": number, "text": "\\\n'\"é"}, "timestamp": 5},
            "stateBefore": "A",
            "stateAfter": "B",
            "persistedAt": bson.Int64(10 + number // 4),
            "causedBy": [f"e{number - 1:03}"],
            "caused": [],
        }
        for number in range(count)
    ]
    random.Random(4).shuffle(made)
    return made


def snapshots() -> Documents:
    return [
        {
            "_id": bson.ObjectId(),
            "instance": {"id": f"i{number}", "machineName": "Order", "currentState": "B", "context": {"n": 1.5}},
            "snapshotAt": bson.Int64(12),
            "lastEventId": "e009",
            "pendingTimeouts": [],
        }
        for number in (2, 0, 1)
    ]


def bson_of(documents: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(map(bson.encode, documents))


def folder(path: Path, database: str = "xcomponent", *, packed: bool = False) -> Path:
    """`mongodump --db=DATABASE --out=PATH`."""
    inner = path / database
    inner.mkdir(parents=True)
    for name, documents in (("events", events()), ("snapshots", snapshots()), ("other", [{"a": 1}])):
        raw, suffix = bson_of(documents), ".gz" if packed else ""
        (inner / f"{name}.bson{suffix}").write_bytes(gzip.compress(raw) if packed else raw)
        (inner / f"{name}.metadata.json").write_text('{"indexes":[]}')
    return path


def crc64(raw: bytes) -> int:
    """CRC-64/XZ, a bit at a time, as a signed number."""
    value = 2**64 - 1
    for byte in raw:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xC96C5795D7870F42 if value & 1 else 0)
    return int.from_bytes((value ^ 2**64 - 1).to_bytes(8), signed=True)


def archive(path: Path, *, database: str = "xcomponent", ended: bool = True) -> Path:
    """`mongodump --archive=PATH`: the parts of collections take turns."""
    parts = [("events", events()[:30]), ("snapshots", snapshots()), ("other", [{"a": 1}]), ("events", events()[30:])]
    raw = [struct.pack("<I", 0x8199E26D), bson.encode({"concurrent_collections": 4, "version": "0.1"})]
    raw += [bson.encode({"db": database, "collection": name, "metadata": "{}"}) for name in ("events", "snapshots")]
    raw.append(END)
    for name, documents in parts:
        header = {"db": database, "collection": name, "EOF": False, "CRC": bson.Int64(0)}
        raw += [bson.encode(header), bson_of(documents), END]
    for name in ("snapshots", "other", *(["events"] if ended else [])):
        crc = crc64(b"".join(bson_of(documents) for of, documents in parts if of == name))
        raw += [bson.encode({"db": database, "collection": name, "EOF": True, "CRC": bson.Int64(crc)}), END]
    path.write_bytes(b"".join(raw))
    return path


def read(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    with closing(open_source(str(path))) as contents:
        return [dict(row.document) for row in contents.events()], [dict(row.document) for row in contents.snapshots()]


def expected_events() -> list[dict[str, Any]]:
    ordered = sorted(events(), key=lambda one: (one["persistedAt"], one["id"]))
    return [{key: value for key, value in one.items() if key != "_id"} for one in ordered]


def test_a_folder_is_read_in_the_order_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "RUN_BYTES", 1_000)
    for path in (folder(tmp_path / "backup"), folder(tmp_path / "packed", packed=True)):
        found, taken = read(path)

        assert found == expected_events()
        assert [one["instance"]["id"] for one in taken] == ["i0", "i1", "i2"]
        assert not any("_id" in one for one in taken)
        assert read(path / "xcomponent") == (found, taken)


def test_one_file_and_archives_hold_the_same(tmp_path: Path) -> None:
    path = folder(tmp_path / "backup") / "xcomponent"
    made = archive(tmp_path / "dump.archive")
    packed = tmp_path / "dump.archive.gz"
    packed.write_bytes(gzip.compress(made.read_bytes()))

    assert read(made) == read(packed) == read(path)
    assert read(path / "events.bson") == (read(path)[0], [])
    assert read(path / "snapshots.bson") == ([], read(path)[1])


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    with closing(open_source(str(archive(tmp_path / "a")))) as contents:
        assert contents.notes == ("other collections are left out: other",)
    path = folder(tmp_path / "backup") / "xcomponent"
    (path / "snapshots.bson").unlink()
    with closing(open_source(str(path))) as contents:
        assert contents.notes == ("the dump holds no snapshots.bson",)


def test_a_dump_is_restored(tmp_path: Path) -> None:
    target = open_memory_stores()
    with closing(open_source(str(folder(tmp_path / "backup")))) as contents:
        report = copy_contents(contents, target)

        assert report.left_out == 0
        assert digest_store(target) == digest_contents(contents)


def test_odd_documents_are_kept_and_bad_ones_named(tmp_path: Path) -> None:
    odd: Documents = [
        {"_id": "only", "instanceId": "i", "persistedAt": 3},
        {"_id": bson.ObjectId("0" * 24), "id": "a", "instanceId": "i", "persistedAt": bson.Int64(2)},
        {"_id": "date", "id": "date", "instanceId": "i", "persistedAt": bson.DatetimeMS(1_000), "x": bson.Binary(b"x")},
        {"_id": "double", "id": "double", "instanceId": "i", "persistedAt": 2.0, "event": 5},
        {"_id": "text", "id": "text", "instanceId": "i", "persistedAt": "2"},
        {"_id": "none", "id": "none", "instanceId": "i"},
        {"_id": 7, "persistedAt": 3},
    ]
    path = tmp_path / "events.bson"
    path.write_bytes(bson_of(odd))
    target = open_memory_stores()

    with closing(open_source(str(path))) as contents:
        ids = [row.document.get("id", row.document.get("_id")) for row in contents.events()]
        report = copy_contents(contents, target)

    assert ids == ["none", "a", "double", "text", "only", "date", 7]
    assert report.left_out == 1
    assert "events.bson, document 7: " in report.problems[0]
    assert {one.id for one in target.events.get_all_events()} == {"none", "a", "double", "only", "text", "date"}


def test_damage_is_named_and_salvaged_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "events.bson"
    raw = bson_of(events())
    for damaged, words in (
        (raw[:-3], "the file ends within document 50"),
        (raw[: len(raw) // 2 + 1], r"the file ends within document \d+"),
        (raw + b"\0\0\0\0", "document 51 says that it has 0 bytes"),
        (raw + b"\x08\0\0\0\x20ab\0", r"document 51 of events cannot be read"),
        (gzip.compress(raw)[:-20], "not readable as gzip"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(DamagedFileError, match=words):
            open_source(str(path))
        with closing(open_source(str(path), salvage=True)) as contents:
            assert len(contents.damages) == 1
            assert contents.event_count in range(20, 51)


def test_an_archive_that_ends_too_early_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(DamagedFileError, match="ends before the end of the collection events"):
        open_source(str(archive(tmp_path / "a", ended=False)))
    whole = archive(tmp_path / "b").read_bytes()
    random.seed(8)
    for _ in range(20):
        cut = random.randrange(10, len(whole))
        (tmp_path / "c").write_bytes(whole[:cut])
        with pytest.raises(DamagedFileError):
            open_source(str(tmp_path / "c"))


def test_a_byte_that_was_changed_in_an_archive_is_found(tmp_path: Path) -> None:
    assert crc64(b"123456789") == 0x995DC9BBDF1939FA - 2**64  # as it is published
    whole = archive(tmp_path / "a").read_bytes()
    changed = tmp_path / "changed"
    for old, new in ((b"e017", b"e01X"), (b"i2\0", b"iZ\0")):
        assert old in whole
        changed.write_bytes(whole.replace(old, new, 1))

        with pytest.raises(DamagedFileError, match=r"the collection (events|snapshots) is not what mongodump wrote"):
            open_source(str(changed))
        with closing(open_source(str(changed), salvage=True)) as contents:
            assert len(contents.damages) == 1
            assert contents.event_count == 50


def test_collections_of_one_name_in_two_databases_are_checked_apart(tmp_path: Path) -> None:
    path = archive(tmp_path / "a")
    more = [bson.encode({"x": 1}), bson.encode({"y": 2})]
    header: dict[str, Any] = {"db": "second", "collection": "other", "EOF": False, "CRC": bson.Int64(0)}
    ended = {**header, "EOF": True, "CRC": bson.Int64(crc64(b"".join(more)))}
    path.write_bytes(path.read_bytes() + b"".join([bson.encode(header), *more, END, bson.encode(ended), END]))

    with closing(open_source(str(path))) as contents:
        assert contents.event_count == 50


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 4095, 4096, 4097, 10_000])
def test_the_check_of_an_archive_is_that_of_mongodump_however_it_is_cut(size: int) -> None:
    raw = random.Random(size).randbytes(size)
    for cut in {0, 1, size // 2, size}:
        sums = Crc64()
        sums.add(raw[:cut])
        sums.add(raw[cut:])
        assert sums.value() == crc64(raw)


def test_several_databases_are_refused(tmp_path: Path) -> None:
    folder(tmp_path / "backup", "one")
    folder(tmp_path / "other", "two")
    (tmp_path / "other" / "two").rename(tmp_path / "backup" / "two")

    with pytest.raises(NotAStoreError, match="several databases"):
        open_source(str(tmp_path / "backup"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(QueryError, match="a folder without a dump"):
        open_source(str(tmp_path / "empty"))


# Of real databases: what mongodump writes are the documents of each collection as the server gives them.


def dumped(url: str, path: Path) -> Path:
    """`mongodump --out=PATH`, by the driver: the bytes of each document, one after the other."""
    path.mkdir()
    with pymongo.MongoClient(url, document_class=RawBSONDocument) as client:
        database = client.get_default_database()
        for name in database.list_collection_names():
            (path / f"{name}.bson").write_bytes(b"".join(one.raw for one in database[name].find()))
    return path


def test_a_dump_of_others_holds_what_their_database_holds(mongodb_database: str, tmp_path: Path) -> None:
    odd: Documents = [
        {"_id": "date", "id": "date", "instanceId": "i", "persistedAt": bson.DatetimeMS(11), "x": bson.Binary(b"x")},
        {"_id": "text", "id": "text", "instanceId": "i", "persistedAt": "12"},
        {"_id": "none", "id": "none", "instanceId": "i"},
    ]
    with pymongo.MongoClient[dict[str, Any]](mongodb_database) as client:
        client.get_default_database()["events"].insert_many([*events(), *odd])
        client.get_default_database()["snapshots"].insert_many(snapshots())

    with (
        open_stores(mongodb_database) as stores,
        closing(open_source(str(dumped(mongodb_database, tmp_path / "dump")))) as contents,
    ):
        assert digest_contents(contents) == digest_store(stores)


def test_a_dump_of_ours_holds_what_the_store_holds(mongodb_database: str, tmp_path: Path) -> None:
    with open_stores(mongodb_database, read_only=False) as stores:
        stores.events.append_many(
            event(id=f"e{number}", persisted_at=100 - number // 4, payload=payload)
            for number, payload in enumerate([1.0, 2**70, {"_id": {"$x": -0.0}}, "text"] * 5)
        )
        stores.events.append(event(id="large", payload=["x" * 100] * 70_000, context={"y": "z" * 8_000_000}))
        stores.snapshots.save_snapshots(snapshot(id=f"i{number % 3}", snapshot_at=number) for number in range(8))
        stores.definitions.save_definition(StoredDefinition(hash="h", component_name="C", document={"a": [1]}))
        path = dumped(mongodb_database, tmp_path / "dump")

        with closing(open_source(str(path))) as contents:
            assert contents.notes == ()
            assert digest_contents(contents) == digest_store(stores)
    (path / "fsm_event_extra.bson").unlink()
    with closing(open_source(str(path))) as contents, pytest.raises(DamagedFileError, match="dump the whole database"):
        digest_contents(contents)
