"""Read, trace, replay and restore the event histories of state machines.

    from xcstore import EventQuery, events_frame, open_stores

    with open_stores("sqlite:///data/demo.db") as stores:
        events = events_frame(stores.events, EventQuery(machines=("Order",)), limit=1_000)

Names are imported when they are first used: the diagram worker and the command line start without pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xcstore.config import Settings
    from xcstore.errors import XcstoreError
    from xcstore.frames import events_frame, events_to_frame, instances_to_frame, snapshots_to_frame
    from xcstore.model.catalog import Catalog
    from xcstore.model.definition import Component, StateMachine
    from xcstore.model.history import Instance, InstanceSnapshot, PersistedEvent
    from xcstore.model.loader import load_component, load_folder
    from xcstore.notebook import correlate, critical_path, history, trace, verify
    from xcstore.ops.importing import import_files
    from xcstore.redaction import Redaction
    from xcstore.runtime.clock import SimulatedClock, SystemClock
    from xcstore.runtime.engine import FSMRuntime
    from xcstore.runtime.interpreter import Event
    from xcstore.runtime.persistence import PersistenceConfig
    from xcstore.runtime.registry import ComponentRegistry
    from xcstore.runtime.restoring import RestoreReport
    from xcstore.store.base import EventQuery, EventStore, InstanceQuery, SnapshotStore, Stores
    from xcstore.store.memory import InMemoryEventStore, InMemorySnapshotStore
    from xcstore.store.mongodb_stores import MongoDBEventStore, MongoDBSnapshotStore
    from xcstore.store.opening import open_stores
    from xcstore.store.postgresql_stores import PostgreSQLEventStore, PostgreSQLSnapshotStore

__all__ = [
    "Catalog",
    "Component",
    "ComponentRegistry",
    "Event",
    "EventQuery",
    "EventStore",
    "FSMRuntime",
    "InMemoryEventStore",
    "InMemorySnapshotStore",
    "Instance",
    "InstanceQuery",
    "InstanceSnapshot",
    "MongoDBEventStore",
    "MongoDBSnapshotStore",
    "PersistedEvent",
    "PersistenceConfig",
    "PostgreSQLEventStore",
    "PostgreSQLSnapshotStore",
    "Redaction",
    "RestoreReport",
    "Settings",
    "SimulatedClock",
    "SnapshotStore",
    "StateMachine",
    "Stores",
    "SystemClock",
    "XcstoreError",
    "correlate",
    "critical_path",
    "events_frame",
    "events_to_frame",
    "history",
    "import_files",
    "instances_to_frame",
    "load_component",
    "load_folder",
    "open_stores",
    "snapshots_to_frame",
    "trace",
    "verify",
]

_HOMES = {
    "Catalog": "model.catalog",
    "Component": "model.definition",
    "ComponentRegistry": "runtime.registry",
    "Event": "runtime.interpreter",
    "EventQuery": "store.base",
    "EventStore": "store.base",
    "FSMRuntime": "runtime.engine",
    "InMemoryEventStore": "store.memory",
    "InMemorySnapshotStore": "store.memory",
    "Instance": "model.history",
    "InstanceQuery": "store.base",
    "InstanceSnapshot": "model.history",
    "MongoDBEventStore": "store.mongodb_stores",
    "MongoDBSnapshotStore": "store.mongodb_stores",
    "PersistedEvent": "model.history",
    "PersistenceConfig": "runtime.persistence",
    "PostgreSQLEventStore": "store.postgresql_stores",
    "PostgreSQLSnapshotStore": "store.postgresql_stores",
    "Redaction": "redaction",
    "RestoreReport": "runtime.restoring",
    "Settings": "config",
    "SimulatedClock": "runtime.clock",
    "SnapshotStore": "store.base",
    "StateMachine": "model.definition",
    "Stores": "store.base",
    "SystemClock": "runtime.clock",
    "XcstoreError": "errors",
    "correlate": "notebook",
    "critical_path": "notebook",
    "events_frame": "frames",
    "events_to_frame": "frames",
    "history": "notebook",
    "import_files": "ops.importing",
    "instances_to_frame": "frames",
    "load_component": "model.loader",
    "load_folder": "model.loader",
    "open_stores": "store.opening",
    "snapshots_to_frame": "frames",
    "trace": "notebook",
    "verify": "notebook",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
