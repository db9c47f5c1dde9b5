"""Both PostgreSQL dumps of the TypeScript runtime, loaded as they are, against what the database and the runtime say.

Another data set of the same shape goes in `XCSTORE_REFERENCE`.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.servers.postgresql import PostgresServer
from xcstore.errors import NotFoundError, ReadOnlyStoreError
from xcstore.model.history import PersistedEvent
from xcstore.store.base import EventQuery, InstanceQuery, Stores
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs

REFERENCE = Path(os.environ.get("XCSTORE_REFERENCE") or Path(__file__).parents[3] / "shared" / "reference")
DUMPS = {"doc": "documented_layout.sql", "shipped": "shipped_layout.sql"}
LAYOUTS = {"doc": "documented", "shipped": "shipped"}


@dataclass(frozen=True)
class Loaded:
    """A dump in a database, opened, with the rows as the database gives them and the answers of the reference."""

    name: str
    url: str
    stores: Stores
    rows: Mapping[str, Mapping[str, Any]]
    """Events by id, causes as a list in `causes`."""
    answers: Mapping[str, Any]

    def causes(self, event_id: str) -> Sequence[str]:
        causes: Sequence[str] = self.rows[event_id]["causes"]
        return causes


@pytest.fixture(scope="module", params=DUMPS)
def loaded(request: pytest.FixtureRequest, postgresql_server: PostgresServer) -> Iterator[Loaded]:
    dump = REFERENCE / DUMPS[request.param]
    if not dump.exists():
        reason = f"no reference data at {REFERENCE}; set XCSTORE_REFERENCE to its folder"
        if "reference" in os.environ.get("XCSTORE_TEST_REQUIRE", "").split(","):
            pytest.fail(reason)
        pytest.skip(reason)
    with postgresql_server.database() as url:
        postgresql_server.load(url, dump)
        answers = json.loads((REFERENCE / "answers.json").read_text())[request.param]
        with open_stores(url) as stores:
            yield Loaded(request.param, url, stores, _rows(url, request.param), answers)


def _rows(url: str, name: str) -> dict[str, dict[str, Any]]:
    causes = "caused_by" if name == "doc" else "array_remove(ARRAY[causation_id, correlation_id], NULL)"
    after = "state_after" if name == "doc" else "to_state"
    before = "state_before" if name == "doc" else "from_state"
    with psycopg.connect(url) as connection:
        found = connection.execute(
            f"SELECT id::text, instance_id::text, persisted_at, {causes}::text[], {before}, {after},"
            " component_name, machine_name FROM fsm_events"
        ).fetchall()
    names = ("id", "instance_id", "persisted_at", "causes", "before", "after", "component", "machine")
    rows = [dict(zip(names, row, strict=True)) for row in found]
    return {row["id"]: {**row, "causes": list(dict.fromkeys(row["causes"] or ()))} for row in rows}


def _scalar(url: str, statement: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement).fetchone()  # type: ignore[arg-type]
    assert row is not None
    value: int = row[0]
    return value


def ids(events: Sequence[PersistedEvent]) -> list[str]:
    return [event.id for event in events]


def test_the_layout_is_told_by_its_columns(loaded: Loaded) -> None:
    assert loaded.stores.events.layout == LAYOUTS[loaded.name]
    assert loaded.stores.events.read_only


def test_counts_equal_those_of_the_database(loaded: Loaded) -> None:
    events = _scalar(loaded.url, "SELECT count(*) FROM fsm_events")
    instances = _scalar(loaded.url, "SELECT count(DISTINCT instance_id) FROM fsm_events")
    snapshots = _scalar(loaded.url, "SELECT count(*) FROM fsm_snapshots")

    assert loaded.stores.events.count(EventQuery())[0].count == events
    assert sum(1 for _ in loaded.stores.events.get_all_events()) == events
    assert loaded.stores.events.to_arrow(EventQuery()).num_rows == events
    assert sum(count.count for count in loaded.stores.events.count_instances(InstanceQuery())) == instances
    assert loaded.stores.snapshots.count() == snapshots
    assert sum(1 for _ in loaded.stores.snapshots.get_all_snapshots()) == snapshots


def test_no_row_is_odd(loaded: Loaded) -> None:
    assert [event.faults for event in loaded.stores.events.get_all_events() if event.faults] == []
    assert [snapshot.faults for snapshot in loaded.stores.snapshots.get_all_snapshots() if snapshot.faults] == []


def test_counts_by_names_equal_those_of_the_database(loaded: Loaded) -> None:
    expected: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in loaded.rows.values():
        expected[row["component"] or "", row["machine"]] += 1

    counts = loaded.stores.events.count(EventQuery(), by=("component_name", "machine_name"))

    assert {count.key: count.count for count in counts} == dict(expected)


def test_histories_agree_with_the_reference(loaded: Loaded) -> None:
    """The reference orders by time alone: events of one moment come in any order there, by their chain here."""
    for instance_id, expected in loaded.answers["getEventsForInstance"].items():
        stream = loaded.stores.events.get_events_for_instance(instance_id)

        assert sorted(ids(stream)) == sorted(expected)
        assert [event.persisted_at for event in stream] == [loaded.rows[id_]["persisted_at"] for id_ in expected]
        assert _breaks(stream) <= _breaks([loaded.stores.events.get_event(id_) for id_ in expected])


def _breaks(stream: Sequence[PersistedEvent]) -> int:
    """How often an event does not start where the one before it ended."""
    return sum(later.state_before != earlier.state_after for earlier, later in pairwise(stream))


def test_time_ranges_agree_with_the_reference(loaded: Loaded) -> None:
    for answer in loaded.answers["getEventsByTimeRange"]:
        found = loaded.stores.events.get_events_by_time_range(EpochMs(answer["start"]), EpochMs(answer["end"]))

        assert sorted(ids(found)) == sorted(answer["ids"])
        assert [(event.persisted_at, event.id) for event in found] == sorted(
            (event.persisted_at, event.id) for event in found
        )


def test_caused_events_agree_with_the_reference(loaded: Loaded) -> None:
    for event_id, expected in loaded.answers["getCausedEvents"].items():
        assert sorted(ids(loaded.stores.events.get_caused_events(event_id))) == sorted(expected)


@pytest.mark.parametrize("method", ["traceEventAcrossComponents", "runtime_traceEventCausality", "store_traceEvent"])
def test_traces_hold_all_that_the_recorded_causes_connect(loaded: Loaded, method: str) -> None:
    """Not the reference's answers: it follows `caused`, which is empty in both layouts, so that a trace over
    PostgreSQL returns the one event it started from (REFERENCE_BEHAVIOUR.md, defect 2). What is right follows from
    the recorded causes, and is worked out here from the rows.
    """
    effects: defaultdict[str, list[str]] = defaultdict(list)
    for event_id in loaded.rows:
        for cause in loaded.causes(event_id):
            effects[cause].append(event_id)

    for event_id, answered in loaded.answers[method].items():
        expected = _reached(event_id, effects)

        trace = loaded.stores.events.trace(event_id, "effects", max_events=len(loaded.rows))

        assert {event.id for event in trace.events} == expected
        assert not trace.truncated
        assert set(answered) <= expected
        if method == "store_traceEvent":  # the one of the three that looks for `causation_id`
            assert set(answered) == expected


def _reached(start: str, effects: Mapping[str, Sequence[str]]) -> set[str]:
    reached, waiting = {start}, [start]
    while waiting:
        for effect in effects.get(waiting.pop(), ()):
            if effect not in reached:
                reached.add(effect)
                waiting.append(effect)
    return reached


def test_causes_of_an_event_are_followed_back_to_the_first(loaded: Loaded) -> None:
    back = {id_: [c for c in loaded.causes(id_) if c in loaded.rows] for id_ in loaded.rows}

    for event_id in loaded.answers["traceEventAcrossComponents"]:
        trace = loaded.stores.events.trace(event_id, "causes", max_events=len(loaded.rows))

        assert {event.id for event in trace.events} == _reached(event_id, back)


def test_the_current_state_is_that_of_the_end_of_the_stream(loaded: Loaded) -> None:
    listed = {}
    after = None
    while True:
        page = loaded.stores.events.instances(InstanceQuery(), after=after, limit=70)
        listed.update({summary.instance_id: summary for summary in page.items})
        after = page.next
        if after is None:
            break

    assert set(listed) == {row["instance_id"] for row in loaded.rows.values()}
    for instance_id, summary in listed.items():
        stream = loaded.stores.events.get_events_for_instance(instance_id)
        assert (summary.last_event_id, summary.state) == (stream[-1].id, stream[-1].state_after)
        assert (summary.created_at, summary.updated_at) == (stream[0].persisted_at, stream[-1].persisted_at)
        assert summary.event_count == len(stream)


def test_an_id_of_another_form_is_simply_not_found(loaded: Loaded) -> None:
    events = loaded.stores.events

    assert events.get_events_for_instance("no-uuid") == []
    assert events.get_caused_events("no-uuid") == []
    assert events.get_events(["no-uuid", "", "x\0y"]) == {}
    assert loaded.stores.snapshots.get_snapshot("no-uuid") is None
    assert events.find(EventQuery(instance_ids=("no-uuid",))).items == ()
    with pytest.raises(NotFoundError):
        events.trace("no-uuid")


def test_a_store_of_another_writer_is_never_written(loaded: Loaded) -> None:
    event = next(loaded.stores.events.get_all_events())
    tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    before = _scalar(loaded.url, tables)

    with open_stores(loaded.url, read_only=False) as writable, pytest.raises(ReadOnlyStoreError, match="import"):
        writable.events.append(event)

    assert _scalar(loaded.url, tables) == before
