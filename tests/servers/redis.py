"""A real Redis for tests: the one of REDIS_URL, else one of our own in a temporary folder.

A pytest plugin: `redis_server` for the whole run, `redis_database` an empty database for one test.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from tests.servers.requiring import had_or_skipped
from xcstore.demo.servers.redis import running_redis


@contextlib.contextmanager
def empty_database(server_url: str) -> Iterator[str]:
    """URL of an empty database on that server, emptied afterwards.

    Redis has numbers for databases: each worker of pytest-xdist takes its own, and none that anything is in.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    url = urlunsplit(urlsplit(server_url)._replace(path=f"/{number}"))
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        held = client.dbsize()
        assert held == 0, f"database {number} of this Redis holds {held} keys; tests want an empty one"
        try:
            yield url
        finally:
            client.flushdb()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server. Skips where none can be had; fails where XCSTORE_TEST_REQUIRE names redis."""
    with contextlib.ExitStack() as stack:
        with had_or_skipped("redis"):
            given = os.environ.get("REDIS_URL")
            url = given or stack.enter_context(running_redis(tmp_path_factory.mktemp("redis"))).url
            with contextlib.closing(redis.Redis.from_url(url)) as client:
                client.ping()
        yield url


@pytest.fixture
def redis_database(redis_server: str) -> Iterator[str]:
    """URL of an empty database."""
    with empty_database(redis_server) as url:
        yield url
