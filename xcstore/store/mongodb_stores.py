"""The stores of MongoDB by the names that the specification gives them; `open_stores` is the other way in."""

from __future__ import annotations

from urllib.parse import quote, urlsplit, urlunsplit

from xcstore.store.base import Stores
from xcstore.store.mongo_snapshots import DocumentSnapshotStore
from xcstore.store.mongodb import DocumentEventStore, open_mongodb_stores

__all__ = ["MongoDBEventStore", "MongoDBSnapshotStore"]


class MongoDBEventStore(DocumentEventStore):
    """Events in MongoDB, open for writing: ``MongoDBEventStore("mongodb://localhost:27017", "xcomponent")``.

    An empty database becomes a store of ours; a store of another writer can be read only. The database is the one that
    the URL names, where none is given.
    """

    def __init__(self, uri: str, db_name: str | None = None, *, read_only: bool = False) -> None:
        opened = _open(uri, db_name, read_only=read_only)
        assert isinstance(opened.events, DocumentEventStore)
        super().__init__(opened.events._database, opened.events._layout)


class MongoDBSnapshotStore(DocumentSnapshotStore):
    """Snapshots in MongoDB, open for writing; see `MongoDBEventStore`."""

    def __init__(self, uri: str, db_name: str | None = None, *, read_only: bool = False, retention: int = 10) -> None:
        opened = _open(uri, db_name, read_only=read_only)
        assert isinstance(opened.snapshots, DocumentSnapshotStore)
        super().__init__(opened.snapshots._database, opened.snapshots._layout, retention=retention)


def _open(uri: str, db_name: str | None, *, read_only: bool) -> Stores:
    if db_name is not None:
        uri = urlunsplit(urlsplit(uri)._replace(path="/" + quote(db_name, safe="")))
    return open_mongodb_stores(uri, read_only=read_only)
