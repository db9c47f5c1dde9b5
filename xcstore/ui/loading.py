"""What every page reads from: the settings, the chosen store, the definitions, and answers kept for a while.

`ask(question, *args)` calls `question(stores, *args)` on the chosen store and keeps the answer; `question` is a
function of `xcstore.queries`. Whoever shares the process shares the answers, so nothing personal goes in.
"""

from __future__ import annotations

import functools
import gc
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Concatenate, Final, ParamSpec, TypeVar, cast

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from xcstore.config import SETTINGS, Settings
from xcstore.errors import XcstoreError
from xcstore.model.catalog import Catalog
from xcstore.queries import instances, overview
from xcstore.queries.definitions import Definitions, stored_definitions
from xcstore.redaction import Redaction
from xcstore.render.labels import markdown_escape
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores
from xcstore.ui import state, waiting
from xcstore.units import EpochMs

__all__ = [
    "TTL_S",
    "UPLOADS",
    "ask",
    "ask_dated",
    "ask_now",
    "ask_since",
    "catalog",
    "definitions",
    "forget",
    "guarded",
    "named",
    "now",
    "reopen",
    "settings",
    "settle",
    "store_name",
    "stores",
]

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

TTL_S: Final = 60
UPLOADS: Final = "shell-definitions"
"""Key of the file uploader in the sidebar."""

_FRESH: Final = "loading-fresh-since"


def settings() -> Settings:
    """Environment, then `[xcstore]` of the secrets, then defaults."""
    return _settings(tuple(sorted(os.environ.items())), tuple(sorted(_secrets().items())))


@functools.lru_cache(maxsize=2)
def _settings(environment: tuple[tuple[str, str], ...], secrets: tuple[tuple[str, str], ...]) -> Settings:
    return Settings.from_mapping({**dict(secrets), **dict(environment)})


def _secrets() -> Mapping[str, str]:
    try:
        section = st.secrets.get("xcstore", {})
    except StreamlitSecretNotFoundError:
        return {}
    return {_setting_name(str(key)): str(value) for key, value in dict(section).items()}


def _setting_name(key: str) -> str:
    """`url` and `XCSTORE_URL` both name the setting in the secrets."""
    upper = key.upper()
    return upper if any(setting.name == upper for setting in SETTINGS) else f"XCSTORE_{upper.removeprefix('XCSTORE_')}"


def store_name() -> str:
    """Name of the chosen store: `store` in the address, else the first of the settings."""
    names = list(settings().store_urls())
    wanted = state.text("store")
    if wanted and wanted not in names:
        state.notice(f"The address names a store that is not configured here ({wanted!r}); this is {names[0]!r}.")
    return wanted if wanted in names else names[0]


def stores() -> Stores:
    """The chosen store, opened read-only and shared by everybody. Raises what `open_stores` raises."""
    return named(store_name())


def named(name: str) -> Stores:
    """The store of that name in the settings; the same object for every page, session and route."""
    return _open(*_opening(name))


@st.cache_resource(max_entries=16, show_spinner=False, on_release=lambda opened: opened.close())
def _open(url: str, redact: Redaction, statement_timeout_ms: int, latency_alert_ms: int) -> Stores:
    return open_stores(
        url,
        read_only=True,
        redact=redact,
        statement_timeout_ms=statement_timeout_ms,
        latency_alert_ms=latency_alert_ms,
    )


def _opening(name: str) -> tuple[str, Redaction, int, int]:
    current = settings()
    return current.store_urls()[name], current.redact, current.statement_timeout_ms, current.latency_alert_ms


def reopen() -> None:
    """Close the chosen store and forget its answers, so that the next use connects anew."""
    with suppress(XcstoreError):  # of the settings: said when the page runs again
        _open.clear(*_opening(store_name()))
    forget()


def ask(question: Callable[Concatenate[Stores, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What `question` answers about the chosen store, at most `TTL_S` old.

    Arguments must be plain values, or a `Catalog`.
    """
    return _ask(question, args, kwargs)[0]


def ask_dated(question: Callable[Concatenate[Stores, P], R], *args: P.args, **kwargs: P.kwargs) -> tuple[R, EpochMs]:
    """As `ask`, with the time at which the store was asked."""
    return _ask(question, args, kwargs)


def ask_since(
    since: EpochMs, question: Callable[Concatenate[Stores, P], R], *args: P.args, **kwargs: P.kwargs
) -> tuple[R, EpochMs]:
    """As `ask_dated`, but answers from before `since` do not count: what following a live store needs."""
    return _ask(question, args, kwargs, since=since)


def ask_now(question: Callable[Concatenate[Stores, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What `question` answers at this moment; nothing is kept."""
    opened = stores()
    return waiting.run(functools.partial(question, opened, *args, **kwargs), opened.events)


def _ask(
    question: Callable[..., R], args: tuple[object, ...], kwargs: Mapping[str, object], since: EpochMs | None = None
) -> tuple[R, EpochMs]:
    opened = stores()
    name = f"{question.__module__}.{question.__qualname__}"
    since = max(since or EpochMs(0), st.session_state.get(_FRESH, EpochMs(0)))
    # Identity and redaction are in the key: what one store, or one mask, answers must not appear under another.
    ask = functools.partial(
        _answer, opened, question, opened.identity, settings().redact, name, args, dict(kwargs), since
    )
    return cast(tuple[R, EpochMs], waiting.run(ask, opened.events))


def _catalog_key(catalog: Catalog) -> tuple[tuple[str, str], ...]:
    return tuple((component.name, component.hash) for component in catalog)


@st.cache_data(ttl=TTL_S, max_entries=200, show_spinner=False, hash_funcs={Catalog: _catalog_key})
def _answer(
    _stores: Stores,
    _question: Callable[..., object],
    identity: str,
    redact: object,
    name: str,
    args: tuple[object, ...],
    kwargs: dict[str, object],
    since: EpochMs,
) -> tuple[object, EpochMs]:
    asked = now()
    return _question(_stores, *args, **kwargs), asked


def component_names() -> tuple[str, ...]:
    """All components of the store: what colours are numbered by, on every page alike."""
    return tuple(name for name, _ in ask(overview.facts).components)


def forget() -> None:
    """From now on, ask the store again, in this session: others keep their answers."""
    st.session_state[_FRESH] = now()


@contextmanager
def guarded(key: str = "shell-retry") -> Iterator[None]:
    """Show a failure as its one sentence, with a way to try again. Fragments need one of their own."""
    try:
        yield
    except XcstoreError as error:
        log.info("shown on the page: %s", type(error).__name__)
        st.error(markdown_escape(str(error), 2_000), icon=None)
        st.button("Try again", key=key, on_click=reopen)


def now() -> EpochMs:
    """This moment."""
    return EpochMs(time.time_ns() // 1_000_000)


def as_of() -> EpochMs:
    """Up to when the chosen store knows what happened: an old dump does not go on."""
    newest = ask(instances.newest)
    return now() if newest is None else min(now(), newest)


@functools.cache
def settle() -> None:
    """Keep everything imported so far out of later garbage collections; Streamlit runs one after every page view."""
    gc.collect()
    gc.freeze()


def catalog() -> Catalog:
    """The definitions of the settings' folder, of the store, and of this session's uploads; later ones win."""
    return definitions().catalog


def definitions() -> Definitions:
    """The catalog, where each component in it is from, and what could not be read."""
    opened = stores()
    stored = _stored_definitions(
        opened, opened.identity, settings().definitions, st.session_state.get(_FRESH, EpochMs(0))
    )
    return stored.and_uploads([(file.name, file.getvalue()) for file in st.session_state.get(UPLOADS) or ()])


@st.cache_resource(ttl=TTL_S, max_entries=32, show_spinner=False)
def _stored_definitions(_stores: Stores, identity: str, folder: str | None, since: EpochMs) -> Definitions:
    return stored_definitions(_stores.definitions, folder)
