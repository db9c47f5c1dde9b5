"""`serve-demo`, run as a user runs it: the dashboard on a server of its own, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import event
from tests.servers.requiring import had_or_skipped
from xcstore.cli import main
from xcstore.commands.serve_demo import _named
from xcstore.demo.servers.mongodb import running_mongodb
from xcstore.demo.servers.process import LOOPBACK, free_port
from xcstore.store.opening import open_stores

ROOT = Path(__file__).parent.parent


class Served:
    """A running command; every process that it started carries its mark in the environment."""

    def __init__(self, *options: str) -> None:
        self.mark = uuid.uuid4().hex
        # Short, as sockets are in it.
        self.temporary = Path(tempfile.mkdtemp(prefix="xct"))
        environment = {**os.environ, "XCSTORE_TEST_MARK": self.mark, "TMPDIR": str(self.temporary)}
        command = [sys.executable, "-m", "xcstore", "serve-demo", "--port", str(free_port()), "--days", "7", *options]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        self.said: list[str] = []

    def url(self) -> str:
        """Of the dashboard, when it is there."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip())
            if found := re.fullmatch(r"the dashboard is at (\S+); Ctrl-C stops it", line.rstrip()):
                return found[1]
        raise AssertionError(self.said)

    def left_processes(self) -> list[str]:
        left = []
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in (place / "environ").read_bytes():
                    left.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return left


@contextlib.contextmanager
def served(*options: str) -> Iterator[Served]:
    command = Served(*options)
    try:
        yield command
    finally:
        command.process.kill()
        command.process.wait()
        assert command.process.stdout is not None
        command.process.stdout.close()


def answer(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as response:
        body: bytes = response.read()
    return body


@pytest.mark.parametrize(("backend", "ending"), [("sqlite", signal.SIGTERM), ("mongodb", signal.SIGINT)])
def test_it_shows_the_demo_until_it_is_stopped_and_leaves_nothing(backend, ending, tmp_path):
    if backend == "mongodb":
        with had_or_skipped(backend), running_mongodb(tmp_path):
            pass
    with served("--backend", backend) as command:
        url = command.url()
        assert b"<html" in answer(url)
        assert answer(f"{url}/_stcore/health") == b"ok"
        assert any(re.match(r"3,\d\d\d events of \d\d\d instances went into ", line) for line in command.said)
        assert command.left_processes() != []
        command.process.send_signal(ending)
        assert command.process.wait(180) == 0
        assert command.left_processes() == []
        assert list(command.temporary.iterdir()) == []


def test_kept_data_is_served_again_without_filling(tmp_path):
    for run in range(2):
        with served("--backend", "sqlite", "--keep", str(tmp_path)) as command:
            command.url()
            command.process.send_signal(signal.SIGINT)
            assert command.process.wait(180) == 0
            assert ("the demo history is there from an earlier run" in command.said) == bool(run)
            assert (tmp_path / "sqlite" / "demo.db").is_file()


def test_data_that_was_not_filled_to_the_end_is_not_shown(tmp_path, capsys):
    (tmp_path / "sqlite").mkdir()
    (tmp_path / "sqlite" / "demo.db").touch()
    assert main(["serve-demo", "--keep", str(tmp_path)], {}) == 2
    assert "was not filled to the end; delete it" in capsys.readouterr().err


def test_what_is_asked_for_and_what_is_there_must_agree(tmp_path, capsys):
    (tmp_path / "sqlite").mkdir()
    (tmp_path / "sqlite" / "filled").write_text("30")
    assert main(["serve-demo", "--keep", str(tmp_path), "--days", "7"], {}) == 2
    assert "holds 30 days; say --days 30, or delete it" in capsys.readouterr().err
    assert main(["serve-demo", "--backend", "sqlite", "--url", "mongodb://127.0.0.1/x"], {}) == 2
    assert "names no store of sqlite" in capsys.readouterr().err


def test_a_url_must_name_an_empty_store_that_others_can_see(tmp_path, capsys):
    url = f"sqlite:///{tmp_path / 'own.db'}"
    with open_stores(url, read_only=False) as stores:
        stores.events.append(event())
    for given, error in [
        (url, "holds 1 event already; the demo goes into an empty store only"),
        ("memory://", "a store in memory is seen by this process alone"),
        ("redis://:secret@127.0.0.1:1/0", "redis://:***@127.0.0.1:1/0 cannot be reached"),
        ("redis://127.0.0.1:port/0", "is no URL of a Redis database"),
    ]:
        assert main(["serve-demo", "--url", given], {}) == 2
        said = capsys.readouterr().err
        assert error in said
        assert "secret" not in said


def test_a_relative_url_is_of_the_folder_that_one_is_in():
    folder = Path.cwd()
    assert _named("sqlite:///some.db") == f"sqlite:///{folder}/some.db"
    assert _named("archive:///some") == f"archive:///{folder}/some"
    assert _named("sqlite:////whole/some.db") == "sqlite:////whole/some.db"
    assert _named("redis://host/0") == "redis://host/0"


def test_without_its_server_it_says_how_to_get_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["serve-demo", "--backend", "mongodb"], {}) == 2
    error = capsys.readouterr().err
    assert error.startswith("xcstore: MongoDB cannot be started")
    assert "install mongod, or Node.js 20 or newer with npm" in error
    assert error.count("\n") == 1


def test_a_port_that_is_taken_is_refused_before_anything_is_made(tmp_path, capsys):
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve-demo", "--port", str(port), "--keep", str(tmp_path / "kept")], {}) == 2
    assert f"port {port} is taken by another program" in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()
