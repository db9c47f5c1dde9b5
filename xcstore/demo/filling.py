"""The demo history, put into any backend: as one of ours, or as its own writer would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from xcstore.demo.generator import generate_demo
from xcstore.demo.report import DemoReport
from xcstore.errors import LimitExceededError, QueryError, ReadOnlyStoreError
from xcstore.store.base import EventQuery, StoredDefinition, Stores
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores

__all__ = ["Filled", "fill_demo"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What went into a store."""

    report: DemoReport
    identity: str
    events: int
    events_left_out: int
    """They have values that this backend cannot hold."""
    snapshots_left_out: int
    reason: str
    """Why the first of these was left out; '' where none was."""


def fill_demo(url: str, *, seed: int = 7, days: int = 30, on_progress: Callable[[float], None] | None = None) -> Filled:
    """Put the demo history into an empty store. What its backend cannot hold is left out, and counted.

    Parameters
    ----------
    url : str
        Any store that can be written, or Redis, into which it goes as the TypeScript runtime writes.
    seed, days : int
        As `generate_demo`.
    on_progress : callable, optional
        Told the part that is done, from 0 to 1.

    Raises
    ------
    QueryError
        Something is in it.
    StoreError
        It failed or refused.
    """
    with ExitStack() as stack:
        stores, identity = _open_for_filling(url, stack)
        events = _Sieve(stores.events.append_many)
        snapshots = _Sieve(stores.snapshots.save_snapshots)
        sieved = Stores(
            events=_with(stores.events, append_many=events.put),
            snapshots=_with(stores.snapshots, save_snapshots=snapshots.put),
            definitions=_with(stores.definitions, save_definition=_where_kept(stores.definitions.save_definition)),
        )
        report = generate_demo(sieved, seed=seed, days=days, on_progress=on_progress)
    return Filled(
        report=report,
        identity=identity,
        events=events.held,
        events_left_out=events.left_out,
        snapshots_left_out=snapshots.left_out,
        reason=events.reason or snapshots.reason,
    )


def _open_for_filling(url: str, stack: ExitStack) -> tuple[Stores, str]:
    """The stores to write into, empty, and what the store is called."""
    if not url.startswith(("redis:", "rediss:")):
        stores = stack.enter_context(open_stores(url, read_only=False))
        held = stores.events.count(EventQuery())[0].count
        _refuse_full(stores.identity, held, "event")
        return stores, stores.identity
    from xcstore.demo.redis_writer import RedisWriter  # its driver takes a while to import

    writer: Any = stack.enter_context(RedisWriter(url))
    _refuse_full(writer.identity, writer.count_keys(), "key")
    return Stores(events=writer, snapshots=writer, definitions=open_memory_stores().definitions), writer.identity


def _refuse_full(identity: str, held: int, noun: str) -> None:
    if held:
        nouns = noun if held == 1 else f"{noun}s"
        raise QueryError(f"{identity} holds {held:,} {nouns} already; the demo goes into an empty store only")


class _Sieve:
    """Puts batches into a store, without what it refuses as beyond its limits."""

    def __init__(self, put: Callable[[Sequence[Any]], int]) -> None:
        self._put = put
        self.held = 0
        self.left_out = 0
        self.reason = ""

    def put(self, batch: Sequence[Any]) -> int:
        """Returns how many were handed in: the generator counts its progress by them."""
        try:
            self.held += self._put(batch)
        except LimitExceededError as error:
            if len(batch) == 1:
                self.left_out += 1
                self.reason = self.reason or str(error)
            else:
                # A batch goes in whole or not at all, so the halves are tried until what is refused stands alone.
                middle = len(batch) // 2
                self.put(batch[:middle])
                self.put(batch[middle:])
        return len(batch)


def _where_kept(save: Callable[[StoredDefinition], None]) -> Callable[[StoredDefinition], None]:
    """Definitions are saved in stores that have a place for them."""

    def save_definition(definition: StoredDefinition) -> None:
        with suppress(ReadOnlyStoreError):
            save(definition)

    return save_definition


def _with(store: T, **methods: Callable[..., object]) -> T:
    """The store, with some of its methods replaced."""
    changed: Any = _Changed(store, methods)
    result: T = changed
    return result


class _Changed:
    def __init__(self, store: object, methods: dict[str, Callable[..., object]]) -> None:
        self._store = store
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        return self._methods[name] if name in self._methods else getattr(self._store, name)
