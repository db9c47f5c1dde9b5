"""Searching through text and payloads of an archive: in stretches of time, by a condition that is too wide on purpose.

`filtering` has the last word on what is left, after redaction, so that masked values are never found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from xcstore.model.history import PersistedEvent
from xcstore.store.archive_database import ArchiveDatabase, Question
from xcstore.store.archive_queries import (
    FIRST,
    LAST,
    Key,
    Stretch,
    event_parts,
    places_of_instances,
    read_events,
    read_stretch,
    stretches,
)
from xcstore.store.base import EventQuery
from xcstore.store.codec import Redaction
from xcstore.store.filtering import condition, list_position, number_of
from xcstore.store.searching import Searched
from xcstore.units import EpochMs

__all__ = ["search"]

_ROWS: Final = 500
"""Decoded at a time."""
_LONGEST: Final = 131_072

_PLAIN: Final = re.compile(r"[ !#-\[\]-~]+")
"""Characters that stand in the JSON of an archive as they are."""
_NUMBER_LIKE: Final = re.compile(r"[0-9eE.+-]+")
"""What may be part of a number, which is written in another way there than it is searched in: 1e16 and 1e+16."""


def search(
    database: ArchiveDatabase, query: EventQuery, redact: Redaction, *, after: Key | None, newest_first: bool
) -> Iterator[Searched[Key]]:
    """Found events in page order, and after each piece of the way how far it is searched."""
    holds = condition(query)
    if query.instance_ids:
        yield from _search_instances(database, query, holds, redact, after=after, newest_first=newest_first)
        return
    rows = 2_048

    def next_stretch(question: Question) -> Stretch | None:
        return next(stretches(question, query, after, newest_first=newest_first, rows=rows), None)

    while True:
        # Asked again for each piece: what is appended meanwhile is found, where it lies ahead.
        stretch = database.ask(next_stretch)
        if stretch is None:
            return
        first, last = stretch.first, stretch.last
        while True:
            ask = partial(_wide_page, query, (first, last), after, redact, newest_first)
            page = database.ask(ask)
            for event in page:
                assert event.seq is not None
                after = (event.persisted_at, event.seq)
                if holds(event):
                    yield Searched(after, event)
            if len(page) < _ROWS:
                break
            assert after is not None
            yield Searched(after, None)
        after = (first, FIRST) if newest_first else (last, LAST)
        bounds = (query.start, query.end)
        if (newest_first and first <= (FIRST if bounds[0] is None else bounds[0])) or (
            not newest_first and last >= (LAST if bounds[1] is None else bounds[1])
        ):
            return
        yield Searched(after, None)
        rows = min(_LONGEST, rows * 2)


def _wide_page(
    query: EventQuery,
    bounds: tuple[int, int],
    after: Key | None,
    redact: Redaction,
    newest_first: bool,
    question: Question,
) -> list[PersistedEvent]:
    first, last = bounds
    within = replace(query, start=EpochMs(first), end=EpochMs(last))
    parts = tuple(event_parts(question, within))
    wide = _wide_condition(question, query)
    return read_stretch(
        question, query, Stretch(first, last, parts), after, _ROWS, redact, newest_first=newest_first, wide=wide
    )


def _search_instances(
    database: ArchiveDatabase,
    query: EventQuery,
    holds: Callable[[PersistedEvent], bool],
    redact: Redaction,
    *,
    after: Key | None,
    newest_first: bool,
) -> Iterator[Searched[Key]]:
    places = database.ask(lambda question: places_of_instances(question, query.instance_ids, query))
    if after is not None:
        places = [place for place in places if (place[:2] < after if newest_first else place[:2] > after)]
    if newest_first:
        places.reverse()
    for start in range(0, len(places), _ROWS):
        chunk = places[start : start + _ROWS]
        events = database.ask(partial(read_events, places=chunk, redact=redact, query=query))
        for event in reversed(events) if newest_first else events:
            if holds(event):
                assert event.seq is not None
                yield Searched((event.persisted_at, event.seq), event)
        yield Searched(chunk[-1][:2], None)


def _wide_condition(question: Question, query: EventQuery) -> str:
    """Holds for every row that the query asks for, and for some that it does not."""
    found = ["true"]
    if query.text:
        needle = query.text.lower()
        part = _longest_plain(needle)
        if part:
            columns = ("id", "instance_id", "event_type", "event_payload")
            tests = [f"contains(lower({column}), {question.value(part)})" for column in columns]
            # The two characters beyond ASCII whose lower case holds an ASCII letter: the Kelvin sign, the dotted I.
            odd = [character for character, letter in (("\u212a", "k"), ("\u0130", "i")) if letter in part]
            tests += [f"contains({column}, {question.value(one)})" for column in columns for one in odd]
            if _NUMBER_LIKE.fullmatch(needle):
                tests.append(r"regexp_matches(event_payload, '[0-9][eE]|(^|[^0-9])0\.0000')")
            found.append(f"({' OR '.join(tests)})")
    if query.payload_path:
        parts = [key for key in query.payload_path if list_position(key) is None]
        if number_of(query.payload_value) is None:
            parts.append(query.payload_value)
        found += [f"contains(event_payload, {question.value(part)})" for part in map(_longest_plain, parts) if part]
    return " AND ".join(found)


def _longest_plain(text: str) -> str:
    """The longest part of `text` that the JSON is sure to hold where a value or a key holds `text`; may be ''."""
    runs: list[str] = _PLAIN.findall(text)
    # Letters without case, such as Chinese, are written as they are.
    runs += re.findall(r"[^\x00-\x7f]+", "".join(c if c.isalpha() and c.lower() == c.upper() else " " for c in text))
    return max(runs, key=len, default="")
