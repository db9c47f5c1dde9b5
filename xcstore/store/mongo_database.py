"""A MongoDB database by pymongo: its URL, connections, time limits, and errors in our words.

A store that was opened for reading is given `MongoReader`, which has no way to write: MongoDB knows reading only as a
right of the user, so where that matters, give the dashboard a user with the role `read`.

Nothing here uses sessions or transactions: a standalone server has neither.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import quote

import pymongo
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from pymongo import errors as mongo
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from xcstore.errors import ConfigError, ReadOnlyStoreError, StoreError, StoreTimeoutError, StoreUnavailableError
from xcstore.store.base import PoolUse
from xcstore.store.cancelling import RunningQueries
from xcstore.store.mongo_documents import READING

__all__ = ["Document", "MongoDatabase", "MongoReader", "check_writable", "open_database"]

T = TypeVar("T")

Document = dict[str, Any]
Filter = Mapping[str, Any]
Sorting = Sequence[tuple[str, int]]

_DATABASE: Final = "xcomponent"
_CONNECTIONS: Final = 20
_IDLE_MS: Final = 30_000
_CONNECT_MS: Final = 2_000
_SPARE_MS: Final = 2_000
"""A server that keeps its own time limit says so this much before the socket gives up."""
_HOW: Final = "write mongodb://user:password@host:port/database, with % escapes for : / ? # [ ] @ in user and password"
_NAMED: Final = ("authsource", "replicaset", "tls", "ssl", "directconnection", "loadbalanced")
"""Options that change what a URL reaches; the others only change how."""
_NO_SUCH_USER: Final = (18, 8000)
_NOT_ALLOWED: Final = (13,)
_TAKEN: Final = 11000
_TIMED_OUT: Final = (50, 262)
_NO_PLAN: Final = (224,)
"""Of the engine that is embedded: where it has tried several plans for long, it looks for a part that it was built
without."""
_NO_INDEX: Final = (2, 27)
_SCAN: Final = [("$natural", 1)]
_WRITES: Final = ("$out", "$merge")


class MongoReader:
    """Questions to one database, each within the time limit. Safe to share between threads.

    Parameters
    ----------
    client : pymongo.MongoClient
    name : str
        Of the database.
    identity : str
        The URL without password.
    secret : str
        What no message may hold.
    """

    read_only = True

    def __init__(
        self,
        client: pymongo.MongoClient[Document],
        name: str,
        *,
        identity: str,
        secret: str,
        statement_timeout_ms: int,
        pool: _PoolUse,
    ) -> None:
        self.identity: Final = identity
        self.statement_timeout_ms: Final = statement_timeout_ms
        self._client: Final = client
        self._name: Final = name
        self._secret: Final = secret
        self._pool: Final = pool
        self._running: Final = RunningQueries()
        self._is_closed = False
        codec: CodecOptions[Document] = READING
        self._database: Final = client.get_database(name, codec_options=codec)

    def find(
        self,
        collection: str,
        condition: Filter,
        *,
        fields: Mapping[str, int] | None = None,
        sort: Sorting = (),
        limit: int = 0,
        skip: int = 0,
        batch: int = 1_000,
    ) -> Iterator[Document]:
        """Documents, a batch at a time."""

        def ask(hint: Sorting | None) -> Any:
            return self._database[collection].find(
                condition,
                fields,
                sort=list(sort) or None,
                limit=limit,
                skip=skip,
                hint=hint,
                batch_size=limit + 1 if 0 < limit < batch else batch,
                max_time_ms=self.statement_timeout_ms,
            )

        return self._all(ask, [list(sort), _SCAN] if sort else [_SCAN])

    def find_one(self, collection: str, condition: Filter, fields: Mapping[str, int] | None = None) -> Document | None:
        return next(self.find(collection, condition, fields=fields, limit=1), None)

    def aggregate(self, collection: str, stages: Sequence[Filter]) -> Iterator[Document]:
        """What the stages give, a batch at a time; none of them may write."""
        if any(name in stage for stage in stages for name in _WRITES):
            raise ReadOnlyStoreError("an aggregation that writes is no question")

        def ask(hint: Sorting | None) -> Any:
            options: dict[str, Any] = {} if hint is None else {"hint": dict(hint)}
            return self._database[collection].aggregate(
                list(stages), maxTimeMS=self.statement_timeout_ms, allowDiskUse=True, batchSize=1_000, **options
            )

        return self._all(ask, [_SCAN])

    def collections(self) -> set[str]:
        """Names of the collections that we can see."""
        return set(self.run(lambda: self._database.list_collection_names()))

    def indexes(self, collection: str) -> set[str]:
        """Names of the indexes of a collection."""
        return set(self.run(lambda: self._database[collection].index_information()))

    def build(self) -> Mapping[str, Any]:
        """What the server says about itself."""
        return self.run(lambda: self._client.admin.command("buildInfo"))

    def statistics(self) -> Mapping[str, Any]:
        """What the server says about the database."""
        return self.run(lambda: self._database.command("dbStats"))

    def estimate(self, collection: str) -> int:
        """How many documents there are, from the collection's own count; costs nothing."""
        return self.run(
            lambda: self._database[collection].estimated_document_count(maxTimeMS=self.statement_timeout_ms)
        )

    def explain(self, collection: str, condition: Filter, *, sort: Sorting = (), limit: int = 0) -> Mapping[str, Any]:
        """How the server would answer `find`."""
        command: dict[str, Any] = {"find": collection, "filter": condition, "limit": limit}
        if sort:
            command["sort"] = dict(sort)
        return self.run(lambda: self._database.command("explain", command, verbosity="executionStats"))

    def ping(self) -> None:
        """Look whether the server answers."""
        self.run(lambda: self._database.command("ping"))

    def pool_use(self) -> PoolUse:
        """The connections at this moment."""
        return self._pool.now()

    def cancel_running(self, owner: Hashable) -> int:
        """Give up, at their next batch, the questions under `cancelling.running_for(owner)`."""
        return self._running.cancel(owner)

    def close(self) -> None:
        self._is_closed = True
        self._client.close()

    def run(self, work: Callable[[], T]) -> T:
        """`work` with errors in our words; asked once more where the server went away meanwhile. It must only read."""
        with self.translated():
            return self._retried(work)

    def _retried(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except mongo.NetworkTimeout:
            raise
        except mongo.ServerSelectionTimeoutError:
            raise
        except mongo.AutoReconnect:
            return work()

    def _all(self, ask: Callable[[Sorting | None], Any], hints: Sequence[Sorting]) -> Iterator[Document]:
        """The documents of a question, by whatever plan; where the server fails to choose one, by those named."""
        with self.translated():
            for hint in (None, *hints):
                try:
                    yield from self._asked(partial(ask, hint))
                    return
                except mongo.OperationFailure as error:
                    # Only before the first document: while the server tries its plans.
                    if error.code not in (*_NO_PLAN, *(() if hint is None else _NO_INDEX)) or hint is hints[-1]:
                        raise

    def _asked(self, ask: Callable[[], Any]) -> Iterator[Document]:
        withdrawn = threading.Event()
        with self._retried(ask) as cursor, self._running.cancellable(withdrawn.set):
            left = 0
            for document in cursor:
                yield document
                # Looked at every hundred, so also before each batch.
                left -= 1
                if left < 0:
                    if withdrawn.is_set():
                        raise StoreTimeoutError(f"a question to {self.identity} was withdrawn")
                    left = 100

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of the driver in our words; that an id or place is taken is left to who knows more."""
        if self._is_closed:
            raise StoreUnavailableError(f"{self.identity} was closed")
        try:
            yield
        except mongo.DuplicateKeyError:
            raise
        except mongo.BulkWriteError as error:
            if all(refused.get("code") == _TAKEN for refused in error.details.get("writeErrors") or [{}]):
                raise
            raise self.translation(error) from error
        except (mongo.PyMongoError, BSONError) as error:
            raise self.translation(error) from error

    def translation(self, error: Exception) -> StoreError:
        """The error in our words, without the password."""
        name, text = self.identity, str(error).partition(", full error:")[0].partition(" Timeout:")[0]
        if isinstance(error, mongo.BulkWriteError) and (refused := error.details.get("writeErrors")):
            text = str(refused[0].get("errmsg", text))
        text = (
            text.partition(" (configured timeouts:")[0].strip().splitlines()[0] if text.strip() else "no reason given"
        )
        if self._secret:
            text = text.replace(self._secret, "•••").replace(quote(self._secret, safe=""), "•••")
        code = error.code if isinstance(error, mongo.OperationFailure) else None
        if isinstance(error, (mongo.ExecutionTimeout, mongo.NetworkTimeout, mongo.WTimeoutError)) or code in _TIMED_OUT:
            return StoreTimeoutError(f"{name} took longer than {self.statement_timeout_ms / 1000:g} s")
        if code in _NO_SUCH_USER or "Authentication failed" in text:
            return StoreUnavailableError(f"{name} refused the user or the password")
        if code in _NOT_ALLOWED:
            kind = StoreUnavailableError if "requires authentication" in text else StoreError
            return kind(f"{name} does not let us do this: {text}")
        if isinstance(error, mongo.ConnectionFailure):
            return StoreUnavailableError(f"{name} cannot be reached: {text}")
        if isinstance(error, mongo.InvalidOperation) and self._is_closed:
            return StoreUnavailableError(f"{name} was closed")
        if isinstance(error, mongo.ConfigurationError):
            return StoreUnavailableError(f"{name} cannot be used: {text}")
        return StoreError(f"{name} failed: {text}")


class MongoDatabase(MongoReader):
    """A database that was opened for writing as well."""

    read_only = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # What is acknowledged is in the journal of most members, whatever the server's default is.
        self._durable: Final = self._database.with_options(write_concern=WriteConcern(w="majority", j=True))

    def insert(self, collection: str, document: Filter) -> None:
        """Durable when this returns; `pymongo.errors.DuplicateKeyError` where a unique index refuses it.

        A network that failed is tried once more: the caller tells by what it wrote whether that was its own document.
        """
        with self.translated():
            self._retried(lambda: self._durable[collection].insert_one(document))  # type: ignore[arg-type]

    def insert_many(self, collection: str, documents: Sequence[Any], *, durable: bool = True) -> None:
        """In order of no importance; `pymongo.errors.BulkWriteError` where some were refused."""
        database = self._durable if durable else self._database
        with self.translated():
            database[collection].insert_many(documents, ordered=False)

    def write(self, collection: str, requests: Sequence[Any], *, durable: bool = False) -> None:
        """Updates and deletes, in order. They must be such that doing them twice does no harm."""
        database = self._durable if durable else self._database
        if requests:
            with self.translated():
                self._retried(lambda: database[collection].bulk_write(requests, ordered=True))

    def update(self, collection: str, condition: Filter, change: Any, *, upsert: bool = False) -> bool:
        """One document, durable when this returns; whether there was one. Doing it twice must do no harm."""
        with self.translated():
            result = self._retried(lambda: self._durable[collection].update_one(condition, change, upsert=upsert))
        return result.matched_count > 0 or result.upserted_id is not None

    def replace(self, collection: str, condition: Filter, document: Filter) -> None:
        """Put the document in place of the one that is there, or beside others where there is none."""
        with self.translated():
            self._retried(lambda: self._durable[collection].replace_one(condition, document, upsert=True))

    def delete(self, collection: str, condition: Filter) -> int:
        """All that are so; returns how many. Durable when this returns."""
        with self.translated():
            return int(self._retried(lambda: self._durable[collection].delete_many(condition)).deleted_count)

    def take_numbers(self, collection: str, key: str, how_many: int = 1) -> int:
        """The first of so many new numbers, greater than all that were taken before. Some may never be used."""
        with self.translated():
            document = self._retried(
                lambda: self._database[collection].find_one_and_update(
                    {"_id": key},
                    {"$inc": {"value": how_many}},
                    upsert=True,
                    return_document=pymongo.ReturnDocument.AFTER,
                )
            )
        assert document is not None  # there is one after an upsert
        return int(document["value"]) - how_many + 1

    def create_indexes(self, collection: str, indexes: Sequence[pymongo.IndexModel]) -> None:
        with self.translated():
            self._database[collection].create_indexes(list(indexes))


def check_writable(database: MongoReader) -> MongoDatabase:
    """The database as one that can be written to.

    Raises
    ------
    ReadOnlyStoreError
        It was opened for reading.
    """
    if not isinstance(database, MongoDatabase):
        raise ReadOnlyStoreError(f"{database.identity} was opened for reading; open it with read_only=False to write")
    return database


def open_database(url: str, *, read_only: bool, statement_timeout_ms: int) -> MongoReader:
    """The database that the URL names; it has answered.

    Raises
    ------
    ConfigError
        The URL cannot be read. The message holds no part of it.
    StoreUnavailableError
        Nobody answers, or not to this password.
    """
    parsed = _parsed(url)
    name = parsed["database"] or _DATABASE
    pool = _PoolUse()
    options = {key.lower() for key in parsed["options"]}
    ours: dict[str, Any] = {
        "appname": "xcstore",
        "maxPoolSize": _CONNECTIONS,
        "maxIdleTimeMS": _IDLE_MS,
        "connectTimeoutMS": _CONNECT_MS,
        "serverSelectionTimeoutMS": _CONNECT_MS,
        "waitQueueTimeoutMS": _CONNECT_MS,
        "socketTimeoutMS": statement_timeout_ms + _SPARE_MS,
    }
    try:
        client: pymongo.MongoClient[Document] = pymongo.MongoClient(
            url,
            event_listeners=[pool],
            **{key: value for key, value in ours.items() if key.lower() not in options},
        )
    except (mongo.PyMongoError, ValueError, TypeError):
        raise ConfigError(f"the MongoDB URL cannot be read; {_HOW}") from None
    database = (MongoReader if read_only else MongoDatabase)(
        client,
        name,
        identity=_identity(url, parsed, name),
        secret=parsed["password"] or "",
        statement_timeout_ms=statement_timeout_ms,
        pool=pool,
    )
    try:
        database.ping()
    except BaseException:
        database.close()
        raise
    return database


def _parsed(url: str) -> dict[str, Any]:
    """What the URL says. No error of it has a part of the URL: that may be the password, in the wrong place."""
    try:
        parsed: dict[str, Any] = parse_uri(url, connect_timeout=_CONNECT_MS / 1000)
    except mongo.InvalidURI:
        raise ConfigError(f"the MongoDB URL cannot be read; {_HOW}") from None
    except mongo.ConfigurationError as error:  # of mongodb+srv: the name is looked up
        raise StoreUnavailableError(
            f"the hosts of the MongoDB URL cannot be looked up ({type(error).__name__})"
        ) from None
    except (mongo.PyMongoError, ValueError, TypeError):
        raise ConfigError(f"the MongoDB URL cannot be read; {_HOW}") from None
    if parsed["database"] is not None and not re.fullmatch(r"[^/\\. \"$*<>:|?\0]{1,63}", parsed["database"]):
        raise ConfigError("the MongoDB URL names a database by characters that no name may have")
    return parsed


def _identity(url: str, parsed: Mapping[str, Any], name: str) -> str:
    scheme, _, rest = url.partition("://")
    user = f"{quote(parsed['username'], safe='')}@" if parsed["username"] else ""
    hosts = re.split("[/?]", rest.rpartition("@")[2], maxsplit=1)[0]
    options = sorted(
        f"{key.lower()}={quote(str(value).lower() if isinstance(value, bool) else str(value), safe='')}"
        for key, value in parsed["options"].items()
        if key.lower() in _NAMED
    )
    return f"{scheme}://{user}{hosts}/{quote(name, safe='')}" + (f"?{'&'.join(options)}" if options else "")


class _PoolUse(pymongo.monitoring.ConnectionPoolListener):
    """Counts the connections that the driver opens and lends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = self._in_use = self._waiting = 0

    def now(self) -> PoolUse:
        with self._lock:
            return PoolUse(
                maximum=_CONNECTIONS,
                open=max(self._open, 0),
                in_use=max(self._in_use, 0),
                waiting=max(self._waiting - self._in_use, 0),
            )

    def _add(self, open_: int = 0, in_use: int = 0, waiting: int = 0) -> None:
        with self._lock:
            self._open += open_
            self._in_use += in_use
            self._waiting += waiting

    def connection_created(self, event: object) -> None:
        self._add(open_=1)

    def connection_closed(self, event: object) -> None:
        self._add(open_=-1)

    def connection_check_out_started(self, event: object) -> None:
        self._add(waiting=1)

    def connection_check_out_failed(self, event: object) -> None:
        self._add(waiting=-1)

    def connection_checked_out(self, event: object) -> None:
        self._add(in_use=1)

    def connection_checked_in(self, event: object) -> None:
        self._add(in_use=-1, waiting=-1)

    def connection_ready(self, event: object) -> None:
        """Counted when it was created."""

    def pool_created(self, event: object) -> None:
        """Of no interest."""

    def pool_ready(self, event: object) -> None:
        """Of no interest."""

    def pool_cleared(self, event: object) -> None:
        """Of no interest: each connection is closed with a notice of its own."""

    def pool_closed(self, event: object) -> None:
        """Of no interest."""
