"""A MongoDB server that is killed amid appends and started again. That of PostgreSQL: tests/store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.helpers import ids
from tests.factories import event
from tests.servers.requiring import had_or_skipped
from xcstore.demo.servers.mongodb import running_mongodb
from xcstore.demo.servers.process import Server
from xcstore.errors import DuplicateEventError, StoreUnavailableError
from xcstore.model.history import PersistedEvent
from xcstore.store.base import EventQuery, EventStore, InstanceQuery
from xcstore.store.opening import open_stores

WRITERS = 4
EVENTS = 2_500
"""Of each writer: 10,000 in all."""
BATCH = 25
"""So many go in together, but for the first of them, which goes in alone."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """One of our own: others' must not be killed."""
    with ExitStack() as stack:
        with had_or_skipped("mongodb"):
            running = stack.enter_context(running_mongodb(tmp_path))
        yield running


class Writer(threading.Thread):
    """Appends, each time until it is acknowledged, or known to have been stored before the server could say so."""

    def __init__(self, store: EventStore, number: int, midst: threading.Barrier) -> None:
        super().__init__()
        self.store, self.number, self.midst = store, number, midst
        self.acknowledged: list[str] = []
        self.refused = threading.Event()
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            for first in range(0, EVENTS, BATCH):
                if first == EVENTS // 4:
                    self.midst.wait(60)
                several = [
                    event(id=f"w{self.number}-{n}", instance_id=f"i{self.number}") for n in range(first, first + BATCH)
                ]
                self.append(several[:1])
                self.append(several[1:])
        except BaseException as error:
            self.fault = error
            raise

    def append(self, several: list[PersistedEvent]) -> None:
        while True:
            try:
                if len(several) == 1:
                    self.store.append(several[0])
                else:
                    self.store.append_many(several)
            except StoreUnavailableError:
                self.refused.set()
            except DuplicateEventError:
                assert self.refused.is_set()
                assert len(self.store.get_events(ids(several))) == len(several), "a batch that is there in part"
                return
            else:
                self.acknowledged += ids(several)
                return


def test_a_server_killed_amid_10_000_appends_loses_no_acknowledged_event_and_the_store_goes_on(server: Server) -> None:
    midst = threading.Barrier(WRITERS + 1)
    with open_stores(server.url + "killed", read_only=False, latency_alert_ms=None) as stores:
        writers = [Writer(stores.events, number, midst) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        midst.wait(60)
        server.kill()
        missed = [writer.refused.wait(60) for writer in writers]
        server.start()
        for writer in writers:
            writer.join()

        assert [writer.fault for writer in writers] == [None] * WRITERS
        assert missed == [True] * WRITERS
        stored = ids(stores.events.get_all_events())
        assert {event_id for writer in writers for event_id in writer.acknowledged} <= set(stored)
        assert len(stored) == len(set(stored)) == stores.events.count(EventQuery())[0].count == WRITERS * EVENTS
        summaries = stores.events.instances(InstanceQuery()).items
        assert {one.instance_id: (one.event_count, one.last_event_id) for one in summaries} == {
            f"i{number}": (EVENTS, f"w{number}-{EVENTS - 1}") for number in range(WRITERS)
        }
        for number in range(WRITERS):
            stream = stores.events.get_events_for_instance(f"i{number}")
            assert ids(stream) == [f"w{number}-{n}" for n in range(EVENTS)]
