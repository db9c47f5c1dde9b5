"""What a runtime keeps, and where: the settings, from keywords, from the environment, or by what stores were given."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Protocol

from xcstore.config import Settings
from xcstore.errors import ConfigError
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.store.base import DefinitionStore, Stores
from xcstore.store.memory import InMemoryEventStore, InMemorySnapshotStore

__all__ = ["EventSink", "PersistenceConfig", "SnapshotSink", "persistence_from"]

DEFAULT_SNAPSHOT_INTERVAL: Final = 10

_VARIABLES: Final = (
    "EVENT_SOURCING_ENABLED",
    "SNAPSHOTS_ENABLED",
    "SNAPSHOT_INTERVAL",
    "SNAPSHOT_RETENTION_COUNT",
)
"""Those that speak to a runtime. A wrong value of another one must not keep it from starting."""


class EventSink(Protocol):
    """The one thing that the runtime asks of an event store; every `EventStore` has it."""

    def append(self, event: PersistedEvent, *, expected_last_id: str | None = None) -> None: ...


class SnapshotSink(Protocol):
    """The one thing that the running engine asks of a snapshot store."""

    def save_snapshot(self, snapshot: InstanceSnapshot) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistenceConfig:
    """What is kept, and where. Several components may share the same stores.

    Parameters
    ----------
    event_sourcing : bool, optional
        Whether events are appended to `event_store`.
    snapshots : bool, optional
        Whether snapshots are saved to `snapshot_store`.
    snapshot_interval : int, optional
        Transitions of one instance between two snapshots; its end always makes one.
    event_store : EventSink, optional
    snapshot_store : SnapshotSink, optional
        How many snapshots of an instance are kept is a matter of the store.
    definition_store : DefinitionStore, optional
        Where the component's document is kept beside the events that it governed.

    Raises
    ------
    ConfigError
        A value is not of its kind, or `snapshot_interval` is below 1.

    Notes
    -----
    What is left at None is settled by `resolve`: by the environment variables EVENT_SOURCING_ENABLED,
    SNAPSHOTS_ENABLED and SNAPSHOT_INTERVAL; where these are not set, what has a store is on, and the rest is off.

    Examples
    --------
    >>> settled = PersistenceConfig(event_store=InMemoryEventStore()).resolve({})
    >>> settled.event_sourcing, settled.snapshots, settled.snapshot_interval
    (True, False, 10)
    >>> PersistenceConfig().resolve({"SNAPSHOTS_ENABLED": "yes", "SNAPSHOT_INTERVAL": "50"}).snapshot_interval
    50
    """

    event_sourcing: bool | None = None
    snapshots: bool | None = None
    snapshot_interval: int | None = None
    event_store: EventSink | None = None
    snapshot_store: SnapshotSink | None = None
    definition_store: DefinitionStore | None = None

    def __post_init__(self) -> None:
        for name in ("event_sourcing", "snapshots"):
            if (flag := getattr(self, name)) is not None and not isinstance(flag, bool):
                raise ConfigError(f"{name} is {flag!r}; it must be True or False")
        if self.snapshot_interval is not None:
            if type(self.snapshot_interval) is not int:  # a mapping may hold anything, True and 10.0 too
                raise ConfigError(f"snapshot_interval is {self.snapshot_interval!r}; it must be a whole number")
            if self.snapshot_interval < 1:
                raise ConfigError(f"snapshot_interval is {self.snapshot_interval}; it counts transitions, from 1 on")
        for name, method in (("event_store", "append"), ("snapshot_store", "save_snapshot")):
            store = getattr(self, name)
            if store is not None and not hasattr(store, method):
                # The value is not shown: it may be a URL with a password.
                kind = type(store).__name__
                raise ConfigError(f"{name} has no {method}(): it is of type {kind}; give an opened store")

    @classmethod
    def of(
        cls,
        stores: Stores,
        *,
        event_sourcing: bool | None = None,
        snapshots: bool | None = None,
        snapshot_interval: int | None = None,
    ) -> PersistenceConfig:
        """Everything into what one URL opened."""
        return cls(
            event_sourcing=event_sourcing,
            snapshots=snapshots,
            snapshot_interval=snapshot_interval,
            event_store=stores.events,
            snapshot_store=stores.snapshots,
            definition_store=stores.definitions,
        )

    def resolve(self, environment: Mapping[str, str] = os.environ) -> PersistenceConfig:
        """The same with nothing left open; what is settled already stays.

        What is on has a store afterwards, one of its own in memory where none was given. SNAPSHOT_RETENTION_COUNT
        says how many snapshots of an instance that one keeps. What is off is not written, also where it has a store.

        Raises
        ------
        ConfigError
            A variable cannot be read.
        """
        asked = {name: environment[name] for name in _VARIABLES if environment.get(name, "").strip()}
        settings = Settings.from_mapping(asked)
        event_sourcing, snapshots, interval = self.event_sourcing, self.snapshots, self.snapshot_interval
        event_store, snapshot_store = self.event_store, self.snapshot_store
        if event_sourcing is None:
            named = "EVENT_SOURCING_ENABLED" in asked
            event_sourcing = settings.event_sourcing_enabled if named else event_store is not None
        if snapshots is None:
            snapshots = settings.snapshots_enabled if "SNAPSHOTS_ENABLED" in asked else snapshot_store is not None
        if interval is None:
            interval = settings.snapshot_interval if "SNAPSHOT_INTERVAL" in asked else DEFAULT_SNAPSHOT_INTERVAL
        if event_sourcing and event_store is None:
            event_store = InMemoryEventStore()
        if snapshots and snapshot_store is None:
            snapshot_store = InMemorySnapshotStore(retention=settings.snapshot_retention_count)
        return replace(
            self,
            event_sourcing=event_sourcing,
            snapshots=snapshots,
            snapshot_interval=interval,
            event_store=event_store,
            snapshot_store=snapshot_store,
        )


def persistence_from(
    persistence: PersistenceConfig | Stores | Mapping[str, object] | None = None,
    *,
    event_sourcing: bool | None = None,
    snapshots: bool | None = None,
    snapshot_interval: int | None = None,
    event_store: EventSink | None = None,
    snapshot_store: SnapshotSink | None = None,
    definition_store: DefinitionStore | None = None,
    environment: Mapping[str, str] = os.environ,
) -> PersistenceConfig:
    """The settled configuration of a runtime, from an object, a mapping with the names of its fields, or keywords.

    Raises
    ------
    ConfigError
        Both `persistence` and keywords are given; the mapping has an unknown name; or a value cannot be used.

    Examples
    --------
    >>> persistence_from(event_sourcing=True, snapshot_interval=20, environment={}).snapshot_interval
    20
    """
    keywords: dict[str, Any] = {
        "event_sourcing": event_sourcing,
        "snapshots": snapshots,
        "snapshot_interval": snapshot_interval,
        "event_store": event_store,
        "snapshot_store": snapshot_store,
        "definition_store": definition_store,
    }
    given = {name: value for name, value in keywords.items() if value is not None}
    if persistence is None:
        return PersistenceConfig(**given).resolve(environment)
    if given:
        names = ", ".join(given)
        raise ConfigError(f"persistence is given, and {names} beside it; put {names} into persistence, or leave it out")
    if isinstance(persistence, Stores):
        persistence = PersistenceConfig.of(persistence)
    if not isinstance(persistence, PersistenceConfig):
        if not isinstance(persistence, Mapping):
            kind = type(persistence).__name__
            raise ConfigError(f"persistence is of type {kind}; give a PersistenceConfig, opened Stores, or a mapping")
        persistence = PersistenceConfig(**_known(persistence))
    return persistence.resolve(environment)


def _known(mapping: Mapping[str, object]) -> dict[str, Any]:
    names = [field.name for field in fields(PersistenceConfig)]
    for name in mapping:
        if name not in names:
            close = difflib.get_close_matches(str(name), names, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
            raise ConfigError(f"persistence has no setting {name!r}; {hint}")
    return dict(mapping)
