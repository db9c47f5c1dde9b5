"""Every page on the real histories, loaded as they are: nothing errs, and what is counted is what is stored.

A sample of instances is visited in one session, as a reader would go from one to the next. Which ones is told by a
hash of their ids, so that it holds for another data set in `XCSTORE_REFERENCE`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from streamlit.testing.v1 import AppTest

from tests.pages import conftest as app_tests
from tests.servers.postgresql import PostgresServer
from xcstore.ops.importing import import_files
from xcstore.store.opening import open_stores
from xcstore.ui.widgets import PAGES

open_page = app_tests.open_page

STORES = ("documented", "shipped", "memory")
SAMPLE = 50


@dataclass(frozen=True)
class Loaded:
    """A store with a real history, and the database under it to ask with SQL of our own."""

    url: str
    rows: Callable[[str], Sequence[Any]]

    def number(self, statement: str) -> int:
        return int(self.rows(statement)[0][0])

    def sample(self) -> list[tuple[str, int, str]]:
        """(instance, its events, the last of them) of some instances."""
        streams: dict[str, list[str]] = {}
        for event_id, instance_id in self.rows("SELECT id, instance_id FROM fsm_events ORDER BY persisted_at, id"):
            streams.setdefault(str(instance_id), []).append(str(event_id))
        ids = sorted(streams, key=lambda name: hashlib.sha256(name.encode()).digest())
        return [(name, len(streams[name]), streams[name][-1]) for name in ids[:SAMPLE]]


@pytest.fixture(scope="module", params=STORES)
def loaded(request: pytest.FixtureRequest, reference: Path, tmp_path_factory: Any) -> Iterator[Loaded]:
    if request.param == "memory":
        path = tmp_path_factory.mktemp("imported") / "memory.db"
        with open_stores(f"sqlite:///{path}", read_only=False) as stores:
            report = import_files([reference / "memory_events.json", reference / "memory_snapshots.json"], stores)
        assert sum(file.bad + file.conflicts for file in report.files) == 0
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as lite:
            yield Loaded(f"sqlite:///{path}", lambda statement: lite.execute(statement).fetchall())
        lite.close()
        return
    server: PostgresServer = request.getfixturevalue("postgresql_server")
    with server.database() as url:
        server.load(url, reference / f"{request.param}_layout.sql")
        with psycopg.connect(url, autocommit=True) as connection:
            yield Loaded(url, lambda statement: connection.execute(statement).fetchall())  # type: ignore[call-overload]


@pytest.fixture(params=["defined", "undefined"])
def definitions(request: pytest.FixtureRequest, reference: Path, tmp_path: Path) -> Path | None:
    """A folder with the real definitions, and none."""
    if request.param == "undefined":
        return None
    folder = tmp_path / "definitions"
    folder.mkdir()
    shutil.copy(reference / "components.json", folder)
    return folder


class Reader:
    """Somebody in one session of the app, who goes from page to page and looks for what went wrong."""

    def __init__(self, app: AppTest) -> None:
        self.app = app
        self._page = "overview"

    def visit(self, page: str, **params: str) -> AppTest:
        if page != self._page:
            self.app.switch_page(PAGES[page])
            self._page = page
        self.app.query_params.clear()
        for name, value in params.items():
            self.app.query_params[name] = value
        self.app.run()
        where = f"{page} {params}"
        assert not self.app.exception, f"{where}: {[item.value for item in self.app.exception]}"
        assert not self.app.error, f"{where}: {[item.value for item in self.app.error]}"
        return self.app

    def says(self, pattern: str) -> re.Match[str]:
        """The first text on the page with this in it."""
        texts = [item.value for kind in ("markdown", "caption", "text", "code") for item in self.app.get(kind)]
        found = next(filter(None, (re.search(pattern, text) for text in texts)), None)
        assert found, f"{pattern!r} is not among {texts}"
        return found

    def table(self, name: str) -> Any:
        """The table with that accessible name."""
        return next(item.value for item in self.app.dataframe if item.proto.alt == name)

    def metric(self, label: str) -> int:
        return next(int(item.value.replace(",", "")) for item in self.app.metric if item.label.endswith(label))


@pytest.fixture
def reader(open_page: Any, loaded: Loaded, definitions: Path | None, monkeypatch: pytest.MonkeyPatch) -> Reader:
    if definitions:
        monkeypatch.setenv("XCSTORE_DEFINITIONS", str(definitions))
    return Reader(open_page(loaded.url))


def test_the_counts_on_every_page_are_those_of_the_database(reader: Reader, loaded: Loaded) -> None:
    events = loaded.number("SELECT count(*) FROM fsm_events")
    instances = loaded.number("SELECT count(DISTINCT instance_id) FROM fsm_events")

    reader.visit("overview")
    assert (reader.metric("Events"), reader.metric("Instances")) == (events, instances)
    statuses = [reader.metric(item.label) for item in reader.app.metric if item.label[2:] in STATUSES]
    assert sum(statuses) == instances
    assert reader.table("Instances of each machine by status and state")["instances"].sum() == instances

    reader.visit("events")
    assert number(reader.says(r"^shown 1–\d+ of ([\d,]+) event")) == events
    reader.visit("instances")
    assert number(reader.says(r"([\d,]+) instance")) == instances
    reader.visit("causality")
    reader.says(r"the newest \d+")


STATUSES = ("active", "completed", "error", "unknown")


def number(found: re.Match[str]) -> int:
    return int(found.group(1).replace(",", ""))


def test_every_machine_counts_what_the_database_counts(reader: Reader, loaded: Loaded) -> None:
    machines = loaded.rows(
        "SELECT coalesce(component_name, ''), machine_name, count(DISTINCT instance_id), count(*)"
        " FROM fsm_events GROUP BY 1, 2 ORDER BY 1, 2"
    )
    assert machines
    for component, machine, instances, events in machines:
        reader.visit("machines", machine=machine, machine_component=component or "(none)")
        assert number(reader.says(r"([\d,]+) instance")) == instances, (component, machine)
        assert number(reader.says(r"([\d,]+) event")) == events, (component, machine)


def test_each_instance_of_a_sample_can_be_opened_traced_and_filtered(
    reader: Reader, loaded: Loaded, definitions: Path | None
) -> None:
    sample = loaded.sample()
    assert sample

    for instance_id, count, _ in sample:
        reader.visit("instances", instance=instance_id)
        assert instance_id in [code.value for code in reader.app.code]
        reader.says(rf"event {count:,} of {count:,}")
    if definitions is not None:
        return  # the other two pages look at no definition
    for position, (_, _, last) in enumerate(sample):
        # Causes recorded by that runtime chain for ever: most pictures are kept small, for time.
        reader.visit("causality", event=last, limit="200" if position < 5 else "50")
        assert last in [code.value for code in reader.app.code]
    for instance_id, count, last in sample:
        app = reader.visit("events", instance=instance_id, event=last)
        assert number(reader.says(r"^shown 1–\d+ of ([\d,]+) event")) == count
        assert last in set(app.dataframe[0].value["id"])
