"""What a URL opens, and what is said where it opens nothing."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import psycopg
import pytest

from tests.servers.postgresql import PostgresServer
from xcstore.errors import ConfigError, NotAStoreError, ReadOnlyStoreError, StoreUnavailableError
from xcstore.model.history import PersistedEvent
from xcstore.store.base import EventQuery
from xcstore.store.opening import open_stores


def event(number: int = 1) -> PersistedEvent:
    return PersistedEvent(
        id=f"e{number}", instance_id="i", machine_name="m", event_type="GO", state_after="A", persisted_at=number
    )


@pytest.mark.parametrize("url", ["mysql://host/db", "http://host", "nothing://", "Sqlite:///x.db"])
def test_an_unknown_scheme_is_refused_with_those_that_are_known(url: str) -> None:
    with pytest.raises(ConfigError, match=r"sqlite:///.*postgresql://") as raised:
        open_stores(url)

    assert url.partition("://")[0] in str(raised.value)


def test_a_text_that_is_no_url_is_not_repeated_whole() -> None:
    with pytest.raises(ConfigError) as raised:
        open_stores("user=me password=secret-word host=db")

    assert "secret-word" not in str(raised.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite://host/file.db"])
def test_a_sqlite_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="sqlite:///relative"):
        open_stores(url)


def test_memory_opens_empty_and_writable() -> None:
    with open_stores("memory://") as stores:
        stores.events.append(event())

        assert stores.events.count(EventQuery())[0].count == 1


def test_a_relative_path_starts_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with open_stores("sqlite:///here.db", read_only=False) as stores:
        stores.events.append(event())
        assert stores.identity == "sqlite:///here.db"

    assert (tmp_path / "here.db").exists()
    with open_stores(f"sqlite:///{tmp_path}/here.db") as stores:
        assert stores.events.get_event("e1").id == "e1"


def test_a_file_that_is_not_there_is_named_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match=r"missing\.db does not exist"):
        open_stores(f"sqlite:///{tmp_path}/missing.db")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"this is a text, not a database\n" * 50, b"x"])
def test_a_file_that_is_no_database_is_called_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)

    for read_only in (True, False):
        with pytest.raises((StoreUnavailableError, NotAStoreError), match=r"not a SQLite database|no table"):
            open_stores(f"sqlite:///{path}", read_only=read_only)
    assert path.read_bytes() == content


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="is a folder"):
        open_stores(f"sqlite:///{tmp_path}")


def test_a_database_of_something_else_is_not_a_store_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()

    for read_only in (True, False):
        with pytest.raises(NotAStoreError, match=r"no table fsm_events; tables found: recipes; .*import"):
            open_stores(f"sqlite:///{path}", read_only=read_only)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]
    assert len(before) == path.stat().st_size


def test_a_table_of_that_name_with_other_columns_is_not_a_store(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE fsm_events (id TEXT, name TEXT)")

    with pytest.raises(NotAStoreError, match="has no column instance_id"):
        open_stores(f"sqlite:///{path}")


def test_an_empty_database_opens_for_writing_only(postgresql_database: str) -> None:
    with pytest.raises(NotAStoreError, match="tables found: none"):
        open_stores(postgresql_database)

    with open_stores(postgresql_database, read_only=False) as stores:
        assert stores.events.layout == "ours"
    with open_stores(postgresql_database) as stores:
        assert stores.events.layout == "ours"
        with pytest.raises(ReadOnlyStoreError):
            stores.events.append(event())


def test_both_spellings_of_the_postgresql_scheme_open(postgresql_database: str) -> None:
    open_stores(postgresql_database, read_only=False).close()

    with open_stores(postgresql_database.replace("postgresql://", "postgres://", 1)) as stores:
        assert stores.identity.startswith("postgresql://")


def test_a_server_that_is_not_there_is_unreachable_and_its_password_not_told() -> None:
    with pytest.raises(StoreUnavailableError, match="cannot be reached") as raised:
        open_stores("postgresql://me:secret-word@127.0.0.1:1/db")

    assert "secret-word" not in str(raised.value)
    assert "me@127.0.0.1:1/db" in str(raised.value)


def test_a_database_that_is_not_there_is_named(postgresql_server: PostgresServer) -> None:
    with pytest.raises(StoreUnavailableError, match='refused the connection: database "no_such_database" does not'):
        open_stores(postgresql_server.url_of("no_such_database"))


def test_a_url_that_cannot_be_read_does_not_repeat_its_password() -> None:
    with pytest.raises(ConfigError, match="cannot be read") as raised:
        open_stores("postgresql://me:secret-word@[::1/db?nonsense=1")

    assert "secret-word" not in str(raised.value)


@pytest.mark.parametrize(
    ("authority", "password"),
    [
        ("u:SEC/RET#x@127.0.0.1:1", "SEC/RET#x"),
        ("u:p@ss-Qzz9@127.0.0.1:1", "p@ss-Qzz9"),
        ("u:QwX?zz9@127.0.0.1:1", "QwX?zz9"),
        ("u:QwX#zz9@127.0.0.1:1", "QwX#zz9"),
        ("u:QwX#zz9", "QwX#zz9"),
        ("u:QwX/zz9", "QwX/zz9"),
        ("u:QwXzz9", "QwXzz9"),
        ("u:987654", "987654"),
        ("u:QwX%zz9@127.0.0.1:1", "QwX%zz9"),
        ("u:@QwXzz9@127.0.0.1:1", "@QwXzz9"),
        ("u:QwXzz9@[127.0.0.1:1", "QwXzz9"),
        ("u:QwX%00zz9@127.0.0.1:1", "QwX%00zz9"),
    ],
)
@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_password_that_is_badly_written_is_refused_without_a_piece_of_it(
    scheme: str, authority: str, password: str
) -> None:
    with pytest.raises(ConfigError, match="special characters of the password are written as %XX") as raised:
        open_stores(f"{scheme}://{authority}/doc")

    told = str(raised.value)
    assert [piece for n in range(len(password) - 2) if (piece := password[n : n + 3]) in told] == []
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("query", ["password=QwX-zz9", "user=u&password=QwX-zz9", "sslpassword=QwX-zz9"])
def test_a_password_among_the_parameters_is_not_told(query: str) -> None:
    with pytest.raises(StoreUnavailableError) as raised:
        open_stores(f"postgresql://127.0.0.1:1/doc?{query}")

    assert "zz9" not in str(raised.value)


def test_the_identity_has_no_piece_of_a_rightly_written_password(postgresql_server: PostgresServer) -> None:
    with postgresql_server.database() as url:
        scheme, _, rest = url.partition("://")
        user, _, place = rest.partition("@")
        with open_stores(f"{scheme}://{user.partition(':')[0]}:Qw%2FX%40z%23z%3F9@{place}", read_only=False) as stores:
            assert "Q" not in stores.identity
            assert "%" not in stores.identity.partition("?")[0]


def test_an_unknown_role_is_named_as_what_is_wrong(postgresql_server: PostgresServer) -> None:
    scheme, _, rest = postgresql_server.url.partition("://")
    place = rest.partition("@")[2]

    with pytest.raises(StoreUnavailableError, match=r"role \"nobody_known\" does not exist|refused the user") as raised:
        open_stores(f"{scheme}://nobody_known@{place}")

    assert "cannot be reached" not in str(raised.value)


def test_a_database_that_was_dropped_under_us_is_said_to_be_gone(postgresql_server: PostgresServer) -> None:
    with postgresql_server.database() as url:
        name = url.partition("?")[0].rpartition("/")[2]
        with open_stores(url, read_only=False) as stores:
            stores.events.append(event())
            with psycopg.connect(postgresql_server.url, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
            with pytest.raises(StoreUnavailableError, match=f'database "{name}" does not exist'):
                stores.events.count(EventQuery())
            with psycopg.connect(postgresql_server.url, autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{name}"')


@pytest.mark.skipif("DATABASE_URL" in os.environ, reason="the rules of a given server are not ours to change")
def test_a_wrong_password_is_called_so(postgresql_server: PostgresServer) -> None:
    """The server of the tests trusts everybody on its socket; for one user it is told not to."""
    with psycopg.connect(postgresql_server.url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS careful")
        connection.execute("CREATE ROLE careful LOGIN PASSWORD 'right-word'")
        row = connection.execute("SHOW hba_file").fetchone()
        assert row is not None
        rules = Path(row[0])
        kept = rules.read_text()
        rules.write_text("local all careful scram-sha-256\n" + kept)
        connection.execute("SELECT pg_reload_conf()")
        try:
            url = postgresql_server.url.replace("postgres:@", "careful:wrong-word@", 1)
            with pytest.raises(StoreUnavailableError, match="refused the user or the password") as raised:
                open_stores(url)
            assert "wrong-word" not in str(raised.value)
        finally:
            rules.write_text(kept)
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("DROP ROLE careful")
