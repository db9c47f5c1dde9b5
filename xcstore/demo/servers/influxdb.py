"""InfluxDB 1: `influxd` of the machine, else the one of Debian."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from xcstore.demo.servers.fetching import fetch_debian, library_path, obtain
from xcstore.demo.servers.process import LOOPBACK, Server, free_port
from xcstore.errors import StoreUnavailableError

__all__ = ["running_influxdb"]

_HELP: Final = "install InfluxDB 1 (influxd)"
_NO_PROXY: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextlib.contextmanager
def running_influxdb(folder: Path, port: int | None = None) -> Iterator[Server]:
    """An InfluxDB server on loopback, stopped with the block. Its URL names no database: append the name of one.

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
    >>> with running_influxdb(Path("data/influxdb")) as server:  # doctest: +SKIP
    ...     open_stores(server.url + "shop")
    """
    port = port or free_port()
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    program, environment = _program()
    server = Server(
        "InfluxDB",
        f"influxdb://{LOOPBACK}:{port}/",
        [program, "run", "-config", "/dev/null"],  # no settings but these
        log=folder / "influxdb.log",
        is_ready=lambda: _answers(port),
        port=port,
        environment={
            **environment,
            "INFLUXDB_REPORTING_DISABLED": "true",
            "INFLUXDB_MONITOR_STORE_ENABLED": "false",
            "INFLUXDB_META_DIR": str(data / "meta"),
            "INFLUXDB_DATA_DIR": str(data / "data"),
            "INFLUXDB_DATA_WAL_DIR": str(data / "wal"),
            "INFLUXDB_BIND_ADDRESS": f"{LOOPBACK}:0",
            "INFLUXDB_HTTP_BIND_ADDRESS": f"{LOOPBACK}:{port}",
            "INFLUXDB_HTTP_LOG_ENABLED": "false",
        },
    )
    with server:
        yield server


def _program() -> tuple[str, dict[str, str]]:
    found = shutil.which("influxd")
    # Version 2 and later are asked in another language, and want to be set up first.
    if found is not None and " v1." in subprocess.run([found, "version"], capture_output=True, text=True).stdout:
        return found, {}
    try:
        unpacked = obtain("influxdb", lambda folder: fetch_debian("influxdb", folder))
    except StoreUnavailableError as error:
        raise StoreUnavailableError(f"InfluxDB cannot be started: {error}; {_HELP}") from None
    return str(unpacked / "usr/bin/influxd"), {"LD_LIBRARY_PATH": library_path(unpacked)}


def _answers(port: int) -> bool:
    try:
        with _NO_PROXY.open(f"http://{LOOPBACK}:{port}/ping", timeout=1) as answer:
            return bool(answer.status == 204)
    except OSError:
        return False
