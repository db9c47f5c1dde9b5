"""What is served beside the pages, under ``/api``, on the app's own port.

    GET /api/metrics    figures for Prometheus, see `ops.metrics`

With XCSTORE_API_TOKEN set, each request needs ``Authorization: Bearer TOKEN``.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from xcstore.errors import XcstoreError
from xcstore.ops.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from xcstore.config import Settings
    from xcstore.store.base import Stores

__all__ = ["create_api"]


def create_api(
    settings: Callable[[], Settings], open_named: Callable[[str], Stores], *, hosts: Sequence[str] = ()
) -> Starlette:
    """The routes as an application to mount at ``/api``.

    Parameters
    ----------
    settings : callable
        Gives the settings, asked for at each request.
    open_named : callable
        Gives the store of a name in `Settings.store_urls`; it stays open. May raise what `open_stores` raises.
    hosts : sequence of str
        Names that the app may be called by, else 400: a page elsewhere whose name is made to lead here must not read
        what is behind it. None given: any name.
    """
    found = Metrics(lambda: list(settings().store_urls()), open_named)

    # Not async: it waits for stores, in a thread of its own.
    def metrics(_: Request) -> Response:
        return Response(found.text(), media_type=CONTENT_TYPE)

    # An address of IPv6 stands in brackets in a request.
    names = [f"[{host}]" if ":" in host else host for host in hosts] or ["*"]
    return Starlette(
        routes=[Route("/metrics", metrics)],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=names, www_redirect=False),
            Middleware(_BearerToken, token=lambda: settings().api_token),
        ],
        exception_handlers={HTTPException: _http_error, XcstoreError: _our_error},
    )


class _BearerToken:
    """ASGI middleware: 401 unless the request carries the token, where one is set."""

    def __init__(self, app: ASGIApp, token: Callable[[], str | None]) -> None:
        self._app: Final = app
        self._token: Final = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                token = self._token()
            except XcstoreError as error:
                await _failure(500, str(error))(scope, receive, send)
                return
            if token is not None and not _is_given(token, Headers(scope=scope).get("authorization", "")):
                refusal = _failure(401, "this needs the header Authorization: Bearer TOKEN with the token of the app")
                refusal.headers["www-authenticate"] = "Bearer"
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_given(token: str, header: str) -> bool:
    scheme, _, given = header.partition(" ")
    # In a time that does not tell how much of it was right.
    return hmac.compare_digest(given.strip().encode(), token.encode()) and scheme.lower() == "bearer"


def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _failure(error.status_code, error.detail)


def _our_error(_: Request, error: Exception) -> Response:
    return _failure(500, str(error))


def _failure(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"success": False, "error": sentence}, status_code=status)
