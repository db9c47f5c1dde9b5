"""The application: who may ask, which route answers, and what a failure looks like."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route as StarletteRoute

from xcstore.api.answers import Ask
from xcstore.api.docs_page import docs_page
from xcstore.api.json_body import body
from xcstore.api.openapi import openapi
from xcstore.api.parameters import ParameterError, read
from xcstore.api.routes import ROUTES, Route
from xcstore.errors import NotFoundError, QueryError, StoreTimeoutError, XcstoreError
from xcstore.jsontext import json_text
from xcstore.model.catalog import Catalog
from xcstore.ops.metrics import CONTENT_TYPE, Metrics
from xcstore.queries.definitions import stored_definitions

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from xcstore.config import Settings
    from xcstore.store.base import Stores

__all__ = ["create_api"]

log = logging.getLogger(__name__)

_KEEP_S: Final = 60.0
_SENTENCE: Final = 2_000
_OPEN: Final = ("/docs", "/openapi.json")
"""What says nothing about any store, so that the page can be read in a browser, which sends no token by itself."""
_ALLOW: Final = {"allow": "GET, HEAD, OPTIONS"}


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
    stores = _Stores(settings, open_named)

    # Not async, as all that wait for stores: in a thread of its own.
    def metrics(_: Request) -> Response:
        return Response(found.text(), media_type=CONTENT_TYPE)

    def document(request: Request) -> Response:
        return _json(200, json_text(openapi(ROUTES, request.scope.get("root_path", ""))).encode())

    def docs(request: Request) -> Response:
        return HTMLResponse(docs_page(openapi(ROUTES, request.scope.get("root_path", ""))))

    # An address of IPv6 stands in brackets in a request.
    names = [f"[{host}]" if ":" in host else host for host in hosts] or ["*"]
    app = Starlette(
        routes=[
            _get("/metrics", metrics),
            _get("/openapi.json", document),
            _get("/docs", docs),
            *(_get(_pattern(route.path), _endpoint(route, stores)) for route in ROUTES),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=names, www_redirect=False),
            Middleware(_BearerToken, token=lambda: settings().api_token),
            Middleware(_EncodedPath),
        ],
        exception_handlers={
            HTTPException: _http_error,
            ParameterError: _bad_parameter,
            XcstoreError: _our_error,
            Exception: _defect,
        },
    )
    app.router.redirect_slashes = False
    return app


class _Stores:
    """The stores by name, and what is known of their components, read again after a minute."""

    def __init__(self, settings: Callable[[], Settings], open_named: Callable[[str], Stores]) -> None:
        self._settings: Final = settings
        self._open_named: Final = open_named
        self._lock: Final = threading.Lock()
        self._catalogs: dict[tuple[str, str | None], tuple[float, Catalog]] = {}

    def ask(self, name: str | None, given: Mapping[str, object]) -> Ask:
        known = list(self._settings().store_urls())
        if name is not None and name not in known:
            raise NotFoundError(f"no store {name!r} is configured; there are {', '.join(known)}")
        stores = self._open_named(name or known[0])
        return Ask(stores, lambda: self._catalog(stores), given)

    def _catalog(self, stores: Stores) -> Catalog:
        key = (stores.identity, self._settings().definitions)
        with self._lock:
            read_at, catalog = self._catalogs.get(key, (None, Catalog()))
        if read_at is None or time.monotonic() - read_at > _KEEP_S:
            catalog = stored_definitions(stores.definitions, key[1]).catalog
            with self._lock:
                self._catalogs[key] = time.monotonic(), catalog
        return catalog


def _get(path: str, endpoint: Callable[[Request], Response]) -> StarletteRoute:
    def answer(request: Request) -> Response:
        return Response(status_code=204, headers=_ALLOW) if request.method == "OPTIONS" else endpoint(request)

    return StarletteRoute(path, answer, methods=["GET", "HEAD", "OPTIONS"])


def _pattern(path: str) -> str:
    """Ids may hold slashes that are not percent-encoded: they are last, or before a word that ends the path."""
    return path.replace("Id}", "Id:path}")


def _endpoint(route: Route, stores: _Stores) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        given = read(route.parameters, request.path_params, request.scope["query_string"])
        store = given["store"]
        ask = stores.ask(store if isinstance(store, str) else None, given)
        return _json(200, body(route.answer(ask)))

    return answer


class _EncodedPath:
    """ASGI middleware: routes see the path as it was sent, percent-encoded.

    So a name or an id may hold any character, a slash or half a surrogate pair too; `parameters.read` decodes it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app: Final = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            raw = scope.get("raw_path", b"").decode("latin-1")
            # A proxy, or the server, may have left the prefix out of one of the two.
            scope = {**scope, "path": raw if unquote(raw) == path else quote(path, errors="surrogatepass")}
        await self._app(scope, receive, send)


class _BearerToken:
    """ASGI middleware: 401 unless the request carries the token, where one is set."""

    def __init__(self, app: ASGIApp, token: Callable[[], str | None]) -> None:
        self._app: Final = app
        self._token: Final = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].removeprefix(scope.get("root_path", "")) not in _OPEN:
            try:
                token = self._token()
            except XcstoreError as error:
                await _failure(503, str(error))(scope, receive, send)
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
    failure = _failure(error.status_code, error.detail)
    # Of a method that a path does not take.
    failure.headers.update(_ALLOW if error.status_code == 405 else error.headers or {})
    return failure


def _bad_parameter(_: Request, error: Exception) -> Response:
    return _failure(400, str(error))


def _our_error(_: Request, error: Exception) -> Response:
    for kind, status in ((NotFoundError, 404), (QueryError, 400), (StoreTimeoutError, 504)):
        if isinstance(error, kind):
            return _failure(status, str(error))
    return _failure(503, str(error))


def _defect(request: Request, error: Exception) -> Response:
    """Starlette logs it as well, with its trace."""
    log.error("%s %s: %s", request.method, request.url.path, type(error).__name__)
    return _failure(500, "this request met a defect of xcstore; the log of the app says which")


def _failure(status: int, sentence: str) -> Response:
    if len(sentence) > _SENTENCE:
        sentence = f"{sentence[:_SENTENCE]}…"
    return _json(status, json_text({"success": False, "error": sentence}).encode())


def _json(status: int, content: bytes) -> Response:
    # What is stored goes on changing, and belongs to who asked.
    return Response(content, status, {"cache-control": "no-store"}, "application/json")
