"""Why a server cannot be reached is said in words, whichever driver says it."""

from __future__ import annotations

import queue
import socket

import pytest

from xcstore.errors import StoreUnavailableError
from xcstore.store.opening import open_stores
from xcstore.store.unreachable import why_unreachable


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "influxdb://127.0.0.1:1/shop", "mongodb://127.0.0.1:1/shop"])
def test_where_nobody_listens_the_reason_is_not_a_class_of_the_driver(url: str) -> None:
    with pytest.raises(StoreUnavailableError, match=r"(?i)cannot be reached: .*connection refused") as raised:
        open_stores(url)

    assert "ConnectionError" not in str(raised.value)


@pytest.mark.parametrize(
    ("beneath", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "its host name is not known"),
        (TimeoutError(), "it did not answer in time"),
        (ConnectionResetError(104, "Connection reset by peer"), "it closed the connection; is it running?"),
        (queue.Empty(), "all connections are in use"),
        (OSError(101, "Network is unreachable"), "network is unreachable; is it running?"),
        (ValueError("x"), "the connection failed; is it running?"),
    ],
)
def test_the_reason_is_found_beneath_what_wraps_it(beneath: Exception, words: str) -> None:
    outer = RuntimeError("the driver failed")
    outer.__cause__ = RuntimeError("again", beneath)

    assert why_unreachable(outer) == words
