"""`/api`, over HTTP: a server of its own in this process, and the app's own as `streamlit run` starts it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api_serving import Answer, get, served
from tests.factories import START, event, snapshot
from xcstore.config import Settings
from xcstore.errors import ConfigError, StoreUnavailableError
from xcstore.ops.metrics import Metrics
from xcstore.store.base import Stores
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores

ROOT = Path(__file__).parents[1]
DEAD = "postgresql://app:s3cret@127.0.0.1:1/history"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """What Prometheus would read, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Three events and a snapshot."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with open_stores(url, read_only=False) as stores:
        for number in range(3):
            stores.events.append(event(id=f"e{number}", persisted_at=START + number * 500))
        stores.snapshots.save_snapshot(snapshot())
    return url


def test_each_store_has_its_figures(url: str) -> None:
    with served(lambda: Settings(url=url, demo="/nowhere.db")) as api:
        answer = get(f"{api}/metrics")

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = samples(answer.text)
    assert value(found, "xcstore_up", store="store") == 1
    assert value(found, "xcstore_events", store="store") == 3
    assert value(found, "xcstore_snapshots", store="store") == 1
    assert value(found, "xcstore_size_bytes", store="store") > 10_000
    assert value(found, "xcstore_newest_event_timestamp_seconds", store="store") == (START + 1_000) / 1_000
    assert value(found, "xcstore_connections", store="store", state="maximum") == 20
    assert value(found, "xcstore_operation_seconds_count", store="store", operation="append") == 3
    assert value(found, "xcstore_operation_seconds_bucket", store="store", operation="append", le="+Inf") == 3
    assert value(found, "xcstore_operation_seconds_sum", store="store", operation="append") > 0


def test_a_dead_store_is_down_and_keeps_nobody_waiting_and_its_password_is_nowhere(url: str) -> None:
    with served(lambda: Settings(url=url, database_url=DEAD, demo="/nowhere.db")) as api:
        answer = get(f"{api}/metrics")

    found = samples(answer.text)
    assert value(found, "xcstore_up", store="database") == 0
    assert value(found, "xcstore_up", store="store") == 1
    assert "s3cret" not in answer.text
    assert not [labels for name, labels in found if name == "xcstore_events" and ("store", "database") in labels]


def test_a_store_that_never_answers_is_down_and_is_not_asked_twice_at_a_time() -> None:
    release = threading.Event()
    asked: list[str] = []

    def open_named(name: str) -> Stores:
        asked.append(name)
        if name == "hanging":
            release.wait()
        return open_memory_stores(name)

    moments = iter(range(0, 1_000, 11))
    metrics = Metrics(lambda: ["hanging", "quick"], open_named, wait_s=0.2, clock=lambda: next(moments))
    try:
        first, second = samples(metrics.text().decode()), samples(metrics.text().decode())
    finally:
        release.set()

    for found in (first, second):
        assert value(found, "xcstore_up", store="hanging") == 0
        assert value(found, "xcstore_up", store="quick") == 1
    assert asked.count("hanging") == 1
    assert asked.count("quick") == 2


def test_a_store_that_comes_back_is_up_again() -> None:
    outcomes: list[Stores | None] = [None, open_memory_stores()]

    def open_named(_: str) -> Stores:
        found = outcomes.pop(0)
        if found is None:
            raise StoreUnavailableError("nobody answers")
        return found

    moments = iter(range(0, 1_000, 11))
    metrics = Metrics(lambda: ["store"], open_named, clock=lambda: next(moments))

    assert value(samples(metrics.text().decode()), "xcstore_up", store="store") == 0
    assert value(samples(metrics.text().decode()), "xcstore_up", store="store") == 1


def test_figures_are_kept_for_ten_seconds() -> None:
    asked: list[str] = []

    def open_named(name: str) -> Stores:
        asked.append(name)
        return open_memory_stores()

    now = [0.0]
    metrics = Metrics(lambda: ["store"], open_named, clock=lambda: now[0])
    for moment in (0.0, 5.0, 9.9, 10.0):
        now[0] = moment
        metrics.text()

    assert len(asked) == 2


def test_a_path_full_of_quotes_and_line_ends_is_escaped(tmp_path: Path) -> None:
    folder = tmp_path / 'a"} 1\nxcstore_up{store="forged'
    folder.mkdir()
    path = folder / "back\\slash.db"
    url = f"sqlite:///{path}"
    open_stores(url, read_only=False).close()

    with served(lambda: Settings(url=url, demo="/nowhere.db")) as api:
        answer = get(f"{api}/metrics")

    found = samples(answer.text)
    (labels,) = (dict(labels) for name, labels in found if name == "xcstore_store_info")
    assert labels["identity"] == url
    assert [dict(labels)["store"] for name, labels in found if name == "xcstore_up"] == ["store"]


# Who may ask


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "Basic open sesame", "Bearer open sesame2"])
def test_with_a_token_set_nobody_gets_in_without_it(url: str, header: str | None) -> None:
    with served(lambda: Settings(url=url, api_token="open sesame")) as api:
        answer = get(f"{api}/metrics", header)

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert json.loads(answer.text)["success"] is False
    assert "sesame" not in answer.text


@pytest.mark.parametrize("header", ["Bearer open sesame", "bearer open sesame"])
def test_the_token_lets_in(url: str, header: str) -> None:
    with served(lambda: Settings(url=url, api_token="open sesame", demo="/nowhere.db")) as api:
        assert get(f"{api}/metrics", header).status == 200


def test_unknown_paths_are_not_found_in_json(url: str) -> None:
    with served(lambda: Settings(url=url)) as api:
        answer = get(f"{api}/nothing")

    assert answer.status == 404
    assert json.loads(answer.text) == {"success": False, "error": "Not Found"}


def test_settings_that_cannot_be_read_are_told_in_one_sentence() -> None:
    def broken() -> Settings:
        raise ConfigError("SNAPSHOT_INTERVAL is 'x'; it must be a whole number")

    with served(broken) as api:
        answer = get(f"{api}/metrics")

    assert answer.status == 503
    assert json.loads(answer.text)["error"] == "SNAPSHOT_INTERVAL is 'x'; it must be a whole number"


def test_the_app_answers_only_to_its_own_names(url: str) -> None:
    """Else a page elsewhere, whose name is made to lead to this machine, could read what is behind it."""
    with served(lambda: Settings(url=url, demo="/nowhere.db"), hosts=("localhost", "127.0.0.1", "::1")) as api:
        answers = [get(f"{api}/metrics", host=host).status for host in ("evil.example", "localhost:80", "[::1]:80")]

    assert answers == [400, 200, 200]


# In the app


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start the app as its users do; gives its URL. Stopped at the end."""
    with ExitStack() as stack:

        def start(**environment: str) -> str:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            log = stack.enter_context((tmp_path / "app.log").open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}", "--server.headless=true"],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return f"http://127.0.0.1:{port}"

        yield start


def patiently(url: str, token: str | None = None) -> Answer:
    """The first answer of a server that is starting."""
    attempts = 0
    while True:
        try:
            return get(url, token)
        except OSError:
            attempts += 1
            assert attempts < 600, f"{url} does not answer"
            threading.Event().wait(0.1)


def test_the_app_serves_figures_beside_its_pages_with_the_same_headers(
    app: Callable[..., str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL", "MONGO_URI"):
        monkeypatch.delenv(name, raising=False)
    address = app(XCSTORE_URL=url, XCSTORE_API_TOKEN="t0ken", XCSTORE_DEMO="/nowhere.db")

    answer = patiently(f"{address}/api/metrics", "Bearer t0ken")

    assert answer.status == 200
    assert value(samples(answer.text), "xcstore_events", store="store") == 3
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert get(f"{address}/api/metrics").status == 401
    assert get(f"{address}/api/nothing", "Bearer t0ken").status == 404
    assert get(f"{address}/api/metrics", "Bearer t0ken", host="evil.example").status == 400
    assert get(f"{address}/health").status == 200


def test_the_app_serves_events_and_what_describes_them(
    app: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL", "MONGO_URI"):
        monkeypatch.delenv(name, raising=False)
    url = f"sqlite:///{tmp_path / 'b.db'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append(event(id="a/b", persisted_at=START))
        stores.events.append(event(id="c", caused_by=("a/b",), persisted_at=START + 1))
    address = app(XCSTORE_URL=url, XCSTORE_API_TOKEN="t0ken", XCSTORE_DEMO="/nowhere.db")

    answer = patiently(f"{address}/api/cross-component/causality/a%2Fb", "Bearer t0ken")

    assert [found["id"] for found in json.loads(answer.text)["data"]["causality"]] == ["a/b", "c"]
    assert json.loads(get(f"{address}/api/openapi.json").text)["servers"] == [{"url": "/api"}]
    page = get(f"{address}/api/docs")
    assert page.status == 200
    assert 'href="/api/cross-component/events"' in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert get(f"{address}/api/cross-component/events").status == 401
