"""The code examples of the specification, translated: one test for each, in its order.

`EXAMPLES` is the list of them; a test holds it against the document.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.api_serving import get, served
from tests.contract import foreign, others
from tests.factories import START, event, snapshot
from tests.servers.postgresql import PostgresServer
from xcstore import (
    ComponentRegistry,
    FSMRuntime,
    InMemoryEventStore,
    InMemorySnapshotStore,
    InstanceSnapshot,
    MongoDBEventStore,
    MongoDBSnapshotStore,
    PersistedEvent,
    PostgreSQLEventStore,
    PostgreSQLSnapshotStore,
    Settings,
    SimulatedClock,
    open_stores,
)
from xcstore.errors import DuplicateEventError
from xcstore.model.definition import Component
from xcstore.model.history import PendingTimeout
from xcstore.model.loader import parse_component
from xcstore.runtime import PersistenceConfig
from xcstore.store.base import Stores
from xcstore.store.codec import event_to_document
from xcstore.units import DAY, EpochMs

SPECIFICATION = Path(__file__).parents[2] / ".." / "shared" / "SPECIFICATION.md"

# Section, language, and the test that is the example in Python.
EXAMPLES = [
    ("Configuration", "typescript", "test_configuration"),
    ("In-Memory Storage", "typescript", "test_in_memory_storage"),
    ("EventStore Interface", "typescript", "test_event_store_interface"),
    ("SnapshotStore Interface", "typescript", "test_snapshot_store_interface"),
    ("Schema", "sql", "test_schema"),
    ("Implementation", "typescript", "test_postgresql_implementation"),
    ("Usage", "typescript", "test_postgresql_usage"),
    ("MongoDB Implementation", "typescript", "test_mongodb_implementation"),
    ("Usage", "typescript", "test_mongodb_usage"),
    ("Component Name Tracking", "typescript", "test_component_name_tracking"),
    ("Tracing Across Components", "typescript", "test_tracing_across_components"),
    ("API Endpoints", "bash", "test_api_endpoints"),
    ("Snapshot Frequency", "typescript", "test_snapshot_frequency"),
    ("Event Retention", "typescript", "test_event_retention"),
    ("Backup Strategy", "bash", "test_backup_strategy"),
    ("Disaster Recovery", "typescript", "test_disaster_recovery"),
    ("Monitoring", "typescript", "test_monitoring"),
    ("Connection Pooling", "typescript", "test_connection_pooling"),
    ("Cross-Component Shared Stores", "typescript", "test_cross_component_shared_stores"),
    ("Environment Variables", "bash", "test_environment_variables"),
]

ORDERS = """
name: Orders
stateMachines:
  - name: Order
    initialState: Open
    states: [{name: Open, type: entry}, {name: Paid}, {name: Late}, {name: Closed, type: final}]
    transitions:
      - {from: Open, to: Open, event: ADD}
      - {from: Open, to: Paid, event: PAY, type: cross_component, targetComponent: Inventory, targetMachine: Pick}
      - {from: Paid, to: Late, event: OVERDUE, type: timeout, timeoutMs: 60000}
      - {from: Paid, to: Closed, event: CLOSE}
"""
INVENTORY = """
name: Inventory
stateMachines:
  - name: Pick
    initialState: Asked
    states: [{name: Asked, type: entry}, {name: Picked}]
    transitions:
      - {from: Asked, to: Picked, event: PICK, type: cross_component, targetComponent: Shipping, targetMachine: Parcel}
"""
SHIPPING = """
name: Shipping
stateMachines:
  - name: Parcel
    initialState: Packed
    states: [{name: Packed, type: entry}, {name: Sent}]
    transitions: [{from: Packed, to: Sent, event: SEND}]
"""


@pytest.fixture
def component() -> Component:
    return parse_component(ORDERS)


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EVENT_SOURCING_ENABLED", "SNAPSHOTS_ENABLED", "SNAPSHOT_INTERVAL", "SNAPSHOT_RETENTION_COUNT"):
        monkeypatch.delenv(name, raising=False)


pytestmark = pytest.mark.usefixtures("no_variables")


def types(events: Any) -> list[str]:
    return [one.event_type for one in events]


# The list of examples


@pytest.fixture
def blocks() -> list[tuple[str, str, str]]:
    """(section, language, text) of each code block of the document."""
    path = Path(os.environ.get("XCSTORE_REFERENCE") or SPECIFICATION.parent / "reference").parent / SPECIFICATION.name
    if not path.is_file():
        message = f"the specification is not at {path}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    found, section = [], ""
    for title, language, text in re.findall(
        r"^#+ ([^\n]*)$|^```([a-z]+)\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        if title:
            section = re.sub(r"^\d+\. |\*\*", "", title)
        else:
            found.append((section, language, text))
    return found


def test_every_example_of_the_document_has_a_test_or_a_reason(blocks: list[tuple[str, str, str]]) -> None:
    assert [(section, language) for section, language, _ in blocks] == [example[:2] for example in EXAMPLES]


def test_every_test_of_an_example_is_here() -> None:
    assert [name for _, _, name in EXAMPLES if name not in globals()] == []


# Configuration


def test_configuration(component: Component) -> None:
    runtime = FSMRuntime(
        component,
        event_sourcing=True,
        snapshots=True,
        snapshot_interval=20,
        event_store=InMemoryEventStore(),
        snapshot_store=InMemorySnapshotStore(),
    )
    order = runtime.create_instance("Order")
    for _ in range(19):
        runtime.send(order, "ADD")
    events, snapshots = runtime.persistence.event_store, runtime.persistence.snapshot_store
    assert isinstance(events, InMemoryEventStore)
    assert isinstance(snapshots, InMemorySnapshotStore)

    assert snapshots.get_snapshot(order) is None
    runtime.send(order, "ADD")
    taken = snapshots.get_snapshot(order)
    assert taken is not None
    assert taken.last_event_id == events.get_events_for_instance(order)[-1].id
    assert len(events.get_events_for_instance(order)) == 21

    by_default = FSMRuntime(component, event_sourcing=True, snapshots=True)  # "Custom stores (optional)", "default: 10"
    assert by_default.persistence.snapshot_interval == 10
    order = by_default.create_instance("Order")
    assert isinstance(by_default.persistence.event_store, InMemoryEventStore)
    assert types(by_default.persistence.event_store.get_all_events()) == ["INSTANCE_CREATED"]


# In-Memory Storage


def test_in_memory_storage(component: Component) -> None:
    event_store = InMemoryEventStore()
    snapshot_store = InMemorySnapshotStore()

    runtime = FSMRuntime(
        component, event_sourcing=True, snapshots=True, event_store=event_store, snapshot_store=snapshot_store
    )
    order = runtime.create_instance("Order", {"customer": "Ada"})
    runtime.send(order, "PAY", {"amount": 10})
    runtime.send(order, "CLOSE")

    assert types(event_store.get_events_for_instance(order)) == ["INSTANCE_CREATED", "PAY", "CLOSE"]
    taken = snapshot_store.get_snapshot(order)
    assert taken is not None
    assert (taken.instance.status, taken.instance.context) == ("completed", {"customer": "Ada", "amount": 10})


# Custom Storage Implementations


class ListStore:
    """An event store with the methods that the specification names, and no more."""

    def __init__(self) -> None:
        self.events: list[PersistedEvent] = []

    def append(self, event: PersistedEvent, *, expected_last_id: str | None = None) -> None:
        self.events.append(event)

    def get_events_for_instance(self, instance_id: str) -> Sequence[PersistedEvent]:
        return [event for event in self.events if event.instance_id == instance_id]

    def get_events_by_time_range(self, start: EpochMs, end: EpochMs) -> Sequence[PersistedEvent]:
        return [event for event in self.events if start <= event.persisted_at <= end]

    def get_caused_events(self, event_id: str) -> Sequence[PersistedEvent]:
        return [event for event in self.events if event_id in event.caused_by]

    def get_all_events(self) -> Iterator[PersistedEvent]:
        return iter(self.events)


class DictStore:
    """A snapshot store with the methods that the specification names, and no more."""

    def __init__(self) -> None:
        self.snapshots: dict[str, InstanceSnapshot] = {}

    def save_snapshot(self, snapshot: InstanceSnapshot) -> None:
        self.snapshots[snapshot.instance.id] = snapshot

    def get_snapshot(self, instance_id: str) -> InstanceSnapshot | None:
        return self.snapshots.get(instance_id)

    def get_all_snapshots(self) -> Iterator[InstanceSnapshot]:
        return iter(self.snapshots.values())

    def delete_snapshot(self, instance_id: str) -> None:
        self.snapshots.pop(instance_id, None)


def test_event_store_interface(component: Component, stores: Stores) -> None:
    first, second, third = (event(instance_id=name) for name in ("i1", "i2", "i1"))
    effect = event(instance_id="i2", caused_by=(first.id,))
    for store in (stores.events, ListStore()):
        for one in (first, second, third, effect):
            store.append(one)

        assert list(store.get_events_for_instance("i1")) == [first, third]
        between = store.get_events_by_time_range(second.persisted_at, third.persisted_at)
        assert list(between) == [second, third]
        assert list(store.get_caused_events(first.id)) == [effect]
        assert list(store.get_all_events()) == [first, second, third, effect]

    custom, registry = ListStore(), ComponentRegistry()
    for text in (ORDERS, INVENTORY):
        registry.register(FSMRuntime(parse_component(text), event_store=custom))
    order = registry.create_instance("Orders", "Order")
    registry.send("Orders", order, "PAY")

    assert types(custom.events) == ["INSTANCE_CREATED", "PAY", "INSTANCE_CREATED"]
    assert list(registry.get_all_persisted_events()) == custom.events
    assert list(registry.get_instance_history(order)) == custom.events[:2]
    chain = registry.trace_event_across_components(custom.events[1].id)
    assert [(one.component_name, one.event_type) for one in chain.events] == [
        ("Orders", "PAY"),
        ("Inventory", "INSTANCE_CREATED"),
    ]
    assert [one.events for one in registry.statistics().components] == [2, 1]


def test_snapshot_store_interface(component: Component, stores: Stores) -> None:
    first, latest, other = snapshot(id="i1"), snapshot(id="i1"), snapshot(id="i2")
    for store in (stores.snapshots, DictStore()):
        for one in (first, latest, other):
            store.save_snapshot(one)

        assert store.get_snapshot("i1") == latest
        assert list(store.get_all_snapshots()) == [latest, other]
        store.delete_snapshot("i1")
        assert store.get_snapshot("i1") is None

    custom = DictStore()
    runtime = FSMRuntime(component, snapshots=True, snapshot_interval=1, snapshot_store=custom)
    order = runtime.create_instance("Order")
    runtime.send(order, "ADD", {"article": 7})
    assert custom.snapshots[order].instance == runtime.get_instance(order)


# PostgreSQL Implementation


def test_schema(postgresql_database: str, blocks: list[tuple[str, str, str]]) -> None:
    (schema,) = (text for section, _, text in blocks if section == "Schema")
    stored = event(caused_by=("e0",))
    taken = snapshot()
    with psycopg.connect(postgresql_database) as connection:
        connection.execute(schema.encode())
    assert _columns(postgresql_database) == DOCUMENTED_COLUMNS
    with psycopg.connect(postgresql_database) as connection:
        _insert(connection, stored)
        connection.execute(
            "INSERT INTO fsm_snapshots (instance_id, machine_name, current_state, status, context, snapshot_at,"
            " last_event_id, pending_timeouts) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (
                taken.instance.id,
                taken.instance.machine_name,
                taken.instance.current_state,
                "active",
                Jsonb(taken.instance.context),
                taken.snapshot_at,
                taken.last_event_id,
                Jsonb([{"stateKey": "k", "eventType": "OVERDUE", "remainingMs": 5}]),
            ),
        )

    with open_stores(postgresql_database) as stores:
        assert stores.events.layout == "documented"
        assert list(stores.events.get_all_events()) == [stored]
        found = stores.snapshots.get_snapshot(taken.instance.id)
        assert found is not None
        assert (found.instance.current_state, found.instance.context) == ("Paid", {"amount": 10})
        assert found.pending_timeouts == (PendingTimeout(state_key="k", event_type="OVERDUE", remaining_ms=5),)


def test_the_tables_that_tests_make_are_those_of_the_document(blocks: list[tuple[str, str, str]]) -> None:
    (schema,) = (text for section, _, text in blocks if section == "Schema")

    assert re.sub(r"--.*", "", schema).split() == foreign.DOCUMENTED.split()


DOCUMENTED_COLUMNS = [
    *("id", "instance_id", "machine_name", "component_name", "event_type", "event_payload"),
    *("state_before", "state_after", "persisted_at", "caused_by", "caused"),
    *("source_component_name", "target_component_name", "created_at"),
]


def _columns(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_name = 'fsm_events' ORDER BY ordinal_position"
        )
        return [name for (name,) in rows]


def _insert(connection: psycopg.Connection[Any], one: PersistedEvent) -> None:
    """As the class of the specification writes an event."""
    columns = DOCUMENTED_COLUMNS[:-1]
    values = (
        *(one.id, one.instance_id, one.machine_name, one.component_name, one.event_type, Jsonb(one.payload)),
        *(one.state_before, one.state_after, one.persisted_at, list(one.caused_by), list(one.caused)),
        *(one.source_component_name, one.target_component_name),
    )
    places = ", ".join(["%s"] * len(columns))
    connection.execute(f"INSERT INTO fsm_events ({', '.join(columns)}) VALUES ({places})".encode(), values)


def test_postgresql_implementation(postgresql_database: str) -> None:
    event_store = PostgreSQLEventStore(postgresql_database)
    snapshot_store = PostgreSQLSnapshotStore(postgresql_database)
    cause = event(payload={"nested": {"list": [1, None, "ü"]}})
    effect = event(caused_by=(cause.id,), source_component_name="Web", target_component_name="Shop")
    event_store.append(cause)
    event_store.append(effect)  # where the store of the TypeScript runtime breaks
    first, latest = snapshot(id="i1"), snapshot(id="i1", public_member={"total": 5})
    snapshot_store.save_snapshot(first)
    snapshot_store.save_snapshot(latest)

    assert list(event_store.get_events_for_instance("i1")) == [cause, effect]
    assert list(event_store.get_events_by_time_range(cause.persisted_at, cause.persisted_at)) == [cause]
    assert list(event_store.get_caused_events(cause.id)) == [effect]
    assert list(event_store.get_all_events()) == [cause, effect]
    with pytest.raises(DuplicateEventError):
        event_store.append(cause)
    assert snapshot_store.get_snapshot("i1") == latest
    assert list(snapshot_store.get_all_snapshots()) == [latest]
    snapshot_store.delete_snapshot("i1")
    assert snapshot_store.get_snapshot("i1") is None

    # Its tables are the documented ones: the class of the specification can write beside it, and is read.
    assert _columns(postgresql_database) == DOCUMENTED_COLUMNS
    joined = event(caused_by=(effect.id,))
    with psycopg.connect(postgresql_database) as connection:
        _insert(connection, joined)
    assert event_store.get_event(joined.id) == joined
    assert list(event_store.get_caused_events(effect.id)) == [joined]
    snapshot_store.close()
    event_store.close()


def test_postgresql_usage(postgresql_database: str, component: Component, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", postgresql_database)
    connection_string = os.environ.get("DATABASE_URL") or "postgresql://user:pass@localhost/xcomponent"

    event_store = PostgreSQLEventStore(connection_string)
    snapshot_store = PostgreSQLSnapshotStore(connection_string)
    runtime = FSMRuntime(
        component,
        event_sourcing=True,
        snapshots=True,
        snapshot_interval=50,
        event_store=event_store,
        snapshot_store=snapshot_store,
    )
    order = runtime.create_instance("Order")
    for number in range(50):
        runtime.send(order, "ADD", {"article": number})

    stream = event_store.get_events_for_instance(order)
    assert len(stream) == 51
    taken = snapshot_store.get_snapshot(order)
    assert taken is not None
    assert (taken.last_event_id, taken.instance) == (stream[-1].id, runtime.get_instance(order))
    snapshot_store.close()
    event_store.close()


def test_mongodb_implementation(mongodb_database: str) -> None:
    uri, _, db_name = mongodb_database.rpartition("/")
    event_store, snapshot_store = MongoDBEventStore(uri, db_name), MongoDBSnapshotStore(uri, db_name)
    event_store.connect()
    snapshot_store.connect()
    cause = event(payload={"nested": {"list": [1, None, "ü"]}})
    effect = event(caused_by=(cause.id,), source_component_name="Web", target_component_name="Shop")
    event_store.append(cause)
    event_store.append(effect)
    first, latest = snapshot(id="i1"), snapshot(id="i1", public_member={"total": 5})
    snapshot_store.save_snapshot(first)
    snapshot_store.save_snapshot(latest)

    assert list(event_store.get_events_for_instance("i1")) == [cause, effect]
    assert list(event_store.get_events_by_time_range(cause.persisted_at, cause.persisted_at)) == [cause]
    assert list(event_store.get_caused_events(cause.id)) == [effect]
    assert list(event_store.get_all_events()) == [cause, effect]
    with pytest.raises(DuplicateEventError):
        event_store.append(cause)
    assert snapshot_store.get_snapshot("i1") == latest
    assert list(snapshot_store.get_all_snapshots()) == [latest]

    # Documents and indexes are the documented ones: the class of the specification can write beside it, and is read.
    joined = event(caused_by=(effect.id,), timestamp=START)
    with others.documents(mongodb_database) as database:
        assert {"instanceId_1", "componentName_1", "persistedAt_1", "causedBy_1"} <= set(
            database.events.index_information()
        )
        assert database.snapshots.index_information()["instance.id_1"]["unique"]
        stored = database.events.find_one({"causedBy": cause.id})
        assert stored is not None
        assert stored.pop("_id") == effect.id
        assert {key: value for key, value in stored.items() if key != "xcstore"} == event_to_document(effect)
        database.events.insert_one({**event_to_document(joined), "_id": joined.id})
    assert event_store.get_event(joined.id) == joined
    assert list(event_store.get_caused_events(effect.id)) == [joined]
    assert list(event_store.get_events_for_instance("i1")) == [cause, effect, joined]
    snapshot_store.delete_snapshot("i1")
    assert snapshot_store.get_snapshot("i1") is None
    snapshot_store.close()
    event_store.close()


def test_mongodb_usage(mongodb_database: str, component: Component, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGO_URI", mongodb_database.rpartition("/")[0])
    mongo_uri = os.environ.get("MONGO_URI") or "mongodb://localhost:27017"
    db_name = mongodb_database.rpartition("/")[2]

    event_store = MongoDBEventStore(mongo_uri, db_name)
    snapshot_store = MongoDBSnapshotStore(mongo_uri, db_name)
    event_store.connect()
    snapshot_store.connect()
    runtime = FSMRuntime(
        component,
        event_sourcing=True,
        snapshots=True,
        event_store=event_store,
        snapshot_store=snapshot_store,
    )
    order = runtime.create_instance("Order")
    for number in range(10):
        runtime.send(order, "ADD", {"article": number})

    stream = event_store.get_events_for_instance(order)
    assert len(stream) == 11
    taken = snapshot_store.get_snapshot(order)
    assert taken is not None
    assert (taken.last_event_id, taken.instance) == (stream[-1].id, runtime.get_instance(order))
    snapshot_store.close()
    event_store.close()


# Cross-Component Traceability


def three_components(stores: Stores | None = None) -> tuple[ComponentRegistry, dict[str, FSMRuntime]]:
    """Runtimes of the three, each with its own stores unless some are given; not registered yet."""
    runtimes = {}
    clock = SimulatedClock(START)
    for text in (ORDERS, INVENTORY, SHIPPING):
        persistence = PersistenceConfig(event_sourcing=True) if stores is None else PersistenceConfig.of(stores)
        runtime = FSMRuntime(parse_component(text), clock=clock, persistence=persistence)
        runtimes[runtime.component.name] = runtime
    return ComponentRegistry(), runtimes


def test_component_name_tracking() -> None:
    registry, runtimes = three_components()
    for runtime in runtimes.values():
        registry.register(runtime)
    order = registry.create_instance("Orders", "Order")
    registry.send("Orders", order, "PAY")

    created, paid, picking = registry.get_all_persisted_events()
    assert [one.component_name for one in (created, paid, picking)] == ["Orders", "Orders", "Inventory"]
    assert (created.source_component_name, created.target_component_name) == (None, None)
    assert (picking.source_component_name, picking.target_component_name) == ("Orders", "Inventory")
    document = event_to_document(picking)
    names = ("id", "instanceId", "machineName", "componentName", "sourceComponentName", "targetComponentName")
    assert [document[name] for name in names] == [
        *(picking.id, picking.instance_id, "Pick", "Inventory", "Orders", "Inventory")
    ]


@pytest.mark.needs("append", "definitions")
@pytest.mark.parametrize("shared", [True, False], ids=["shared stores", "a store each"])
def test_tracing_across_components(shared: bool, stores: Stores) -> None:
    registry, runtimes = three_components(stores if shared else None)
    for runtime in runtimes.values():
        registry.register_component(runtime.component, runtime)
    order = runtimes["Orders"].create_instance("Order")
    runtimes["Orders"].send(order, "PAY")
    (pick,) = runtimes["Inventory"].instances()
    runtimes["Inventory"].send(pick.id, "PICK")
    (parcel,) = runtimes["Shipping"].instances()

    all_events = list(registry.get_all_persisted_events())
    assert sorted((one.component_name, one.event_type) for one in all_events) == [
        ("Inventory", "INSTANCE_CREATED"),
        ("Inventory", "PICK"),
        ("Orders", "INSTANCE_CREATED"),
        ("Orders", "PAY"),
        ("Shipping", "INSTANCE_CREATED"),
    ]

    (root,) = (one for one in all_events if one.event_type == "PICK")
    causality_chain = registry.trace_event_across_components(root.id)
    assert [(one.component_name, one.event_type) for one in causality_chain.events] == [
        ("Inventory", "PICK"),
        ("Shipping", "INSTANCE_CREATED"),
    ]

    result = registry.find_instance(parcel.id)
    assert result is not None
    assert (result.component_name, result.instance) == ("Shipping", parcel)


def test_api_endpoints() -> None:
    stores = open_stores("memory://", read_only=False)
    registry = ComponentRegistry()
    for document in (ORDERS, INVENTORY):
        registry.register(FSMRuntime(parse_component(document), event_store=stores.events))
    order = registry.get_runtime("Orders").create_instance("Order")
    registry.get_runtime("Orders").send(order, "PAY")
    paid = stores.events.get_events_for_instance(order)[1]
    (picking,) = stores.events.get_caused_events(paid.id)

    with served(lambda: Settings(url="memory://given"), opener=lambda _: stores) as address:

        def data(path: str) -> Any:
            answer = json.loads(get(f"{address}/cross-component/{path}").text)
            assert answer["success"] is True
            return answer["data"]

        # Trace event causality across all components
        traced = data(f"causality/{paid.id}")
        assert [one["id"] for one in traced["causality"]] == [paid.id, picking.id]
        assert traced["count"] == 2
        # Get all events from all components
        assert {one["componentName"] for one in data("events")["events"]} == {"Orders", "Inventory"}
        # Get instance history (searches all components)
        history = data(f"instance/{picking.instance_id}/history")["history"]
        assert [one["id"] for one in history] == [picking.id]


# Best Practices


def test_snapshot_frequency(component: Component) -> None:
    runtime = FSMRuntime(component, snapshots=True, snapshot_interval=50)
    order = runtime.create_instance("Order")
    for _ in range(100):
        runtime.send(order, "ADD")

    snapshots = runtime.persistence.snapshot_store
    assert isinstance(snapshots, InMemorySnapshotStore)
    assert len(snapshots.list_snapshots(order)) == 2
    assert runtime.persistence.event_sourcing is False


def test_event_retention(stores: Stores) -> None:
    now = START
    ninety_days_ago = EpochMs(now - 90 * DAY)
    old, just_old, new = (event(persisted_at=EpochMs(ninety_days_ago + after)) for after in (-DAY, 0, 1))
    stores.events.append_many([old, just_old, new])

    old_events = stores.events.get_events_by_time_range(EpochMs(0), ninety_days_ago)

    assert list(old_events) == [old, just_old]


def test_backup_strategy(postgresql_server: PostgresServer, postgresql_database: str, tmp_path: Path) -> None:
    events, taken = [event(), event(caused_by=("e1",))], snapshot(pending_timeouts=())
    foreign.make(postgresql_database, "documented", events, [taken])
    backup = tmp_path / "backup.sql"
    program = str(postgresql_server.programs / "pg_dump") if postgresql_server.programs else "pg_dump"
    with backup.open("wb") as file:
        subprocess.run(
            [program, "-t", "fsm_events", "-t", "fsm_snapshots", postgresql_database], stdout=file, check=True
        )

    with postgresql_server.database() as url:
        postgresql_server.load(url, backup)
        with open_stores(url) as restored:
            assert list(restored.events.get_all_events()) == events
            found = restored.snapshots.get_snapshot(taken.instance.id)
            assert found is not None
            assert (found.last_event_id, found.instance.context) == (taken.last_event_id, taken.instance.context)


@pytest.mark.needs("append", "definitions")
def test_disaster_recovery(component: Component, stores: Stores) -> None:
    clock = SimulatedClock(START)
    persistence_config = PersistenceConfig.of(stores, snapshot_interval=2)
    before = FSMRuntime(component, clock=clock, persistence=persistence_config)
    instance_id = before.create_instance("Order", {"customer": "Ada"})
    for article in range(3):
        before.send(instance_id, "ADD", {f"article{article}": article})
    before.send(instance_id, "ADD", {"note": "has a snapshot"})
    clock.advance(5_000)
    before.send(instance_id, "PAY", {"amount": 10})
    live, stored = before.get_instance(instance_id), list(stores.events.get_all_events())

    # 1. Get latest snapshot
    snapshot = stores.snapshots.get_snapshot(instance_id)
    assert snapshot is not None
    assert snapshot.instance.current_state == "Open"

    # 2. Restore instance from snapshot
    again = SimulatedClock(clock.now())
    runtime = FSMRuntime(component, clock=again, persistence=persistence_config)
    restored = runtime.restore_from_snapshot(snapshot)
    assert restored == snapshot.instance == runtime.get_instance(instance_id)

    # 3. Replay events after snapshot. The example sends them, which stores them once more; replaying appends nothing.
    events = stores.events.get_events_after_snapshot(instance_id, snapshot.last_event_id)
    assert types(events) == ["PAY"]
    assert sum(runtime.replay([event]) for event in events) == 1

    assert runtime.get_instance(instance_id) == live
    assert list(stores.events.get_all_events()) == stored
    assert [(one.event_type, one.remaining_ms) for one in runtime.pending_timeouts(instance_id)] == [
        ("OVERDUE", 60_000)
    ]
    again.advance(60_000)
    assert types(stores.events.get_events_for_instance(instance_id))[-1] == "OVERDUE"
    (overdue,) = stores.events.get_events_after_snapshot(instance_id, events[-1].id)
    assert overdue.caused_by == (events[-1].id,)


def test_monitoring(stores: Stores) -> None:
    stored = event()
    start = time.perf_counter()
    stores.events.append(stored)
    latency = (time.perf_counter() - start) * 1_000

    assert latency > 0  # how much is a matter of the machine; what matters is that it is over when the call returns
    assert stores.events.get_event(stored.id) == stored


def test_connection_pooling(postgresql_database: str) -> None:
    event_store = PostgreSQLEventStore(postgresql_database)

    pool: Any = event_store._database._pool  # type: ignore[attr-defined]
    assert (pool.max_size, pool.max_idle, pool.timeout) == (20, 30, 2)
    event_store.close()


def test_cross_component_shared_stores(postgresql_database: str) -> None:
    shared_event_store = PostgreSQLEventStore(postgresql_database)
    shared_snapshot_store = PostgreSQLSnapshotStore(postgresql_database)

    # All components use the same stores. The example turns nothing on: what is given a store is on.
    order_runtime = FSMRuntime(
        parse_component(ORDERS), event_store=shared_event_store, snapshot_store=shared_snapshot_store
    )
    inventory_runtime = FSMRuntime(
        parse_component(INVENTORY), event_store=shared_event_store, snapshot_store=shared_snapshot_store
    )
    registry = ComponentRegistry()
    registry.register(order_runtime)
    registry.register(inventory_runtime)
    order = order_runtime.create_instance("Order")
    order_runtime.send(order, "PAY")
    order_runtime.send(order, "CLOSE")

    paid = shared_event_store.get_events_for_instance(order)[1]
    (picking,) = shared_event_store.get_caused_events(paid.id)
    assert (picking.component_name, picking.source_component_name) == ("Inventory", "Orders")
    assert len(list(registry.get_all_persisted_events())) == 4
    closed = shared_snapshot_store.get_snapshot(order)
    assert closed is not None
    assert closed.instance.status == "completed"
    shared_snapshot_store.close()
    shared_event_store.close()


# Environment Variables


def test_environment_variables(component: Component, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "DATABASE_URL": "postgresql://user:pass@localhost:5432/xcomponent",
        "MONGO_URI": "mongodb://localhost:27017",
        "EVENT_SOURCING_ENABLED": "true",
        "SNAPSHOTS_ENABLED": "true",
        "SNAPSHOT_INTERVAL": "50",
        "EVENT_RETENTION_DAYS": "90",
        "SNAPSHOT_RETENTION_COUNT": "10",
    }
    settings = Settings.from_mapping(environment)
    assert (settings.database_url, settings.mongo_uri) == (environment["DATABASE_URL"], environment["MONGO_URI"])
    assert (settings.event_sourcing_enabled, settings.snapshots_enabled, settings.snapshot_interval) == (True, True, 50)
    assert (settings.event_retention_days, settings.snapshot_retention_count) == (90, 10)

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    runtime = FSMRuntime(component)
    order = runtime.create_instance("Order")
    for _ in range(600):
        runtime.send(order, "ADD")
    events, snapshots = runtime.persistence.event_store, runtime.persistence.snapshot_store
    assert isinstance(events, InMemoryEventStore)
    assert isinstance(snapshots, InMemorySnapshotStore)
    assert len(events.get_events_for_instance(order)) == 601
    assert len(snapshots.list_snapshots(order)) == 10  # of the 12 that were taken


def test_the_variables_are_those_of_the_document(blocks: list[tuple[str, str, str]]) -> None:
    (text,) = (text for section, _, text in blocks if section == "Environment Variables")
    environment = dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))

    settings = Settings.from_mapping(environment)
    assert len(environment) == 7
    assert settings.snapshot_interval == 50
