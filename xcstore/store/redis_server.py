"""A Redis server that is only read: which commands are sent, and errors in our words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from xcstore.errors import ConfigError, NotAStoreError, StoreError, StoreTimeoutError, StoreUnavailableError
from xcstore.store.base import PoolUse
from xcstore.store.scanned_rows import parse_stored
from xcstore.store.unreachable import why_unreachable

__all__ = ["RedisServer", "fields_of"]

_CONNECTIONS: Final = 20
_CONNECT_SECONDS: Final = 2.0
_COMMANDS: Final = {
    *("DBSIZE", "INFO", "PING", "TYPE"),
    *("EXISTS", "GET", "MGET", "HGETALL", "SSCAN"),
    *("ZCARD", "ZCOUNT", "ZRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZSCORE"),
}
"""All that is ever sent. None of them writes, and none looks for keys."""

Members = list[tuple[bytes, float]]


class RedisServer:
    """One database of a Redis server, and the keys of one writer in it. Safe to share between threads.

    Parameters
    ----------
    url : str
        ``redis://[user:password@]host[:port][/number][?prefix=fsm]``; ``rediss://`` for TLS.
    statement_timeout_ms : int
        How long one command may take.

    Raises
    ------
    ConfigError
        The URL cannot be read.
    """

    def __init__(self, url: str, *, statement_timeout_ms: int) -> None:
        try:
            parts = urlsplit(url)
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
            port, number = parts.port or 6379, int(parts.path.strip("/") or 0)
        except ValueError:
            raise ConfigError("the Redis URL cannot be read; write redis://host:6379/0, the number last") from None
        if not parts.hostname:
            raise ConfigError("the Redis URL names no host; write redis://host:6379/0")
        self.prefix: Final = options.pop("prefix", "fsm")
        if options or not self.prefix:
            wrong = f"option {next(iter(options))!r}" if options else "empty prefix"
            raise ConfigError(f"the Redis URL has an {wrong}; what can be given is ?prefix=name, 'fsm' where it is not")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        user = f"{parts.username}@" if parts.username else ""
        suffix = "" if self.prefix == "fsm" else f"?prefix={self.prefix}"
        self.identity: Final = f"{parts.scheme}://{user}{host}:{port}/{number}{suffix}"
        self.statement_timeout_ms: Final = statement_timeout_ms
        self._pool: Final = redis.BlockingConnectionPool(  # type: ignore[no-untyped-call]
            max_connections=_CONNECTIONS,
            timeout=_CONNECT_SECONDS,
            connection_class=redis.SSLConnection if parts.scheme == "rediss" else redis.Connection,
            host=parts.hostname,
            port=port,
            db=number,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            client_name="xcstore",
            protocol=2,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=statement_timeout_ms / 1000,
            # At once and once: the server may have been started again since the connection was last used.
            retry=Retry(NoBackoff(), 1),
            retry_on_error=[redis.ConnectionError],
        )
        self._client: Final = redis.Redis(connection_pool=self._pool)

    def key(self, *parts: str) -> bytes:
        # What is no valid text is asked for like anything else, and not found.
        return ":".join((self.prefix, *parts)).encode("utf-8", "surrogatepass")

    def ask(self, *command: str | int | bytes) -> Any:
        """The answer to one command, as the driver gives it."""
        (answer,) = self.ask_all([command])
        return answer

    def ask_all(self, commands: Sequence[tuple[str | int | bytes, ...]], *, wrong_types: bool = False) -> list[Any]:
        """The answers to several, in one trip. With `wrong_types`, None stands for a key of another type."""
        for command in commands:
            if command[0] not in _COMMANDS:
                raise AssertionError(f"{command[0]!r} is not among the commands that only read")
        if not commands:
            return []
        with self._translated():
            if len(commands) == 1 and not wrong_types:
                return [self._client.execute_command(*commands[0])]  # type: ignore[no-untyped-call]
            pipeline = self._client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
            answers = pipeline.execute(raise_on_error=False)
            for position, answer in enumerate(answers):
                if wrong_types and isinstance(answer, redis.ResponseError) and _is_wrong_type(answer):
                    answers[position] = None
                elif isinstance(answer, Exception):
                    raise answer
            return answers

    def members(self, *command: str | int | bytes) -> Members:
        """Members of a sorted set with their scores; `command` without WITHSCORES."""
        flat = self.ask(*command, "WITHSCORES")
        # Through a pipeline or not, with one protocol or the other, the driver pairs them or leaves them flat.
        if flat and not isinstance(flat[0], (tuple, list)):
            return [(flat[place], float(flat[place + 1])) for place in range(0, len(flat), 2)]
        return [(member, float(score)) for member, score in flat]

    def texts(self, keys: Iterable[bytes]) -> list[bytes | None]:
        """Values of keys that hold text; None for those that do not."""
        names = list(keys)
        found: list[bytes | None] = self.ask("MGET", *names) if names else []
        return found

    def pool_use(self) -> PoolUse:
        (idle, _), (used, _) = self._pool.get_connection_count()
        return PoolUse(maximum=_CONNECTIONS, open=idle + used, in_use=used)

    def close(self) -> None:
        self._pool.disconnect()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, OSError) as error:
            raise self._translation(error) from error

    def _translation(self, error: Exception) -> StoreError:
        text = str(error)
        if isinstance(error, redis.TimeoutError) and "connecting" not in text:
            return StoreTimeoutError(f"{self.identity} took longer than {self.statement_timeout_ms / 1000:g} s")
        if isinstance(error, redis.AuthenticationError) or "NOAUTH" in text or "WRONGPASS" in text:
            return StoreUnavailableError(f"{self.identity} does not accept this user and password")
        if isinstance(error, redis.exceptions.NoPermissionError):
            return StoreUnavailableError(f"{self.identity} does not let this user read the keys of the store")
        if isinstance(error, redis.BusyLoadingError):
            return StoreUnavailableError(f"{self.identity} is still loading its data; try again")
        if isinstance(error, redis.ResponseError) and _is_wrong_type(error):
            return NotAStoreError(
                f"{self.identity} has a key of another kind where a store has its events; see ?prefix= in the URL"
            )
        if isinstance(error, redis.ResponseError):
            return StoreError(f"{self.identity} refused: {text}")
        return StoreUnavailableError(f"{self.identity} cannot be reached: {why_unreachable(error)}")


def _is_wrong_type(error: redis.ResponseError) -> bool:
    return "WRONGTYPE" in str(error)


def fields_of(answer: Mapping[bytes, bytes] | Sequence[bytes]) -> Mapping[str, object]:
    """The document of a hash: a field that holds JSON of an object or a list is that, any other is text."""
    fields = answer if isinstance(answer, Mapping) else dict(zip(answer[::2], answer[1::2], strict=True))
    document: dict[str, object] = {}
    for name, value in fields.items():
        parsed = None
        if value[:1] in (b"{", b"["):
            parsed, _ = parse_stored(b'{"value":' + value + b"}")
        document[name.decode("utf-8", "replace")] = (
            value.decode("utf-8", "replace") if parsed is None else parsed["value"]
        )
    return document
