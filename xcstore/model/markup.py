"""YAML and JSON text to plain values, with the line that each value stands on.

Safe by construction: values are built here from parse events, so no tag can make anything but plain data, and the
size is counted as it grows, so that a few lines of nested aliases cannot fill the memory. Scalars are read as in
YAML 1.2, like the TypeScript runtime does: `on`, `off`, `yes`, `no` and dates are text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import yaml

from xcstore.errors import DefinitionError

__all__ = ["MAX_BYTES", "Markup", "parse_markup"]

MAX_BYTES: Final = 4_000_000
MAX_VALUES: Final = 200_000
MAX_DEPTH: Final = 100

Path = tuple[str | int, ...]
_Loader: Final[type] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is optional in PyYAML

_NULL: Final = re.compile(r"null|Null|NULL|~|")
_BOOL: Final = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT: Final = re.compile(r"[-+]?[0-9]{1,300}|0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TAG: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True)  # without slots, for the cached lines
class Markup:
    """A document, and where its parts stand."""

    value: object
    file: str | None = None
    lines: Mapping[Path, int] = field(default_factory=dict, repr=False)
    json_source: str | None = field(default=None, repr=False)

    def error(self, message: str, path: Path = ()) -> DefinitionError:
        """The error for the value at `path`, with its line or that of what holds it."""
        lines = self._all_lines
        line = next((lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines), None)
        return DefinitionError(message, file=self.file, line=line)

    @cached_property
    def _all_lines(self) -> Mapping[Path, int]:
        if self.json_source is None:
            return self.lines
        # JSON is nearly YAML; where it is not (tabs), the message has to do without the line.
        try:
            return _Composer(self.json_source, self.file).document().lines
        except DefinitionError:
            return {}


def parse_markup(text: str, *, file: str | None = None) -> Markup:
    """The one document in a YAML or JSON text.

    Raises
    ------
    DefinitionError
        Neither JSON nor YAML, empty, several documents, or larger than any component is.
    """
    if len(text) > MAX_BYTES:
        raise DefinitionError(f"{len(text):,} characters; a component has at most {MAX_BYTES:,}", file=file)
    is_json = file is not None and file.lower().endswith(".json")
    if is_json or text.lstrip()[:1] in ("{", "["):
        try:
            return Markup(json.loads(text), file, json_source=text)
        except RecursionError:
            raise DefinitionError("nested too deeply to be a component", file=file) from None
        except json.JSONDecodeError as error:
            if is_json:
                raise DefinitionError(
                    f"not JSON: {error.msg} at column {error.colno}", file=file, line=error.lineno
                ) from None
    return _Composer(text, file).document()


class _Composer:
    """Builds values from the events of PyYAML's parser."""

    def __init__(self, text: str, file: str | None) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}
        self.anchors: dict[str, tuple[object, int]] = {}
        self.size = 0
        self.events: Iterator[yaml.Event] = yaml.parse(text, Loader=_Loader)

    def document(self) -> Markup:
        try:
            self._next(yaml.StreamStartEvent)
            if isinstance(self._next(), yaml.StreamEndEvent):
                raise DefinitionError("the file is empty; a component has a name and stateMachines", file=self.file)
            value = self._value(self._next(), ())
            self._next(yaml.DocumentEndEvent)
            event = self._next()
            if not isinstance(event, yaml.StreamEndEvent):
                raise self._error("a second document starts here; write one component per file", event)
        except yaml.YAMLError as error:
            raise self._syntax_error(error) from None
        return Markup(value, self.file, self.lines)

    def _next(self, kind: type[yaml.Event] | None = None) -> yaml.Event:
        event = next(self.events)
        assert kind is None or isinstance(event, kind)
        return event

    def _value(self, event: yaml.Event, path: Path) -> object:
        self.lines[path] = _line(event)
        self._grow(1, event)
        if len(path) > MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} levels", event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise self._error(f"alias *{event.anchor} has no anchor &{event.anchor} before it", event)
            value, size = self.anchors[event.anchor]
            self._grow(size, event)
            return value
        before = self.size
        anchor: str | None = event.anchor  # type: ignore[attr-defined]  # every other event of a node has one
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._check_tag(event, "seq")
            items: list[object] = []
            while not isinstance(inner := self._next(), yaml.SequenceEndEvent):
                items.append(self._value(inner, (*path, len(items))))
            value = items
        else:
            value = self._mapping(event, path)
        if anchor is not None:
            self.anchors[anchor] = value, self.size - before
        return value

    def _mapping(self, event: yaml.Event, path: Path) -> dict[str, object]:
        self._check_tag(event, "map")
        mapping: dict[str, object] = {}
        merged: list[object] = []
        while not isinstance(inner := self._next(), yaml.MappingEndEvent):
            if not isinstance(inner, yaml.ScalarEvent):
                raise self._error("a key must be plain text", inner)
            # Keys are text: a state may be called 404.
            key = inner.value
            if key == "<<" and inner.implicit[0]:
                value = self._value(self._next(), (*path, key))
                merged += value if isinstance(value, list) else [value]
                continue
            if key in mapping:
                raise self._error(f"the key {key!r} is here twice", inner)
            value_event = self._next()
            mapping[key] = self._value(value_event, (*path, key))
            self.lines[(*path, key)] = _line(inner)
        for extra in merged:
            if not isinstance(extra, dict):
                raise self._error("<< must name a mapping", event)
            mapping = {**extra, **mapping}
        return mapping

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        text: str = event.value
        tag = (event.tag or "").removeprefix(_TAG)
        if tag in ("str", "!") or (not tag and not event.implicit[0]):
            return text
        if tag in ("", "null", "bool", "int", "float"):
            value = _resolve(text)
            if not tag or tag == ("null" if value is None else type(value).__name__):
                return value
            if tag == "float" and isinstance(value, int) and not isinstance(value, bool):
                return float(value)
            raise self._error(f"{text!r} is not a value of the tag !!{tag}", event)
        raise self._error(f"the tag {event.tag!r} is not allowed; write plain values", event)

    def _check_tag(self, event: yaml.Event, allowed: str) -> None:
        tag: str | None = event.tag  # type: ignore[attr-defined]  # start events of collections have one
        if tag is not None and tag.removeprefix(_TAG) not in (allowed, "!"):
            raise self._error(f"the tag {tag!r} is not allowed; write plain values", event)

    def _grow(self, size: int, event: yaml.Event) -> None:
        self.size += size
        if self.size > MAX_VALUES:
            raise self._error(f"more than {MAX_VALUES:,} values, aliases counted; no component is that large", event)

    def _error(self, message: str, event: yaml.Event) -> DefinitionError:
        return DefinitionError(message, file=self.file, line=_line(event))

    def _syntax_error(self, error: yaml.YAMLError) -> DefinitionError:
        if isinstance(error, yaml.MarkedYAMLError):
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark is not None else None
            what = ", ".join(part for part in (error.context, error.problem) if part)
            return DefinitionError(f"not YAML: {what}", file=self.file, line=line)
        return DefinitionError(f"not YAML: {' '.join(str(error).split())}", file=self.file)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


def _resolve(text: str) -> object:
    """A plain scalar by the core schema of YAML 1.2."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text) or _SPECIAL.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
