"""One random program on all writable stores at once: they must agree. Memory is the model, the others are subjects."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.backends import BACKENDS
from tests.factories import START, event, snapshot
from tests.servers.mongodb import empty_database
from xcstore.errors import DuplicateEventError, LimitExceededError, ReadOnlyStoreError, XcstoreError
from xcstore.jsontext import canonical_json, parse_json
from xcstore.store.base import EventQuery, InstanceQuery, OutboxChange, StoredDefinition, StoredWork, Stores
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores

# Few values, so that programs meet duplicates, ties, chains, causes and hits.
event_ids = st.sampled_from(["a", "b", "c", "d", "e", "f", "A", "é", "%", "x" * 51, ""])
instance_ids = st.sampled_from(["i1", "i2", "I1", "i_"])
names = st.sampled_from(["Shop", "shop", "", "Dépôt"])
states = st.sampled_from(["", "New", "Paid", "Sent"])
times = st.sampled_from([START, START + 1, START + 2, START - 3_600_000, -1, 0])
scalars = st.sampled_from(["42", 42, 42.0, True, None, "needle", "NEEDLE %_\\\"'", "", "é", -1.5, "a\0b"])
payloads = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abn0é."), inner, max_size=3),
    max_leaves=5,
)
events = st.builds(
    lambda **fields: event(**fields),
    id=event_ids,
    instance_id=instance_ids,
    component_name=names,
    machine_name=names,
    event_type=names,
    state_before=states,
    state_after=states,
    persisted_at=times,
    payload=payloads,
    caused_by=st.lists(st.sampled_from("abcdefz"), max_size=3).map(tuple),
)
queries = st.builds(
    EventQuery,
    components=st.lists(names, max_size=2).map(tuple),
    machines=st.lists(names, max_size=1).map(tuple),
    instance_ids=st.just(()) | st.lists(instance_ids, max_size=2).map(tuple),
    states=st.just(()) | st.lists(states, max_size=2).map(tuple),
    start=st.none() | times,
    end=st.none() | times,
    text=st.sampled_from(["", "", "needle", "4", "é", "%", '"', "n", "true", "shop", "_", "."]),
) | st.builds(
    EventQuery,
    payload_path=st.lists(st.sampled_from("abn0é."), min_size=1, max_size=2).map(tuple),
    payload_value=st.sampled_from(["42", "needle", "true", "null", "", "-1.5", "42.0"]),
)
instance_queries = st.builds(
    InstanceQuery,
    components=st.just(()) | st.lists(names, max_size=2).map(tuple),
    states=st.just(()) | st.lists(states, max_size=2).map(tuple),
    id_prefix=st.sampled_from(["", "i", "I", "i_", "%"]),
    updated_from=st.none() | times,
    updated_to=st.none() | times,
)
snapshots = st.builds(
    lambda **fields: snapshot(**fields),
    id=instance_ids,
    current_state=states,
    context=st.dictionaries(st.sampled_from("ab"), payloads, max_size=2),
)

changes = st.builds(
    OutboxChange,
    add=st.lists(
        st.builds(
            StoredWork,
            id=event_ids,
            position=st.integers(-2, 2),
            component_name=names,
            document=st.dictionaries(st.sampled_from("ab"), payloads, max_size=2),
        ),
        max_size=3,
    ).map(tuple),
    remove=st.lists(event_ids, max_size=3).map(tuple),
)


RETENTION = 3

Fresh = Callable[[], AbstractContextManager[str]]
"""Gives the URL of an empty place, which is gone after the block."""


@contextmanager
def folder(url: str) -> Iterator[str]:
    """The URL, for a new folder."""
    with tempfile.TemporaryDirectory() as path:
        yield url.format(path)


def places(request: pytest.FixtureRequest) -> dict[str, Fresh]:
    """By backend, of those that append as the contract says; with `--backend`, only these."""
    known: dict[str, Callable[[], Fresh]] = {
        "sqlite": lambda: partial(folder, "sqlite:///{}/events.db"),
        "postgresql": lambda: request.getfixturevalue("postgresql_server").database,
        "mongodb": lambda: partial(empty_database, request.getfixturevalue("mongodb_server")),
        "archive": lambda: partial(folder, "archive:///{}/archive"),
    }
    chosen = request.config.getoption("--backend") or list(BACKENDS)
    return {name: place() for name, place in known.items() if name in chosen and name in BACKENDS}


class StoresAgree(RuleBasedStateMachine):
    """Each rule does the same to all stores; what comes out, or which error, must be equal."""

    def __init__(self, places: dict[str, Fresh]) -> None:
        super().__init__()
        self.places = places

    @initialize()
    def open(self) -> None:
        self.opened = ExitStack()
        self.urls = {name: self.opened.enter_context(place()) for name, place in self.places.items()}
        self.model = open_memory_stores(retention=RETENTION)
        self.subjects = {name: self.opened_for_writing(url) for name, url in self.urls.items()}

    @staticmethod
    def opened_for_writing(url: str) -> Stores:
        return open_stores(url, read_only=False, snapshot_retention=RETENTION)

    def teardown(self) -> None:
        if not hasattr(self, "subjects"):
            return
        try:
            self.everything_is_equal()
        finally:
            for stores in self.subjects.values():
                stores.close()
            self.opened.close()

    def agree(self, ask: Callable[[Stores], Any], subjects: dict[str, Stores] | None = None) -> tuple[str, Any]:
        expected = self.outcome(ask, self.model)
        for name, stores in (self.subjects if subjects is None else subjects).items():
            assert (name, self.outcome(ask, stores)) == (name, expected)
        return expected

    @staticmethod
    def outcome(ask: Callable[[Stores], Any], stores: Stores) -> tuple[str, Any]:
        try:
            return "gave", ask(stores)
        except XcstoreError as error:
            return "raised", type(error)

    def with_outbox(self, keeps: bool) -> dict[str, Stores]:
        return {name: stores for name, stores in self.subjects.items() if stores.events.keeps_outbox is keeps}

    # Writing

    @rule(one=events)
    def append(self, one: Any) -> None:
        self.agree(lambda stores: stores.events.append(one))

    @rule(several=st.lists(events, min_size=2, max_size=6))
    def append_one_after_the_other(self, several: list[Any]) -> None:
        for one in several:
            self.append(one)

    @rule(one=events, last=event_ids)
    def append_behind(self, one: Any, last: str) -> None:
        self.agree(lambda stores: stores.events.append(one, expected_last_id=last))

    @rule(one=events)
    def append_behind_the_last(self, one: Any) -> None:
        stream = self.model.events.get_events_for_instance(one.instance_id)
        self.append_behind(one, stream[-1].id if stream else "")

    @rule(one=events, last=st.none() | event_ids, change=changes)
    def append_with_work(self, one: Any, last: str | None, change: OutboxChange) -> None:
        outcome = self.agree(
            lambda stores: stores.events.append(one, expected_last_id=last, outbox=change), self.with_outbox(True)
        )
        for name, stores in self.with_outbox(False).items():
            refused = self.outcome(lambda stores: stores.events.append(one, outbox=change), stores)
            assert (name, refused[0]) == (name, "raised")
            if outcome[0] == "gave":
                stores.events.append(one, expected_last_id=last)

    @rule(change=changes)
    def change_outbox(self, change: OutboxChange) -> None:
        self.agree(lambda stores: stores.events.change_outbox(change), self.with_outbox(True))

    @rule(batch=st.lists(events, max_size=6))
    def append_many(self, batch: list[Any]) -> None:
        def append(stores: Stores) -> int | str:
            # A batch may be wrong in two ways at once; which is met first depends on how it is written.
            try:
                return stores.events.append_many(batch)
            except (DuplicateEventError, LimitExceededError):
                return "refused"

        self.agree(append)

    @rule(gone=st.lists(event_ids, min_size=1, max_size=5))
    def delete_events(self, gone: list[str]) -> None:
        for name in [name for name in self.subjects if "delete" not in BACKENDS[name].declares]:
            # What keeps everything refuses, and is left behind, as it was until here.
            stores = self.subjects[name]
            assert self.outcome(lambda stores: stores.events.delete_events(gone), stores) == (
                "raised",
                ReadOnlyStoreError,
            )
            self.everything_is_equal({name: stores})
            self.subjects.pop(name).close()
        self.agree(lambda stores: stores.events.delete_events(gone))

    @rule(one=snapshots)
    def save_snapshot(self, one: Any) -> None:
        self.agree(lambda stores: stores.snapshots.save_snapshot(one))

    @rule(several=st.lists(snapshots, max_size=6))
    def save_snapshots(self, several: list[Any]) -> None:
        self.agree(lambda stores: stores.snapshots.save_snapshots(several))

    @rule(instance_id=instance_ids)
    def delete_snapshot(self, instance_id: str) -> None:
        self.agree(lambda stores: stores.snapshots.delete_snapshot(instance_id))

    @rule(keep=st.integers(1, 3))
    def trim(self, keep: int) -> None:
        self.agree(lambda stores: (stores.snapshots.count_beyond(keep), stores.snapshots.trim(keep)))

    @rule(number=st.integers(1, 3), name=names)
    def save_definition(self, number: int, name: str) -> None:
        document = {"name": name, "z": 1, "a": [None, number]}
        one = StoredDefinition(hash=f"{number}" * 64, component_name=name, document=document)
        self.agree(lambda stores: stores.definitions.save_definition(one))

    @rule()
    def open_again(self) -> None:
        for stores in self.subjects.values():
            stores.close()
        self.subjects = {name: self.opened_for_writing(self.urls[name]) for name in self.subjects}

    @rule()
    def read_by_another(self) -> None:
        with ExitStack() as opened:
            self.everything_is_equal(
                {name: opened.enter_context(open_stores(self.urls[name])) for name in self.subjects}
            )

    # Reading

    @rule(query=queries, limit=st.integers(1, 4), newest_first=st.booleans())
    def page_through(self, query: EventQuery, limit: int, newest_first: bool) -> None:
        def ask(stores: Stores) -> list[Any]:
            pages, after = [], None
            while True:
                page = stores.events.find(query, after=after, limit=limit, newest_first=newest_first)
                pages.append((page.items, page.next is None))
                after = page.next
                if after is None:
                    return pages

        self.agree(ask)

    @rule(
        query=queries,
        by=st.lists(st.sampled_from(["component_name", "machine_name", "state_after"]), max_size=2, unique=True),
        bucket=st.sampled_from([None, 1, 3, 3_600_000]),
    )
    def count(self, query: EventQuery, by: Any, bucket: Any) -> None:
        self.agree(lambda stores: list(stores.events.count(query, by=by, bucket_ms=bucket)))

    @rule(query=instance_queries, limit=st.integers(1, 3), newest_first=st.booleans())
    def page_through_instances(self, query: InstanceQuery, limit: int, newest_first: bool) -> None:
        def ask(stores: Stores) -> list[Any]:
            pages, after = [], None
            while True:
                page = stores.events.instances(query, after=after, limit=limit, newest_first=newest_first)
                pages.append((page.items, page.next is None))
                after = page.next
                if after is None:
                    return pages

        self.agree(ask)
        self.agree(lambda stores: list(stores.events.count_instances(query)))

    @rule(root=event_ids, most=st.integers(1, 8))
    def trace(self, root: str, most: int) -> None:
        def ask(direction: Any, stores: Stores) -> Any:
            trace = stores.events.trace(root, direction, most)
            # How much more is known of a cut trace depends on how far the backend has looked.
            return trace.events, set(trace.links), set(trace.missing), trace.truncated, trace.unread > 0

        for direction in ("effects", "causes", "both"):
            self.agree(partial(ask, direction))

    @rule(instance_id=instance_ids, last=event_ids)
    def go_on_after(self, instance_id: str, last: str) -> None:
        self.agree(lambda stores: list(stores.events.get_events_after_snapshot(instance_id, last)))

    @rule(
        wanted=st.lists(instance_ids, max_size=3),
        types=st.just(()) | st.lists(names, max_size=2).map(tuple),
        start=st.none() | times,
    )
    def get_streams(self, wanted: list[str], types: tuple[str, ...], start: Any) -> None:
        def ask(stores: Stores) -> list[Any]:
            streams = stores.events.get_streams(wanted, event_types=types, start=start)
            return [(instance_id, list(stream)) for instance_id, stream in streams.items()]

        self.agree(ask)

    @rule(wanted=st.lists(event_ids, max_size=4), cause=st.sampled_from("abcdefz"), start=times, end=times)
    def get_some(self, wanted: list[str], cause: str, start: Any, end: Any) -> None:
        self.agree(lambda stores: dict(stores.events.get_events(wanted)))
        self.agree(lambda stores: [stores.events.get_event(one) for one in wanted])
        self.agree(lambda stores: list(stores.events.get_caused_events(cause)))
        self.agree(lambda stores: list(stores.events.get_events_by_time_range(start, end)))

    @rule(query=queries, newest_first=st.booleans(), limit=st.none() | st.integers(0, 3))
    def to_arrow(self, query: EventQuery, newest_first: bool, limit: int | None) -> None:
        columns = ["id", "component_name", "payload", "caused_by", "persisted_at"]

        def ask(stores: Stores) -> list[dict[str, Any]]:
            table = stores.events.to_arrow(query, columns=columns, newest_first=newest_first, limit=limit)
            # By value: columns of PostgreSQL hold JSON without the order of keys.
            return [{**row, "payload": canonical_json(parse_json(row["payload"]))} for row in table.to_pylist()]

        self.agree(ask)

    @rule()
    def everything_is_equal(self, subjects: dict[str, Stores] | None = None) -> None:
        self.agree(lambda stores: list(stores.events.get_all_events()), subjects)
        self.agree(
            lambda stores: [list(stores.events.get_events_for_instance(id_)) for id_ in ("i1", "i2", "I1", "i_")],
            subjects,
        )
        self.agree(lambda stores: stores.events.instances(InstanceQuery()).items, subjects)
        self.agree(lambda stores: list(stores.events.count_instances(InstanceQuery())), subjects)
        self.agree(lambda stores: stores.events.time_range(), subjects)
        self.agree(lambda stores: stores.events.count(EventQuery())[0].count, subjects)
        self.agree(lambda stores: list(stores.snapshots.get_all_snapshots()), subjects)
        self.agree(lambda stores: [list(stores.snapshots.list_snapshots(id_)) for id_ in ("i1", "I1")], subjects)
        self.agree(lambda stores: list(stores.definitions.get_all_definitions()), subjects)
        keeping = {name: stores for name, stores in (subjects or self.subjects).items() if stores.events.keeps_outbox}
        self.agree(lambda stores: [list(stores.events.get_outbox(name)) for name in (None, "Shop", "")], keeping)


def test_all_writable_stores_agree(request: pytest.FixtureRequest) -> None:
    subjects = places(request)
    if not subjects:
        pytest.skip("none of the chosen backends can be compared")
    run_state_machine_as_test(
        partial(StoresAgree, subjects),
        settings=settings(
            max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
