"""A server process of ours: started, awaited, killed, started again on the same port and data, and stopped."""

from __future__ import annotations

import contextlib
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn, Self

from xcstore.errors import StoreUnavailableError

__all__ = ["LOOPBACK", "Server", "accepts", "free_port", "in_time", "refuse_taken"]

LOOPBACK: Final = "127.0.0.1"
START_SECONDS: Final = 60
STOP_SECONDS: Final = 20
_ASKED_EVERY: Final = 0.02
_SERVER_PORTS: Final = range(20_000, 32_000)


class Server:
    """One server in a process group of its own, which Ctrl-C in the terminal does not reach.

    Attributes
    ----------
    url : str
        What a store is opened with; the same after a restart.
    process : subprocess.Popen
        The running, or last, process.

    Examples
    --------
    >>> with running_mongodb(tmp_path) as server:  # doctest: +SKIP
    ...     server.kill()
    ...     server.start()
    """

    def __init__(
        self,
        name: str,
        url: str,
        command: Sequence[str],
        *,
        log: Path,
        is_ready: Callable[[], bool],
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.url = url
        self.process: subprocess.Popen[bytes]
        self._command = _ending_with_us(command)
        self._log = log
        self._is_ready = is_ready
        self._port = port
        self._environment = {**os.environ, **(environment or {})}
        self._cwd = cwd
        self._stop_signal = stop_signal

    def start(self) -> None:
        """Start it and wait until it answers.

        Call it from a thread that lives as long as the server shall: on Linux the server ends with that thread.

        Raises
        ------
        StoreUnavailableError
            Its port is taken, it ended, or did not answer in a minute; with the last lines that it printed.
        """
        if self._port is not None:
            refuse_taken(self.name, self._port)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._cwd,
                start_new_session=True,
            )
        try:
            answered = in_time(lambda: self.process.poll() is not None or self._is_ready(), START_SECONDS)
        except BaseException:
            self.kill()
            raise
        if self.process.poll() is not None or not answered:
            self.kill()
            what = "ended while starting" if answered else f"did not answer in {START_SECONDS} s"
            raise StoreUnavailableError(f"{self.name} {what}: {self._last_words()}")

    def wait(self) -> NoReturn:
        """Until it ends by itself, which is a fault.

        Raises
        ------
        StoreUnavailableError
            It ended, with its last words.
        """
        self.process.wait()
        raise StoreUnavailableError(f"{self.name} ended: {self._last_words()}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def kill(self) -> None:
        """End it at once, as a crash would, with the processes that it started; returns when all are gone."""
        if self.process.poll() is None:
            children = _children(self.process.pid)
            os.killpg(self.process.pid, signal.SIGKILL)
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(child, signal.SIGKILL)
                select.select([child], [], [], STOP_SECONDS)
                os.close(child)
            self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()

    def stop(self) -> None:
        """End it in order; what does not end in time is killed."""
        if self.process.poll() is None:
            self.process.send_signal(self._stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        self.kill()

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " / ".join(line.strip() for line in lines[-3:] if line.strip())[:500] or "it printed nothing"


def free_port() -> int:
    """A TCP port on loopback that nobody listens on.

    Below those that the system gives to outgoing connections: one of them could take the port of a server that is
    down for a moment, and keep it from starting again.
    """
    for port in random.sample(_SERVER_PORTS, len(_SERVER_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise StoreUnavailableError(f"no port of {LOOPBACK} from {_SERVER_PORTS[0]} to {_SERVER_PORTS[-1]} is free")


def accepts(port: int) -> bool:
    """Whether something accepts connections on that port of loopback."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def refuse_taken(name: str, port: int) -> None:
    """Say now that a server could not be started there.

    Raises
    ------
    StoreUnavailableError
        Somebody listens on that port.
    """
    if accepts(port):
        raise StoreUnavailableError(f"{name} cannot be started: port {port} is taken by another program")


def in_time(is_so: Callable[[], bool], seconds: float) -> bool:
    """Wait until it is so; False if it is not in that time. For what only asking can tell."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(_ASKED_EVERY)
    return True


def _children(pid: int) -> list[int]:
    """Handles of the processes that one has started, which may have left its group, as those of PostgreSQL do."""
    handles = []
    with contextlib.suppress(OSError):  # no Linux, or it ended meanwhile
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
            with contextlib.suppress(ProcessLookupError):
                handles.append(os.pidfd_open(int(child)))
    return handles


def _ending_with_us(command: Sequence[str]) -> list[str]:
    """The command, told by the kernel to end when we do, also if we are killed; where there is a tool for it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else list(command)
