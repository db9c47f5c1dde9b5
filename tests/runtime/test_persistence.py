"""What is written, when, and what happens when it cannot be."""

from __future__ import annotations

import pytest

from tests.runtime.helpers import component, world
from xcstore.errors import ConcurrencyError, StoreUnavailableError
from xcstore.runtime import PersistenceConfig
from xcstore.store.memory import InMemoryEventStore, InMemorySnapshotStore

PAIR = """
name: C
stateMachines:
  - name: M
    initialState: A
    states:
      - {name: A, type: entry}
      - name: B
        cascadingRules: [{targetMachine: K, targetState: S, event: GO}]
      - {name: E, type: final}
    transitions:
      - {from: A, to: B, event: X, triggeredMethod: change}
      - {from: A, to: A, event: LOOP}
      - {from: B, to: A, event: LATE, type: timeout, timeoutMs: 1000}
      - {from: B, to: B, event: DUE, type: timeout, timeoutMs: 1500}
      - {from: B, to: E, event: END}
  - name: K
    initialState: S
    states: [{name: S, type: entry}, {name: T}]
    transitions: [{from: S, to: T, event: GO}]
"""


class FailingStore(InMemoryEventStore):
    """Refuses events of the types in `refused`."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: set[str] = set()

    def append(self, event, *, expected_last_id=None, outbox=None):
        if event.event_type in self.refused:
            raise StoreUnavailableError("the disk is full")
        super().append(event, expected_last_id=expected_last_id, outbox=outbox)


class FailingSnapshots(InMemorySnapshotStore):
    def save_snapshot(self, snapshot):
        raise StoreUnavailableError("the disk is full")


@pytest.fixture
def store() -> FailingStore:
    return FailingStore()


def test_a_store_that_fails_leaves_the_instance_in_its_old_state_and_a_retry_does_not_duplicate(store):
    def change(event, instance, sender):
        instance.context["seen"]["deep"] = True
        sender.send_to(other, "GO")

    w = world(PAIR, event_store=store, methods={"change": change})
    it = w.runtime.create_instance("M", {"seen": {"deep": False}})
    other = w.runtime.create_instance("K")
    before = w.runtime.get_instance(it)
    store.refused = {"X"}

    with pytest.raises(StoreUnavailableError, match="disk is full"):
        w.runtime.send(it, "X", {"p": 1})
    assert w.runtime.get_instance(it) == before
    assert before.context == {"seen": {"deep": False}}
    assert w.runtime.get_instance(other).current_state == "S"
    assert w.runtime.queued == 0

    store.refused = set()
    w.runtime.send(it, "X", {"p": 1})
    assert [e.event_type for e in store.get_events_for_instance(it)] == ["INSTANCE_CREATED", "X"]
    assert [e.event_type for e in store.get_events_for_instance(other)] == ["INSTANCE_CREATED", "GO"]


def test_a_store_that_fails_leaves_timers_running(store):
    w = world(PAIR, event_store=store)
    it = w.runtime.create_instance("M")
    w.runtime.send(it, "X")
    store.refused = {"END"}
    with pytest.raises(StoreUnavailableError):
        w.runtime.send(it, "END")

    assert [t.event_type for t in w.runtime.pending_timeouts(it)] == ["LATE", "DUE"]
    w.clock.advance(1_000)
    assert w.runtime.get_instance(it).current_state == "A"


def test_a_creation_that_cannot_be_stored_has_not_happened(store):
    w = world(PAIR, event_store=store)
    store.refused = {"INSTANCE_CREATED"}

    with pytest.raises(StoreUnavailableError):
        w.runtime.create_instance("M")
    assert list(w.runtime.instances()) == []


def test_a_cascade_that_cannot_be_stored_waits_and_goes_first_when_the_store_is_back(store):
    w = world(PAIR, event_store=store)
    it, target = w.runtime.create_instance("M"), w.runtime.create_instance("K")
    store.refused = {"GO"}
    w.runtime.send(it, "X")

    assert w.runtime.get_instance(it).current_state == "B"
    assert w.told("delivery_failed")[0]["kept"] is True
    assert w.runtime.queued > 0
    with pytest.raises(StoreUnavailableError):
        w.runtime.send(it, "END")
    assert w.runtime.get_instance(it).current_state == "B"

    store.refused = set()
    assert w.runtime.retry() == 0
    assert [e.event_type for e in store.get_events_for_instance(target)] == ["INSTANCE_CREATED", "GO"]
    w.runtime.send(it, "END")
    assert w.runtime.find_instance(it) is None


def test_a_timeout_that_cannot_be_stored_is_not_lost(store):
    w = world(PAIR, event_store=store)
    it = w.runtime.create_instance("M")
    w.runtime.send(it, "X")
    store.refused = {"LATE"}
    w.clock.advance(1_000)
    assert w.runtime.get_instance(it).current_state == "B"

    store.refused = set()
    w.runtime.retry()
    assert w.runtime.get_instance(it).current_state == "A"
    assert [e.event_type for e in store.get_events_for_instance(it)] == ["INSTANCE_CREATED", "X", "LATE"]


def test_a_timeout_that_waits_behind_a_failing_store_is_dropped_when_the_state_is_left_meanwhile(store):
    w = world(PAIR, event_store=store)
    it = w.runtime.create_instance("M")
    w.runtime.send(it, "X")
    store.refused = {"LATE"}
    w.clock.advance(1_500)  # LATE waits at the head of the queue, DUE behind it
    store.refused = set()
    w.runtime.retry()

    assert [e.event_type for e in store.get_events_for_instance(it)] == ["INSTANCE_CREATED", "X", "LATE"]


def test_an_event_that_can_never_be_stored_is_told_and_does_not_block_what_follows(store):
    def change(event, instance, sender):
        sender.send_to_self("DUE", {"text": "no \0 in a text"})
        sender.send_to_self("DUE", {"text": "fine"})

    w = world(PAIR, event_store=store, methods={"change": change})
    it = w.runtime.create_instance("M")
    w.runtime.send(it, "X")

    assert [told["kept"] for told in w.told("delivery_failed")] == [False]
    assert w.runtime.queued == 0
    assert store.get_events_for_instance(it)[-1].payload == {"text": "fine"}


def test_an_instance_that_another_runtime_moved_on_is_not_written_over(store):
    first, second = (world(PAIR, event_store=store, seed=seed) for seed in (1, 2))
    it = first.runtime.create_instance("M")
    second.runtime.restore()
    first.runtime.send(it, "LOOP")

    with pytest.raises(ConcurrencyError):
        second.runtime.send(it, "X")
    assert second.runtime.get_instance(it).current_state == "A"
    assert [e.event_type for e in store.get_events_for_instance(it)] == ["INSTANCE_CREATED", "LOOP"]


def test_a_snapshot_that_fails_is_told_and_the_transition_stays():
    w = world(PAIR, snapshot_interval=1, snapshot_store=FailingSnapshots())
    it = w.runtime.create_instance("M")
    w.runtime.send(it, "X")

    assert w.runtime.get_instance(it).current_state == "B"
    assert w.told("snapshot_failed") == [{"error": "the disk is full"}]


def test_a_snapshot_is_taken_every_so_many_transitions():
    w = world(PAIR, snapshot_interval=3)
    it = w.runtime.create_instance("M")
    for _ in range(7):
        w.runtime.send(it, "LOOP")

    assert len(w.stores.snapshots.list_snapshots(it)) == 2


def test_a_snapshot_holds_timers_with_the_time_that_is_left():
    w = world(PAIR, snapshot_interval=1)
    it = w.runtime.create_instance("M")
    w.runtime.send(it, "X")
    taken = w.stores.snapshots.get_snapshot(it)
    assert [(t.event_type, t.remaining_ms) for t in taken.pending_timeouts] == [("LATE", 1_000), ("DUE", 1_500)]
    assert taken.pending_timeouts[0].state_key == f"{it}-B-LATE"

    w.clock.advance(400)
    assert [t.remaining_ms for t in w.runtime.pending_timeouts(it)] == [600, 1_100]


def test_an_end_is_always_snapshotted_with_its_status_and_no_timers():
    w = world(PAIR, snapshot_interval=100)
    it = w.runtime.create_instance("M")
    w.runtime.send(it, "X")
    w.runtime.send(it, "END")

    taken = w.stores.snapshots.get_snapshot(it)
    assert (taken.instance.current_state, taken.instance.status) == ("E", "completed")
    assert taken.last_event_id == w.last(it).id
    assert taken.pending_timeouts == ()


def test_a_snapshot_is_the_live_instance():
    w = world(PAIR, snapshot_interval=1)
    it = w.runtime.create_instance("M", {"a": {"b": [1, None]}})
    w.runtime.send(it, "X", {"p": "ü"})

    assert w.stores.snapshots.get_snapshot(it).instance == w.runtime.get_instance(it)


def test_definitions_are_saved_and_their_hash_is_on_every_event():
    w = world(PAIR)
    it = w.runtime.create_instance("M")
    w.runtime.send(it, "X")

    (saved,) = w.stores.definitions.get_all_definitions()
    assert saved.hash == component(PAIR).hash != ""
    assert {event.definition_hash for event in w.events()} == {saved.hash}
    assert saved.document["name"] == "C"


def test_without_event_sourcing_nothing_is_written():
    from xcstore.runtime import FSMRuntime

    store = InMemoryEventStore()
    runtime = FSMRuntime(component(PAIR), persistence=PersistenceConfig(event_store=store, event_sourcing=False))
    runtime.create_instance("M")

    assert list(store.get_all_events()) == []
