"""A PostgreSQL server that is killed and started again, with the settings that it has by itself."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from tests.factories import event
from xcstore.demo.servers.postgresql import running_postgresql
from xcstore.demo.servers.process import Server
from xcstore.errors import DuplicateEventError, StoreUnavailableError
from xcstore.store.base import EventQuery, Stores
from xcstore.store.opening import open_stores

APP = Path(__file__).parents[2] / "app.py"
WRITERS = 4
EVENTS = 2_500
"""Of each writer: 10,000 in all."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """One of our own: others' must not be killed."""
    try:
        with running_postgresql(tmp_path) as running:
            yield running
    except StoreUnavailableError as error:
        if "postgresql" in os.environ.get("XCSTORE_TEST_REQUIRE", "").split(","):
            pytest.fail(str(error))
        pytest.skip(str(error))


class Writer(threading.Thread):
    """Appends one event after the other, each until it is acknowledged, or known to have been stored before."""

    def __init__(self, stores: Stores, number: int, half: threading.Barrier) -> None:
        super().__init__()
        self.stores, self.number, self.half = stores, number, half
        self.acknowledged: list[str] = []
        self.refused = 0
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            for n in range(EVENTS):
                if n == EVENTS // 4:
                    self.half.wait(60)
                self.append(event(id=f"w{self.number}-{n}", instance_id=f"i{self.number}"))
        except BaseException as error:
            self.fault = error
            raise

    def append(self, one: Any) -> None:
        while True:
            try:
                self.stores.events.append(one)
            except StoreUnavailableError:
                self.refused += 1
            except DuplicateEventError:
                assert self.refused  # it was stored, and the server was killed before it could say so
                return
            else:
                self.acknowledged.append(one.id)
                return


def test_a_server_killed_amid_10_000_appends_loses_no_acknowledged_event_and_the_store_goes_on(server: Server) -> None:
    half = threading.Barrier(WRITERS + 1)
    with open_stores(server.url, read_only=False, latency_alert_ms=None) as stores:
        writers = [Writer(stores, number, half) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        half.wait(60)  # all are in the midst of it
        server.kill()
        server.start()
        for writer in writers:
            writer.join()

        assert [writer.fault for writer in writers] == [None] * WRITERS
        assert any(writer.refused for writer in writers), "the server was not missed"
        stored = {one.id for one in stores.events.get_all_events()}
        lost = {event_id for writer in writers for event_id in writer.acknowledged} - stored
        assert not lost
        assert len(stored) == stores.events.count(EventQuery())[0].count == WRITERS * EVENTS
        for number in range(WRITERS):
            stream = stores.events.get_events_for_instance(f"i{number}")
            assert [one.id for one in stream] == [f"w{number}-{n}" for n in range(EVENTS)]


def test_the_same_store_says_that_the_server_is_gone_and_answers_when_it_is_back(server: Server) -> None:
    with open_stores(server.url, read_only=False) as writing:
        writing.events.append(event())
    with open_stores(server.url) as stores:
        assert stores.events.count(EventQuery())[0].count == 1
        for _ in range(2):
            server.kill()
            with pytest.raises(StoreUnavailableError, match="cannot be reached"):
                stores.events.count(EventQuery())
            with pytest.raises(StoreUnavailableError):
                stores.events.status()
            server.start()
            assert stores.events.count(EventQuery())[0].count == 1
            assert stores.events.status().event_count == 1


def test_a_question_in_flight_when_the_server_dies_ends_at_once_in_our_words(server: Server) -> None:
    open_stores(server.url, read_only=False).close()
    outcome: list[BaseException] = []
    with open_stores(server.url, statement_timeout_ms=60_000, latency_alert_ms=None) as stores:
        database = stores.events._database  # type: ignore[attr-defined]

        def ask() -> None:
            try:
                database.read(lambda connection: connection.exec_driver_sql("SELECT pg_sleep(50)").scalar())
            except BaseException as error:
                outcome.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        while not stores.events.count(EventQuery()) or not _sleeps(database):
            pass
        server.kill()
        thread.join(30)

        assert not thread.is_alive()
        assert [type(error) for error in outcome] == [StoreUnavailableError]
        server.start()
        assert stores.events.count(EventQuery())[0].count == 0


def _sleeps(database: Any) -> bool:
    asked = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%%' AND state = 'active'"
    return bool(database.read(lambda connection: connection.exec_driver_sql(asked).scalar()))


@pytest.mark.parametrize("page", ["health", "events"])
def test_the_running_app_says_that_the_server_is_gone_and_goes_on_when_it_is_back(
    server: Server, page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with open_stores(server.url, read_only=False) as stores:
        stores.events.append(event(event_type="ADVANCE"))
    for name in ("DATABASE_URL", "MONGO_URI", "XCSTORE_DEFINITIONS", "XCSTORE_REDACT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XCSTORE_URL", server.url)
    monkeypatch.setenv("XCSTORE_DEMO", str(tmp_path / "none.db"))
    made = PagesManager.__init__

    def without_pages_folder(self: PagesManager, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", without_pages_folder)
    app = AppTest.from_file(APP, default_timeout=60).run()
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception
    assert not app.error

    server.kill()
    app.button(key="shell-refresh").click().run()
    assert not app.exception
    assert ["cannot be reached" in error.value for error in app.error] == [True]

    server.start()
    app.button(key="shell-refresh").click().run()
    assert not app.exception
    assert not app.error
