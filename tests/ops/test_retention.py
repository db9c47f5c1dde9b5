"""The rules of retention: what goes, what stays, and that no live instance notices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests import factories
from tests.factories import START, event
from tests.runtime.disturbing import Life, describe
from tests.runtime.helpers import component
from tests.runtime.strategies import EVENTS, Asked, components, data, methods_for, payloads
from xcstore.errors import ConfigError, NotFoundError
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION, InstanceSnapshot, PersistedEvent
from xcstore.ops.pruning import prune
from xcstore.ops.retention import Judge, Rules, judged, left_behind
from xcstore.ops.retention_plan import preview
from xcstore.queries.definitions import stored_definitions
from xcstore.store.base import EventQuery, OutboxChange, StoredDefinition, StoredWork, Stores
from xcstore.store.memory import open_memory_stores
from xcstore.units import DAY, EpochMs

SHOP = component("""
name: Shop
stateMachines:
  - name: Order
    initialState: New
    states: [{name: New, type: entry}, {name: Paid}, {name: Done, type: final}, {name: Lost, type: error}]
    transitions:
      - {from: New, to: Paid, event: PAY}
      - {from: Paid, to: Paid, event: NOTE}
      - {from: Paid, to: Done, event: END}
      - {from: Paid, to: Lost, event: LOSE}
  - name: Watch
    initialState: On
    states: [{name: On, type: entry}, {name: Off}]
    transitions:
      - {from: On, to: On, event: BEAT}
      - {from: On, to: Off, event: SILENT, type: timeout, timeoutMs: 60000, resetOnTransition: false}
      - {from: Off, to: On, event: BEAT}
""")
DESK = component("""
name: Shop
entryMachine: Order
stateMachines:
  - name: Order
    initialState: New
    states: [{name: New, type: entry}, {name: Paid}, {name: Done, type: final}]
    transitions: [{from: New, to: Paid, event: PAY}, {from: Paid, to: Done, event: END}]
""")
CATALOG = Catalog([SHOP])
NOW = EpochMs(START + 100 * DAY)
RULES = Rules(cutoff=EpochMs(START + 10 * DAY), days=90)


def snapshot(**fields: Any) -> InstanceSnapshot:
    """One that was taken at START, however many were made before: restore looks at the times of snapshots."""
    return factories.snapshot(**{"updated_at": START, "snapshot_at": START, **fields})


@pytest.fixture
def stores() -> Stores:
    """With one new event, so that what is old is not the newest."""
    opened = open_memory_stores()
    opened.events.append(event(id="newest", instance_id="young", state_before="", persisted_at=NOW))
    return opened


def stream(
    instance_id: str, *states: str, days: Sequence[float] = (), machine: str = "Order", kind: str = "NOTE"
) -> list[PersistedEvent]:
    """Events through these states, one a day from START on."""
    at = days or range(len(states))
    return [
        event(
            id=f"{instance_id}-{n}",
            instance_id=instance_id,
            machine_name=machine,
            event_type=CREATION if n == 0 else kind,
            state_before=states[n - 1] if n else "",
            state_after=state,
            persisted_at=EpochMs(int(START + at[n] * DAY)),
        )
        for n, state in enumerate(states)
    ]


def verdicts(stores: Stores, catalog: Catalog = CATALOG) -> dict[str, tuple[str | None, list[str]]]:
    """By instance: why it stays, and what goes of it all the same."""
    judge = Judge(stores, catalog, RULES)
    return {
        found.summary.instance_id: (found.reason, [gone.id for gone in found.events]) for found in judged(stores, judge)
    }


# Which instances have ended


@pytest.mark.parametrize("end", ["Done", "Lost"])
def test_old_and_ended_by_the_definition_goes_with_all_it_has(stores: Stores, end: str) -> None:
    stores.events.append_many(stream("i1", "New", "Paid", end))

    assert verdicts(stores) == {"i1": (None, [])}


@pytest.mark.parametrize("status", ["completed", "error"])
def test_old_and_ended_by_the_snapshot_of_its_last_event_goes_too(stores: Stores, status: str) -> None:
    stores.events.append_many(stream("i1", "New", "Paid"))
    stores.events.append_many(stream("i0", "New", days=[-1]))
    stores.snapshots.save_snapshot(snapshot(id="i1", status=status, last_event_id="i1-1"))

    assert verdicts(stores, Catalog())["i1"] == (None, [])


@pytest.mark.parametrize(
    "saved",
    [
        {"status": "completed", "last_event_id": "i1-0"},
        {"status": "active", "last_event_id": "i1-1"},
        {"status": "completed", "last_event_id": "i1-1", "status_recorded": False},
    ],
    ids=["of an earlier event", "says active", "says nothing"],
)
def test_another_snapshot_does_not_end_it(stores: Stores, saved: dict[str, Any]) -> None:
    stores.events.append_many(stream("i1", "New", "Paid"))
    stores.snapshots.save_snapshot(snapshot(id="i1", **saved))

    assert verdicts(stores, Catalog()) == {"i1": ("no definition", [])}


def test_ended_after_the_cutoff_stays_whole(stores: Stores) -> None:
    stores.events.append_many(stream("i1", "New", "Paid", "Done", days=[0, 1, 10]))

    assert verdicts(stores) == {"i1": ("recent", [])}


def test_one_millisecond_before_the_cutoff_is_old(stores: Stores) -> None:
    stores.events.append_many(stream("i1", "New", "Paid", "Done", days=[0, 1, 10 - 1 / DAY]))

    assert verdicts(stores) == {"i1": (None, [])}


def test_what_began_after_the_cutoff_is_not_spoken_of(stores: Stores) -> None:
    stores.events.append_many(stream("i1", "New", "Done", days=[10, 11]))

    assert verdicts(stores) == {}


# What stays of the others


def test_alive_without_a_snapshot_stays_whole(stores: Stores) -> None:
    stores.events.append_many(stream("i1", "New", "Paid", "Paid"))

    assert verdicts(stores) == {"i1": ("no snapshot", [])}


def test_of_the_living_goes_what_is_before_its_snapshot_but_not_its_creation(stores: Stores) -> None:
    stores.events.append_many(stream("i1", "New", "Paid", "Paid", "Paid", "Paid"))
    stores.snapshots.save_snapshot(
        snapshot(id="i1", last_event_id="i1-3", snapshot_at=START + 3 * DAY, updated_at=START)
    )

    assert verdicts(stores) == {"i1": ("live", ["i1-1", "i1-2"])}


def test_of_the_living_nothing_goes_that_is_younger_than_the_cutoff(stores: Stores) -> None:
    stores.events.append_many(stream("i1", "New", "Paid", "Paid", "Paid", "Paid", days=[0, 1, 9, 11, 12]))
    stores.snapshots.save_snapshot(snapshot(id="i1", last_event_id="i1-4", snapshot_at=NOW))

    assert verdicts(stores) == {"i1": ("live", ["i1-1", "i1-2"])}


@pytest.mark.parametrize("last", ["", "gone"])
def test_a_snapshot_that_does_not_fit_keeps_everything(stores: Stores, last: str) -> None:
    stores.events.append_many(stream("i1", "New", "Paid", "Paid"))
    stores.snapshots.save_snapshot(snapshot(id="i1", last_event_id=last, snapshot_at=NOW))

    assert verdicts(stores) == {"i1": ("adrift", [])}


def test_a_snapshot_that_is_dated_after_its_own_event_is_not_looked_for_and_keeps_everything(stores: Stores) -> None:
    """Restore asks for events from the time of the snapshot on, and folds all where its own is not among them."""
    stores.events.append_many(stream("i1", "New", "Paid", "Paid", "Paid"))
    late = START + 3 * DAY
    stores.snapshots.save_snapshot(snapshot(id="i1", last_event_id="i1-2", snapshot_at=late, updated_at=late))

    assert verdicts(stores) == {"i1": ("adrift", [])}


def test_without_a_definition_nothing_goes_of_what_may_live(stores: Stores) -> None:
    stores.events.append_many(stream("i1", "New", "Paid", "Paid"))
    stores.snapshots.save_snapshot(snapshot(id="i1", last_event_id="i1-2", snapshot_at=NOW))

    assert verdicts(stores, Catalog()) == {"i1": ("no definition", [])}


def test_a_moment_with_several_events_is_not_cut_and_neither_is_what_it_begins_in(stores: Stores) -> None:
    stores.events.append_many(stream("i1", "New", "Paid", "Paid", "Paid", "Paid", days=[0, 1, 2, 2, 2]))
    stores.snapshots.save_snapshot(snapshot(id="i1", last_event_id="i1-4", snapshot_at=NOW))
    stores.events.append_many(stream("i2", "New", "Paid", "Paid", "Paid", days=[0, 1, 2, 2]))
    stores.snapshots.save_snapshot(snapshot(id="i2", last_event_id="i2-3", snapshot_at=NOW))

    assert verdicts(stores) == {"i1": ("live", []), "i2": ("live", [])}

    stores.events.append_many(stream("i3", "New", "Paid", "Paid", "Paid", "Paid", days=[0, 1, 2, 3, 3]))
    stores.snapshots.save_snapshot(snapshot(id="i3", last_event_id="i3-4", snapshot_at=NOW))
    assert verdicts(stores)["i3"] == ("live", ["i3-1"])


def test_a_timer_that_self_loops_leave_alone_keeps_the_event_that_started_it(stores: Stores) -> None:
    states = ["On", "Off", "On", "On", "On"]
    stores.events.append_many(stream("i1", *states, machine="Watch", kind="BEAT"))
    stores.snapshots.save_snapshot(
        snapshot(id="i1", machine_name="Watch", current_state="On", last_event_id="i1-4", snapshot_at=NOW)
    )

    assert verdicts(stores) == {"i1": ("live", ["i1-1"])}


def test_a_snapshot_without_a_word_on_timers_keeps_the_event_that_entered_the_state(stores: Stores) -> None:
    from dataclasses import replace

    stores.events.append_many(stream("i1", "New", "Paid", "Paid", "Paid"))
    saved = snapshot(id="i1", last_event_id="i1-3", snapshot_at=NOW)
    stores.snapshots.save_snapshot(replace(saved, timeouts_recorded=False))

    assert verdicts(stores) == {"i1": ("live", [])}


@pytest.mark.parametrize("states", [("New", "Paid", "Done"), ("New", "Paid", "Paid")], ids=["ended", "alive"])
def test_what_waiting_work_names_stays_whole(stores: Stores, states: Sequence[str]) -> None:
    stores.events.append_many(stream("i1", *states))
    stores.snapshots.save_snapshot(snapshot(id="i1", last_event_id="i1-2", snapshot_at=NOW))
    work = StoredWork(id="w", position=1, component_name="Shop", document={"kind": "entered", "instance": "i1"})
    stores.events.change_outbox(OutboxChange(add=(work,)))

    assert verdicts(stores) == {"i1": ("work", [])}


def test_the_entry_point_stays_though_it_has_ended_as_it_refuses_a_second_one(stores: Stores) -> None:
    stores.events.append_many(stream("first", "New", "Paid", "Done"))
    stores.events.append_many(stream("second", "New", "Paid", "Done", days=[1, 2, 3]))

    assert verdicts(stores, Catalog([DESK])) == {"first": ("entry point", []), "second": (None, [])}
    assert verdicts(stores, CATALOG) == {"first": (None, []), "second": (None, [])}


def test_without_a_definition_the_first_of_a_machine_may_be_the_entry_point(stores: Stores) -> None:
    for name, days in (("first", [0, 1]), ("second", [1, 2])):
        stores.events.append_many(stream(name, "New", "Done", days=days))
        stores.snapshots.save_snapshot(snapshot(id=name, status="completed", last_event_id=f"{name}-1"))

    assert verdicts(stores, Catalog()) == {"first": ("entry point", []), "second": (None, [])}


def test_a_snapshot_can_say_that_it_is_the_entry_point(stores: Stores) -> None:
    stores.events.append_many(stream("i1", "New", "Paid", "Done"))
    stores.snapshots.save_snapshot(snapshot(id="i1", is_entry_point=True, last_event_id="i1-2"))

    assert verdicts(stores) == {"i1": ("entry point", [])}


def test_the_instance_with_the_newest_event_stays() -> None:
    stores = open_memory_stores()
    stores.events.append_many(stream("i1", "New", "Paid", "Done"))
    stores.events.append_many(stream("i2", "New", "Paid", "Done", days=[0, 1, 3]))

    assert verdicts(stores) == {"i1": (None, []), "i2": ("newest", [])}


def test_a_snapshot_left_behind_by_an_ended_instance_goes(stores: Stores) -> None:
    old, young = START, START + 11 * DAY
    stores.events.append_many(stream("there", "New", "Paid", "Done"))
    for name, fields in {
        "ended": {"status": "completed", "snapshot_at": old},
        "final": {"current_state": "Done", "snapshot_at": old},
        "alive": {"snapshot_at": old},
        "recent": {"status": "completed", "snapshot_at": young},
        "there": {"status": "completed", "snapshot_at": old},
        "entry": {"status": "completed", "snapshot_at": old, "is_entry_point": True},
    }.items():
        stores.snapshots.save_snapshot(snapshot(id=name, **fields))

    assert sorted(left_behind(stores, CATALOG, RULES)) == ["ended", "final"]


# Where the rules come from


def test_nobody_says_for_how_long() -> None:
    with pytest.raises(ConfigError, match=r"EVENT_RETENTION_DAYS.*--days"):
        Rules.since(NOW, None, 10)
    assert Rules.since(NOW, 90, 3) == Rules(cutoff=EpochMs(NOW - 90 * DAY), days=90, snapshots=3)


def test_given_definitions_win_over_stored_ones_and_these_over_the_folder(tmp_path: Any) -> None:
    stores = open_memory_stores()
    (tmp_path / "shop.yaml").write_text("name: Shop\nstateMachines: []\n")
    (tmp_path / "bad.yaml").write_text("name: [")
    stored = {
        "name": "Shop",
        "stateMachines": [{"name": "Stored", "initialState": "A", "states": [{"name": "A"}], "transitions": []}],
    }
    stores.definitions.save_definition(StoredDefinition(hash="h", component_name="Shop", document=stored))
    stores.definitions.save_definition(StoredDefinition(hash="x", component_name="Odd", document={"name": 1}))

    known = stored_definitions(stores.definitions, str(tmp_path))
    given = known.catalog.merged([SHOP])

    assert known.catalog.find_machine("Shop", "Stored") is not None
    assert given.find_machine("Shop", "Order") is not None
    assert len(known.problems) >= 2


# The figures


def test_the_preview_says_exactly_what_would_go(stores: Stores) -> None:
    stores.events.append_many(stream("i1", "New", "Paid", "Done", days=[0, 40, 41]))  # in January and February
    stores.events.append_many(stream("i2", "New", "Paid", "Paid", "Paid"))
    stores.events.append_many(stream("i3", "New", "Paid"))
    stores.events.append(
        event(id="heir", instance_id="young", caused_by=("i1-2", "i2-1", "i3-1", "nowhere"), persisted_at=NOW - 1)
    )
    stores.snapshots.save_snapshot(snapshot(id="i1", status="completed", last_event_id="i1-2"))
    stores.snapshots.save_snapshots(
        [snapshot(id="i2", last_event_id=f"i2-{n}", snapshot_at=START + n * DAY, updated_at=START) for n in (0, 1, 3)]
    )
    seen: list[tuple[int, int]] = []

    rules = Rules(cutoff=EpochMs(START + 50 * DAY), days=50, snapshots=2)
    found = preview(stores, CATALOG, rules, on_progress=lambda done, total: seen.append((done, total)))

    assert (found.events, found.stored_events, found.whole, found.part) == (5, 11, 1, 1)
    assert (found.snapshots, found.old_snapshots, found.links) == (1, 1, 2)
    assert (found.first_at, found.last_at) == (START, START + 41 * DAY)
    assert [(share.month, share.component, share.events) for share in found.shares] == [
        ("2026-01", "Shop", 3),
        ("2026-02", "Shop", 2),
    ]
    assert [(kept.reason, kept.instances, kept.events) for kept in found.kept] == [
        ("live", 1, 2),
        ("no snapshot", 1, 2),
    ]
    assert {(one.instance_id, one.events, one.of) for one in found.examples} == {("i1", 3, 3), ("i2", 2, 4)}
    assert seen[-1] == (4, 4)
    assert not found.is_empty


def test_times_out_of_all_calendars_have_a_month_too(stores: Stores) -> None:
    stores.events.append_many(stream("i1", "New", "Done", days=[-(10**9), -(10**9)]))

    found = preview(stores, CATALOG, RULES)

    assert [(share.month, share.events) for share in found.shares] == [("out of range", 2)]


def test_an_empty_store_has_nothing_to_go() -> None:
    found = preview(open_memory_stores(), CATALOG, RULES)

    assert found.is_empty
    assert (found.first_at, found.kept, found.examples, found.links) == (None, (), (), 0)


# No live instance notices

numbers = st.integers(0, 6)
sent = st.sampled_from([*EVENTS, "STEP", "GO", "LATE"])


class PrunedLife(Life):
    """Prunes before each start, also when work was waiting as it was killed."""

    part = 1.0
    """What is older than this part of the history is old."""
    pruned = 0

    def restart(self) -> None:
        self.prune()
        super().restart()

    def prune(self) -> None:
        span = self.events.time_range()
        if span is None:
            return
        cutoff = EpochMs(int(span[0] + (span[1] + 1 - span[0]) * self.part))
        before = describe(self.sleeper())
        run = prune(
            self.stores, None, Catalog(self.components), Rules(cutoff=cutoff, days=1, snapshots=2), now=self.clock.now()
        )
        self.pruned += run.events
        assert describe(self.sleeper()) == before


class Pruned(RuleBasedStateMachine):
    """The same steps in two lives: from the store of one, what is old is removed now and then."""

    @initialize(made=components(), interval=st.integers(1, 3))
    def begin(self, made: Any, interval: int) -> None:
        self.components = made
        kinds = (PrunedLife, Life)
        self.subject, self.twin = self.lives = tuple(
            kind(made, open_memory_stores(retention=100), methods_for(made, Asked()), snapshot_interval=interval)
            for kind in kinds
        )

    def _place(self, at: int) -> tuple[str, str]:
        places = [(c.name, machine.name) for c in self.components for machine in c.machines]
        return places[at % len(places)]

    @rule(at=numbers, values=data)
    def create(self, at: int, values: Any) -> None:
        for life in self.lives:
            life.create(*self._place(at), values)

    @rule(number=numbers, event=sent, payload=payloads)
    def send(self, number: int, event: str, payload: Any) -> None:
        alive = [(name, row[0]) for name, rows in describe(self.twin.runtimes).items() for row in rows]
        if alive:
            name, instance_id = alive[number % len(alive)]
            for life in self.lives:
                life._do(lambda life=life: life.runtimes[name].send(instance_id, event, payload))  # type: ignore[misc]

    @rule(at=numbers, event=sent, payload=payloads)
    def broadcast(self, at: int, event: str, payload: Any) -> None:
        for life in self.lives:
            life.broadcast(*self._place(at), event, payload)

    @rule(duration=st.sampled_from([0, 40, 100, 260, 700]))
    def advance(self, duration: int) -> None:
        for life in self.lives:
            life.advance(duration)

    @rule(part=st.sampled_from([0.3, 0.7, 1.0]))
    def prune(self, part: float) -> None:
        self.subject.part = part
        self.subject.prune()

    @rule()
    def restart(self) -> None:
        for life in self.lives:
            life.restart()

    @invariant()
    def both_live_alike(self) -> None:
        assert describe(self.subject.runtimes) == describe(self.twin.runtimes)
        assert describe(self.subject.sleeper()) == describe(self.twin.sleeper())
        left = {found.id: found for found in self.subject.all_events()}
        assert left.items() <= {found.id: found for found in self.twin.all_events()}.items()
        assert len(left) + self.subject.pruned == self.twin.count_events()


class KilledAndPruned(Pruned):
    """Processes are killed too, with work in hand, and what is old is removed before they are started again."""

    @initialize(made=components(), interval=st.integers(1, 3))
    def begin(self, made: Any, interval: int) -> None:
        self.components = made
        stores = open_memory_stores(retention=100)
        self.subject = self.twin = PrunedLife(made, stores, methods_for(made, Asked()), snapshot_interval=interval)
        self.lives = (self.subject,)

    @rule(fine=st.integers(0, 4), end=st.sampled_from(["killed before", "killed after"]))
    def let_it_be_killed(self, fine: int, end: Any) -> None:
        self.subject.events.outcomes.extend([*["fine"] * fine, end])

    @invariant()
    def both_live_alike(self) -> None:
        assert describe(self.subject.sleeper()) == describe(self.subject.runtimes)
        assert list(self.subject.events.get_outbox()) == []


_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

TestPruned = Pruned.TestCase
TestPruned.settings = settings(max_examples=60, stateful_step_count=14, deadline=None, suppress_health_check=_QUIET)
TestKilledAndPruned = KilledAndPruned.TestCase
TestKilledAndPruned.settings = settings(
    max_examples=40, stateful_step_count=12, deadline=None, suppress_health_check=_QUIET
)


def test_a_timer_is_due_when_it_was_though_what_is_before_it_is_gone() -> None:
    life = PrunedLife([SHOP], open_memory_stores(), snapshot_interval=1)
    life.create("Shop", "Watch", {})
    for wait in (1_000, 60_000, 500, 700, 900):
        life.advance(wait)
        life.send("Shop", 0, "BEAT", {})
    before = describe(life.runtimes)

    life.prune()

    assert life.pruned == 2  # a beat, and the silence that followed
    assert describe(life.sleeper()) == before
    assert [list(row[-1]) for row in before["Shop"]] == [["SILENT"]]


def test_a_pruned_instance_is_not_known_any_more() -> None:
    life = Life([SHOP], open_memory_stores())
    life.create("Shop", "Order", {})
    life.create("Shop", "Order", {})
    for kind in ("PAY", "END"):
        life.send("Shop", 0, kind, {})
    life.advance(1_000)
    life.send("Shop", 1, "PAY", {})
    gone = life.all_events()[0].instance_id

    prune(life.stores, None, CATALOG, Rules(cutoff=life.clock.now(), days=1), now=life.clock.now())

    assert life.events.count(EventQuery(instance_ids=(gone,)))[0].count == 0
    life.restart()
    with pytest.raises(NotFoundError):
        life.runtimes["Shop"].get_instance(gone)
