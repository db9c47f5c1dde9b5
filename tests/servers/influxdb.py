"""A real InfluxDB 1 for tests: the one of INFLUXDB_URL (influxdb://…), else one of our own in a temporary folder.

A pytest plugin: `influxdb_server` for the whole run, `influxdb_database` an empty database for one test.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest

from tests.servers.requiring import had_or_skipped
from xcstore.demo.servers.influxdb import running_influxdb

_numbers = itertools.count(1)


def ask(server_url: str, statement: str) -> str:
    """What the server answers to a statement such as `CREATE DATABASE x`."""
    url = urllib.parse.urlsplit(server_url)
    words = {"q": statement}
    if url.username:
        words |= {"u": urllib.parse.unquote(url.username), "p": urllib.parse.unquote(url.password or "")}
    place = f"http://{url.hostname}:{url.port or 8086}/query"
    body = urllib.parse.urlencode(words).encode()
    with urllib.request.urlopen(place, data=body, timeout=10) as answer:
        text: str = answer.read().decode()
    assert '"error"' not in text, text
    return text


@contextlib.contextmanager
def empty_database(server_url: str) -> Iterator[str]:
    """URL of a new database on that server, which is dropped afterwards."""
    name = f"xcstore_test_{os.getpid()}_{next(_numbers)}"
    ask(server_url, f'CREATE DATABASE "{name}"')
    try:
        yield urllib.parse.urlunsplit(urllib.parse.urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        ask(server_url, f'DROP DATABASE "{name}"')


@pytest.fixture(scope="session")
def influxdb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server. Skips where none can be had; fails where XCSTORE_TEST_REQUIRE names influxdb."""
    with contextlib.ExitStack() as stack:
        with had_or_skipped("influxdb"):
            given = os.environ.get("INFLUXDB_URL")
            url = given or stack.enter_context(running_influxdb(tmp_path_factory.mktemp("influxdb"))).url
            ask(url, "SHOW DATABASES")
        yield url


@pytest.fixture
def influxdb_database(influxdb_server: str) -> Iterator[str]:
    """URL of an empty database."""
    with empty_database(influxdb_server) as url:
        yield url
