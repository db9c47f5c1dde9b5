"""The API on a loopback port, for tests that ask over HTTP."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.message import Message
from typing import NamedTuple

import uvicorn

from xcstore.api import create_api
from xcstore.config import Settings
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores

__all__ = ["Answer", "get", "served"]


class Answer(NamedTuple):
    status: int
    headers: Message
    text: str


def get(url: str, token: str | None = None, host: str | None = None, method: str = "GET") -> Answer:
    headers = {name: value for name, value in (("Authorization", token), ("Host", host)) if value is not None}
    request = urllib.request.Request(url, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return Answer(answer.status, answer.headers, answer.read().decode())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read().decode())


@contextmanager
def served(
    settings: Callable[[], Settings], hosts: Sequence[str] = (), *, opener: Callable[[str], Stores] | None = None
) -> Iterator[str]:
    """The API of these settings on a loopback port; stores are opened as the dashboard opens them, or by `opener`."""
    opened: dict[str, Stores] = {}

    def open_named(name: str) -> Stores:
        if name not in opened:
            current = settings()
            opened[name] = open_stores(current.store_urls()[name], redact=current.redact)
        return opened[name]

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(create_api(settings, opener or open_named, hosts=hosts), log_level="error", lifespan="off")
    )
    started = threading.Event()
    run = server.startup

    async def startup(sockets: list[socket.socket] | None = None) -> None:
        await run(sockets)
        started.set()

    server.startup = startup  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        assert started.wait(30)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        for stores in opened.values():
            stores.close()
