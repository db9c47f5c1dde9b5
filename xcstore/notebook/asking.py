"""The questions. Each opens the store that a URL names, asks, and closes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from xcstore.analysis import critical_path as paths
from xcstore.analysis.causality import Mode
from xcstore.model.catalog import Catalog
from xcstore.notebook.results import InstanceEvents, PathResult, VerifyResult
from xcstore.notebook.traces import EventTrace, KeyTrace
from xcstore.ops import verifying
from xcstore.queries import correlation as keys
from xcstore.queries.causality import neighbourhood
from xcstore.queries.critical_path import with_streams
from xcstore.queries.definitions import stored_definitions
from xcstore.queries.instances import instance_history
from xcstore.store.base import Direction, Stores
from xcstore.store.opening import open_stores

__all__ = ["correlate", "critical_path", "history", "trace", "verify"]


@contextmanager
def _opened(where: str | Stores) -> Iterator[Stores]:
    """What was opened here is closed here; what was given stays as it is."""
    if isinstance(where, Stores):
        yield where
        return
    with open_stores(where, read_only=True) as stores:
        yield stores


def trace(
    where: str | Stores,
    event_id: str,
    *,
    direction: Direction = "both",
    mode: Mode = "recorded",
    max_events: int = 1_000,
    max_depth: int | None = None,
    definitions: Catalog | None = None,
) -> EventTrace:
    """What caused an event, and what it caused.

    Parameters
    ----------
    where : str or Stores
        The URL of a store, as `open_stores` takes it, or a store that is open.
    direction : {'both', 'causes', 'effects'}
    mode : {'recorded', 'repaired', 'both'}
        Links as recorded; with doubtful ones replaced by inferred ones; or both.
    max_events : int
        Most events; what is cut is farthest, and `shown` says so.
    max_depth : int, optional
        Most steps from the event.
    definitions : Catalog, optional
        For links that are inferred from them; those kept in the store without it.

    Raises
    ------
    NotFoundError
        The event is not in the store.
    QueryError
        There is no such direction or mode, or a limit is too small.
    StoreError
        The store cannot be reached or read.

    Examples
    --------
    >>> from xcstore import PersistedEvent, open_stores, trace
    >>> stores = open_stores("memory://")
    >>> fields = dict(instance_id="o1", machine_name="Order", component_name="Shop")
    >>> paid = PersistedEvent(id="e1", event_type="PAY", persisted_at=0, **fields)
    >>> sent = PersistedEvent(id="e2", event_type="SEND", persisted_at=40, caused_by=("e1",), **fields)
    >>> stores.events.append_many([paid, sent])
    2
    >>> found = trace(stores, "e1")
    >>> print(found)
    EventTrace of 'e1' (PAY of Order, component Shop)
    2 events, 1 link
    >>> [event.id for event in found]
    ['e1', 'e2']
    >>> found.links[["cause_id", "effect_id", "provenance", "gap_ms"]].to_dict("records")
    [{'cause_id': 'e1', 'effect_id': 'e2', 'provenance': 'recorded', 'gap_ms': 40}]
    """
    with _opened(where) as stores:
        catalog = stored_definitions(stores.definitions).catalog if definitions is None else definitions
        found = neighbourhood(
            stores,
            event_id,
            direction=direction,
            mode=mode,
            max_events=max_events,
            max_depth=max_depth,
            catalog=catalog,
        )
    return EventTrace(found, catalog, where)


def history(where: str | Stores, instance_id: str, *, max_events: int = 5_000) -> InstanceEvents:
    """The stream of one instance, its newest `max_events` events, and its snapshots.

    Raises
    ------
    NotFoundError
        No event of that instance is stored.
    StoreError
        The store cannot be reached or read.

    Examples
    --------
    >>> from xcstore import PersistedEvent, history, open_stores
    >>> stores = open_stores("memory://")
    >>> stores.events.append(
    ...     PersistedEvent(
    ...         id="e1",
    ...         instance_id="o1",
    ...         machine_name="Order",
    ...         event_type="PAY",
    ...         state_after="Paid",
    ...         persisted_at=0,
    ...     )
    ... )
    >>> print(history(stores, "o1"))
    InstanceEvents of 'o1' (Order, no component), now in Paid
    1 event, 0 snapshots
    """
    with _opened(where) as stores:
        return InstanceEvents(instance_history(stores, instance_id, max_events=max_events))


def correlate(
    where: str | Stores,
    key: str,
    path: Sequence[str] = (),
    *,
    mode: Mode = "recorded",
    definitions: Catalog | None = None,
) -> KeyTrace:
    """Everything that a business key touched, across all components.

    Parameters
    ----------
    where : str or Stores
        As `trace`.
    key : str
        The whole value, such as 'ORD-123'.
    path : sequence of str, optional
        Where payloads hold it, key by key: ``("order", "id")``. Faster; without it, it may be anywhere.
    mode : {'recorded', 'repaired', 'both'}
        As `trace`.

    Raises
    ------
    QueryError
        The path is masked.
    StoreError
        The store cannot be reached or read.

    Examples
    --------
    >>> from xcstore import PersistedEvent, correlate, open_stores
    >>> stores = open_stores("memory://")
    >>> stores.events.append(
    ...     PersistedEvent(
    ...         id="e1",
    ...         instance_id="o1",
    ...         machine_name="Order",
    ...         event_type="PAY",
    ...         payload={"order": {"id": "ORD-123"}},
    ...         persisted_at=0,
    ...     )
    ... )
    >>> print(correlate(stores, "ORD-123", ("order", "id")))
    KeyTrace of 'ORD-123' at order.id
    1 event, 0 links, 1 instance
    """
    if isinstance(path, str):
        path = (path,)
    with _opened(where) as stores:
        found = keys.correlation(stores, key, tuple(path))
        catalog = stored_definitions(stores.definitions).catalog if definitions is None else definitions
        return KeyTrace(found, keys.as_neighbourhood(stores, found, mode=mode, catalog=catalog), catalog)


def critical_path(found: EventTrace | KeyTrace, target_id: str | None = None, *, streams: bool = True) -> PathResult:
    """The chain that set the time of an event, and what its time was spent on.

    Parameters
    ----------
    found : EventTrace or KeyTrace
        The events and links it is looked for among; ask `trace` for causes, or both.
    target_id : str, optional
        Where the path ends; the last event by time without it.
    streams : bool
        Whether the store of a trace is asked once more, for what else happened to its instances meanwhile: an event
        from outside that was waited for has no cause, so no trace holds it. A business key has them already.

    Raises
    ------
    NotFoundError
        `target_id` is not among the events.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from xcstore import PersistedEvent, critical_path, open_stores, trace
    >>> stores = open_stores("memory://")
    >>> fields = dict(instance_id="o1", machine_name="Order", component_name="Shop")
    >>> one = PersistedEvent(id="e1", event_type="PAY", persisted_at=0, **fields)
    >>> two = PersistedEvent(id="e2", event_type="LATE", persisted_at=5_000, payload={"reason": "timeout"}, **fields)
    >>> stores.events.append_many([one, replace(two, caused_by=("e1",))])
    2
    >>> print(critical_path(trace(stores, "e2")))
    PathResult to 'e2': 5 s in 1 segment
    timer 5 s
    """
    graph, cut = found.graph, False
    if streams and isinstance(found, EventTrace):
        with _opened(found.where) as stores:
            wide = with_streams(stores, found.neighbourhood, catalog=found.definitions)
        graph, cut, target_id = wide.graph, wide.cut, target_id or wide.target_id
    return PathResult(paths.critical_path(graph, target_id=target_id, catalog=found.definitions), graph.events, cut=cut)


def verify(
    where: str | Stores, *, kinds: Sequence[str] = (), limit: int = 1_000, definitions: Catalog | None = None
) -> VerifyResult:
    """What is wrong with a store: everything is read once.

    Parameters
    ----------
    where : str or Stores
        As `trace`.
    kinds : sequence of str, optional
        Kinds of findings to look for (`analysis.integrity.KINDS`); all without it.
    limit : int
        Most findings of a kind that are kept; all are counted.

    Raises
    ------
    StoreError
        The store cannot be reached or read.

    Examples
    --------
    >>> from xcstore import PersistedEvent, open_stores, verify
    >>> stores = open_stores("memory://")
    >>> stores.events.append(
    ...     PersistedEvent(
    ...         id="e1",
    ...         instance_id="o1",
    ...         machine_name="Order",
    ...         event_type="PAY",
    ...         caused_by=("gone",),
    ...         persisted_at=0,
    ...     )
    ... )
    >>> [(row.kind, row.event_id) for row in verify(stores, kinds=["dangling_cause"]).findings.itertuples()]
    [('dangling_cause', 'e1')]
    """
    with _opened(where) as stores:
        return VerifyResult(verifying.verify(stores, definitions, kinds=tuple(kinds), limit=limit))
