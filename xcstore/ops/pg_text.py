"""The words of the SQL that pg_dump writes, read a block at a time."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Callable
from typing import BinaryIO, Final

from xcstore.ops.contents import DamagedFileError

__all__ = ["ENDING", "DumpText", "Token"]

BLOCK: Final = 1 << 20
ENDING: Final = "PostgreSQL database dump complete"
_MAX_TOKEN: Final = 1 << 30
_MARGIN: Final = 100
"""A token that ends so near to the end of what was read may go on behind it."""
_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>--[^\n]*(?:\n|\Z) | /\*.*?\*/)
  | (?P<string>'(?:[^']|'')*')
  | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*')
  | (?P<quoted>"(?:[^"]|"")*")
  | (?P<dollar>\$[A-Za-z_0-9]*\$)
  | (?P<word>-?[0-9]+(?:\.[0-9]*)?(?:[eE][+\-]?[0-9]+)? | [^\s'"$(),;\[\]=<>\\.\-/]+)
  | (?P<meta>\\[^\n]*(?:\n|\Z))
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

Token = tuple[str, str]
"""Its kind, and its text."""


class DumpText:
    """A window on the text: `text[at:]` is still to be read."""

    def __init__(self, file: BinaryIO, on_bytes: Callable[[int], None]) -> None:
        self._file = file
        self._on_bytes = on_bytes
        self._decoder = getincrementaldecoder("utf-8-sig")()
        self.text = ""
        self.at = 0
        self.line = 1
        self.is_ended = False
        self.is_complete = False
        """The line that pg_dump ends with was there."""

    def token(self) -> Token | None:
        """The next token that is no space, comment, or word to psql; None at the end."""
        while True:
            found = _TOKEN.match(self.text, self.at)
            while not self.is_ended and (
                found is None or found.end() > len(self.text) - _MARGIN or self._is_open(found)
            ):
                self._more()
                found = _TOKEN.match(self.text, self.at)
            if found is None:
                return None
            kind, text = str(found.lastgroup), found[0]
            if kind == "other" and text in "'\"":
                raise self.damage("the file ends within a text")
            self._pass(found.end())
            if kind == "comment":
                self.is_complete = self.is_complete or ENDING in text
            elif kind == "dollar":
                return "dollar", self._dollar(text)
            elif kind not in ("space", "meta"):
                return kind, text

    def line_text(self) -> str | None:
        """The rest of the line, without its end; None at the end of the file."""
        while (end := self.text.find("\n", self.at)) < 0 and not self.is_ended:
            self._more()
        if end < 0:
            return None
        line = self.text[self.at : end]
        self.at = end + 1
        self.line += 1
        return line.removesuffix("\r")

    def damage(self, reason: str) -> DamagedFileError:
        return DamagedFileError(f"line {self.line:,}: {reason}")

    def _is_open(self, found: re.Match[str]) -> bool:
        """Whether a sign was taken for itself only because what it opens does not end in the window."""
        if found.lastgroup == "word":
            return found[0] in ("e", "E") and self.text[found.end()] == "'"
        return found.lastgroup == "other" and found[0] in "'\"/"

    def _dollar(self, mark: str) -> str:
        start = self.at
        while (end := self.text.find(mark, start)) < 0:
            if self.is_ended:
                raise self.damage(f"the file ends within a text that {mark} ends")
            start = max(0, len(self.text) - self.at - len(mark))
            self._more()
        inner = self.text[self.at : end]
        self._pass(end + len(mark))
        return inner

    def _pass(self, end: int) -> None:
        self.line += self.text.count("\n", self.at, end)
        self.at = end

    def _more(self) -> None:
        """Read on. What is waiting doubles each time, so that a long text is not tried over and over."""
        self.text = self.text[self.at :]
        self.at = 0
        if len(self.text) > _MAX_TOKEN:
            raise self.damage("a value is longer than PostgreSQL can hold")
        raw = self._file.read(max(BLOCK, len(self.text)))
        self._on_bytes(len(raw))
        self.is_ended = not raw
        try:
            self.text += self._decoder.decode(raw, final=self.is_ended)
        except UnicodeDecodeError:
            raise self.damage("not UTF-8; dump with pg_dump --encoding=UTF8") from None
