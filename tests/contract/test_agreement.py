"""One random program on memory and SQLite at once: they must agree. Memory is the model, SQLite the subject."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.factories import START, event, snapshot
from xcstore.errors import DuplicateEventError, LimitExceededError, XcstoreError
from xcstore.store.base import EventQuery, InstanceQuery, OutboxChange, StoredWork, Stores
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


class StoresAgree(RuleBasedStateMachine):
    """Each rule does the same to both stores; what comes out, or which error, must be equal."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        url = f"sqlite:///{Path(self.folder.name) / 'events.db'}"
        self.stores = [open_memory_stores(), open_stores(url, read_only=False)]

    def teardown(self) -> None:
        for stores in self.stores:
            stores.close()
        self.folder.cleanup()

    def agree(self, ask: Callable[[Stores], Any]) -> None:
        model, subject = (self.outcome(ask, stores) for stores in self.stores)
        assert subject == model

    @staticmethod
    def outcome(ask: Callable[[Stores], Any], stores: Stores) -> tuple[str, Any]:
        try:
            return "gave", ask(stores)
        except XcstoreError as error:
            return "raised", type(error)

    @rule(one=events)
    def append(self, one: Any) -> None:
        self.agree(lambda stores: stores.events.append(one))

    @rule(one=events, last=event_ids)
    def append_behind(self, one: Any, last: str) -> None:
        self.agree(lambda stores: stores.events.append(one, expected_last_id=last))

    @rule(one=events, last=st.none() | event_ids, change=changes)
    def append_with_work(self, one: Any, last: str | None, change: OutboxChange) -> None:
        self.agree(lambda stores: stores.events.append(one, expected_last_id=last, outbox=change))

    @rule(change=changes)
    def change_outbox(self, change: OutboxChange) -> None:
        self.agree(lambda stores: stores.events.change_outbox(change))

    @rule(batch=st.lists(events, max_size=4))
    def append_many(self, batch: list[Any]) -> None:
        def append(stores: Stores) -> int | str:
            # A batch may be wrong in two ways at once; which is met first depends on how it is written.
            try:
                return stores.events.append_many(batch)
            except (DuplicateEventError, LimitExceededError):
                return "refused"

        self.agree(append)

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

    @rule(root=event_ids, direction=st.sampled_from(["effects", "causes", "both"]), most=st.integers(1, 8))
    def trace(self, root: str, direction: Any, most: int) -> None:
        def ask(stores: Stores) -> Any:
            trace = stores.events.trace(root, direction, most)
            # How much more is known of a cut trace depends on how far the backend has looked.
            return trace.events, set(trace.links), set(trace.missing), trace.truncated, trace.unread > 0

        self.agree(ask)

    @rule(instance_id=instance_ids, last=event_ids)
    def go_on_after(self, instance_id: str, last: str) -> None:
        self.agree(lambda stores: list(stores.events.get_events_after_snapshot(instance_id, last)))

    @rule(wanted=st.lists(event_ids, max_size=4))
    def get_events(self, wanted: list[str]) -> None:
        self.agree(lambda stores: dict(stores.events.get_events(wanted)))

    @rule(cause=st.sampled_from("abcdefz"))
    def get_caused_events(self, cause: str) -> None:
        self.agree(lambda stores: list(stores.events.get_caused_events(cause)))

    @rule(start=times, end=times)
    def get_events_by_time_range(self, start: Any, end: Any) -> None:
        self.agree(lambda stores: list(stores.events.get_events_by_time_range(start, end)))

    @rule(query=queries, newest_first=st.booleans(), limit=st.none() | st.integers(0, 3))
    def to_arrow(self, query: EventQuery, newest_first: bool, limit: int | None) -> None:
        columns = ["id", "component_name", "payload", "caused_by", "persisted_at"]
        self.agree(
            lambda stores: stores.events.to_arrow(
                query, columns=columns, newest_first=newest_first, limit=limit
            ).to_pylist()
        )

    @rule(one=snapshots)
    def save_snapshot(self, one: Any) -> None:
        self.agree(lambda stores: stores.snapshots.save_snapshot(one))

    @rule(instance_id=instance_ids)
    def delete_snapshot(self, instance_id: str) -> None:
        self.agree(lambda stores: stores.snapshots.delete_snapshot(instance_id))

    @rule(instance_id=instance_ids)
    def list_snapshots(self, instance_id: str) -> None:
        self.agree(lambda stores: list(stores.snapshots.list_snapshots(instance_id)))

    @invariant()
    def everything_is_equal(self) -> None:
        if not hasattr(self, "stores"):
            return
        self.agree(lambda stores: list(stores.events.get_all_events()))
        self.agree(lambda stores: [list(stores.events.get_events_for_instance(id_)) for id_ in ("i1", "i2", "I1")])
        self.agree(lambda stores: list(stores.snapshots.get_all_snapshots()))
        self.agree(lambda stores: stores.events.time_range())
        self.agree(lambda stores: [list(stores.events.get_outbox(name)) for name in (None, "Shop", "")])


TestStoresAgree = StoresAgree.TestCase
TestStoresAgree.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
