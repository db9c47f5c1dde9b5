"""`serve-demo`: a server of its own with the demo history in it, and the dashboard on that."""

from __future__ import annotations

import argparse
import contextlib
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xcstore.commands.common import Subparsers, counted, one_line, progress
from xcstore.config import Settings
from xcstore.errors import ConfigError, QueryError

if TYPE_CHECKING:
    from xcstore.demo.servers.process import Server

__all__ = ["add_to"]

BACKENDS: Final = ("sqlite", "postgresql", "mongodb", "influxdb", "redis", "archive")
PORT: Final = 8501
MIN_DAYS: Final = 7
"""Fewer are too short for the stories of the demo."""
MAX_DAYS: Final = 365
_DATABASES: Final = {"mongodb": "xcstore_demo", "influxdb": "xcstore_demo", "redis": "0", "postgresql": ""}
"""What is appended to the URL of a server of our own."""


def add_to(commands: Subparsers[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "serve-demo",
        help="the dashboard on a backend with the demo history in it",
        description="Start a server of its own, put the demo history into it, and show the dashboard on it until "
        "Ctrl-C. A server that is not installed is fetched into ~/.cache/xcstore, without root.",
    )
    parser.add_argument("--backend", choices=BACKENDS, help="default: sqlite")
    parser.add_argument("--url", metavar="URL", help="fill this empty store instead of one of its own")
    parser.add_argument("--port", type=_port, default=PORT, help=f"of the dashboard; default: {PORT}")
    parser.add_argument("--days", type=_days, default=30, metavar="N", help="of history, 7 or more; default: 30")
    parser.add_argument(
        "--keep", metavar="FOLDER", help="keep the data there, and serve what is there already; default: removed"
    )
    parser.set_defaults(command=_serve_demo)


def _serve_demo(arguments: argparse.Namespace, _: Settings) -> int:
    if arguments.url and arguments.keep:
        raise QueryError(
            "--keep is for data of its own, and --url names a store that keeps its own; give one of the two"
        )
    if arguments.url and arguments.backend and not arguments.url.startswith(arguments.backend[:5]):
        raise QueryError(f"--url names no store of {arguments.backend}; leave --backend out, as the URL says it")
    arguments.backend = arguments.backend or "sqlite"
    _refuse_taken(arguments.port)
    is_serving = False
    try:
        with ExitStack() as stack:
            stack.enter_context(_interrupted_by(signal.SIGTERM, signal.SIGHUP))
            folder = _folder(arguments, stack)
            dashboard = stack.enter_context(_dashboard(_store(arguments, folder, stack), folder, arguments.port))
            is_serving = True
            _say(f"the dashboard is at {dashboard.url}; Ctrl-C stops it")
            dashboard.wait()
    except KeyboardInterrupt:
        kept = f"; the data is in {arguments.keep}" if arguments.keep else ""
        _say(f"stopped{kept}")
        return 0 if is_serving else 130


def _folder(arguments: argparse.Namespace, stack: ExitStack) -> Path:
    if not arguments.keep:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="xcstore-demo-")))
    folder = Path(arguments.keep).absolute() / str(arguments.backend)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{one_line(arguments.keep)} cannot be used: {error.strerror}") from None
    return folder


def _store(arguments: argparse.Namespace, folder: Path, stack: ExitStack) -> str:
    """URL of a store that holds the demo history."""
    whole = folder / "filled"
    if any(folder.iterdir()) and not whole.exists():
        raise QueryError(f"{one_line(str(folder))} was not filled to the end; delete it and try again")
    if whole.exists() and (days := whole.read_text()) != str(arguments.days):
        raise QueryError(
            f"{one_line(str(folder))} holds {one_line(days)} days; say --days {one_line(days)}, or delete it"
        )
    url = _named(arguments.url) if arguments.url else _store_url(arguments.backend, folder, stack)
    if whole.exists():
        _say("the demo history is there from an earlier run")
    else:
        _fill(url, arguments.days)
        whole.write_text(str(arguments.days))
    return url


def _named(url: str) -> str:
    """The URL that was given, for the dashboard, which is another process and runs in another folder."""
    scheme, _, path = url.partition(":///")
    if url.startswith("memory:"):
        raise QueryError("a store in memory is seen by this process alone, not by the dashboard; name another")
    return f"{scheme}:///{Path(path).absolute()}" if scheme in ("sqlite", "archive") else url


def _store_url(backend: str, folder: Path, stack: ExitStack) -> str:
    """URL of a store of its own; of a server that runs until the stack is left."""
    if backend == "sqlite":
        return f"sqlite:///{folder / 'demo.db'}"
    if backend == "archive":
        return f"archive:///{folder / 'archive'}"
    _say(f"starting {backend}; what is not installed is fetched the first time")
    return stack.enter_context(_starters()[backend](folder)).url + _DATABASES[backend]


def _starters() -> dict[str, Callable[[Path], AbstractContextManager[Server]]]:
    from xcstore.demo.servers.influxdb import running_influxdb
    from xcstore.demo.servers.mongodb import running_mongodb
    from xcstore.demo.servers.postgresql import running_postgresql
    from xcstore.demo.servers.redis import running_redis

    return {
        "influxdb": running_influxdb,
        "mongodb": running_mongodb,
        "postgresql": running_postgresql,
        "redis": running_redis,
    }


def _fill(url: str, days: int) -> None:
    from xcstore.demo.filling import fill_demo  # it imports the runtime

    with progress("demo", "%") as show:
        filled = fill_demo(url, days=days, on_progress=lambda part: show(int(100 * part), 100))
    _say(f"{counted(filled.events, 'event')} of {filled.report.instances:,} instances went into {filled.identity}")
    if filled.events_left_out or filled.snapshots_left_out:
        left_out = f"{counted(filled.events_left_out, 'event')} and {counted(filled.snapshots_left_out, 'snapshot')}"
        _say(f"left out, as this backend cannot hold them: {left_out}; the first: {one_line(filled.reason)}")


def _refuse_taken(port: int) -> None:
    from xcstore.demo.servers.process import refuse_taken

    refuse_taken("the dashboard", port)  # before all the work, not after it


def _dashboard(url: str, folder: Path, port: int) -> Server:
    from xcstore.demo.servers.dashboard import dashboard

    return dashboard(url, folder, port)


@contextlib.contextmanager
def _interrupted_by(*signals: signal.Signals) -> Iterator[None]:
    """Within the block these end the command as Ctrl-C does, in order: no process and no file is left behind."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(words: str) -> None:
    print(words, flush=True)


def _days(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not MIN_DAYS <= int(text) <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number of days from {MIN_DAYS} to {MAX_DAYS}")
    return int(text)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 65_536:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a port, from 1 to 65535")
    return int(text)
