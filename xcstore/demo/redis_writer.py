"""Writes into Redis as the TypeScript runtime does: for demonstrations and tests, as we only read Redis.

Events are members of the sorted sets `fsm:events:<instance>` and `fsm:events:all`, by time, and strings at
`fsm:event:<id>`; snapshots are strings at `fsm:snapshot:<instance>`, listed in the set `fsm:snapshots:all`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

import redis

from xcstore.config import hide_password
from xcstore.errors import ConfigError, StoreUnavailableError
from xcstore.jsontext import json_text
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.store.codec import event_to_document, snapshot_to_document

__all__ = ["RedisWriter"]

_BATCH: Final = 1_000


class RedisWriter:
    """The keys of one Redis database. Use as a context manager, or call `close`.

    Nothing is checked: an id that is there is written again, as that runtime would.

    Parameters
    ----------
    url : str
        ``redis://host:port/0``; with ``?prefix=shop``, keys start with it and not with `fsm`.

    Attributes
    ----------
    client : redis.Redis
        For what else is to be put there.
    identity : str
        The URL without password.

    Raises
    ------
    ConfigError
        The URL is none of a Redis database.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.prefix: Final = parse_qs(parts.query).get("prefix", ["fsm"])[0]
        self.identity: Final = hide_password(url)
        try:
            self.client: Final[Any] = redis.Redis.from_url(parts._replace(query="").geturl())
        except ValueError:
            raise ConfigError(f"{self.identity} is no URL of a Redis database, such as redis://host:6379/0") from None

    def count_keys(self) -> int:
        """Keys in the database, of anybody; `StoreUnavailableError` where it cannot be reached."""
        try:
            return int(self.client.dbsize())
        except redis.RedisError as error:
            raise StoreUnavailableError(f"{self.identity} cannot be reached: {hide_password(str(error))}") from None

    def key(self, *parts: str) -> str:
        return ":".join((self.prefix, *parts))

    def append(self, event: PersistedEvent) -> None:
        self.append_many([event])

    def append_many(self, events: Iterable[PersistedEvent]) -> int:
        """Add them; returns how many."""
        count = 0
        remaining = iter(events)
        while batch := list(islice(remaining, _BATCH)):
            with self.client.pipeline(transaction=False) as pipeline:
                for event in batch:
                    text = json_text(event_to_document(event))
                    self._put(pipeline, event.id, event.instance_id, event.persisted_at, text)
                pipeline.execute()
            count += len(batch)
        return count

    def add_text(self, event_id: str, instance_id: str, persisted_at: float, text: str) -> None:
        """An event of which any text is stored."""
        with self.client.pipeline(transaction=False) as pipeline:
            self._put(pipeline, event_id, instance_id, persisted_at, text)
            pipeline.execute()

    def save_snapshot(self, snapshot: InstanceSnapshot) -> None:
        self.save_snapshots([snapshot])

    def save_snapshots(self, snapshots: Iterable[InstanceSnapshot]) -> int:
        """Save them in their order; returns how many. The last one of an instance is kept."""
        count = 0
        remaining = iter(snapshots)
        while batch := list(islice(remaining, _BATCH)):
            with self.client.pipeline(transaction=False) as pipeline:
                for snapshot in batch:
                    instance_id = snapshot.instance.id
                    pipeline.set(self.key("snapshot", instance_id), json_text(snapshot_to_document(snapshot)))
                    pipeline.sadd(self.key("snapshots", "all"), instance_id)
                pipeline.execute()
            count += len(batch)
        return count

    def delete_snapshot(self, instance_id: str) -> None:
        self.client.delete(self.key("snapshot", instance_id))
        self.client.srem(self.key("snapshots", "all"), instance_id)

    def close(self) -> None:
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, pipeline: Any, event_id: str, instance_id: str, persisted_at: float, text: str) -> None:
        pipeline.zadd(self.key("events", instance_id), {text: persisted_at})
        pipeline.zadd(self.key("events", "all"), {text: persisted_at})
        pipeline.set(self.key("event", event_id), text)
