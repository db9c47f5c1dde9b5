"""The settings: names, kinds, defaults and meanings in one table, `SETTINGS`; their values in `Settings`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from xcstore.errors import ConfigError
from xcstore.redaction import NO_REDACTION, Redaction

__all__ = ["SETTINGS", "Setting", "Settings", "hide_password"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table. README and `tests/test_docs.py` read it."""

    name: str
    kind: str
    """What is accepted, in words."""
    default: str
    """As it would be written; '' for none."""
    meaning: str
    field: str
    """The attribute of `Settings`."""
    read: Callable[[str], object]
    """From text; ValueError where the text is not of the kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be configured. Made by `from_mapping`; the defaults are those of `SETTINGS`."""

    url: str | None = field(default=None, repr=False)
    database_url: str | None = field(default=None, repr=False)
    mongo_uri: str | None = field(default=None, repr=False)
    event_sourcing_enabled: bool = True
    snapshots_enabled: bool = True
    snapshot_interval: int = 10
    event_retention_days: int | None = None
    snapshot_retention_count: int = 10
    archive: str | None = field(default=None, repr=False)
    definitions: str | None = None
    redact: Redaction = NO_REDACTION
    allow_write: bool = False
    statement_timeout_ms: int = 10_000
    latency_alert_ms: int = 100
    api_token: str | None = field(default=None, repr=False)
    timezone: str = "UTC"
    demo: str = "data/demo.db"

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, str]) -> Settings:
        """Settings from names and texts, such as the environment. Empty text means not set; other names are ignored.

        Raises
        ------
        ConfigError
            A value is not of its kind, or a name starts with XCSTORE_ and is none of ours.
        """
        known = {setting.name: setting for setting in SETTINGS}
        values: dict[str, Any] = {}
        for name, text in mapping.items():
            if name not in known:
                _refuse_unknown(name, known)
                continue
            setting = known[name]
            if not str(text).strip():
                continue
            try:
                values[setting.field] = setting.read(str(text).strip())
            except ValueError as error:
                reason = f" ({error})" if isinstance(error, ConfigError) else ""
                shown = "***" if name.endswith("_TOKEN") else hide_password(str(text))
                raise ConfigError(f"{name} is {shown!r}; it must be {setting.kind}{reason}") from None
        return cls(**values)

    def store_urls(self) -> dict[str, str]:
        """The stores that can be chosen, by name, the first one opened by default.

        The archive and the demo are among them when they are there, the demo also when there is nothing else.
        """
        given = (("store", self.url), ("database", self.database_url), ("mongodb", self.mongo_uri))
        urls = {name: url for name, url in given if url is not None}
        # `make run STORE=…` sets XCSTORE_URL: the same URL is not offered twice.
        distinct = {name: url for name, url in urls.items() if name == next(n for n, u in urls.items() if u == url)}
        if self.archive is not None and self.archive not in distinct.values() and _is_there(self.archive):
            distinct["archive"] = self.archive
        demo = f"sqlite:///{self.demo}"
        if demo not in distinct.values() and (not distinct or Path(self.demo).exists()):
            distinct["demo"] = demo
        return distinct


_AUTHORITY: Final = re.compile(
    r"^([a-z][a-z0-9+.\-]*://[^:@/?#\s]*|[^:@/?#\s]*(?=:(?!//))):(.*)@", re.IGNORECASE | re.DOTALL
)
_NO_HOST: Final = re.compile(r"^([a-z][a-z0-9+.\-]*://[^:@/?#\s\[]+):(?![0-9,]*(?:[/?#,]|$))[^@/?#]*", re.IGNORECASE)
_SECRET: Final = re.compile(
    r"(\w*(?:password|passwd|pwd|secret|token)\w*\s*[=:]\s*)('(?:[^'\\]|\\.)*'|[^&;,\s]*)", re.IGNORECASE
)


def hide_password(url: str) -> str:
    """The URL with every password in it replaced by `***`, also where it cannot be parsed.

    In doubt more is hidden than needed: everything from the first colon after the user to the last `@`.

    Examples
    --------
    >>> hide_password("postgresql://ann:s3cret@db/shop?sslpassword=x")
    'postgresql://ann:***@db/shop?sslpassword=***'
    """
    hidden, found = _AUTHORITY.subn(r"\1:***@", url, count=1)
    if not found:
        hidden = _NO_HOST.sub(r"\1:***", hidden)  # the host was forgotten: what looks like a port may be the password
    return _SECRET.sub(r"\1***", hidden)


def _url(text: str) -> str:
    if not re.match(r"[A-Za-z][A-Za-z0-9+.\-]*://", text):
        raise ValueError
    return text


def _archive(text: str) -> str:
    if "://" not in text:
        return f"archive:///{text}"
    return _url(text)


def _is_there(archive: str) -> bool:
    """Whether there may be something in it: a folder that nothing was archived in yet is none."""
    return not archive.startswith("archive:///") or Path(archive.removeprefix("archive:///")).is_dir()


def _flag(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError
    return words[text.lower()]


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) == 0:
        raise ValueError
    return int(text)


def _token(text: str) -> str:
    if not (text.isascii() and text.isprintable()):  # clients spell other letters in several ways
        raise ValueError
    return text


def _zone(text: str) -> str:
    if text != "UTC":  # which also works where the machine has no time zone data
        try:
            ZoneInfo(text)
        except (ValueError, OSError, LookupError):
            raise ValueError from None
    return text


def _refuse_unknown(name: str, known: Mapping[str, Setting]) -> None:
    if not name.startswith("XCSTORE_") or name.startswith(_OF_THE_TESTS):
        return
    ours = {setting.removeprefix("XCSTORE_"): setting for setting in known if setting.startswith("XCSTORE_")}
    close = difflib.get_close_matches(name.removeprefix("XCSTORE_"), ours, n=1)
    hint = f"did you mean {ours[close[0]]}?" if close else f"there are {', '.join(ours.values())}"
    raise ConfigError(f"{name} is no setting; {hint}")


_OF_THE_TESTS: Final = ("XCSTORE_TEST_", "XCSTORE_REFERENCE", "XCSTORE_BROWSER", "XCSTORE_CHROMIUM")

_A_URL: Final = "a URL such as postgresql://user:password@host/database"
_A_FLAG: Final = "true or false"
_A_COUNT: Final = "a whole number from 1 to 999999999"

SETTINGS: Final = (
    Setting("XCSTORE_URL", _A_URL, "", "the store to open first", "url", _url),
    Setting("DATABASE_URL", _A_URL, "", "a store to choose from, PostgreSQL as a rule", "database_url", _url),
    Setting(
        "MONGO_URI",
        "a URL such as mongodb://host/database",
        "",
        "a store to choose from, in MongoDB",
        "mongo_uri",
        _url,
    ),
    Setting(
        "XCSTORE_DEFINITIONS",
        "a folder",
        "",
        "where the YAML and JSON files of your components are",
        "definitions",
        str,
    ),
    Setting(
        "XCSTORE_REDACT",
        "comma-separated paths such as payload.card.number",
        "",
        "values of the business data that are shown as ••• everywhere",
        "redact",
        Redaction.parse,
    ),
    Setting("XCSTORE_ALLOW_WRITE", _A_FLAG, "false", "whether stores may be written to", "allow_write", _flag),
    Setting(
        "XCSTORE_STATEMENT_TIMEOUT_MS",
        _A_COUNT,
        "10000",
        "milliseconds after which a question to the store is cancelled",
        "statement_timeout_ms",
        _count,
    ),
    Setting(
        "XCSTORE_LATENCY_ALERT_MS",
        _A_COUNT,
        "100",
        "milliseconds from which an append to the store, or a question to it, counts as slow",
        "latency_alert_ms",
        _count,
    ),
    Setting(
        "XCSTORE_API_TOKEN",
        "a text of ASCII letters, digits and signs",
        "",
        "the bearer token that /api/ asks for; unset, it asks for none",
        "api_token",
        _token,
    ),
    Setting(
        "XCSTORE_TIMEZONE",
        "a time zone such as Europe/Paris",
        "UTC",
        "the zone that times are shown in",
        "timezone",
        _zone,
    ),
    Setting("XCSTORE_DEMO", "a file", "data/demo.db", "the SQLite demo store", "demo", str),
    Setting(
        "EVENT_SOURCING_ENABLED",
        _A_FLAG,
        "true",
        "whether the embedded runtime appends its events; unless set, where it has a store",
        "event_sourcing_enabled",
        _flag,
    ),
    Setting(
        "SNAPSHOTS_ENABLED",
        _A_FLAG,
        "true",
        "whether the embedded runtime saves snapshots; unless set, where it has a store",
        "snapshots_enabled",
        _flag,
    ),
    Setting(
        "SNAPSHOT_INTERVAL", _A_COUNT, "10", "transitions from one snapshot to the next", "snapshot_interval", _count
    ),
    Setting(
        "EVENT_RETENTION_DAYS", _A_COUNT, "", "days after which events may be removed", "event_retention_days", _count
    ),
    Setting(
        "SNAPSHOT_RETENTION_COUNT",
        _A_COUNT,
        "10",
        "snapshots kept of each instance",
        "snapshot_retention_count",
        _count,
    ),
    Setting(
        "XCSTORE_ARCHIVE",
        "a folder, or the URL of a store of ours",
        "",
        "where retention puts what it removes, for one store; unset, `FILE.archive` beside a SQLite file `FILE.db`",
        "archive",
        _archive,
    ),
)
