"""Streams of many instances in one question, on every backend and in the layouts of others."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.backends import BACKENDS, empty_place, open_writable
from tests.contract import foreign
from tests.contract.helpers import ids, uid
from tests.factories import START, event
from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.redaction import MASK, Redaction
from xcstore.store.base import EventStore
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs

Load = Callable[..., EventStore]


@pytest.fixture(params=[*BACKENDS, *foreign.DATABASES])
def kind(request: pytest.FixtureRequest) -> str:
    """A backend of ours, or a layout that others write."""
    name: str = request.param
    return name


@pytest.fixture
def load(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Load]:
    """A store that holds these events."""
    with ExitStack() as opened:

        def loaded(events: Sequence[PersistedEvent] = (), *, redact: Redaction | None = None) -> EventStore:
            options: dict[str, Any] = {} if redact is None else {"redact": redact}
            if kind in foreign.DATABASES:
                url = request.getfixturevalue(foreign.DATABASES[kind])
                foreign.make(url, kind, events)
                return opened.enter_context(open_stores(url, **options)).events
            stores = opened.enter_context(open_writable(empty_place(kind, tmp_path, request), **options))
            stores.events.append_many(events)
            return stores.events

        yield loaded


def e(number: int, instance: int = 1, **overrides: Any) -> PersistedEvent:
    fields: dict[str, Any] = {
        "id": uid(number),
        "instance_id": uid(instance),
        "persisted_at": START + number,
        **overrides,
    }
    return event(**fields)


def test_streams_come_whole_and_those_without_events_are_left_out(load: Load) -> None:
    stored = [e(1, 1), e(2, 2, payload={"b": [1, None, "ü"]}), e(3, 1, caused_by=(uid(2),)), e(4, 3)]
    store = load(stored)

    assert store.get_streams([uid(2), uid(9), uid(1)]) == {uid(2): [stored[1]], uid(1): [stored[0], stored[2]]}
    assert store.get_streams([]) == {}
    assert store.get_streams([uid(9)]) == {}


def test_an_empty_store_has_no_streams(load: Load) -> None:
    assert load().get_streams([uid(1), uid(2)]) == {}


def test_streams_come_in_the_order_of_the_ids_and_once_each(load: Load) -> None:
    store = load([e(n, n) for n in range(1, 8)])

    asked = [uid(n) for n in (5, 2, 7, 2, 1, 5)]

    streams = store.get_streams(iter(asked))

    assert list(streams) == list(dict.fromkeys(asked))
    assert [ids(stream) for stream in streams.values()] == [[uid(n)] for n in (5, 2, 7, 1)]


def test_each_stream_chains_its_states_within_one_moment(load: Load) -> None:
    store = load(
        [
            e(1, 1, state_before="Paid", state_after="Sent", persisted_at=START),
            e(2, 2, state_before="New", state_after="Sent", persisted_at=START),
            e(3, 1, state_before="", state_after="New", persisted_at=START),
            e(4, 2, state_before="", state_after="New", persisted_at=START),
            e(5, 1, state_before="New", state_after="Paid", persisted_at=START),
        ]
    )

    streams = store.get_streams([uid(1), uid(2)])

    assert ids(streams[uid(1)]) == [uid(3), uid(5), uid(1)]
    assert ids(streams[uid(2)]) == [uid(4), uid(2)]


def test_streams_of_more_instances_than_one_question_takes_are_those_of_each_alone(load: Load) -> None:
    events = [e(n, n % 1201, state_after=f"S{n % 3}", persisted_at=START + n % 7) for n in range(1, 3000)]
    random.Random(1).shuffle(events)
    store = load(events)
    asked = [uid(n) for n in range(1300)]

    streams = store.get_streams(asked)

    assert list(streams) == asked[:1201]
    assert sum(map(len, streams.values())) == len(events)
    for one in asked[:1201:150]:
        assert streams[one] == store.get_events_for_instance(one)


def test_only_events_of_these_types_from_a_moment_on_included(load: Load) -> None:
    stored = [
        e(1, 1, event_type="INSTANCE_CREATED"),
        e(2, 2, event_type="INSTANCE_CREATED"),
        e(3, 1, event_type="PAY"),
        e(4, 1, event_type="SHIP"),
        e(5, 2, event_type="PAY"),
    ]
    store = load(stored)
    both = [uid(1), uid(2)]

    created = store.get_streams(both, event_types=["INSTANCE_CREATED"])
    assert {key: ids(stream) for key, stream in created.items()} == {uid(1): [uid(1)], uid(2): [uid(2)]}
    shipped = store.get_streams(both, event_types=("SHIP", "INSTANCE_CREATED"), start=stored[2].persisted_at)
    assert {key: ids(stream) for key, stream in shipped.items()} == {uid(1): [uid(4)]}
    later = store.get_streams(both, start=stored[3].persisted_at)
    assert {key: ids(stream) for key, stream in later.items()} == {uid(1): [uid(4)], uid(2): [uid(5)]}
    assert store.get_streams(both, event_types=("pay", "a\0\ud800")) == {}


def test_with_conditions_a_stream_is_the_order_of_what_is_left(load: Load) -> None:
    moments = [("A", "B", 1), ("C", "A", 2), ("B", "C", 2), ("A", "C", 2), ("C", "B", 2)]
    stored = [
        e(n, state_before=before, state_after=after, persisted_at=START + at)
        for n, (before, after, at) in enumerate(moments, 1)
    ]
    store = load(stored)

    found = store.get_streams([uid(1)], start=stored[1].persisted_at)

    by_time = [one for one in store.get_events_for_instance(uid(1)) if one.persisted_at > stored[0].persisted_at]
    assert ids(found[uid(1)]) == ids(order_stream(by_time))


@pytest.mark.parametrize("moment", [-(2**70), -(2**63), 0, 2**63 - 1, 2**63, 2**70])
def test_any_moment_can_be_the_start(load: Load, moment: int) -> None:
    store = load([e(1)])

    assert store.get_streams([uid(1)], start=EpochMs(moment)).keys() == ({uid(1)} if moment <= START else set())


@pytest.mark.parametrize("strange", ["", "nobody", "x" * 500, "a'b", "%", "a\0b", "\ud800", "{}", "💥"])
def test_any_text_can_be_asked_for_beside_a_known_instance(load: Load, strange: str) -> None:
    store = load([e(1)])

    assert store.get_streams([strange, uid(1)]).keys() == {uid(1)}
    assert store.get_streams([strange]) == {}


def test_streams_are_masked_like_all_that_is_read(load: Load) -> None:
    store = load([e(1, payload={"card": {"number": "4111"}, "amount": 1})], redact=Redaction.parse("card.number"))

    (found,) = store.get_streams([uid(1)])[uid(1)]

    assert found.payload == {"card": {"number": MASK}, "amount": 1}


def test_an_id_that_a_column_of_numbers_takes_for_another_finds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "foreign.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE fsm_events (id TEXT, instance_id INTEGER, machine_name TEXT, component_name TEXT,"
            " event_type TEXT, event_payload TEXT, state_before TEXT, state_after TEXT, persisted_at INTEGER)"
        )
        connection.execute("INSERT INTO fsm_events VALUES ('e1', 7, 'Order', 'Shop', 'PAY', '{}', '', 'Paid', 1)")

    with open_stores(f"sqlite:///{path}") as stores:
        assert {key: ids(stream) for key, stream in stores.events.get_streams(["07", "7"]).items()} == {"7": ["e1"]}
        assert stores.events.get_streams(["07"]) == {}


def test_sqlite_finds_streams_by_the_instance_and_sorts_nothing(tmp_path: Path) -> None:
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        asked.append((statement, parameters))

    path = tmp_path / "events.db"
    with open_stores(f"sqlite:///{path}", read_only=False) as stores:
        stores.events.append_many([e(n, n % 50) for n in range(1, 500)])
        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        try:
            stores.events.get_streams([uid(1), uid(2)], event_types=["PAY"], start=START)
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", note)

    (question,) = [item for item in asked if "fsm_events" in item[0]]
    with closing(sqlite3.connect(path)) as connection:
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {question[0]}", question[1]))
    assert "SEARCH fsm_events USING INDEX idx_events_instance" in plan
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan
