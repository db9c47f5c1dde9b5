"""Redis: `redis-server` of the machine, else the one of Debian."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from xcstore.demo.servers.fetching import fetch_debian, library_path, obtain
from xcstore.demo.servers.process import LOOPBACK, Server, free_port
from xcstore.errors import StoreUnavailableError

__all__ = ["running_redis"]

_HELP: Final = "install redis-server"


@contextlib.contextmanager
def running_redis(folder: Path, port: int | None = None) -> Iterator[Server]:
    """A Redis server on loopback, stopped with the block. Its URL names no database: append the number of one.

    Parameters
    ----------
    folder : Path
        Where it keeps its data; what is in it already is served again.
    port : int, optional
        By default a free one.

    Raises
    ------
    StoreUnavailableError
        No server can be had, with what is missing.

    Examples
    --------
    >>> with running_redis(Path("data/redis")) as server:  # doctest: +SKIP
    ...     open_stores(server.url + "0")
    """
    port = port or free_port()
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    program, environment = _program()
    # Each write is in the file before it is acknowledged, so that a kill loses none.
    durable = {"save": "", "appendonly": "yes", "appendfsync": "always"}
    settings = {"bind": LOOPBACK, "port": str(port), "dir": str(data), **durable}
    server = Server(
        "Redis",
        f"redis://{LOOPBACK}:{port}/",
        [program, *(word for name, value in settings.items() for word in (f"--{name}", value))],
        log=folder / "redis.log",
        is_ready=lambda: _answers(port),
        port=port,
        environment=environment,
    )
    with server:
        yield server


def _program() -> tuple[str, dict[str, str]]:
    found = shutil.which("redis-server")
    if found is not None:
        return found, {}
    try:
        unpacked = obtain("redis-server", lambda folder: fetch_debian("redis-server", folder))
    except StoreUnavailableError as error:
        raise StoreUnavailableError(f"Redis cannot be started: {error}; {_HELP}") from None
    return str(unpacked / "usr/bin/redis-server"), {"LD_LIBRARY_PATH": library_path(unpacked)}


def _answers(port: int) -> bool:
    """Whether it has read its files; it accepts connections before."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
