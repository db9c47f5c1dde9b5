"""An InfluxDB server over HTTP: questions, points, and errors in our words."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import orjson
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, ProtocolError, ReadTimeoutError

from xcstore.errors import (
    ConfigError,
    LimitExceededError,
    NotAStoreError,
    ReadOnlyStoreError,
    StoreError,
    StoreTimeoutError,
    StoreUnavailableError,
)
from xcstore.store.base import PoolUse
from xcstore.store.cancelling import RunningQueries
from xcstore.store.unreachable import why_unreachable

__all__ = ["InfluxServer", "Series", "Statement"]

_CONNECTIONS: Final = 20
_CONNECT_SECONDS: Final = 2.0
_WRITE_SECONDS: Final = 30.0
_TOGETHER: Final = 100
"""Statements in one request."""

_asking = threading.local()


class Statement(NamedTuple):
    """InfluxQL with `$name` for values, and these."""

    text: str
    values: Mapping[str, str | int] = {}


class Series(NamedTuple):
    """Rows of an answer that share their tags."""

    tags: Mapping[str, str]
    rows: Sequence[Sequence[Any]]
    """Time first, ns; then the columns in the order asked for."""


class _Request:
    """One request on its way, to be broken off by another thread."""

    def __init__(self) -> None:
        self.withdrawn = False
        self.connection: HTTPConnection | None = None

    def withdraw(self) -> None:
        self.withdrawn = True
        connection = self.connection
        sock = None if connection is None else connection.sock
        if sock is not None:
            # The server ends a query whose connection is gone.
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class _Plain(HTTPConnection):
    def request(self, *args: Any, **options: Any) -> None:
        _started(self, lambda: super(_Plain, self).request(*args, **options))


class _Encrypted(HTTPSConnection):
    def request(self, *args: Any, **options: Any) -> None:
        _started(self, lambda: super(_Encrypted, self).request(*args, **options))


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain


class _EncryptedPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Encrypted


class InfluxServer:
    """One database of an InfluxDB server. Safe to share between threads.

    Version 1 lets whoever may ask change things too, by a question and by GET: opened for reading, nothing is sent but
    SELECT and SHOW, and no points. Give such users READ alone.

    Parameters
    ----------
    url : str
        ``influxdb://[user:password@]host[:8086]/database[?tls=1]``.
    read_only : bool
    statement_timeout_ms : int
        How long one question may take.

    Raises
    ------
    ConfigError
        The URL cannot be read.
    """

    def __init__(self, url: str, *, read_only: bool, statement_timeout_ms: int) -> None:
        try:
            parts = urlsplit(url)
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
            port = parts.port or 8086
        except ValueError:
            raise ConfigError("the InfluxDB URL cannot be read; write influxdb://host:8086/database") from None
        self.database: Final = unquote(parts.path.strip("/"))
        if not parts.hostname or not self.database or "/" in self.database:
            raise ConfigError("the InfluxDB URL names no host or no database; write influxdb://host:8086/database")
        tls = options.pop("tls", "0")
        if options or tls not in ("0", "1"):
            wrong = f"option {next(iter(options))!r}" if options else "tls that is neither 0 nor 1"
            raise ConfigError(f"the InfluxDB URL has an {wrong}; what can be given is ?tls=1")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        user = f"{parts.username}@" if parts.username else ""
        self.identity: Final = f"influxdb://{user}{host}:{port}{parts.path}" + ("?tls=1" if tls == "1" else "")
        self.read_only: Final = read_only
        self.statement_timeout_ms: Final = statement_timeout_ms
        self._running: Final = RunningQueries()
        headers = {"User-Agent": "xcstore"}
        if parts.username or parts.password:
            credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
            headers |= urllib3.make_headers(basic_auth=credentials)
        self._pool: Final = (_EncryptedPool if tls == "1" else _PlainPool)(
            host, port, maxsize=_CONNECTIONS, block=True, headers=headers
        )

    def ask(self, text: str, **values: str | int) -> list[Series]:
        """The answer to one statement."""
        (answer,) = self.ask_all([Statement(text, values)])
        return answer

    def ask_all(self, statements: Iterable[Statement]) -> list[list[Series]]:
        """The answers to several, in as few requests as can be."""
        waiting = list(statements)
        answers: list[list[Series]] = []
        for start in range(0, len(waiting), _TOGETHER):
            answers += self._ask(waiting[start : start + _TOGETHER])
        return answers

    def execute(self, text: str, **values: str | int) -> None:
        """A statement that changes something."""
        self.check_writable()
        self._answers(self._query("POST", text, values), 1)

    def create_database(self) -> None:
        name = self.database.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        self.execute(f'CREATE DATABASE "{name}"')

    def write(self, points: Sequence[bytes]) -> None:
        """Put these points there, in one request.

        Sent a second time where the connection broke: a point replaces itself.

        Raises
        ------
        LimitExceededError
            They are more than the server takes in one request.
        """
        self.check_writable()
        target = "/write?" + urlencode({"db": self.database, "precision": "ns"})
        status, body, _ = self._request("POST", target, b"\n".join(points), seconds=_WRITE_SECONDS)
        if status != 204:
            raise self._refusal(status, body)

    def version(self) -> str:
        _, _, headers = self._request("GET", "/ping", None)
        return str(headers.get("X-Influxdb-Version", ""))

    def size(self) -> int | None:
        """Bytes on disk; None where this user may not know."""
        try:
            body = self._query("GET", "SHOW STATS FOR 'shard'", {})
            (answer,) = [orjson.loads(line) for line in body.splitlines()]
            shards = answer["results"][0]["series"]
        except (StoreError, LookupError, ValueError):
            return None
        sizes: list[int] = [
            dict(zip(shard["columns"], shard["values"][0], strict=True)).get("diskBytes", 0)
            for shard in shards
            if shard["tags"].get("database") == self.database
        ]
        return sum(sizes)

    def pool_use(self) -> PoolUse:
        kept = self._pool.pool.queue if self._pool.pool is not None else []
        idle = sum(connection is not None and connection.sock is not None for connection in list(kept))
        used = _CONNECTIONS - len(kept)
        return PoolUse(maximum=_CONNECTIONS, open=idle + used, in_use=used)

    def cancel_running(self, owner: Hashable) -> int:
        return self._running.cancel(owner)

    def close(self) -> None:
        self._pool.close()

    def check_writable(self) -> None:
        """`ReadOnlyStoreError` where it was opened for reading."""
        if self.read_only:
            raise ReadOnlyStoreError(f"{self.identity} was opened for reading; open it with read_only=False to write")

    def _ask(self, statements: Sequence[Statement]) -> list[list[Series]]:
        texts, values = [], {}
        for number, statement in enumerate(statements):
            text = statement.text
            if not text.startswith(("SELECT ", "SHOW ")) or " INTO " in text or ";" in text:
                raise AssertionError(f"{text!r} is no question")
            # Longest first: $start would be found in $started.
            for name in sorted(statement.values, key=len, reverse=True):
                text = text.replace(f"${name}", f"$p{number}_{name}")
                values[f"p{number}_{name}"] = statement.values[name]
            texts.append(text)
        return self._answers(self._query("GET", ";".join(texts), values), len(texts))

    def _query(self, method: str, text: str, values: Mapping[str, str | int]) -> bytes:
        fields = urlencode(
            {
                "db": self.database,
                "epoch": "ns",
                "chunked": "true",  # or the server may leave rows out, where its settings say so
                "params": json.dumps(values),
                "q": text,
            }
        )
        if method == "GET":
            status, body, _ = self._request("GET", f"/query?{fields}", None)
        else:
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            status, body, _ = self._request(method, "/query", fields.encode(), form, seconds=_WRITE_SECONDS)
        if status != 200:
            raise self._refusal(status, body)
        return body

    def _answers(self, body: bytes, number: int) -> list[list[Series]]:
        answers: list[list[Series]] = [[] for _ in range(number)]
        for line in body.splitlines():
            chunk = orjson.loads(line)
            if "error" in chunk:
                raise self._refused(str(chunk["error"]))
            for result in chunk["results"]:
                if "error" in result:
                    raise self._refused(str(result["error"]))
                answers[result["statement_id"]] += [
                    Series(series.get("tags", {}), series.get("values", ())) for series in result.get("series", ())
                ]
        return answers

    def _request(
        self,
        method: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str] | None = None,
        *,
        seconds: float | None = None,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        limit = seconds if seconds is not None else self.statement_timeout_ms / 1000
        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=limit)
        request = _asking.request = _Request()
        with self._running.cancellable(request.withdraw):
            for attempt in (1, 2):
                try:
                    answer = self._pool.urlopen(
                        method,
                        target,
                        body=body,
                        headers={**self._pool.headers, **(headers or {})},
                        timeout=timeout,
                        retries=False,
                        redirect=False,
                    )
                    return answer.status, answer.data, answer.headers
                except (HTTPError, OSError) as error:
                    # The server may have been started again since the connection was last used.
                    if isinstance(error, ProtocolError) and attempt == 1 and not request.withdrawn:
                        continue
                    raise self._failure(error, request, limit) from error
        raise AssertionError("unreachable")

    def _failure(self, error: Exception, request: _Request, limit: float) -> StoreError:
        if request.withdrawn or (isinstance(error, ReadTimeoutError) and not isinstance(error, ConnectTimeoutError)):
            return StoreTimeoutError(f"{self.identity} took longer than {limit:g} s, or was withdrawn")
        return StoreUnavailableError(f"{self.identity} cannot be reached: {why_unreachable(error)}")

    def _refusal(self, status: int, body: bytes) -> StoreError:
        try:
            text = str(json.loads(body)["error"])
        except (ValueError, KeyError, TypeError):
            text = f"HTTP status {status}"
        if status in (401, 403):
            return StoreUnavailableError(f"{self.identity} does not accept this user and password, or not for this")
        if status == 413:
            return LimitExceededError(
                f"{self.identity} takes no more in one request than its max-body-size; nothing of that was written"
            )
        if status >= 500:
            return StoreUnavailableError(f"{self.identity} failed: {text}")
        return self._refused(text)

    def _refused(self, text: str) -> StoreError:
        if text.startswith("database not found"):
            return NotAStoreError(f"{self.identity} has no database {self.database!r}; create it, or import into it")
        if "timeout" in text or "interrupted" in text or "killed" in text:
            return StoreTimeoutError(f"{self.identity} gave up: {text}")
        return StoreError(f"{self.identity} refused: {text}")


def _started(connection: HTTPConnection, send: Any) -> None:
    """Send a request, so that the thread that withdraws it finds its connection."""
    request: _Request = _asking.request
    request.connection = connection
    send()
    if request.withdrawn:
        request.withdraw()
