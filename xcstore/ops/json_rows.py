"""The rows of a JSON file, one at a time: an array, or values one after the other (NDJSON).

A file is read in blocks, so that its size does not matter, and a row that is not JSON is a problem beside the others
wherever its end can be found.
"""

from __future__ import annotations

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from xcstore.jsontext import NestingError, parse_json

__all__ = ["Row", "RowFault", "TruncatedFileError", "read_rows"]

BLOCK: Final = 1 << 20
MAX_ROW: Final = 64 << 20
"""Characters; the largest row that can be written has three values of 8 MB."""
SCALAR: Final = 400
"""Characters that a number or a word may have."""

# A string that the text ends in is a token too: nothing in it may be taken for a bracket.
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_decode = json.JSONDecoder().raw_decode


@dataclass(frozen=True, slots=True)
class RowFault:
    """Why a row could not be read."""

    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """One value of the file, and where it starts. `number` counts from 1."""

    number: int
    line: int
    value: object


class TruncatedFileError(ValueError):
    """The file ends, or stops being JSON: what comes after cannot be read. Row and line are 0 for the whole file."""

    def __init__(self, reason: str, number: int, line: int) -> None:
        super().__init__(reason)
        self.number = number
        self.line = line


def read_rows(path: Path, on_bytes: Callable[[int], None] = lambda _: None) -> Iterator[Row]:
    """The rows of a file in its order; the value of a row that is not JSON is a `RowFault`.

    Parameters
    ----------
    path : Path
        An array of values, values on lines of their own, or values one after the other.
    on_bytes : callable
        Called with the number of bytes of each block that was read.

    Raises
    ------
    TruncatedFileError
        After the rows that could be read whole.
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(BLOCK).removeprefix(b"\xef\xbb\xbf").lstrip()
        file.seek(0)
        first_line = start.split(b"\n", 1)[0].rstrip()
        if start[:1] == b"[":
            yield from _Scanner(file, on_bytes).array()
        elif start[:1] == b"{" and first_line.endswith((b"{", b"[", b",")):  # laid out over several lines
            yield from _Scanner(file, on_bytes).sequence()
        elif start[:1] == b"{" or b"\n{" in start:
            yield from _lines(file, on_bytes)
        else:
            what = f"it starts with {first_line[:30].decode('utf-8', 'replace')!r}" if start else "it is empty"
            raise TruncatedFileError(f"not a JSON array and not NDJSON: {what}", 0, 0)


def _lines(file: BinaryIO, on_bytes: Callable[[int], None]) -> Iterator[Row]:
    number = line = 0
    while raw := file.readline(MAX_ROW):
        on_bytes(len(raw))
        line += 1
        if len(raw) == MAX_ROW:
            raise TruncatedFileError(f"a line is longer than {MAX_ROW:,} bytes", number + 1, line)
        text = raw.decode("utf-8-sig" if line == 1 else "utf-8", "surrogateescape").strip()
        if text:
            number += 1
            yield Row(number, line, _parsed(text))


def _parsed(text: str) -> object:
    try:
        return parse_json(text)
    except NestingError as error:
        return RowFault(str(error))
    except json.JSONDecodeError as error:
        return RowFault(f"not JSON: {error.msg} at column {error.colno}")


_GOES_ON: Final = ("", *"0123456789.eE+-")


class _Scanner:
    """A window on the text of a file: `text[at:]` is still to be read."""

    def __init__(self, file: BinaryIO, on_bytes: Callable[[int], None]) -> None:
        self.file = file
        self.on_bytes = on_bytes
        self.decoder = getincrementaldecoder("utf-8-sig")("surrogateescape")
        self.text = ""
        self.at = 0
        self.line = 1
        self.number = 0
        self.ended = False

    def array(self) -> Iterator[Row]:
        self.skip_space()
        self.at += 1  # the bracket
        if self.peek() == "]":
            self.at += 1
        else:
            while True:
                yield self.row()
                after = self.peek()
                if after not in (",", "]"):
                    raise self.broken("the array is not closed" if not after else f"{after!r} after the row")
                self.at += 1
                if after == "]":
                    break
        if self.peek():
            raise self.broken("there is more after the end of the array")

    def sequence(self) -> Iterator[Row]:
        while self.peek():
            yield self.row()

    def row(self) -> Row:
        """The next value; moves behind it."""
        if not self.peek():
            raise self.broken("the file ends where a row should be")
        self.number += 1
        line = self.line
        while True:
            value, end = self.value()
            # A number may go on in the next block, also behind its point; a bracket or quote at the end does not.
            if end is not None and (
                self.ended or self.text[end - 1] in '}]"' or self.text[end : end + 1] not in _GOES_ON
            ):
                self.line += self.text.count("\n", self.at, end)
                self.at = end
                return Row(self.number, line, value)
            if self.ended:
                raise self.broken("the file ends within the row")
            if len(self.text) - self.at > MAX_ROW:
                raise self.broken(f"the row is longer than {MAX_ROW:,} characters")
            self.more()

    def value(self) -> tuple[object, int | None]:
        """The value at `at` and where it ends; None where the text ends first."""
        try:
            return _decode(self.text, self.at)
        except RecursionError:
            return RowFault("nested more than about a thousand levels"), self.end_of_value()
        except json.JSONDecodeError as error:
            reason = f"not JSON: {error.msg}"
            start = self.text[self.at]
            if start in "{[":
                return RowFault(reason), self.end_of_value()
            if not self.ended and (start == '"' or len(self.text) - self.at < SCALAR):
                return None, None
            raise self.broken(reason) from None

    def end_of_value(self) -> int | None:
        """Where the brackets that open here are closed; None where the text ends first, or there are none."""
        if self.text[self.at] not in "{[":
            return None
        depth = 0
        for token in _TOKEN.finditer(self.text, self.at):
            character = token[0][0]
            if character in "{[":
                depth += 1
            elif character in "]}":
                depth -= 1
                if depth == 0:
                    return token.end()
        return None

    def peek(self) -> str:
        """The next character that is no space, '' at the end of the file."""
        self.skip_space()
        return self.text[self.at : self.at + 1]

    def skip_space(self) -> None:
        while True:
            end = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]  # matches nothing at least
            self.line += self.text.count("\n", self.at, end)
            self.at = end
            if end < len(self.text) or self.ended:
                return
            self.more()

    def more(self) -> None:
        """Read on. What is waiting doubles each time, so that a long row is not tried over and over."""
        self.text = self.text[self.at :]
        self.at = 0
        raw = self.file.read(max(BLOCK, len(self.text)))
        self.on_bytes(len(raw))
        self.ended = not raw
        self.text += self.decoder.decode(raw, final=self.ended)

    def broken(self, reason: str) -> TruncatedFileError:
        return TruncatedFileError(reason, self.number, self.line)
