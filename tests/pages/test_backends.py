"""Every page on every backend: nothing fails, and the figures are those that the same history has in a SQLite file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.backends import BACKENDS, open_writable
from tests.pages.conftest import OpenPage
from tests.servers.requiring import had_or_skipped
from xcstore.demo.servers.mongodb import running_mongodb
from xcstore.demo.servers.process import Server
from xcstore.demo.servers.redis import running_redis
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.store.base import InstanceQuery, StoredDefinition
from xcstore.store.opening import open_stores
from xcstore.ui.shell import TITLES
from xcstore.ui.widgets import PAGES

DEFINITIONS = Path(__file__).parents[2] / "xcstore" / "demo" / "components"
MEASURED = ("health", "retention")
"""Pages whose figures are also those of the machine and of the backend."""

ASKED = {"integrity": "integrity-run", "divergence": "divergence-run"}
"""Pages that read a whole store, and do so when they are asked to."""
History = tuple[list[PersistedEvent], list[InstanceSnapshot], list[StoredDefinition]]
Figures = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def history(demo_url: str) -> History:
    """Some forty instances of the demo, with one snapshot of each that has any."""
    with open_stores(demo_url) as stores:
        chosen = [one.instance_id for one in stores.events.instances(InstanceQuery(), limit=300).items[::7]]
        streams = stores.events.get_streams(chosen).values()
        snapshots = stores.snapshots.get_snapshots(chosen).values()
        definitions = stores.definitions.get_all_definitions()
    events = sorted((event for stream in streams for event in stream), key=lambda event: (event.persisted_at, event.id))
    return events, list(snapshots), list(definitions)


@pytest.fixture(params=["mongodb", "redis"])
def killable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server of our own; that of PostgreSQL is killed in tests/store."""
    name: str = request.param
    running = {"mongodb": running_mongodb, "redis": running_redis}[name]
    with ExitStack() as stack:
        with had_or_skipped(name):
            server = stack.enter_context(running(tmp_path / "server"))
        yield server


def fill(backend: str, url: str, history: History) -> None:
    events, snapshots, definitions = history
    with open_writable(url) as stores:
        stores.events.append_many(events)
        stores.snapshots.save_snapshots(snapshots)
        if "definitions" in BACKENDS[backend].declares:
            for definition in definitions:
                stores.definitions.save_definition(definition)


def views(history: History) -> list[tuple[str, dict[str, str | list[str]]]]:
    """What is opened: each page, and what it shows of one machine, instance, event or search."""
    events, snapshots, _ = history
    caused = next(event for event in reversed(events) if event.caused_by and event.machine_name == "Order")
    instance = next(one.instance.id for one in snapshots if one.instance.machine_name == "Order")
    return [
        *((page, {}) for page in PAGES),
        ("overview", {"component": "OrderComponent"}),
        ("events", {"event": caused.id}),
        ("events", {"type": "SUBMIT", "from": "2026-11-10T00:00:00Z"}),
        ("events", {"text": "ord-"}),
        *(("instances", {"instance": instance, "tab": tab}) for tab in ("moves", "events", "snapshots", "children")),
        ("instances", {"instance": instance, "event_tab": "values"}),
        *(("machines", {"machine": "Order", "state": "Draft", "tab": tab}) for tab in ("states", "transitions")),
        *(("causality", {"event": caused.id, "tab": tab}) for tab in ("events", "links", "path")),
        ("causality", {"event": caused.id, "view": "map", "links": "both"}),
        *(("replay", {"instance": instance, "step": "2", "tab": tab}) for tab in ("everybody", "steps")),
        ("replay", {"trace": caused.id}),
        ("replay", {"trace": caused.id, "event": caused.id, "tab": "around"}),
        ("what_if", {"instance": instance}),
        ("what_if", {"trace": caused.id, "edit": json.dumps(["drop", caused.id]), "run": "yes"}),
        ("moment", {"at": "2026-11-10T00:00:00Z"}),
        ("restore", {"part": "restore", "instance": instance}),
        ("compare", {"left": instance, "typical": "yes"}),
        ("compare", {"what": "traces", "left": caused.id, "typical": "yes", "links": "recorded"}),
    ]


def figures(app: AppTest) -> dict[str, Any]:
    """Each number with its label, and the rows of each table: in any order, as those of one moment have none."""
    found: dict[str, Any] = {item.label: item.value for item in app.metric}
    for number, item in enumerate(app.dataframe):
        rows = map(str, item.value.reset_index(drop=True).astype(str).to_numpy().tolist())
        # Servers look after their own files.
        found[f"table {number} {item.proto.alt}"] = sorted(row for row in rows if "Damaged files" not in row)
    return found


def shown(open_page: OpenPage, url: str, history: History) -> Figures:
    """What every page shows of a store, by page and address."""
    found: Figures = {}
    for page, address in views(history):
        app = open_page(url, page, **address)
        assert not app.exception, (page, address, [item.value for item in app.exception])
        assert not app.error, (page, address, [item.value for item in app.error])
        assert app.header[0].value == TITLES[page][0]
        if page in ASKED:
            app.button(key=ASKED[page]).click().run()
            assert not app.exception, [item.value for item in app.exception]
        found[f"{page} {address}"] = {} if page in MEASURED else figures(app)
        if page == "events" and not address:
            app.button(key="events-pages-on").click().run()
            found["events, further on"] = figures(app)
    assert [name for name, numbers in found.items() if not numbers and not name.startswith(MEASURED)] == []
    return found


def test_the_running_app_says_that_its_server_is_gone_and_goes_on_when_it_is_back(
    open_page: OpenPage, killable: Server, history: History
) -> None:
    url = killable.url + ("0" if killable.url.startswith("redis") else "history")
    fill(url.partition("://")[0], url, history)
    app = open_page(url, "events")
    before = figures(app)
    assert before

    killable.kill()
    app.button(key="shell-refresh").click().run()
    assert not app.exception
    assert ["cannot be reached" in error.value for error in app.error] == [True]

    killable.start()
    app.button(key="shell-refresh").click().run()
    assert not app.exception
    assert not app.error
    assert figures(app) == before


_in_a_file: Figures = {}


def test_an_empty_store_opens_on_every_page_and_says_what_to_do(
    open_page: OpenPage, backend: str, store_url: str, subtests: pytest.Subtests
) -> None:
    open_writable(store_url).close()
    app = open_page(store_url)
    for page, path in PAGES.items():
        with subtests.test(page):
            if page != "overview":
                app.switch_page(path).run()
            assert not app.exception, [item.value for item in app.exception]
            assert not app.error, [item.value for item in app.error]
            assert ["no events yet" in item.value for item in app.info] == [True]


@pytest.mark.xdist_group("pages on backends")
def test_every_page_shows_the_same_on_every_backend(
    open_page: OpenPage,
    backend: str,
    store_url: str,
    history: History,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if backend == "memory":
        pytest.skip("memory:// is always empty where it is opened")
    monkeypatch.setenv("XCSTORE_DEFINITIONS", str(DEFINITIONS))
    if not _in_a_file:
        url = f"sqlite:///{tmp_path_factory.mktemp('history') / 'history.db'}"
        fill("sqlite", url, history)
        _in_a_file.update(shown(open_page, url, history))
        assert _in_a_file["overview {}"]["Events"] == f"{len(history[0]):,}"
    if backend == "sqlite":
        return
    fill(backend, store_url, history)

    assert shown(open_page, store_url, history) == _in_a_file
