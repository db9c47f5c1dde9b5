"""Why a server cannot be reached, in words: drivers wrap what the system said in classes of their own."""

from __future__ import annotations

import queue
import socket
import ssl

__all__ = ["why_unreachable"]


def why_unreachable(error: BaseException) -> str:
    """The reason beneath a driver's error.

    Examples
    --------
    >>> try:
    ...     raise ConnectionRefusedError(111, "Connection refused")
    ... except OSError as refused:
    ...     why_unreachable(RuntimeError("driver", refused))
    'connection refused; is it running?'
    """
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        if words := _words(one):
            return words
        beneath = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        waiting += [inner for inner in beneath if isinstance(inner, BaseException)]
    return "the connection failed; is it running?"


def _words(error: BaseException) -> str:
    text = str(error).lower()
    if isinstance(error, ConnectionRefusedError) or "connection refused" in text:
        return "connection refused; is it running?"
    if isinstance(error, socket.gaierror) or "failed to resolve" in text:
        return "its host name is not known"
    if isinstance(error, ssl.SSLError):
        return f"no secure connection: {error.reason or 'TLS failed'}"
    if isinstance(error, queue.Empty):
        return "all connections are in use"
    if isinstance(error, TimeoutError) or "timed out" in text or "timeout" in text:
        return "it did not answer in time"
    if isinstance(error, (ConnectionResetError, BrokenPipeError, EOFError)) or "closed by server" in text:
        return "it closed the connection; is it running?"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror.lower()}; is it running?"
    return ""
