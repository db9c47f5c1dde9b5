"""Servers of our own: what they acknowledged is there after a kill, and nothing is left when they stop."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pymongo
import pytest
import redis

from tests.servers import influxdb
from tests.servers.requiring import had_or_skipped
from xcstore.demo.servers import fetching
from xcstore.demo.servers.influxdb import running_influxdb
from xcstore.demo.servers.mongodb import running_mongodb
from xcstore.demo.servers.postgresql import running_postgresql
from xcstore.demo.servers.process import LOOPBACK, Server, accepts
from xcstore.demo.servers.redis import running_redis
from xcstore.errors import StoreUnavailableError

ON_A_PORT = {"mongodb": running_mongodb, "influxdb": running_influxdb, "redis": running_redis}
RUNNING = {**ON_A_PORT, "postgresql": running_postgresql}


@contextlib.contextmanager
def running(name: str, folder: Path) -> Iterator[Server]:
    with contextlib.ExitStack() as stack:
        with had_or_skipped(name):
            server = stack.enter_context(RUNNING[name](folder))
        yield server


def port_of(server: Server) -> int:
    return urlsplit(server.url).port or 0


def is_reached(name: str, server: Server) -> bool:
    if name in ON_A_PORT:
        return accepts(port_of(server))
    try:
        psycopg.connect(server.url).close()
    except psycopg.OperationalError:
        return False
    return True


def write(name: str, server: Server) -> None:
    if name == "mongodb":
        with pymongo.MongoClient(server.url, journal=True) as client:
            client.shop.orders.insert_many([{"_id": number} for number in range(500)])
    elif name == "redis":
        with contextlib.closing(redis.Redis.from_url(server.url)) as client:
            client.rpush("orders", *range(500))
    elif name == "postgresql":
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE orders AS SELECT generate_series(1, 500) AS number")
    else:
        influxdb.ask(server.url, "CREATE DATABASE orders")


def is_written(name: str, server: Server) -> bool:
    if name == "mongodb":
        with pymongo.MongoClient(server.url) as client:
            return client.shop.orders.count_documents({}) == 500
    if name == "redis":
        with contextlib.closing(redis.Redis.from_url(server.url)) as client:
            return client.llen("orders") == 500
    if name == "postgresql":
        with psycopg.connect(server.url) as connection:
            return connection.execute("SELECT count(*) FROM orders").fetchone() == (500,)
    return '["orders"]' in influxdb.ask(server.url, "SHOW DATABASES")


@pytest.mark.parametrize("name", RUNNING)
def test_what_it_acknowledged_is_there_after_a_kill(name, tmp_path):
    with running(name, tmp_path) as server:
        write(name, server)
        server.kill()
        assert not is_reached(name, server)
        server.start()
        assert is_written(name, server)


@pytest.mark.parametrize("name", RUNNING)
def test_it_stops_in_order_and_serves_its_data_again(name, tmp_path):
    with running(name, tmp_path) as server:
        write(name, server)
    assert server.process.returncode == 0
    assert not is_reached(name, server)
    with running(name, tmp_path) as server:
        assert is_written(name, server)


@pytest.mark.parametrize("name", ON_A_PORT)
def test_it_is_reached_from_this_machine_alone(name, tmp_path):
    with running(name, tmp_path) as server:
        listening = [line.split()[1:4] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        port = f":{port_of(server):04X}"
        assert [place for place, _, state in listening if place.endswith(port) and state == "0A"] == [f"0100007F{port}"]


@pytest.mark.parametrize("name", ON_A_PORT)
def test_a_port_that_is_taken_is_refused_and_its_server_left_alone(name, tmp_path):
    with running(name, tmp_path / "one") as first:
        taken = port_of(first)
        with (
            pytest.raises(StoreUnavailableError, match=f"port {taken} is taken"),
            ON_A_PORT[name](tmp_path / "2", taken),
        ):
            pass
        write(name, first)
        assert is_written(name, first)


def test_a_server_that_ends_while_starting_is_quoted(tmp_path):
    server = Server(
        "Thing", "", ["sh", "-c", "echo no such luck; exit 3"], log=tmp_path / "log", is_ready=lambda: False
    )
    with pytest.raises(StoreUnavailableError, match="Thing ended while starting: no such luck"):
        server.start()


def test_mongodb_goes_on_after_a_client_went_away_in_the_middle_of_a_message(tmp_path):
    with running("mongodb", tmp_path) as server:
        for _ in range(5):
            with socket.create_connection((LOOPBACK, port_of(server))) as connection:
                connection.sendall(b"\xff\x00\x00\x00 half a message")
                # Linger of zero: the connection is reset, not closed in order.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        with pymongo.MongoClient(server.url) as client:
            assert client.admin.command("ping")["ok"] == 1


def test_the_database_of_a_test_is_empty(mongodb_database, influxdb_database, redis_database):
    with pymongo.MongoClient(mongodb_database) as client:
        assert client.get_default_database().list_collection_names() == []
    name = urlsplit(influxdb_database).path[1:]
    assert '"series"' not in influxdb.ask(influxdb_database, f'SHOW MEASUREMENTS ON "{name}"')
    with contextlib.closing(redis.Redis.from_url(redis_database)) as client:
        assert client.dbsize() == 0
        client.set("left", "over")


@pytest.mark.parametrize("name", RUNNING)
def test_it_ends_with_a_process_that_was_killed(name, tmp_path):
    with running(name, tmp_path / "data"):  # so that it is fetched, or missed, here
        pass
    words = f"""
import pathlib, time
from xcstore.demo.servers.{name} import running_{name}
with running_{name}(pathlib.Path({str(tmp_path / "data")!r})) as server:
    print(server.process.pid, flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", words], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        server = os.pidfd_open(int(starter.stdout.readline()))
        starter.kill()
        ended, _, _ = select.select([server], [], [], 60)
        os.close(server)
    assert ended


@pytest.mark.parametrize("name", ON_A_PORT)
def test_without_its_program_and_what_brings_it_the_error_says_what_to_install(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(StoreUnavailableError, match=r"cannot be started.*install"), ON_A_PORT[name](tmp_path):
        pass


def test_what_could_not_be_fetched_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def fails(folder: Path) -> None:
        (folder / "half").write_text("")
        raise StoreUnavailableError("no network")

    with pytest.raises(StoreUnavailableError):
        fetching.obtain("thing", fails)
    assert [path.name for path in fetching.cache_folder().iterdir()] == ["thing.lock"]
    assert (fetching.obtain("thing", lambda folder: (folder / "whole").touch()) / "whole").exists()
    assert fetching.obtain("thing", fails).name == "thing"


def test_the_sources_of_another_release_are_those_of_this_machine_in_both_styles(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://one.example bookworm main\n"
        "deb [signed-by=/keys/a.gpg arch=amd64] http://one.example/debian bookworm main contrib\n"
        "deb http://one.example/debian bookworm-updates main\n"
        "deb-src http://one.example/debian bookworm main\n"
        "deb http://else.example/bookworm stable main\n"
    )
    (tmp_path / "sources.list.d" / "debian.sources").write_text(
        "Types: deb\n# a remark\nURIs: http://two.example/debian\nSuites: bookworm bookworm-updates\n"
        "Components: main\nSigned-By: /keys/b.gpg\n"
        "\n"
        "Types: deb\nURIs: http://two.example/security\nSuites: bookworm-security\nComponents: main\n"
    )
    list_text, sources_text = fetching.sources_of("trixie", own="bookworm", apt=tmp_path)
    assert list_text == "deb [signed-by=/keys/a.gpg arch=amd64] http://one.example/debian trixie main contrib\n"
    assert sources_text == (
        "Types: deb\n# a remark\nURIs: http://two.example/debian\nSuites: trixie\n"
        "Components: main\nSigned-By: /keys/b.gpg\n"
    )
