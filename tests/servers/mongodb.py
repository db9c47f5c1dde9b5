"""A real MongoDB for tests: the one of MONGO_URI, else one of our own in a temporary folder.

A pytest plugin: `mongodb_server` for the whole run, `mongodb_database` an empty database for one test.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pymongo
import pytest

from tests.servers.requiring import had_or_skipped
from xcstore.demo.servers.mongodb import running_mongodb

_numbers = itertools.count(1)


def _client(url: str) -> pymongo.MongoClient[dict[str, object]]:
    return pymongo.MongoClient(url, serverSelectionTimeoutMS=5_000)


@contextlib.contextmanager
def empty_database(server_url: str) -> Iterator[str]:
    """URL of a new database on that server, which is dropped afterwards."""
    name = f"xcstore_test_{os.getpid()}_{next(_numbers)}"
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        with _client(server_url) as client:
            client.drop_database(name)


@pytest.fixture(scope="session")
def mongodb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server. Skips where none can be had; fails where XCSTORE_TEST_REQUIRE names mongodb."""
    with contextlib.ExitStack() as stack:
        with had_or_skipped("mongodb"):
            given = os.environ.get("MONGO_URI")
            url = given or stack.enter_context(running_mongodb(tmp_path_factory.mktemp("mongodb"))).url
            with _client(url) as client:
                client.admin.command("ping")
        yield url


@pytest.fixture
def mongodb_database(mongodb_server: str) -> Iterator[str]:
    """URL of an empty database."""
    with empty_database(mongodb_server) as url:
        yield url
