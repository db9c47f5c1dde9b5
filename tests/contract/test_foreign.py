"""The reading promises on stores that others write: both layouts of PostgreSQL, and documents of MongoDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from tests.contract import foreign, others
from tests.contract.helpers import ids, uid, walk
from tests.factories import START, event, snapshot
from xcstore.errors import NotFoundError, ReadOnlyStoreError, UnknownEventError
from xcstore.frames import EVENT_COLUMNS, events_frame
from xcstore.model.history import PersistedEvent
from xcstore.store.base import EventQuery, InstanceQuery, OutboxChange, StoredDefinition, StoredWork, Stores
from xcstore.store.opening import open_stores
from xcstore.units import HOUR, EpochMs

Load = Callable[..., Stores]


@pytest.fixture(params=foreign.DATABASES)
def layout(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def database(layout: str, request: pytest.FixtureRequest) -> str:
    """URL of an empty database that can hold the layout."""
    url: str = request.getfixturevalue(foreign.DATABASES[layout])
    return url


@pytest.fixture
def load(layout: str, database: str) -> Iterator[Load]:
    """Make the store with these events and snapshots, and open it as a reader does."""
    with ExitStack() as opened:

        def loaded(events: Sequence[PersistedEvent] = (), snapshots: Any = ()) -> Stores:
            foreign.make(database, layout, events, snapshots)
            return opened.enter_context(open_stores(database))

        yield loaded


def e(number: int, instance: int = 1, **overrides: Any) -> PersistedEvent:
    causes = tuple(uid(cause) for cause in overrides.pop("causes", ()))
    fields: dict[str, Any] = {"id": uid(number), "instance_id": uid(instance), "persisted_at": START + number}
    return event(**{**fields, **overrides}, caused_by=causes)


any_ids = pytest.mark.parametrize("layout", ["documented", "documents"], indirect=True)
"""The shipped layout holds nothing but UUIDs, and one cause."""


def numbers(events: Any) -> list[int]:
    return [int(one.id.replace("-", ""), 16) for one in events]


def test_the_layout_is_told_by_its_columns(load: Load, layout: str) -> None:
    stores = load()

    assert stores.events.layout == layout
    assert stores.events.read_only


def test_events_are_read_as_they_are_stored(load: Load) -> None:
    stored = [e(1, state_before="", payload={"b": 1, "a": [1.5, None, "ü"]}), e(2, causes=[1]), e(3, payload=[])]
    stores = load(stored)

    assert stores.events.get_events_for_instance(uid(1)) == stored
    assert stores.events.get_event(uid(2)) == stored[1]
    assert stores.events.get_event(uid(2)).seq is None
    assert stores.events.get_events([uid(3), uid(9), uid(1)]) == {uid(1): stored[0], uid(3): stored[2]}
    assert list(stores.events.get_all_events()) == stored
    with pytest.raises(NotFoundError):
        stores.events.get_event(uid(9))


@pytest.mark.parametrize("strange", ["", "nobody", "x" * 500, "a'b", "%", "a\0b", "\ud800", "{}", "💥"])
def test_any_text_can_be_asked_for_as_an_id(load: Load, strange: str) -> None:
    stores = load([e(1)])

    with pytest.raises(NotFoundError):
        stores.events.get_event(strange)
    with pytest.raises(NotFoundError):
        stores.events.trace(strange)
    assert stores.events.get_events([strange, uid(1)]).keys() == {uid(1)}
    assert stores.events.get_events_for_instance(strange) == []
    assert stores.events.get_caused_events(strange) == []
    assert stores.events.find(EventQuery(instance_ids=(strange,))).items == ()
    assert stores.events.instances(InstanceQuery(instance_ids=(strange,))).items == ()
    assert stores.snapshots.get_snapshot(strange) is None
    assert stores.snapshots.get_snapshots([strange]) == {}


def test_a_stream_chains_its_states_within_one_moment(load: Load) -> None:
    stores = load(
        [
            e(1, state_before="Paid", state_after="Sent", persisted_at=START),
            e(2, state_before="", state_after="New", persisted_at=START),
            e(3, state_before="New", state_after="Paid", persisted_at=START),
        ]
    )

    assert numbers(stores.events.get_events_for_instance(uid(1))) == [2, 3, 1]
    assert numbers(stores.events.get_events_after_snapshot(uid(1), uid(3))) == [1]
    (summary,) = stores.events.instances(InstanceQuery()).items
    assert (summary.state, summary.last_event_id, summary.event_count) == ("Sent", uid(1), 3)
    for unknown in ("", uid(9)):
        with pytest.raises(UnknownEventError):
            stores.events.get_events_after_snapshot(uid(1), unknown)


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("limit", [7, 100])
def test_hundreds_of_events_in_one_millisecond_are_paged_by_id(load: Load, limit: int, newest_first: bool) -> None:
    stores = load([e(n * 37 % 300 + 1, instance=n % 5, persisted_at=START) for n in range(300)])

    found = numbers(walk(stores.events.find, EventQuery(), limit=limit, newest_first=newest_first))

    assert found == (list(range(300, 0, -1)) if newest_first else list(range(1, 301)))


@any_ids
def test_ids_are_ordered_by_their_bytes(load: Load) -> None:
    names = ["b", "A", "a", "B", "_", "-", "é", "Z", "日", "💥", "ﬀ", "a b", "ab"]
    stores = load([event(id=name, persisted_at=START) for name in names])

    in_order = sorted(names, key=str.encode)
    assert ids(walk(stores.events.find, EventQuery(), limit=3)) == in_order
    assert ids(walk(stores.events.find, EventQuery(), limit=3, newest_first=True)) == in_order[::-1]
    assert ids(stores.events.get_all_events()) == in_order


def test_rows_that_arrive_while_paging_neither_repeat_nor_hide_others(load: Load, layout: str, database: str) -> None:
    stores = load([e(n * 2, persisted_at=START + n // 4) for n in range(1, 21)])
    first = stores.events.find(EventQuery(), limit=6)

    _insert(database, layout, [e(n * 2 + 1, persisted_at=START + n) for n in range(5)])
    seen = numbers(first.items) + numbers(walk_on(stores, first.next))

    assert [number for number in seen if number % 2 == 0] == [n * 2 for n in range(1, 21)]
    assert len(seen) == len(set(seen))


def walk_on(stores: Stores, after: Any) -> list[PersistedEvent]:
    found: list[PersistedEvent] = []
    while after is not None:
        page = stores.events.find(EventQuery(), after=after, limit=6)
        found += page.items
        after = page.next
    return found


def _insert(url: str, layout: str, events: Sequence[PersistedEvent]) -> None:
    if layout == "documents":
        foreign.make(url, layout, events)
        return
    for one in events:
        with psycopg.connect(url) as connection:
            before, after = ("state_before", "state_after") if layout == "documented" else ("from_state", "to_state")
            connection.execute(
                f"INSERT INTO fsm_events (id, instance_id, machine_name, component_name, event_type, event_payload,"
                f" {before}, {after}, persisted_at) VALUES (%s, %s, 'M', 'C', 'T', '{{}}', '', '', %s)",
                (one.id, one.instance_id, one.persisted_at),
            )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (EventQuery(components=("Shop",)), [1, 3]),
        (EventQuery(components=("",)), [4]),
        (EventQuery(machines=("Cart",)), [2]),
        (EventQuery(event_types=("ADD", "PAY")), [1, 2, 3, 4]),
        (EventQuery(instance_ids=(uid(1), uid(9))), [1, 3]),
        (EventQuery(states=("Sent",)), [3]),
        (EventQuery(states_before=("",)), [4]),
        (EventQuery(start=EpochMs(START + 2), end=EpochMs(START + 3)), [2, 3]),
        (EventQuery(text="NEEDLE"), [2]),
        (EventQuery(text="ükey"), [3]),
        (EventQuery(text='"quoted" %_\\'), [4]),
        (EventQuery(text="':"), []),
        (EventQuery(text=uid(2)), [2]),
        (EventQuery(text="add"), [2]),
        (EventQuery(payload_path=("n",), payload_value="42"), [1, 2]),
        (EventQuery(payload_path=("list", "1", "k"), payload_value="v"), [3]),
        (EventQuery(payload_path=("list", "-1", "k"), payload_value="v"), []),
        (EventQuery(payload_path=("a.b", "c'd"), payload_value='q"r'), [4]),
        (EventQuery(payload_path=("none",), payload_value="null"), [3]),
        (EventQuery(components=("Shop",), text="v"), [3]),
    ],
    ids=repr,
)
def test_conditions_find_what_they_find_in_our_own_stores(load: Load, query: EventQuery, expected: list[int]) -> None:
    stores = load(
        [
            e(1, payload={"n": 42}),
            e(2, 2, component_name="Depot", machine_name="Cart", event_type="ADD", payload={"n": "42", "x": "needle"}),
            e(3, payload={"list": [0, {"k": "v"}], "ÜKEY": 1, "none": None}, state_after="Sent"),
            e(4, 4, component_name="", state_before="", payload={"a.b": {"c'd": 'q"r'}, "z": '"quoted" %_\\'}),
        ]
    )

    assert numbers(stores.events.find(query).items) == expected
    assert numbers(stores.events.find(query, newest_first=True).items) == expected[::-1]
    assert stores.events.count(query)[0].count == len(expected)
    assert [row["id"] for row in stores.events.to_arrow(query).to_pylist()] == [uid(number) for number in expected]


def test_null_columns_are_read_as_nothing_and_found_as_such(postgresql_database: str) -> None:
    foreign.make(postgresql_database, "shipped")
    with psycopg.connect(postgresql_database) as connection:
        connection.execute(
            "INSERT INTO fsm_events (id, instance_id, machine_name, event_type, persisted_at, caused)"
            " VALUES (%s, %s, 'M', 'T', 5, NULL)",
            (uid(1), uid(2)),
        )

    with open_stores(postgresql_database) as stores:
        (found,) = stores.events.find(EventQuery(components=("",), states=("",), states_before=("",))).items
        assert (found.component_name, found.state_before, found.state_after, found.caused_by) == ("", "", "", ())
        counts = stores.events.count(EventQuery(), by=("component_name", "state_before", "state_after"))
        assert [(count.key, count.count) for count in counts] == [(("", "", ""), 1)]
        (summary,) = stores.events.instances(InstanceQuery(components=("",), states=("",))).items
        assert (summary.component_name, summary.state) == ("", "")
        assert len(events_frame(stores.events, EventQuery())) == 1


def test_counts_and_buckets(load: Load) -> None:
    stores = load([e(n, component_name=["B", "A", ""][n % 3], persisted_at=(n - 3) * HOUR // 2) for n in range(1, 10)])

    by_component = stores.events.count(EventQuery(), by=("component_name",))
    by_hour = stores.events.count(EventQuery(), bucket_ms=HOUR)

    assert [(count.key, count.count) for count in by_component] == [(("",), 3), (("A",), 3), (("B",), 3)]
    assert [(count.bucket, count.count) for count in by_hour] == [
        (-HOUR, 2),
        (0, 2),
        (HOUR, 2),
        (2 * HOUR, 2),
        (3 * HOUR, 1),
    ]
    assert stores.events.time_range() == (-HOUR, 3 * HOUR)


def test_instances_are_listed_counted_and_paged(load: Load) -> None:
    events = [e(n, instance=n % 5 + 1, state_after=f"S{n}", machine_name=f"M{n % 5 % 2}") for n in range(1, 21)]
    stores = load(events)

    found = walk(stores.events.instances, InstanceQuery(), limit=2)

    assert [(one.instance_id, one.state, one.event_count) for one in found] == [
        (uid(n % 5 + 1), f"S{n}", 4) for n in range(20, 15, -1)
    ]
    machines = stores.events.instances(InstanceQuery(machines=("M1",))).items
    assert [one.instance_id for one in machines] == [uid(4), uid(2)]
    assert [one.instance_id for one in stores.events.instances(InstanceQuery(states=("S18",))).items] == [uid(4)]
    assert [one.instance_id for one in stores.events.instances(InstanceQuery(id_prefix=uid(3))).items] == [uid(3)]
    assert stores.events.instances(InstanceQuery(states=("S1",))).items == ()
    counted = stores.events.count_instances(InstanceQuery(machines=("M0",)))
    assert [(one.machine_name, one.state, one.count) for one in counted] == [
        ("M0", state, 1) for state in ("S17", "S19", "S20")
    ]


def test_caused_events_and_traces_follow_the_recorded_causes(load: Load) -> None:
    stores = load([e(1), e(2, 2, causes=[1]), e(3, 3, causes=[1]), e(4, 4, causes=[2]), e(5, causes=[99]), e(6)])

    assert numbers(stores.events.get_caused_events(uid(1))) == [2, 3]
    trace = stores.events.trace(uid(1), "effects")
    assert numbers(trace.events) == [1, 2, 3, 4]
    assert set(trace.links) == {(uid(1), uid(2)), (uid(1), uid(3)), (uid(2), uid(4))}
    assert numbers(stores.events.trace(uid(4), "causes").events) == [4, 2, 1]
    assert numbers(stores.events.trace(uid(2)).events) == [2, 1, 4]
    orphan = stores.events.trace(uid(5))
    assert (orphan.missing, orphan.links) == ((uid(99),), ((uid(99), uid(5)),))
    cut = stores.events.trace(uid(1), "effects", max_events=2)
    assert numbers(cut.events) == [1, 2]
    assert cut.truncated
    assert cut.unread >= 1


def test_a_cycle_and_a_long_chain_are_walked(load: Load) -> None:
    chain = [e(n, causes=[n - 1]) for n in range(2, 400)]
    stores = load([e(1, causes=[399]), *chain])

    assert len(stores.events.trace(uid(1), "effects", max_events=1000).events) == 399
    assert len(stores.events.trace(uid(5), "both", max_events=1000).events) == 399


@any_ids
def test_several_causes_make_a_diamond(load: Load) -> None:
    stores = load([e(1), e(2, causes=[1]), e(3, causes=[1]), e(4, causes=[2, 3])])

    assert numbers(stores.events.trace(uid(1)).events) == [1, 2, 3, 4]
    assert len(stores.events.trace(uid(1)).links) == 4
    assert numbers(stores.events.trace(uid(4)).events) == [4, 2, 3, 1]


def test_snapshots_are_read_with_what_the_layout_has(load: Load, layout: str) -> None:
    saved = [snapshot(id=uid(n), context={"n": n}, status="completed", last_event_id=uid(n + 10)) for n in range(1, 6)]
    stores = load([], saved)

    found = stores.snapshots.get_snapshot(uid(2))
    assert found is not None
    assert found.instance.context == {"n": 2}
    assert found.status_recorded is (layout != "shipped")
    assert found.instance.status == ("completed" if layout != "shipped" else "active")
    assert found.last_event_id == (uid(12) if layout != "shipped" else "")
    assert [one.instance.id for one in walk(stores.snapshots.find, limit=2)] == [uid(n) for n in range(1, 6)]
    assert [one.instance.id for one in stores.snapshots.get_all_snapshots()] == [uid(n) for n in range(1, 6)]
    assert len(stores.snapshots.list_snapshots(uid(1))) <= 1
    assert stores.snapshots.count() == 5
    assert stores.snapshots.get_snapshots([uid(1), uid(9)]).keys() == {uid(1)}


def test_the_frame_has_the_columns_of_the_contract(load: Load) -> None:
    stores = load([e(1, payload={"ü": [1]}), e(2, causes=[1])])

    frame = events_frame(stores.events, EventQuery())

    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        column.name: column.dtype for column in EVENT_COLUMNS
    }
    assert frame["id"].tolist() == [uid(1), uid(2)]
    assert [list(causes) for causes in frame["caused_by"]] == [[], [uid(1)]]
    assert frame["seq"].isna().all()


def test_an_empty_foreign_store_answers_everything(load: Load) -> None:
    stores = load()

    assert stores.events.get_events_for_instance(uid(1)) == []
    assert stores.events.find(EventQuery(text="x")).items == ()
    assert stores.events.count(EventQuery())[0].count == 0
    assert stores.events.count(EventQuery(), by=("state_after",), bucket_ms=HOUR) == []
    assert stores.events.time_range() is None
    assert stores.events.instances(InstanceQuery()).items == ()
    assert stores.events.count_instances(InstanceQuery()) == []
    assert stores.events.to_arrow(EventQuery()).num_rows == 0
    assert stores.snapshots.count() == 0
    assert list(stores.definitions.get_all_definitions()) == []


def test_every_write_is_refused_and_no_object_of_ours_is_made(load: Load, layout: str, database: str) -> None:
    stores = load([e(1)], [snapshot(id=uid(1))])
    before = _everything(layout, database)

    for write in (
        lambda: stores.events.append(e(2)),
        lambda: stores.events.append(e(2), outbox=OutboxChange(remove=("w",))),
        lambda: stores.events.append_many([e(2)]),
        lambda: stores.events.change_outbox(OutboxChange(remove=("w",))),
        lambda: stores.snapshots.save_snapshot(snapshot()),
        lambda: stores.snapshots.delete_snapshot(uid(1)),
        lambda: stores.definitions.save_definition(StoredDefinition(hash="h", component_name="C", document={})),
    ):
        with pytest.raises(ReadOnlyStoreError):
            write()

    assert _everything(layout, database) == before


def _everything(layout: str, url: str) -> object:
    """All that there is in a database: what is in it, and its tables or collections, indexes and other objects."""
    if layout == "documents":
        with others.documents(url) as documents:
            return {
                name: (
                    sorted(map(repr, documents[name].find())),
                    sorted(map(str, documents[name].index_information().items())),
                )
                for name in documents.list_collection_names()
            }
    with psycopg.connect(url) as connection:
        objects = connection.execute(
            "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'public'"
            " UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " UNION ALL SELECT tgname FROM pg_trigger ORDER BY 1"
        ).fetchall()
        events = connection.execute("SELECT * FROM fsm_events ORDER BY id").fetchall()
        return objects, events, connection.execute("SELECT * FROM fsm_snapshots ORDER BY instance_id").fetchall()


def test_a_foreign_store_has_no_outbox_and_says_so(load: Load) -> None:
    stores = load([e(1)])

    assert not stores.events.keeps_outbox
    assert list(stores.events.get_outbox()) == []
    assert list(stores.events.get_outbox("Shop")) == []
    work = StoredWork(id="w", position=0, component_name="Shop", document={})
    with pytest.raises(ReadOnlyStoreError):
        stores.events.change_outbox(OutboxChange(add=(work,)))


def test_opening_a_foreign_store_for_writing_never_writes_into_it(layout: str, database: str) -> None:
    foreign.make(database, layout, [e(1)], [snapshot(id=uid(1))])
    before = _everything(layout, database)

    with open_stores(database, read_only=False) as stores:
        assert not stores.events.keeps_outbox
        change = OutboxChange(add=(StoredWork(id="w", position=0, component_name="Shop", document={}),))
        for write in (lambda: stores.events.append(e(2)), lambda: stores.events.append(e(2), outbox=change)):
            with pytest.raises(ReadOnlyStoreError, match="belongs to another writer"):
                write()
        with pytest.raises(ReadOnlyStoreError, match="belongs to another writer"):
            stores.events.change_outbox(change)

    assert _everything(layout, database) == before
