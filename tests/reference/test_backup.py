"""The real histories through every backend and back, and through a file: not a character is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.servers.postgresql import PostgresServer
from xcstore.ops.backup import write_backup
from xcstore.ops.backup_file import BackupFile
from xcstore.ops.contents import Contents, StoreContents
from xcstore.ops.copying import copy_contents
from xcstore.ops.digests import StoreDigest, digest_store
from xcstore.ops.sources import open_source
from xcstore.store.codec import event_from_document, snapshot_from_document
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores

SOURCES = ("documented", "shipped", "memory")


@pytest.fixture(params=SOURCES)
def source(
    request: pytest.FixtureRequest, reference: Path, reference_json: Any, postgresql_server: PostgresServer
) -> Iterator[Contents]:
    """Each history as it is: the two layouts in PostgreSQL, loaded by psql, and the memory dump."""
    if request.param == "memory":
        stores = open_memory_stores()
        stores.events.append_many(event_from_document(document) for document in reference_json("memory_events.json"))
        stores.snapshots.save_snapshots(map(snapshot_from_document, reference_json("memory_snapshots.json")))
        yield StoreContents(stores)
        return
    with postgresql_server.database() as url:
        postgresql_server.load(url, reference / f"{request.param}_layout.sql")
        with open_stores(url) as stores:
            assert stores.events.layout == request.param
            yield StoreContents(stores)


def digest_of(contents: Contents) -> StoreDigest:
    assert isinstance(contents, StoreContents)
    return digest_store(contents.stores)


def test_every_history_survives_every_backend_with_the_same_digest(
    source: Contents, tmp_path: Path, postgresql_database: str, mongodb_database: str
) -> None:
    """PostgreSQL, archive, MongoDB, SQLite, PostgreSQL; each is filled from the one before."""
    expected = digest_of(source)
    assert expected.events.count > 4_000
    assert expected.snapshots.count > 700
    archive, sqlite = f"archive:///{tmp_path / 'archive'}", f"sqlite:///{tmp_path / 'x.db'}"
    current = source
    for url in (archive, mongodb_database, sqlite, postgresql_database):
        with open_stores(url, read_only=False) as target:
            report = copy_contents(current, target)

            assert (report.left_out, report.losses) == (0, [])
        if current is not source:
            current.close()
        current = StoreContents(open_stores(url))
        assert digest_of(current) == expected, url.partition(":")[0]
    current.close()


def test_every_history_survives_a_backup_and_a_restore(source: Contents, tmp_path: Path) -> None:
    assert isinstance(source, StoreContents)
    path = tmp_path / "history.xcb"

    report = write_backup(source.stores, path)

    target = open_memory_stores()
    copy_contents(BackupFile(path), target)
    assert report.digest == digest_of(source) == digest_store(target)


@pytest.mark.parametrize("layout", ["documented", "shipped"])
def test_a_dump_of_pg_dump_is_read_as_the_database_that_psql_makes_of_it(
    layout: str, reference: Path, postgresql_server: PostgresServer
) -> None:
    dump = reference / f"{layout}_layout.sql"
    target = open_memory_stores()
    with closing(open_source(str(dump))) as contents:
        report = copy_contents(contents, target)

    with postgresql_server.database() as url:
        postgresql_server.load(url, dump)
        with open_stores(url) as stores:
            assert digest_store(target) == digest_store(stores) == report.digest
