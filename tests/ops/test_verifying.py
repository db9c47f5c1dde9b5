"""Verifying a store: what was planted into a clean one is found, and nothing else."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from benchmarks.generate import events as clean_events
from tests.factories import START, event, snapshot
from xcstore.analysis.context import fold
from xcstore.analysis.integrity import KINDS, Report
from xcstore.analysis.integrity_columns import Ints, light_events
from xcstore.errors import QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component, State, StateMachine
from xcstore.model.history import CREATION, Instance, InstanceSnapshot, PersistedEvent
from xcstore.ops import verifying
from xcstore.ops.pruning import prune
from xcstore.ops.retention import Rules
from xcstore.ops.verifying import verify
from xcstore.store.base import Stores
from xcstore.store.codec import event_from_document, event_to_document
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores
from xcstore.units import DAY, HOUR, EpochMs

EVENTS = 100_000
ENDS = {"Completed", "Cancelled", "Released", "Failed", "Delivered", "Lost"}

Stream = list[PersistedEvent]


class History:
    """A clean history, some of whose instances have a snapshot, and what a planter needs to change it."""

    def __init__(self, events: Sequence[PersistedEvent]) -> None:
        self.events = {one.id: one for one in events}
        self.added: list[PersistedEvent] = []
        streams: dict[str, Stream] = defaultdict(list)
        for one in events:
            streams[one.instance_id].append(one)
        self.streams = dict(streams)
        whole = [stream for stream in streams.values() if stream[-1].state_after in ENDS]
        # Those that are changed are chosen from the middle, each once, so that the plants do not meet.
        self._spare = iter(whole[len(whole) // 3 :])
        self.snapshots = {
            stream[0].instance_id: taken(stream) for stream in streams.values() if stream[-1].state_after not in ENDS
        }
        self._live = iter([key for key in self.snapshots if len(self.streams[key]) > 3])

    def stream(self, machine: str = "Order") -> Stream:
        """Some instance that has ended, not given before and without a snapshot."""
        return next(one for one in self._spare if one[0].machine_name == machine and len(one) > 6)

    def snapshot(self) -> InstanceSnapshot:
        """That of some live instance with a few events, not given before."""
        return self.snapshots[next(self._live)]

    def put(self, changed: PersistedEvent) -> None:
        self.events[changed.id] = changed

    def save(self, changed: InstanceSnapshot) -> None:
        self.snapshots[changed.instance.id] = changed

    def add(self, model: PersistedEvent, name: str, **changes: Any) -> None:
        """A copy of an event, with another id."""
        self.added.append(replace(model, **{"id": name, "caused_by": (), **changes}))

    def stored(self) -> Stores:
        stores = open_memory_stores()
        everything = sorted((*self.events.values(), *self.added), key=lambda one: one.persisted_at)
        stores.events.append_many(everything)
        stores.snapshots.save_snapshots(self.snapshots.values())
        return stores


def taken(stream: Sequence[PersistedEvent], **changes: Any) -> InstanceSnapshot:
    """A snapshot after the last of these events."""
    last = fold(stream)[-1]
    fields: dict[str, Any] = {
        "id": last.event.instance_id,
        "machine_name": last.event.machine_name,
        "component_name": last.event.component_name,
        "current_state": last.event.state_after,
        "context": last.values,
    }
    return InstanceSnapshot(
        instance=Instance(**{**fields, **changes}),
        snapshot_at=last.event.persisted_at,
        last_event_id=last.event.id,
    )


def dangling(history: History) -> None:
    history.put(replace(history.stream()[3], caused_by=("never-stored",)))


def own_cause(history: History) -> None:
    one = history.stream()[4]
    history.put(replace(one, caused_by=(*one.caused_by, one.id)))


def cycle(history: History) -> None:
    stream = history.stream()
    history.put(replace(stream[2], caused_by=(*stream[2].caused_by, stream[5].id)))


def before_its_cause(history: History) -> None:
    """The cause is of the same instance, and later; what it leads to does not lead back."""
    stream, other = history.stream(), history.stream()
    late = stream[-1]
    early = next(one for one in other if one.persisted_at < late.persisted_at)
    history.put(replace(early, caused_by=(*early.caused_by, late.id)))


def far_before_across(history: History) -> None:
    """One effect in another component, an hour too early."""
    made = history.stream("Reservation")[0]
    (cause,) = made.caused_by
    later = EpochMs(made.persisted_at + HOUR)
    caused = replace(history.events[cause], id="late-cause", instance_id="late", persisted_at=later, caused_by=())
    history.added.append(replace(caused, event_type=CREATION, state_before="", payload={}))
    history.put(replace(made, caused_by=("late-cause",), payload={"initialContext": {}}))


def skew(history: History) -> None:
    """The clock of one component goes four seconds behind."""
    for one in list(history.events.values()):
        if one.component_name == "InventoryComponent":
            history.put(replace(one, persisted_at=EpochMs(one.persisted_at - 4_000)))


def one_sided(history: History) -> None:
    stream, other = history.stream(), history.stream()
    effect = stream[4]
    (cause,) = effect.caused_by
    history.put(replace(history.events[cause], caused=(effect.id, other[2].id)))


def rolled_back(history: History) -> None:
    stream = history.stream()
    assert stream[2].state_after != stream[-2].state_after
    history.put(replace(stream[-1], state_before=stream[2].state_after))


def lost_event(history: History) -> None:
    stream = history.stream()
    other = next(end for end in ("Completed", "Cancelled") if end != stream[-1].state_after)
    history.put(replace(stream[-1], state_before=other))


def created_twice(history: History) -> None:
    first = history.stream()[0]
    history.add(first, "again", persisted_at=EpochMs(first.persisted_at + 1))


def two_components(history: History) -> None:
    history.put(replace(history.stream("Shipment")[-1], component_name="ElsewhereComponent"))


def two_runtimes(history: History) -> None:
    """Mixed with what goes on in the first runtime: the second goes on from a state of before, the first from where
    it was, and the second again."""
    stream = history.stream()
    first, second = stream[-2], stream[-1]
    middle = EpochMs((first.persisted_at + second.persisted_at) // 2)
    old = stream[1].state_after
    assert old not in (first.state_after, second.state_after)
    history.add(first, "other-runtime", persisted_at=middle, state_before=old, state_after="Checked")
    later = EpochMs(second.persisted_at + 1)
    history.add(first, "other-runtime-again", persisted_at=later, state_before="Checked", state_after=old)


def unknown_state(history: History) -> None:
    history.put(replace(history.stream()[-1], state_after="Vanished"))


def disagreeing(history: History) -> None:
    one = history.snapshot()
    context = {**one.instance.context, "amount": -1}
    history.save(replace(one, instance=replace(one.instance, context=context)))


def disagreeing_state(history: History) -> None:
    one = history.snapshot()
    history.save(replace(one, instance=replace(one.instance, current_state="Ready")))


def adrift(history: History) -> None:
    history.save(replace(history.snapshot(), last_event_id="never-stored"))


def nobodys_snapshot(history: History) -> None:
    history.save(snapshot(id="nobody"))


def lagging(history: History) -> None:
    """Behind, while the instance is live: normal."""
    history.save(taken(history.streams[history.snapshot().instance.id][:-2]))


def left_behind(history: History) -> None:
    stream = history.stream()
    history.save(taken(stream[:-2]))


def unsaved(history: History) -> None:
    """All ended reservations have a snapshot, but one."""
    lost = history.stream("Reservation")[0].instance_id
    for key, stream in history.streams.items():
        if stream[0].machine_name == "Reservation" and stream[-1].state_after in ENDS and key != lost:
            history.save(taken(stream))


def wrong_parent(history: History) -> None:
    made = history.stream("Shipment")[0]
    payload = {**made.payload, "parentInstanceId": "another"}  # type: ignore[dict-item]
    history.put(replace(made, payload=payload))


def wrong_timer(history: History) -> None:
    cause, one = history.stream()[0], history.stream()[4]
    assert cause.persisted_at < one.persisted_at
    payload = {**one.payload, "reason": "timeout"}  # type: ignore[dict-item]
    history.put(replace(one, caused_by=(cause.id,), payload=payload))


def uncaused(history: History) -> None:
    history.put(replace(history.stream("Shipment")[0], caused_by=()))


def odd(history: History) -> None:
    document = event_to_document(history.stream()[3])
    inner: Any = document["event"]
    history.put(event_from_document({**document, "event": {**inner, "timestamp": "yesterday"}}))


PLANTERS: Mapping[Callable[[History], None], Mapping[str, int]] = {
    dangling: {"dangling_cause": 1},
    own_cause: {"causal_cycle": 1},
    cycle: {"causal_cycle": 1},
    before_its_cause: {"effect_before_cause": 1},
    far_before_across: {"effect_before_cause": 1},
    skew: {"clock_skew": 1},
    one_sided: {"asymmetric_link": 1},
    rolled_back: {"chain_break": 1},
    lost_event: {"chain_break": 1},
    created_twice: {"duplicate_instance": 1},
    two_components: {"duplicate_instance": 1},
    unknown_state: {"unknown_state": 1},
    disagreeing: {"snapshot_disagrees": 1},
    disagreeing_state: {"snapshot_disagrees": 1},
    adrift: {"snapshot_disagrees": 1},
    nobodys_snapshot: {"snapshot_orphan": 1},
    lagging: {},
    left_behind: {"snapshot_stale": 1},
    wrong_parent: {"doubtful_cause": 1},
    wrong_timer: {"doubtful_cause": 1},
    uncaused: {"missing_cause": 1},
    odd: {"odd_document": 1},
}
"""What each of them makes to be found. The last few kinds are planted alone below."""


@pytest.fixture(scope="module")
def clean() -> Sequence[PersistedEvent]:
    return list(clean_events(EVENTS))


@pytest.fixture(scope="module")
def small(clean: Sequence[PersistedEvent]) -> Sequence[PersistedEvent]:
    return clean[:12_000]


@pytest.fixture(scope="module")
def catalog(clean: Sequence[PersistedEvent]) -> Catalog:
    """A definition of each machine, with the states that it was seen in and no rules."""
    states: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for one in clean:
        states[one.component_name, one.machine_name][one.state_after] = None
    return Catalog(
        Component(name=component, machines=(machine(name, list(found)),)) for (component, name), found in states.items()
    )


def machine(name: str, states: list[str]) -> StateMachine:
    return StateMachine(
        name=name,
        initial_state=states[0],
        states=tuple(State(name=one, type="final" if one in ENDS else "regular") for one in states),
    )


def steps(instance: str, *states: str | tuple[str, str]) -> Stream:
    """A creation and one event for each further state, 10 s apart; (before, after) where the one before was lost."""
    stream: Stream = []
    for number, state in enumerate(states):
        before, after = state if isinstance(state, tuple) else (stream[-1].state_after if stream else "", state)
        stream.append(
            event(
                id=f"{instance}-{number}",
                instance_id=instance,
                event_type="STEP" if number else CREATION,
                payload={},
                state_before=before,
                state_after=after,
                persisted_at=START + 10_000 * number,
            )
        )
    return stream


def verified(events: Sequence[PersistedEvent], catalog: Catalog | None = None) -> Report:
    with open_memory_stores() as stores:
        stores.events.append_many(events)
        return verify(stores, catalog)


def found(report: Report) -> dict[str, int]:
    return {kind: count for kind, count in report.counts.items() if count}


def test_a_clean_store_is_sound(small: Sequence[PersistedEvent], catalog: Catalog) -> None:
    with History(small).stored() as stores:
        report = verify(stores, catalog)

    assert found(report) == {}
    assert report.worst is None
    assert report.checked["events"] == len(small)
    assert report.checked["snapshots"] > 10


def test_one_violation_of_each_kind_in_100_000_events_gives_these_findings_and_no_more(
    clean: Sequence[PersistedEvent], catalog: Catalog
) -> None:
    history = History(clean)
    wanted: Counter[str] = Counter()
    for planter, findings in PLANTERS.items():
        planter(history)
        wanted.update(findings)
    with history.stored() as stores:
        report = verify(stores, catalog)

    assert found(report) == dict(wanted)
    assert found(report).keys() | {"snapshot_missing", "damaged_file"} == set(KINDS)
    assert {kind: report.shown(kind) for kind in wanted} == dict(wanted)
    assert all(one.what and one.reason and one.page and one.params for one in report.findings)


@pytest.mark.parametrize("planter", PLANTERS, ids=lambda planter: planter.__name__)
def test_what_is_planted_alone_is_found_alone(
    planter: Callable[[History], None], small: Sequence[PersistedEvent], catalog: Catalog
) -> None:
    history = History(small)
    planter(history)
    with history.stored() as stores:
        assert found(verify(stores, catalog)) == PLANTERS[planter]


def test_an_ended_instance_without_a_snapshot_is_told_where_the_others_have_one(
    small: Sequence[PersistedEvent], catalog: Catalog
) -> None:
    history = History(small)
    unsaved(history)
    with history.stored() as stores:
        assert found(verify(stores, catalog)) == {"snapshot_missing": 1}


def test_an_instance_that_two_runtimes_carry_on_is_told_with_its_breaks(
    small: Sequence[PersistedEvent], catalog: Catalog
) -> None:
    history = History(small)
    two_runtimes(history)
    with history.stored() as stores:
        report = verify(stores, catalog)

    assert found(report) == {"chain_break": 3, "duplicate_instance": 1}
    (one,) = (finding for finding in report.findings if finding.kind == "duplicate_instance")
    assert one.what.startswith("Two lines of events are mixed, as of two runtimes")
    assert one.severity == "warning"
    assert "events in between were lost" in one.reason


def test_two_lost_events_are_two_breaks_and_no_second_runtime() -> None:
    """Even where the second gap leads back to the state in which the first began."""
    report = verified(steps("i", "A", "B", ("C", "D"), ("B", "E")))
    back = verified(steps("i", "A", "B", "C", "D", ("B", "E"), ("D", "F")))

    assert found(report) == {"chain_break": 2}
    assert found(back) == {"chain_break": 2}


def test_a_name_that_is_not_recorded_is_no_second_machine_or_component() -> None:
    one, two, three = steps("i", "A", "B", "C")
    for nameless in (replace(two, machine_name=""), replace(two, component_name="")):
        assert found(verified([one, nameless, three])) == {}
    for nameless in (replace(one, machine_name=""), replace(one, component_name="")):
        assert found(verified([nameless, two, three])) == {}

    elsewhere = verified([replace(one, machine_name=""), two, replace(three, machine_name="Parcel")])
    assert found(elsewhere) == {"duplicate_instance": 1}
    assert "is in Shop/Order, but 1 of its events is elsewhere, as in Shop/Parcel" in elsewhere.findings[0].what


def test_a_missing_cause_or_effect_is_told_once_for_each_event_that_names_it() -> None:
    one, two, three = steps("i", "A", "B", "C")

    report = verified([one, replace(two, caused_by=("x", "y", "x")), replace(three, caused_by=("x",))])
    assert found(report) == {"dangling_cause": 3}
    assert report.checked["links"] == 3
    assert found(verified([replace(one, caused=("x", "x")), two, three])) == {"asymmetric_link": 1}


def test_states_are_judged_by_the_version_that_an_event_is_stamped_with_or_not_at_all() -> None:
    """Its states were renamed since, and the older definition is not known here."""
    shop = Component(
        name="Shop", machines=(machine("Order", ["New"]),), hash="present"
    )  # fmt: skip
    older = [replace(one, definition_hash="older") for one in steps("i", "Draft", "Paid")]
    present = [replace(one, definition_hash="present") for one in steps("j", "New", "Lost")]
    nobody = [replace(one, machine_name="Parcel") for one in steps("k", "Sent")]

    report = verified([*older, *present, *nobody], Catalog([shop]))

    assert found(report) == {"unknown_state": 1}
    assert "'Lost'" in report.findings[0].what
    assert [note for note in report.notes if "were not checked" in note] == [
        "the states of 1 of 5 events were not checked: no definition of their machine is known",
        "the states of 2 of 5 events were not checked: they are stamped with a version of their definition that is "
        "not known",
    ]


@pytest.mark.parametrize("decoded_up_to", [0, 100_000])
def test_a_stream_longer_than_a_piece_is_folded_in_pieces(
    decoded_up_to: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its snapshot was taken in the middle, inside a moment; while it is folded, the work can be stopped."""
    monkeypatch.setattr(verifying, "DOCUMENTS", decoded_up_to)
    monkeypatch.setattr(verifying, "PIECE", 10)
    names = [f"S{number:02}" for number in range(64)]
    stream = [
        replace(one, persisted_at=EpochMs(START + number // 3), payload={"n": number} if number else {})
        for number, one in enumerate(steps("hub", *names))
    ]
    sound, wrong = taken(stream[:41]), taken(stream[:41], context={"n": 7})
    seen: list[int] = []
    together: list[int] = []

    def counted(table: pa.Table, rows: Ints) -> Stream:
        together.append(len(rows))
        return light_events(table, rows)

    monkeypatch.setattr("xcstore.ops.verifying_reading.light_events", counted)
    reports = []
    with open_stores(f"sqlite:///{tmp_path / 'x.db'}", read_only=False) as stores:
        stores.events.append_many(stream)
        for one in (sound, wrong, replace(sound, last_event_id="")):
            stores.snapshots.save_snapshot(one)
            reports.append(verify(stores, kinds=["snapshot_disagrees"], on_progress=lambda done, _: seen.append(done)))

    assert [found(report) for report in reports] == [{}, {"snapshot_disagrees": 1}, {}]
    assert all(report.checked["snapshots_behind"] == 1 for report in reports)
    assert ("events after it", "23") in reports[1].findings[0].evidence
    assert reports[1].findings[0].event_id == stream[40].id
    assert sum(together) == 3 * len(stream)
    assert max(together) <= 10
    # All are read; of each of three times that they are folded there was word in between.
    assert sum(done == len(stream) for done in seen) >= 3 * 6


def test_a_snapshot_in_a_store_without_events_is_nobodys() -> None:
    with open_memory_stores() as stores:
        stores.snapshots.save_snapshot(snapshot(id="nobody"))
        assert found(verify(stores)) == {"snapshot_orphan": 1}


def test_findings_beyond_the_limit_are_counted_and_not_told(small: Sequence[PersistedEvent]) -> None:
    history = History(small)
    for _ in range(5):
        dangling(history)
    with history.stored() as stores:
        report = verify(stores, limit=2)
        none = verify(stores, limit=0)

    assert (report.counts["dangling_cause"], report.shown("dangling_cause")) == (5, 2)
    assert (none.counts["dangling_cause"], none.findings) == (5, ())
    assert report.severities["error"] == 5


def test_only_the_kinds_that_are_asked_for_are_looked_for(small: Sequence[PersistedEvent]) -> None:
    history = History(small)
    dangling(history)
    rolled_back(history)
    with history.stored() as stores:
        report = verify(stores, kinds=["chain_break"])

    assert report.counts == {"chain_break": 1}
    assert {one.kind for one in report.findings} == {"chain_break"}


def test_a_kind_that_is_none_is_refused_with_those_there_are() -> None:
    with open_memory_stores() as stores, pytest.raises(QueryError, match="chain_break"):
        verify(stores, kinds=["nonsense"])


def test_what_has_no_definition_is_counted_as_not_checked(small: Sequence[PersistedEvent]) -> None:
    with History(small).stored() as stores:
        report = verify(stores, Catalog())

    assert found(report) == {}
    assert any("12,000 of 12,000 events were not checked" in note for note in report.notes)


def test_an_empty_store_is_sound() -> None:
    with open_memory_stores() as stores:
        report = verify(stores)

    assert report.total == 0
    assert report.checked["events"] == 0


def test_progress_goes_up_to_the_end_and_what_it_raises_stops_the_work(small: Sequence[PersistedEvent]) -> None:
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with History(small).stored() as stores:
        verify(stores, on_progress=lambda done, total: seen.append((done, total)))
        with pytest.raises(KeyboardInterrupt):
            verify(stores, on_progress=stop)

    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] > 12_000


def test_pieces_of_any_size_and_either_way_of_reading_find_the_same(
    small: Sequence[PersistedEvent], catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A piece may end within a moment, and causes lie further back than the window."""
    history = History(
        [replace(one, persisted_at=EpochMs(one.persisted_at // 60_000 * 60_000)) for one in small[:2_000]]
    )
    for planter in (dangling, cycle, one_sided, rolled_back, created_twice, wrong_parent, uncaused, disagreeing):
        planter(history)
    reports = []
    with history.stored() as memory, open_stores(f"sqlite:///{tmp_path / 'x.db'}", read_only=False) as stores:
        stores.events.append_many(memory.events.get_all_events())
        stores.snapshots.save_snapshots(memory.snapshots.get_all_snapshots())
        for decoded_up_to, piece in ((100_000, 50_000), (0, 50_000), (0, 60), (100_000, 60)):
            monkeypatch.setattr(verifying, "DOCUMENTS", decoded_up_to)
            monkeypatch.setattr(verifying, "PIECE", piece)
            report = verify(stores, catalog, kinds=[kind for kind in KINDS if kind != "odd_document"])
            reports.append((report.counts, [(one.kind, one.event_id, one.instance_id) for one in report.findings]))

    assert reports[0][0]["dangling_cause"] == 1
    assert all(report == reports[0] for report in reports[1:])


def test_a_dangling_cause_is_a_warning_where_retention_has_run(tmp_path: Path) -> None:
    """An old order went into the archive; a younger one was caused by it."""
    now = EpochMs(START + 200 * DAY)
    old = [
        event(id="made", instance_id="old", event_type=CREATION, state_before="", persisted_at=START),
        event(id="ended", instance_id="old", state_before="Paid", state_after="Done", persisted_at=START + 1),
    ]
    young = event(
        id="young", instance_id="young", event_type=CREATION, state_before="", caused_by=("ended",), persisted_at=now
    )
    states = (State(name="Paid"), State(name="Done", type="final"))
    shop = Component(name="Shop", machines=(StateMachine(name="Order", initial_state="Paid", states=states),))
    with open_stores(f"sqlite:///{tmp_path / 'a.db'}", read_only=False) as stores:
        stores.events.append_many([*old, young])
        assert found(verify(stores, kinds=["dangling_cause"])) == {}

        prune(stores, None, Catalog([shop]), Rules.since(now, 100, 10), now=now)
        report = verify(stores, Catalog([shop]))

    assert found(report) == {"dangling_cause": 1}
    assert report.findings[0].severity == report.worst == "warning"


# Files


def damage_an_index(path: Path) -> None:
    """Empty the index of instances: questions that go by it then miss events, and nothing else tells."""
    with sqlite3.connect(path) as connection:
        name, page = connection.execute(
            "SELECT name, rootpage FROM sqlite_master WHERE type = 'index' AND tbl_name = 'fsm_events' "
            "AND sql LIKE '%instance_id%' LIMIT 1"
        ).fetchone()
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        assert name
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        assert file.read(1) == b"\x0a"  # a leaf: the whole index is on this page
        file.seek((page - 1) * size + 3)
        file.write(b"\0\0")  # it has no cells


def test_a_sqlite_file_whose_index_lost_its_rows_is_no_sound_store(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    url = f"sqlite:///{path}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append_many([event(id=f"e{n}", instance_id=f"i{n}", event_type=CREATION) for n in range(9)])
    with open_stores(url) as stores:
        assert verify(stores, kinds=["damaged_file"]).counts == {"damaged_file": 0}
    damage_an_index(path)

    with open_stores(url) as stores:
        report = verify(stores, kinds=["damaged_file"])
        assert "damaged_file" in verify(stores).counts
    assert report.worst == "error"
    assert "index" in " ".join(finding.what for finding in report.findings)


def test_an_archive_whose_file_was_changed_is_no_sound_store(tmp_path: Path) -> None:
    url = f"archive:///{tmp_path / 'archive'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append_many([event(id="e1"), event(id="e2")])
    with open_stores(url) as stores:
        assert verify(stores).counts["damaged_file"] == 0
    (part,) = (tmp_path / "archive" / "events").rglob("*.parquet")
    written = part.read_bytes()
    assert b"parquet" in written  # in the name of its writer, which no question reads
    part.write_bytes(written.replace(b"parquet", b"parquat", 1))

    with open_stores(url) as stores:
        report = verify(stores, kinds=["damaged_file"])
    assert [part.name in finding.what for finding in report.findings] == [True]
    assert report.worst == "error"


def test_where_there_are_no_files_to_look_at_none_is_called_sound() -> None:
    stores = open_memory_stores()

    assert "damaged_file" not in verify(stores).counts
    asked = verify(stores, kinds=["damaged_file"])
    assert asked.partly == {"damaged_file"}
    assert "files were not checked" in " ".join(asked.notes)
