"""Every page on every kind of store: whole where it can be read, else one clear sentence, and never a password."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from streamlit.testing.v1 import AppTest

from tests.servers.postgresql import PostgresServer
from xcstore.ui.shell import TITLES
from xcstore.ui.widgets import PAGES

PASSWORD = "s3cret-Wörd"

READABLE = ("demo", "empty", "hostile")
UNREADABLE = {
    # What the sentence must say.
    "unreachable": "127",
    "wrong password": "password",
    "no role": "role",
    "foreign tables": "fsm_events",
    "foreign tables in a file": "fsm_events",
    "no database": "no-such-database",
    "no file": "nowhere.db",
    "truncated file": "cut.db is damaged",
    "not a database file": "not a SQLite database",
    "unknown scheme": "gopher",
    "no scheme": "URL",
}


def everything(app: AppTest) -> str:
    """All that is sent to the browser: text, tables, help, options, addresses."""
    return "\n".join(str(getattr(element, "proto", "")) for element in app) + str(dict(app.query_params))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("store", READABLE)
def test_a_store_that_can_be_read_opens_without_an_error(open_page: Any, request: Any, store: str, page: str) -> None:
    app = open_page(request.getfixturevalue(f"{store}_url"), page)

    assert not app.exception, [item.value for item in app.exception]
    assert not app.error, [item.value for item in app.error]
    assert app.header[0].value == TITLES[page][0]


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_store_says_once_what_to_do(open_page: Any, empty_url: str, page: str) -> None:
    app = open_page(empty_url, page)

    assert ["no events yet" in item.value for item in app.info] == [True]
    assert any("python -m xcstore import" in item.value for item in app.code)


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_store_that_cannot_be_opened_is_one_clear_sentence_on_every_page(
    open_page: Any, request: Any, tmp_path: Path, kind: str
) -> None:
    url = _unreadable(kind, tmp_path, request)
    app = open_page(url)
    for page, path in PAGES.items():
        if page != "overview":
            app.switch_page(path).run()
        shown = everything(app)
        assert not app.exception, (page, [item.value for item in app.exception])
        assert len(app.error) == 1, (page, [item.value for item in app.error])
        sentence = app.error[0].value
        assert UNREADABLE[kind].lower() in sentence.lower().replace("\\", ""), sentence
        assert "Try again" in shown  # so that it is all of the page that is looked through
        assert "\n" not in sentence.strip()
        assert "s3cret" not in shown
        assert app.button(key="shell-retry")


def _unreadable(kind: str, folder: Path, request: Any) -> str:
    """The URL of a store that cannot be opened for that reason."""
    if kind == "unreachable":
        return f"postgresql://app:{PASSWORD}@127.0.0.1:1/history"
    if kind == "unknown scheme":
        return f"gopher://app:{PASSWORD}@127.0.0.1/history"
    if kind == "no scheme":
        return f"app:{PASSWORD}@127.0.0.1/history"
    if kind in ("wrong password", "no role", "foreign tables", "no database"):
        return _on_the_server(kind, request)
    path = folder / "nowhere.db"
    if kind == "foreign tables in a file":
        path = folder / "other.db"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE customers (id integer, secret text)")
        connection.close()
    elif kind == "truncated file":
        path = folder / "cut.db"
        whole = Path(request.getfixturevalue("demo_url").removeprefix("sqlite:///")).read_bytes()
        path.write_bytes(whole[: len(whole) // 3 + 123])
    elif kind == "not a database file":
        path = folder / "text.db"
        path.write_text("id,instance\n" * 1_000)
    return f"sqlite:///{path}"


def _on_the_server(kind: str, request: Any) -> str:
    server: PostgresServer = request.getfixturevalue("postgresql_server")
    url: str = request.getfixturevalue("postgresql_database")
    if kind == "foreign tables":
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE customers (id integer, secret text)")
        return url
    if kind == "no database":
        return server.url_of("no-such-database")
    if kind == "no role":
        return _as_user(url, "xcstore_nobody")
    with psycopg.connect(server.url, autocommit=True) as connection:
        reader = f"xcstore_reader_{connection.info.backend_pid}"
        name = sql.Identifier(reader)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'the right one'").format(name))
        request.addfinalizer(lambda: _run(server.url, sql.SQL("DROP ROLE {}").format(name)))
        if server.programs is not None:
            # Our own server lets everybody in without asking; of this role it shall ask for the password.
            rules = Path(connection.execute("SHOW hba_file").fetchone()[0])  # type: ignore[index]
            before = rules.read_text()
            rules.write_text(f"local all {reader} scram-sha-256\nhost all {reader} all scram-sha-256\n{before}")
            request.addfinalizer(lambda: _run(server.url, sql.SQL("SELECT pg_reload_conf()")))
            request.addfinalizer(lambda: rules.write_text(before))
            connection.execute("SELECT pg_reload_conf()")
    wrong = _as_user(url, reader)
    try:
        psycopg.connect(wrong, connect_timeout=5).close()
    except psycopg.OperationalError:
        return wrong
    pytest.skip("this PostgreSQL server lets everybody in, whatever the password")


def _as_user(url: str, user: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{user}:{quote(PASSWORD)}@{rest.rpartition('@')[2]}"


def _run(url: str, statement: sql.Composable) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
