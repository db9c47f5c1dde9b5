"""Response headers, on the app as the server finds it."""

from __future__ import annotations

import asyncio
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from streamlit.web.server.app_discovery import discover_asgi_app

from xcstore.ui.security import CONTENT_SECURITY_POLICY, HEADERS, SecurityHeaders

APP = Path(__file__).parents[2] / "app.py"


async def plain(request):
    return PlainTextResponse("hello", headers={"X-Frame-Options": "ALLOWALL"})


async def streamed(request):
    async def chunks():
        yield b"one"
        yield b"two"

    return StreamingResponse(chunks())


def get(path):
    """The messages that an ASGI server would get for a GET of `path`."""
    app = SecurityHeaders(Starlette(routes=[Route("/", plain), Route("/streamed", streamed)]))
    sent = []

    async def call():
        requests = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive():
            if not requests:
                await asyncio.Event().wait()  # the client stays
            return requests.pop()

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [],
            "http_version": "1.1",
        }
        await app(scope, receive, send)

    # In a thread of its own: a browser test before it leaves an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, call()).result()
    return sent


def headers(messages):
    return {name.decode(): value.decode() for name, value in messages[0]["headers"]}


def test_every_response_carries_the_headers_also_one_that_set_its_own_and_one_that_is_not_found():
    for path in ("/", "/streamed", "/nowhere"):
        found = headers(get(path))
        assert {name: found[name] for name in HEADERS} == HEADERS, path


def test_a_streamed_body_passes_piece_by_piece():
    bodies = [message["body"] for message in get("/streamed") if message["type"] == "http.response.body"]
    assert bodies[:2] == [b"one", b"two"]


def test_the_policy_lets_nothing_from_elsewhere_in():
    for directive in CONTENT_SECURITY_POLICY.split("; "):
        name, *sources = directive.split()
        assert not [source for source in sources if "://" in source or source == "*"], name
    assert "'unsafe-eval'" not in CONTENT_SECURITY_POLICY.split()


def test_the_server_finds_the_app_with_the_middleware_in_it():
    found = discover_asgi_app(APP)
    assert found.is_asgi_app
    assert found.import_string.endswith(":app")

    spec = importlib.util.spec_from_file_location("app_under_test", APP)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert SecurityHeaders in [item.cls for item in module.app._user_middleware]
