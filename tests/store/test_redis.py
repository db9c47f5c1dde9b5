"""The Redis store on a real server: what it reads, and that it only reads."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings

from tests.contract.helpers import ids, walk
from tests.factories import START, event, snapshot
from tests.servers.requiring import had_or_skipped
from tests.store.agreeing import answers, histories
from xcstore.demo.redis_writer import RedisWriter
from xcstore.demo.servers.process import Server
from xcstore.demo.servers.redis import running_redis
from xcstore.errors import (
    ConfigError,
    NotAStoreError,
    NotFoundError,
    ReadOnlyStoreError,
    StoreTimeoutError,
    StoreUnavailableError,
)
from xcstore.redaction import Redaction
from xcstore.store.base import EventQuery, InstanceQuery, Stores
from xcstore.store.cancelling import running_for
from xcstore.store.codec import event_to_document, snapshot_to_document
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores
from xcstore.units import DurationMs, EpochMs


@pytest.fixture
def writer(redis_database: str) -> Iterator[RedisWriter]:
    with RedisWriter(redis_database) as opened:
        yield opened


@pytest.fixture
def stores(redis_database: str) -> Iterator[Stores]:
    with open_stores(redis_database) as opened:
        yield opened


def text_of(**fields: Any) -> str:
    return json.dumps(event_to_document(event(**fields)))


def contents(writer: RedisWriter) -> dict[bytes, Any]:
    return {key: writer.client.dump(key) for key in writer.client.scan_iter()}


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """One that may be stopped."""
    with contextlib.ExitStack() as stack:
        with had_or_skipped("redis"):
            server = stack.enter_context(running_redis(tmp_path))
        yield server


# What it says


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories)
def test_it_agrees_with_the_memory_store(history: list[Any], writer: RedisWriter, stores: Stores) -> None:
    writer.client.flushdb()
    writer.append_many(history)
    memory = open_memory_stores().events
    memory.append_many(history)

    assert answers(stores.events) == answers(memory)


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_moment_larger_than_a_batch_is_paged_by_id_without_gap_or_repeat(
    writer: RedisWriter, stores: Stores, newest_first: bool
) -> None:
    # The text starts with the id, which is written backwards: the order of the members is not that of the ids.
    texts = [
        json.dumps({"x": str(number)[::-1], **event_to_document(event(id=f"e{number:04}", persisted_at=START))})
        for number in range(2_500)
    ]
    for key in ("all", "i1"):
        writer.client.zadd(writer.key("events", key), dict.fromkeys(texts, START))
    writer.append_many([event(id="before", persisted_at=START - 1), event(id="after", persisted_at=START + 1)])

    found = ids(walk(stores.events.find, EventQuery(), limit=700, newest_first=newest_first))

    expected = ["before", *(f"e{number:04}" for number in range(2_500)), "after"]
    assert found == (expected[::-1] if newest_first else expected)
    assert [len(stores.events.get_events_for_instance("i1"))] == [2_502]
    assert ids(stores.events.get_all_events()) == expected


def test_small_pages_walk_through_equal_times(writer: RedisWriter, stores: Stores) -> None:
    writer.append_many(event(id=f"e{number:02}", persisted_at=START + number // 7) for number in range(40))

    for newest_first in (False, True):
        found = ids(walk(stores.events.find, EventQuery(), limit=3, newest_first=newest_first))
        assert found == sorted(found, reverse=newest_first)
        assert len(found) == 40


def test_whole_numbers_beyond_the_scores_keep_their_order(writer: RedisWriter, stores: Stores) -> None:
    """Redis keeps times as doubles, and 2 ** 53 + 1 as 2 ** 53: the event itself says which it is."""
    times = [2**53 + 1, 2**53, 2**53 + 2, 2**63 - 1, -(2**63), -(2**53) - 1, -(2**53), 2**62 + 5, 2**62 + 4]
    writer.append_many(event(id=f"e{number}", persisted_at=at) for number, at in enumerate(times))

    events = stores.events
    assert [found.persisted_at for found in walk(events.find, EventQuery(), limit=2)] == sorted(times)
    assert [found.persisted_at for found in events.get_events_by_time_range(EpochMs(2**53), EpochMs(2**53 + 1))] == [
        2**53,
        2**53 + 1,
    ]
    assert events.count(EventQuery(start=EpochMs(2**53 + 1), end=EpochMs(2**62 + 4)))[0].count == 3
    assert not any(found.faults for found in events.get_all_events())


@pytest.mark.parametrize("at", [2**53, 2**60, 2**63 - 1, -(2**60)])
def test_a_large_moment_beyond_the_exact_scores_ends(writer: RedisWriter, stores: Stores, at: int) -> None:
    many = [event(id=f"e{number:04}", instance_id="large", persisted_at=at) for number in range(1_100)]
    writer.append_many([event(id="a", persisted_at=START), *many])

    expected = [*(["a"] if at > 0 else []), *ids(many), *([] if at > 0 else ["a"])]
    assert ids(stores.events.get_all_events()) == expected
    assert ids(walk(stores.events.find, EventQuery(), limit=400)) == expected
    assert ids(walk(stores.events.find, EventQuery(), limit=400, newest_first=True)) == expected[::-1]


def test_counts_by_time_alone_are_those_of_the_events(writer: RedisWriter, stores: Stores) -> None:
    writer.append_many(event(persisted_at=START + number * 137) for number in range(-20, 300))

    for bucket in map(DurationMs, (50, 1_000, 86_400_000)):
        for query in (
            EventQuery(),
            EventQuery(start=EpochMs(START + 11), end=EpochMs(START + 20_001)),
            EventQuery(start=EpochMs(START + 10**9)),
        ):
            asked = stores.events.count(query, bucket_ms=bucket)
            scanned = stores.events.count(
                EventQuery(start=query.start, end=query.end, machines=("Order",)), bucket_ms=bucket
            )
            assert list(asked) == list(scanned)


# Only reading


def test_no_command_that_writes_or_looks_for_keys_is_ever_sent(writer: RedisWriter, stores: Stores) -> None:
    writer.append_many(event(caused_by=(f"e{number}",)) for number in range(30))
    writer.save_snapshots(snapshot() for _ in range(3))
    kept = contents(writer)
    writer.client.config_resetstat()

    answers(stores.events)
    list(stores.snapshots.get_all_snapshots())
    stores.snapshots.find(limit=2)
    stores.snapshots.count()
    stores.events.status()
    for write in (
        lambda: stores.events.append(event()),
        lambda: stores.events.append_many([event()]),
        lambda: stores.events.delete_events(["e1"]),
        lambda: stores.snapshots.save_snapshot(snapshot()),
        lambda: stores.snapshots.delete_snapshot("i1"),
        lambda: stores.snapshots.trim(1),
    ):
        with pytest.raises(ReadOnlyStoreError):
            write()

    sent = {name.removeprefix("cmdstat_").partition("|")[0] for name in writer.client.info("commandstats")}
    writes = set(writer.client.acl_cat("write"))
    assert sent
    assert not sent & writes
    assert not sent & {"keys", "scan", "randomkey", "eval", "evalsha", "fcall"}
    assert contents(writer) == kept


def test_opened_for_writing_it_is_only_read_as_well(redis_database: str) -> None:
    with open_stores(redis_database, read_only=False) as opened:
        assert opened.events.read_only
        assert not opened.events.keeps_outbox
        with pytest.raises(ReadOnlyStoreError):
            opened.events.append(event())


# Odd data


@pytest.mark.parametrize(
    "text", ["{", "", "null", "[]", "7", '"text"', "{}", '{"id":5,"instanceId":null}', "[" * 10_000, "NaN"]
)
def test_what_is_no_event_is_shown_with_a_fault_and_breaks_no_question(
    writer: RedisWriter, stores: Stores, text: str
) -> None:
    writer.append(event(id="good", instance_id="i1", persisted_at=START))
    writer.add_text("bad", "i1", START + 1, text)

    page = stores.events.find(EventQuery())
    assert ids(page.items)[0] == "good"
    assert len(page.items) == 2
    assert page.items[1].faults
    assert page.items[1].persisted_at == START + 1
    assert stores.events.count(EventQuery())[0].count == 2
    assert [found.instance_id for found in stores.events.instances(InstanceQuery()).items] == ["i1"]
    assert stores.events.trace("good").events[0].id == "good"
    assert stores.events.to_arrow(EventQuery()).num_rows == 2
    with pytest.raises(NotFoundError):
        stores.events.get_event("bad")


def test_bytes_that_are_no_text_are_shown(writer: RedisWriter, stores: Stores) -> None:
    writer.client.zadd(writer.key("events", "all"), {b'{"id": "\xff\xfe"': START})

    (found,) = stores.events.find(EventQuery()).items

    assert found.faults
    assert "\N{REPLACEMENT CHARACTER}" in str(found.payload)


def test_what_cannot_be_read_is_masked_too(writer: RedisWriter, redis_database: str) -> None:
    writer.add_text("bad", "i1", START, '{"card": "4111')
    writer.add_text("worse", "i1", START, '{"event": {"payload": {"card": "4111"}}}')

    with open_stores(redis_database, redact=Redaction.parse("card")) as opened:
        assert "4111" not in repr(opened.events.find(EventQuery()).items)


def test_a_score_that_is_not_the_time_of_the_event_is_what_counts(writer: RedisWriter, stores: Stores) -> None:
    for event_id, score in (("a", START + 5), ("b", START + 0.5), ("c", math.inf), ("d", -math.inf)):
        writer.add_text(event_id, "i1", score, text_of(id=event_id, persisted_at=START))

    events = stores.events.find(EventQuery()).items

    assert ids(events) == ["d", "b", "a", "c"]
    assert [found.persisted_at for found in events] == [-(2**63), START, START + 5, 2**63 - 1]
    assert [bool(found.faults) for found in events] == [True, False, True, True]
    assert ids(stores.events.get_events_by_time_range(START, EpochMs(START + 1))) == ["b"]
    assert ids(walk(stores.events.find, EventQuery(), limit=1)) == ["d", "b", "a", "c"]


def test_one_id_written_twice_is_shown_twice_where_it_differs(writer: RedisWriter, stores: Stores) -> None:
    for amount in (1, 2, 2):
        writer.append(event(id="e1", payload={"amount": amount}, persisted_at=START))

    assert [found.payload for found in walk(stores.events.find, EventQuery(), limit=1)] in (
        [{"amount": 1}, {"amount": 2}],
        [{"amount": 2}, {"amount": 1}],
    )
    assert stores.events.get_event("e1").payload == {"amount": 2}


def test_an_event_without_a_key_of_its_own_is_found_by_its_id(writer: RedisWriter, stores: Stores) -> None:
    """A writer that is killed between its three commands leaves such."""
    writer.append_many([event(id="e1"), event(id="e2", caused_by=("e1",))])
    writer.client.delete(writer.key("event", "e1"), writer.key("event", "e2"))

    assert stores.events.get_event("e1").id == "e1"
    assert ids(stores.events.trace("e1").events) == ["e1", "e2"]
    with pytest.raises(NotFoundError):
        stores.events.get_event("e3")


def test_an_event_under_a_key_of_another_kind(writer: RedisWriter, stores: Stores) -> None:
    writer.append_many([event(id="set"), event(id="list")])
    for key in ("set", "list"):
        writer.client.delete(writer.key("event", key))
    writer.client.sadd(writer.key("event", "set"), "x")
    writer.client.rpush(writer.key("event", "list"), "x")

    assert set(stores.events.get_events(["set", "list"])) == {"set", "list"}


def test_hashes_of_fields_are_read_too(writer: RedisWriter, stores: Stores) -> None:
    """The comments of that runtime speak of hashes, where it writes text."""
    document = event_to_document(event(id="e1", payload={"amount": 10}, caused_by=("e0",), persisted_at=START))
    taken = snapshot_to_document(snapshot(id="i1", current_state="Paid"))
    for key, fields in ((("event", "e1"), document), (("snapshot", "i1"), taken)):
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
        writer.client.hset(writer.key(*key), mapping=texts)
    writer.client.sadd(writer.key("snapshots", "all"), "i1")

    found = stores.events.get_event("e1")
    assert (found.payload, found.caused_by, found.persisted_at) == ({"amount": 10}, ("e0",), START)
    kept = stores.snapshots.get_snapshot("i1")
    assert kept is not None
    assert kept.instance.current_state == "Paid"


def test_snapshots_that_are_none_are_shown_with_a_fault(writer: RedisWriter, stores: Stores) -> None:
    writer.save_snapshots([snapshot(id="good"), snapshot(id="gone")])
    writer.client.delete(writer.key("snapshot", "gone"))
    writer.client.set(writer.key("snapshot", "bad"), "{")
    writer.client.set(writer.key("snapshot", "odd"), '{"instance": 7}')
    writer.client.sadd(writer.key("snapshots", "all"), "bad", "odd")

    found = list(stores.snapshots.get_all_snapshots())

    assert [(kept.instance.id, bool(kept.faults)) for kept in found] == [("bad", True), ("good", False), ("odd", True)]
    assert [kept.instance.id for kept in walk(stores.snapshots.find, limit=1)] == ["bad", "good", "odd"]
    assert stores.snapshots.count() == 3
    assert stores.snapshots.count_beyond(1) == 0


def test_an_instance_named_all_is_not_taken_for_everything(writer: RedisWriter, stores: Stores) -> None:
    writer.append_many([event(id="e1", instance_id="all"), event(id="e2", instance_id="i2")])

    assert ids(stores.events.get_events_for_instance("all")) == ["e1"]
    assert ids(stores.events.find(EventQuery(instance_ids=("all",))).items) == ["e1"]
    found = stores.events.instances(InstanceQuery()).items
    assert {(each.instance_id, each.event_count) for each in found} == {("all", 1), ("i2", 1)}


# Servers


def test_the_prefix_of_the_writer_is_taken_from_the_url(redis_database: str) -> None:
    url = f"{redis_database}?prefix=shop"
    with RedisWriter(url) as writer:
        writer.append(event(id="e1"))
        writer.save_snapshot(snapshot())

    with open_stores(url) as opened:
        assert opened.identity.endswith("?prefix=shop")
        assert ids(opened.events.get_all_events()) == ["e1"]
        assert opened.snapshots.count() == 1
    with pytest.raises(NotAStoreError, match="prefix"):
        open_stores(redis_database)


def test_a_key_of_another_kind_is_no_store(redis_database: str, writer: RedisWriter) -> None:
    writer.client.set("fsm:events:all", "text")

    with pytest.raises(NotAStoreError, match="string"):
        open_stores(redis_database)


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://host/name",
        "redis://host:port/0",
        "redis://host/0?prefix=",
        "redis://u:secret@host/0?timeout=5",
        "redis://u:secret@[::1/0",
    ],
)
def test_urls_that_cannot_be_read_are_refused_without_their_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_stores(url)
    assert "secret" not in str(caught.value)


def test_nobody_answers() -> None:
    with pytest.raises(StoreUnavailableError) as caught:
        open_stores("redis://user:secret@127.0.0.1:1/0")
    assert "secret" not in str(caught.value)


def test_the_store_goes_on_after_its_server_was_killed_and_started_again(own_server: Server) -> None:
    with RedisWriter(f"{own_server.url}0") as writer:
        writer.append_many(event(id=f"e{number}") for number in range(10))
    with open_stores(f"{own_server.url}0") as opened:
        before = ids(opened.events.get_all_events())
        own_server.kill()
        with pytest.raises(StoreUnavailableError):
            opened.events.find(EventQuery())
        own_server.start()

        assert ids(opened.events.get_all_events()) == before
        assert opened.events.get_event("e3").id == "e3"


def test_a_server_that_does_not_answer_is_given_up(own_server: Server) -> None:
    with (
        open_stores(f"{own_server.url}0", statement_timeout_ms=300) as opened,
    ):
        own_server.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(StoreTimeoutError):
                opened.events.time_range()
        finally:
            own_server.process.send_signal(signal.SIGCONT)
        assert opened.events.time_range() is None


def test_passwords_are_asked_for_in_our_words(own_server: Server) -> None:
    with contextlib.closing(redis.Redis.from_url(f"{own_server.url}0")) as client:
        client.config_set("requirepass", "right secret")
    place = own_server.url.removeprefix("redis://")
    for password in ("", ":wrong%20secret@"):
        with pytest.raises(StoreUnavailableError) as caught:
            open_stores(f"redis://{password}{place}0")
        assert "secret" not in str(caught.value)

    with open_stores(f"redis://:right%20secret@{place}0") as opened:
        assert "secret" not in opened.identity
        assert opened.events.time_range() is None


def test_a_question_can_be_withdrawn(writer: RedisWriter, stores: Stores) -> None:
    writer.append_many(event() for _ in range(5_000))
    outcome: list[Exception] = []

    def ask() -> None:
        try:
            with running_for("me"):
                while True:
                    stores.events.count(EventQuery(), by=("component_name",))
        except StoreTimeoutError as error:
            outcome.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while asking.is_alive():
        stores.events.cancel_running("me")  # type: ignore[attr-defined]
    asking.join()

    assert outcome
    assert stores.events.count(EventQuery(), by=("component_name",))[0].count == 5_000


def test_status_tells_of_the_server_and_its_connections(writer: RedisWriter, stores: Stores) -> None:
    writer.append_many(event() for _ in range(3))

    status = stores.events.status()

    assert status.server.startswith("Redis ")
    assert status.event_count == 3
    assert status.pool is not None
    assert (status.pool.maximum, status.pool.in_use) == (20, 0)
    assert status.pool.open >= 1
