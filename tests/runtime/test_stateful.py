"""Random components under random events, failing stores and restarts: nothing is lost, repeated or made up."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.runtime.disturbing import Life, Outcome, describe
from tests.runtime.strategies import COUNTERS, EVENTS, Asked, components, data, methods_for, payloads
from xcstore.model.history import CREATION
from xcstore.runtime import TimeOrderedIds
from xcstore.runtime.folding import Folded, fold, from_snapshot
from xcstore.store.base import Stores
from xcstore.store.codec import event_to_document
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores

numbers = st.integers(0, 6)
sent = st.sampled_from([*EVENTS, "STEP", "GO", "LATE", "NOPE"])
durations = st.sampled_from([0, 40, 100, 260, 700])
failures: st.SearchStrategy[list[Outcome]] = st.lists(
    st.sampled_from(["fine", "refused", "unsure"]), min_size=1, max_size=5
)
ends: st.SearchStrategy[list[Outcome]] = st.builds(
    lambda fine, end, more: [*["fine"] * fine, end, *more],
    st.integers(0, 5),
    st.sampled_from(["killed before", "killed after"]),
    st.lists(st.sampled_from(["fine", "killed before", "killed after"]), max_size=2),
)


class _Program(RuleBasedStateMachine):
    """The same steps in two lives: one is disturbed, its twin is not."""

    def open(self) -> Stores:
        return open_memory_stores(retention=100)

    @initialize(made=components(), interval=st.integers(1, 4))
    def begin(self, made: Any, interval: int) -> None:
        self.components = made
        self.asked = Asked(), Asked()
        self.subject, self.twin = self.lives = tuple(
            Life(made, stores, methods_for(made, asked), snapshot_interval=interval)
            for stores, asked in zip((self.open(), open_memory_stores(retention=100)), self.asked, strict=True)
        )

    def _place(self, at: int) -> tuple[str, str]:
        places = [(c.name, machine.name) for c in self.components for machine in c.machines]
        return places[at % len(places)]

    @rule(at=numbers, values=data)
    def create(self, at: int, values: Any) -> None:
        for life in self.lives:
            life.create(*self._place(at), values)

    @rule(at=numbers, number=numbers, event=sent, payload=payloads)
    def send(self, at: int, number: int, event: str, payload: Any) -> None:
        for life in self.lives:
            life.send(self._place(at)[0], number, event, payload)

    @rule(at=numbers, event=sent, payload=payloads)
    def broadcast(self, at: int, event: str, payload: Any) -> None:
        for life in self.lives:
            life.broadcast(*self._place(at), event, payload)

    @rule(duration=durations)
    def advance(self, duration: int) -> None:
        for life in self.lives:
            life.advance(duration)

    @rule()
    def restart(self) -> None:
        self.subject.restart()

    @rule(outcomes=st.one_of(failures, ends))
    def let_writes_go_wrong(self, outcomes: list[Outcome]) -> None:
        self.subject.events.outcomes.extend(outcomes)

    @invariant()
    def nothing_is_lost_repeated_or_made_up(self) -> None:
        subject, twin = self.lives
        check_streams(subject)
        # What waits for a store is done later, and what does not wait before it.
        if not subject.held_up:
            told, expected = subject.tale(), twin.tale()
            assert told["histories"] == expected["histories"]
            assert told == expected
        assert list(subject.events.get_outbox()) == []
        check_folds(subject)
        check_restored(subject)
        check_children(twin, self.asked[1])
        check_sends(twin, self.asked[1])
        check_sends(subject, self.asked[0])


class InMemory(_Program):
    """Over memory."""


class InAFile(_Program):
    """Over an SQLite file."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())

    def open(self) -> Stores:
        self.opened = open_stores(f"sqlite:///{self.folder / 'events.db'}", read_only=False)
        return self.opened

    def teardown(self) -> None:
        if hasattr(self, "opened"):
            self.opened.close()
        shutil.rmtree(self.folder)


# What must hold


def check_streams(life: Life) -> None:
    events = life.all_events()
    position = {event.id: at for at, event in enumerate(events)}
    assert len(position) == len(events)
    by_instance: dict[str, list[Any]] = {}
    for event in events:
        by_instance.setdefault(event.instance_id, []).append(event)
        assert all(position[cause] < position[event.id] for cause in event.caused_by)
    for stream in by_instance.values():
        assert [event.event_type == CREATION for event in stream] == [True] + [False] * (len(stream) - 1)
        assert stream[0].state_before == ""
        assert all(one.state_after == other.state_before for one, other in pairwise(stream))


def check_folds(life: Life) -> None:
    """A live instance is the fold of all its events, and of those after any snapshot that is kept."""
    for runtime in life.runtimes.values():
        for row in describe({"": runtime})[""]:
            instance_id, machine = row[0], row[1]
            table = runtime.executor.population.get_table(machine)
            stream = life.events.get_events_for_instance(instance_id)
            folded = fold(table, stream)
            assert folded is not None
            loosely = changes_on_entry(life, row)
            assert _comparable(_row_of(folded), loosely=loosely) == _comparable(row, loosely=loosely)
            assert folded.notes == []
            for snapshot in life.stores.snapshots.list_snapshots(instance_id):
                later = life.events.get_events_after_snapshot(instance_id, snapshot.last_event_id)
                found = fold(table, later, from_snapshot(snapshot, table))
                assert found is not None
                loosely = changes_on_entry(life, row)
                assert _comparable(_row_of(found), loosely=loosely)[:-1] == _comparable(row, loosely=loosely)[:-1]
                # A snapshot does not say which event started a timer; `restore` looks it up.
                assert {t: due for t, (due, _) in found.due.items()} == {t: due for t, (due, _) in row[-1].items()}


def check_restored(life: Life) -> None:
    """What `restore` brings back is what lives, in the same order: from the latest snapshots, and without any."""
    alive = describe(life.runtimes)
    assert describe(life.sleeper()) == alive
    restored = describe(life.sleeper(snapshots=False))
    for name, rows in alive.items():
        assert [row[0] for row in restored[name]] == [row[0] for row in rows]
        for row, found in zip(rows, restored[name], strict=True):
            loosely = changes_on_entry(life, row)
            assert _comparable(found, loosely=loosely) == _comparable(row, loosely=loosely)


def changes_on_entry(life: Life, row: list[Any]) -> bool:
    """Whether a method on entry may have changed the instance after its last event; see `sender.Method`."""
    machine = next(m for c in life.components for m in c.machines if m.name == row[1])
    state = machine.find_state(row[2])
    return state is not None and state.entry_method is not None


def _row_of(folded: Folded) -> list[Any]:
    instance = folded.instance
    return [
        instance.id,
        instance.machine_name,
        instance.current_state,
        instance.status,
        dict(instance.context),
        None if instance.public_member is None else dict(instance.public_member),
        instance.parent_instance_id,
        instance.parent_machine_name,
        instance.is_entry_point,
        instance.created_at,
        instance.updated_at,
        folded.last_event_id,
        {event_type: (due, (cause,)) for event_type, (due, cause) in folded.due.items()},
    ]


def _comparable(row: list[Any], *, loosely: bool) -> list[Any]:
    """Without what is not in the events: who is an entry point, and `loosely` the counters of methods."""
    context, public = (
        {key: value for key, value in (values or {}).items() if not (loosely and key in COUNTERS)}
        for values in row[4:6]
    )
    return [*row[:4], context, public, *row[6:8], *row[9:]]


def check_sends(life: Life, asked: Asked) -> None:
    """What methods sent to themselves has led to one event, was ignored, or met an instance that had ended.

    A method that runs again, as its event was not stored, asks for the same again.
    """
    found = Counter(
        (event.instance_id, event.payload["n"])  # type: ignore[index]
        for event in life.all_events()
        if event.event_type == "PING"
    )
    assert all(number == 1 for number in found.values())
    let_go = Counter[str]()
    for notice in life.notices:
        ignored = notice.name == "event_ignored" and notice.data["event"] == "PING"
        failed = notice.name == "delivery_failed" and not notice.data["kept"]
        let_go[notice.instance_id] += ignored or failed
    missing = Counter(instance_id for instance_id, _ in asked.pings - set(found))
    assert missing <= let_go


def check_children(life: Life, asked: Asked) -> None:
    """What methods made is there."""
    assert set(asked.spawned) <= {event.instance_id for event in life.all_events() if event.event_type == CREATION}


_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

TestInMemory = InMemory.TestCase
TestInMemory.settings = settings(max_examples=150, stateful_step_count=12, deadline=None, suppress_health_check=_QUIET)
TestInAFile = InAFile.TestCase
TestInAFile.settings = settings(max_examples=15, stateful_step_count=10, deadline=None, suppress_health_check=_QUIET)


@given(components(), st.lists(st.tuples(numbers, numbers, sent, payloads), max_size=15))
@settings(max_examples=40, deadline=None, suppress_health_check=_QUIET)
def test_equal_seeds_give_equal_documents(made: Any, program: list[Any]) -> None:
    def documents() -> str:
        life = Life(made, open_memory_stores(), methods_for(made, Asked()), ids=TimeOrderedIds(7))
        for at, number, event, payload in program:
            component = made[at % len(made)]
            machine = component.machines[at % len(component.machines)].name
            life.create(component.name, machine, payload)
            life.send(component.name, number, event, payload)
            life.advance(at * 50)
        return json.dumps([event_to_document(event) for event in life.all_events()])

    assert documents() == documents()
