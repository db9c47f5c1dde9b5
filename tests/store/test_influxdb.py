"""The InfluxDB store on a real server: identity of points, hostile text, limits, and servers that go away."""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings

from tests.contract.helpers import ids, walk
from tests.factories import START, event, snapshot
from tests.servers.influxdb import ask
from tests.servers.requiring import had_or_skipped
from tests.store.agreeing import answers, histories
from xcstore.demo.servers.influxdb import running_influxdb
from xcstore.demo.servers.process import Server
from xcstore.errors import (
    ConcurrencyError,
    ConfigError,
    DuplicateEventError,
    LimitExceededError,
    NotAStoreError,
    ReadOnlyStoreError,
    StoreError,
    StoreTimeoutError,
    StoreUnavailableError,
)
from xcstore.store import influx_events
from xcstore.store.base import EventQuery, InstanceQuery, OutboxChange, Stores
from xcstore.store.cancelling import running_for
from xcstore.store.influx_server import InfluxServer
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores

_numbers = itertools.count(1)

HOSTILE = [
    "",
    " ",
    "a b,c=d",
    "back\\",
    "\\",
    "two\nlines",
    "tab\there\r",
    "\"quoted\" and 'quoted'",
    "100%",
    "%5C",
    "_time",
    "time",
    "'; DROP MEASUREMENT fsm_events; --",
    "$low",
    "é🦉‮",
    "#comment",
]


@pytest.fixture
def server(influxdb_database: str) -> Iterator[InfluxServer]:
    opened = InfluxServer(influxdb_database, read_only=False, statement_timeout_ms=10_000)
    yield opened
    opened.close()


@pytest.fixture
def stores(influxdb_database: str) -> Iterator[Stores]:
    with open_stores(influxdb_database, read_only=False) as opened:
        yield opened


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """One that may be stopped."""
    with contextlib.ExitStack() as stack:
        with had_or_skipped("influxdb"):
            server = stack.enter_context(running_influxdb(tmp_path))
        yield server


# What it says


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories)
def test_it_agrees_with_the_memory_store(history: list[Any], influxdb_database: str) -> None:
    url = f"{influxdb_database}_{next(_numbers)}"
    memory = open_memory_stores().events
    memory.append_many(history)
    try:
        with open_stores(url, read_only=False) as opened:
            opened.events.append_many(history)
            assert answers(opened.events) == answers(memory)
    finally:
        ask(influxdb_database, f'DROP DATABASE "{url.rpartition("/")[2]}"')


def test_text_comes_back_as_it_went_in_wherever_it_stands(stores: Stores) -> None:
    given = [
        event(
            id=f"e{number}{text}",
            instance_id=f"i{text}",
            component_name=text,
            machine_name=text,
            event_type=text,
            state_before=text,
            state_after=text,
            payload={text: [text, {"deep": text}]},
            caused_by=(f"c{text}", "other", text or "c"),
            persisted_at=START + number,
        )
        for number, text in enumerate(HOSTILE)
    ]
    stores.events.append_many(given[:8])
    for each in given[8:]:
        stores.events.append(each)

    assert list(stores.events.get_all_events()) == given
    for each in given:
        assert stores.events.get_event(each.id) == each
        assert list(stores.events.get_events_for_instance(each.instance_id)) == [each]
        assert list(stores.events.get_caused_events(each.caused_by[0])) == [each]
        for query in (
            EventQuery(components=(each.component_name,)),
            EventQuery(machines=(each.machine_name,), states=(each.state_after,), states_before=(each.state_before,)),
        ):
            assert list(stores.events.find(query).items) == [each]
            assert stores.events.count(query)[0].count == 1
    counted = stores.events.count(EventQuery(), by=("component_name", "event_type"))
    assert [count.key for count in counted] == sorted((text, text) for text in HOSTILE)


# Identity


def test_events_of_one_millisecond_that_would_get_one_time_are_all_kept(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same series: the second would take the place of the first without a word."""
    monkeypatch.setattr(influx_events, "offset_of", lambda event_id: 999_999)
    stores.events.append_many(event(id=f"many{number}", persisted_at=START) for number in range(60))
    stores.events.append_many(event(id=f"few{number}", persisted_at=START) for number in range(5))
    stores.events.append(event(id="one", persisted_at=START))
    stores.events.append(event(id="next", persisted_at=START + 1))

    assert stores.events.count(EventQuery(start=START, end=START))[0].count == 66
    assert len(stores.events.get_events_for_instance("i1")) == 67
    assert stores.events.get_event("few3").id == "few3"


def test_many_causes_of_one_event_are_all_found(stores: Stores) -> None:
    """More than there are stripes, so that some share theirs."""
    causes = tuple(f"c{number}" for number in range(3_000))
    stores.events.append(event(id="effect", caused_by=causes))

    assert all(ids(stores.events.get_caused_events(cause)) == ["effect"] for cause in causes[::100])
    assert len(stores.events.trace("effect").missing) == 3_000


@pytest.mark.parametrize("size", [1, 3, 400])
def test_an_id_that_is_there_is_refused_and_nothing_is_written(stores: Stores, size: int) -> None:
    stores.events.append(event(id="there", payload={"first": True}))

    with pytest.raises(DuplicateEventError):
        stores.events.append_many([event() for _ in range(size - 1)] + [event(id="there")])

    assert ids(stores.events.get_all_events()) == ["there"]
    assert stores.events.get_event("there").payload == {"first": True}


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_moment_larger_than_a_batch_is_paged_by_id_without_gap_or_repeat(stores: Stores, newest_first: bool) -> None:
    stores.events.append_many(event(id=f"e{number:04}", persisted_at=START) for number in range(2_500))
    stores.events.append_many([event(id="before", persisted_at=START - 1), event(id="after", persisted_at=START + 1)])

    found = ids(walk(stores.events.find, EventQuery(), limit=700, newest_first=newest_first))

    expected = ["before", *(f"e{number:04}" for number in range(2_500)), "after"]
    assert found == (expected[::-1] if newest_first else expected)


def test_the_last_event_of_a_stream_can_be_expected(stores: Stores) -> None:
    stores.events.append(event(id="e1", state_after="Created", persisted_at=START), expected_last_id="")
    stores.events.append(event(id="e2", persisted_at=START + 10**7), expected_last_id="e1")
    stores.events.append(
        event(id="a3", persisted_at=START + 10**7, state_before="Paid", state_after="Sent"), expected_last_id="e2"
    )

    for expected in ("", "e1", "e2"):
        with pytest.raises(ConcurrencyError):
            stores.events.append(event(id="e4"), expected_last_id=expected)
    stores.events.append(event(id="e4", persisted_at=START + 10**8), expected_last_id="a3")


# Limits


FIRST, LAST = -9_223_372_036_854, 9_223_372_036_853


def test_times_are_those_that_nanoseconds_hold(stores: Stores) -> None:
    for at in (FIRST, LAST, 0, -1):
        stores.events.append(event(id=f"at{at}", persisted_at=at))
    for at in (FIRST - 1, LAST + 1, -62_135_596_800_000, 2**63 - 1):
        for write in (stores.events.append, lambda given: stores.events.append_many([event(), given])):
            with pytest.raises(LimitExceededError, match="2262"):
                write(event(persisted_at=at))

    assert [found.persisted_at for found in stores.events.get_all_events()] == [FIRST, -1, 0, LAST]
    assert stores.events.time_range() == (FIRST, LAST)
    assert ids(stores.events.get_events_by_time_range(START, START)) == []


def test_a_document_larger_than_a_request_is_read_whole_again(stores: Stores) -> None:
    large = {"text": 'é"\\🦉\n' * 600_000}
    given = event(id="large", payload={"note": "x" * 7_000_000}, context=large, persisted_at=START)
    stores.events.append_many([event(id="before", persisted_at=START), given, event(id="z", persisted_at=START)])

    assert stores.events.get_event("large") == given
    assert sorted(ids(stores.events.get_events_for_instance("i1"))) == ["before", "large", "z"]
    assert next(each for each in stores.events.get_all_events() if each.id == "large") == given


def test_what_it_does_not_keep_is_refused(stores: Stores) -> None:
    with pytest.raises(ReadOnlyStoreError, match="outbox"):
        stores.events.append(event(), outbox=OutboxChange())
    with pytest.raises(ReadOnlyStoreError, match="retention policy"):
        stores.events.delete_events(["e1"])
    assert not stores.events.keeps_outbox
    assert list(stores.events.get_all_events()) == []


# Odd data


def test_points_of_others_are_shown_with_a_fault_and_break_no_question(stores: Stores, server: InfluxServer) -> None:
    stores.events.append(event(id="good", persisted_at=START))
    nanosecond = START * 1_000_000
    server.write(
        [
            b'fsm_events,stripe=1 document="{" %d' % (nanosecond + 1_000_001),
            b'fsm_events,stripe=1 document="" %d' % (nanosecond + 2_000_001),
            b'fsm_events,stripe=1 document="[]" %d' % (nanosecond + 3_000_001),
            b'fsm_events,stripe=1 document="@7" %d' % (nanosecond + 4_000_001),
            b'fsm_events,stripe=1 document="{\\"id\\":\\"x\\",\\"instanceId\\":\\"y\\",\\"persistedAt\\":5}" %d'
            % (nanosecond + 5_000_001),
            b'fsm_snapshots,stripe=1 instance_id="odd",document="{" %d' % nanosecond,
        ]
    )

    found = stores.events.find(EventQuery()).items

    assert [bool(each.faults) for each in found] == [False, True, True, True, True, True]
    assert [each.persisted_at for each in found] == [START + number for number in range(6)]
    assert {each.instance_id for each in stores.events.instances(InstanceQuery()).items} == {"i1", "y"}
    assert stores.events.to_arrow(EventQuery()).num_rows == 6
    assert ids(stores.events.trace("good").events) == ["good"]
    assert stores.snapshots.count() == 1


def test_snapshots_are_kept_in_the_order_of_saving_and_the_oldest_go(influxdb_database: str) -> None:
    with open_stores(influxdb_database, read_only=False, snapshot_retention=3) as opened:
        opened.snapshots.save_snapshots(snapshot(id="i\\ 1", current_state=f"S{number}") for number in range(5))
        opened.snapshots.save_snapshot(snapshot(id="i2"))

        kept = opened.snapshots.list_snapshots("i\\ 1")
        assert [each.instance.current_state for each in kept] == ["S2", "S3", "S4"]
        assert (opened.snapshots.count_beyond(1), opened.snapshots.trim(1), opened.snapshots.trim(1)) == (2, 2, 0)
        assert [each.instance.current_state for each in opened.snapshots.get_all_snapshots()] == ["Paid", "S4"]
        opened.snapshots.delete_snapshot("i\\ 1")
        assert [each.instance.id for each in walk(opened.snapshots.find, limit=1)] == ["i2"]


# Reading only, and whose database it is


def test_nothing_but_a_question_is_asked(stores: Stores, server: InfluxServer, influxdb_database: str) -> None:
    """The server would do these, whatever they are asked by."""
    stores.events.append(event(id="e1"))
    for statement in ("DROP MEASUREMENT fsm_events", "DELETE FROM fsm_events", "SELECT * INTO other FROM fsm_events"):
        with pytest.raises(AssertionError):
            server.ask(statement)
    reader = InfluxServer(influxdb_database, read_only=True, statement_timeout_ms=10_000)
    with pytest.raises(ReadOnlyStoreError):
        reader.execute("DROP MEASUREMENT fsm_events")
    with pytest.raises(ReadOnlyStoreError):
        reader.write([b"fsm_events v=1 1"])
    reader.close()

    assert ids(stores.events.get_all_events()) == ["e1"]


def test_a_store_opened_for_reading_refuses_writes(influxdb_database: str) -> None:
    with open_stores(influxdb_database) as opened:
        for write in (
            lambda: opened.events.append(event()),
            lambda: opened.events.append_many([event()]),
            lambda: opened.snapshots.save_snapshot(snapshot()),
            lambda: opened.snapshots.delete_snapshot("i1"),
            lambda: opened.snapshots.trim(1),
        ):
            with pytest.raises(ReadOnlyStoreError):
                write()
        assert list(opened.events.get_all_events()) == []


def test_a_database_that_is_not_there_is_made_for_writing_alone(influxdb_database: str) -> None:
    name = f"odd näme {next(_numbers)}"
    url = f"{influxdb_database.rpartition('/')[0]}/{quote(name)}"
    with pytest.raises(NotAStoreError):
        open_stores(url)
    try:
        with open_stores(url, read_only=False) as opened:
            opened.events.append(event(id="e1"))
        with open_stores(url) as opened:
            assert ids(opened.events.get_all_events()) == ["e1"]
    finally:
        ask(influxdb_database, f'DROP DATABASE "{name}"')


def test_a_database_of_others_is_no_store(influxdb_database: str, server: InfluxServer) -> None:
    server.write([b"cpu load=1 1"])

    for read_only in (True, False):
        with pytest.raises(NotAStoreError):
            open_stores(influxdb_database, read_only=read_only)


@pytest.mark.parametrize(
    "url",
    [
        "influxdb://",
        "influxdb://host",
        "influxdb://host/",
        "influxdb://host/a/b",
        "influxdb://host:port/name",
        "influxdb://u:secret@host/name?tls=yes",
        "influxdb://u:secret@host/name?x=1",
    ],
)
def test_urls_that_cannot_be_read_are_refused_without_their_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_stores(url)
    assert "secret" not in str(caught.value)


# Servers


def test_nobody_answers() -> None:
    for options in ("", "?tls=1"):
        with pytest.raises(StoreUnavailableError) as caught:
            open_stores(f"influxdb://user:secret@127.0.0.1:1/name{options}")
        assert "secret" not in str(caught.value)


@pytest.fixture
def passwords_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the servers that are started afterwards."""
    monkeypatch.setenv("INFLUXDB_HTTP_AUTH_ENABLED", "true")


def test_users_and_passwords(passwords_wanted: None, own_server: Server) -> None:
    place = own_server.url.removeprefix("influxdb://")
    ask(own_server.url, "CREATE USER admin WITH PASSWORD 'right secret' WITH ALL PRIVILEGES")
    for user in ("", "admin:wrong%20secret@"):
        with pytest.raises(StoreUnavailableError) as caught:
            open_stores(f"influxdb://{user}{place}shop", read_only=False)
        assert "secret" not in str(caught.value)

    with open_stores(f"influxdb://admin:right%20secret@{place}shop", read_only=False) as opened:
        opened.events.append(event(id="e1"))
        assert "secret" not in opened.identity
    admin = InfluxServer(f"influxdb://admin:right%20secret@{place}shop", read_only=False, statement_timeout_ms=10_000)
    admin.execute("CREATE USER reader WITH PASSWORD 'r'")
    admin.execute("GRANT READ ON shop TO reader")
    admin.close()

    with open_stores(f"influxdb://reader:r@{place}shop") as opened:
        assert ids(opened.events.get_all_events()) == ["e1"]
        assert opened.events.status().event_count == 1
    with open_stores(f"influxdb://reader:r@{place}shop", read_only=False) as opened:
        with pytest.raises(StoreUnavailableError):
            opened.events.append(event(id="e2"))
        assert ids(opened.events.get_all_events()) == ["e1"]


def test_the_store_goes_on_after_its_server_was_killed_and_started_again(own_server: Server) -> None:
    large = event(id="large", payload={"note": "é" * 1_000_000})
    with open_stores(f"{own_server.url}shop", read_only=False) as opened:
        opened.events.append_many(event(id=f"e{number}") for number in range(100))
        opened.events.append(large)
        opened.snapshots.save_snapshot(snapshot(id="i1"))
        before = list(opened.events.get_all_events())
        own_server.kill()
        for ask_it in (lambda: opened.events.find(EventQuery()), lambda: opened.events.append(event())):
            with pytest.raises(StoreUnavailableError):
                ask_it()
        own_server.start()

        assert list(opened.events.get_all_events()) == before
        assert opened.events.get_event("large") == large
        assert opened.snapshots.count() == 1
        opened.events.append(event(id="later"))
        assert opened.events.get_event("later").id == "later"


def test_a_server_that_does_not_answer_is_given_up_or_withdrawn_from(own_server: Server) -> None:
    with (
        open_stores(f"{own_server.url}shop", read_only=False, statement_timeout_ms=300) as impatient,
        open_stores(f"{own_server.url}shop", statement_timeout_ms=60_000) as patient,
    ):
        impatient.events.append(event(id="e1"))
        outcome: list[StoreError] = []

        def wait() -> None:
            try:
                with running_for("me"):
                    patient.events.count(EventQuery())
            except StoreError as error:
                outcome.append(error)

        own_server.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(StoreTimeoutError):
                impatient.events.count(EventQuery())
            waiting = threading.Thread(target=wait)
            waiting.start()
            while waiting.is_alive():
                patient.events.cancel_running("me")  # type: ignore[attr-defined]
        finally:
            own_server.process.send_signal(signal.SIGCONT)

        assert [type(error) for error in outcome] == [StoreTimeoutError]
        assert patient.events.count(EventQuery())[0].count == 1


def test_status_tells_of_the_server_and_its_connections(stores: Stores) -> None:
    stores.events.append_many(event() for _ in range(3))

    status = stores.events.status()

    assert status.server.startswith("InfluxDB 1")
    assert (status.event_count, status.event_count_is_exact) == (3, True)
    assert status.pool is not None
    assert (status.pool.maximum, status.pool.in_use) == (20, 0)
    assert status.pool.open >= 1
    assert status.size_bytes is not None
