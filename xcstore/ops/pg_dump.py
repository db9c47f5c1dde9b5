"""The rows in the SQL that pg_dump writes, one at a time.

It reads what pg_dump gives: `COPY … FROM stdin`, and INSERT statements of one row or of many, with and without columns.
Everything else is passed over: settings, functions, indexes, and what is meant for psql. A row is not taken to be
understood because it looks like SQL: what stands where a row should be is either one, or an error with its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from xcstore.ops.pg_text import ENDING, DumpText, Token

__all__ = ["DumpRow", "DumpTable", "parse_array", "read_dump"]


@dataclass(slots=True)
class DumpTable:
    """A table of the dump: its name with the schema, and its columns as the dump declares them."""

    schema: str
    name: str
    columns: tuple[str, ...] = ()
    parent: DumpTable | None = field(default=None, repr=False)
    """The table that this one is a partition of, or inherits from."""
    is_created: bool = False
    """The dump has its CREATE TABLE, and so says whose part it is."""

    @property
    def root(self) -> DumpTable:
        """The table whose rows these are in the end."""
        table, seen = self, {id(self)}
        while table.parent is not None and id(table.parent) not in seen:  # a file may say anything
            table = table.parent
            seen.add(id(table))
        return table

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True)
class DumpRow:
    """One row. Values are text as PostgreSQL spells it, None for NULL; columns by name."""

    table: DumpTable
    line: int
    values: dict[str, str | None] = field(repr=False)


Found = DumpRow | DumpTable | str


def read_dump(
    file: BinaryIO, wanted: Callable[[DumpTable], bool], *, on_bytes: Callable[[int], None] = lambda _: None
) -> Iterator[Found]:
    """The rows of a dump in its order.

    Parameters
    ----------
    file : binary file
        What pg_dump wrote in its plain format.
    wanted : callable
        Whether the rows of a table are asked for; the data of others is passed over.
    on_bytes : callable
        Called with the number of bytes of each block that was read.

    Yields
    ------
    DumpRow or DumpTable or str
        Each row of a wanted table; a table as soon as the dump creates it, or begins its data; the name of each
        trigger.

    Raises
    ------
    DamagedFileError
        The file ends too early, or a row cannot be read; names the line.
    """
    yield from _Dump(DumpText(file, on_bytes), wanted).rows()


def parse_array(text: str) -> list[str | None] | None:
    """The values of an array of one dimension as PostgreSQL spells it; None where it is none.

    Examples
    --------
    >>> parse_array('{a,"b,c",NULL}')
    ['a', 'b,c', None]
    """
    if not (text.startswith("{") and text.endswith("}")):
        return None
    values: list[str | None] = []
    at, end = 1, len(text) - 1
    while at < end:
        found = _ELEMENT.match(text, at, end)
        if found is None:
            return None
        quoted, plain = found.groups()
        if quoted is not None:
            values.append(re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
        else:
            values.append(None if plain.upper() == "NULL" else plain)
        at = found.end()
        if at < end:
            if text[at] != "," or at + 1 == end:
                return None
            at += 1
    return values


_ELEMENT: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|([^{}",\\]+)', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_LETTERS: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_CONSTRAINTS: Final = frozenset({"constraint", "primary", "unique", "check", "foreign", "exclude", "like"})
_BEFORE_KIND: Final = frozenset({"or", "replace", "unlogged", "temporary", "temp", "global", "local", "constraint"})


class _Dump:
    def __init__(self, text: DumpText, wanted: Callable[[DumpTable], bool]) -> None:
        self._text = text
        self._wanted = wanted
        self._tables: dict[tuple[str, str], DumpTable] = {}

    def rows(self) -> Iterator[Found]:
        text = self._text
        while (token := text.token()) is not None:
            word = token[1].lower()
            if word == "copy" and token[0] == "word":
                yield from self._copy()
            elif word == "insert" and token[0] == "word":
                yield from self._insert()
            elif word == "create" and token[0] == "word":
                yield from self._create()
            elif word == "alter" and token[0] == "word":
                self._attach(self._rest())
            elif word == "set" and token[0] == "word":
                self._check_encoding(self._rest())
            elif token[1] != ";":
                self._rest()
        if not text.is_complete:
            raise text.damage(f"the file does not end as pg_dump ends it: '-- {ENDING}' is missing")

    def _rest(self) -> list[Token]:
        """The tokens up to the end of the statement."""
        tokens: list[Token] = []
        while (token := self._text.token()) is not None and token[1] != ";":
            if len(tokens) < 100:
                tokens.append(token)
        return tokens

    def _check_encoding(self, tokens: list[Token]) -> None:
        words = [value.strip("'").lower() for _, value in tokens]
        if words[:1] == ["client_encoding"] and words[-1] not in ("utf8", "utf-8", "unicode", "sql_ascii"):
            raise self._text.damage(f"the encoding is {words[-1][:30]!r}; dump with pg_dump --encoding=UTF8")

    def _create(self) -> Iterator[DumpTable | str]:
        """A table with its columns, or the name of a trigger."""
        token = self._next("after CREATE")
        while word_of(token) in _BEFORE_KIND:
            token = self._next("after CREATE")
        if word_of(token) == "trigger":
            yield _unquoted(self._next("after CREATE TRIGGER"))
        elif word_of(token) == "table":
            token, table = self._table()
            if table.name.lower() == "if":  # IF NOT EXISTS
                self._next("within CREATE TABLE")
                token, table = self._table()
            table = self._known(table)
            table.is_created = True
            if word_of(token) == "partition":  # OF
                self._next("within CREATE TABLE")
                token, table.parent = self._parent()
            if token == ("other", "("):
                declared = tuple(self._declared())
                table.columns = () if table.parent else declared
                token = self._next("after the columns of a table")
            if word_of(token) == "inherits":
                self._next("within CREATE TABLE")
                token, table.parent = self._parent()
            if table.parent is not None:
                table.columns = tuple(dict.fromkeys((*table.parent.columns, *table.columns)))
            yield table
            if token[1] == ";":
                return
        self._rest()

    def _parent(self) -> tuple[Token, DumpTable]:
        token, table = self._table()
        return token, self._known(table)

    def _known(self, table: DumpTable) -> DumpTable:
        return self._tables.setdefault((table.schema, table.name), table)

    def _attach(self, tokens: list[Token]) -> None:
        """ALTER TABLE ONLY parent ATTACH PARTITION part, where it is that."""
        words = [word_of(token) for token in tokens]
        at = words.index("attach") if "attach" in words else 0
        parent = tokens[2 if words[1:2] == ["only"] else 1 : at]
        part = tokens[at + 2 : words.index("for", at) if "for" in words[at:] else -1]
        if words[:1] == ["table"] and words[at + 1 : at + 2] == ["partition"] and parent and part:
            self._known(_named(part)).parent = self._known(_named(parent))

    def _declared(self) -> Iterator[str]:
        """The names of columns in the brackets of CREATE TABLE."""
        depth, is_start = 1, True
        while depth:
            kind, value = self._next("within CREATE TABLE")
            if kind == "other" and value in "([":
                depth += 1
            elif kind == "other" and value in ")]":
                depth -= 1
            elif kind == "other" and value == "," and depth == 1:
                is_start = True
                continue
            elif is_start and not (kind == "word" and value.lower() in _CONSTRAINTS):
                yield _unquoted((kind, value))
            is_start = False

    def _table(self) -> tuple[Token, DumpTable]:
        """A name with or without a schema, and the token after it."""
        names = [_unquoted(self._next("where a table should be named"))]
        while (token := self._next("after the name of a table")) == ("other", "."):
            names.append(_unquoted(self._next("where a table should be named")))
        return token, DumpTable(".".join(names[:-1]), names[-1])

    def _target(self) -> tuple[Token, DumpTable, tuple[str, ...]]:
        """The table of COPY and INSERT, its columns, and the token after them."""
        token, table = self._table()
        table = self._known(table)
        columns = table.columns
        if token == ("other", "("):
            columns = tuple(self._declared())
            table.columns = table.columns or columns
            token = self._next("after the columns of a table")
        return token, table, columns

    def _copy(self) -> Iterator[Found]:
        token, table, columns = self._target()
        if word_of(token) != "from" or word_of(self._next("within COPY")) != "stdin":
            self._rest()  # COPY … TO, or from a file: nothing that pg_dump writes
            return
        options = self._rest()
        if options:
            raise self._text.damage("COPY with options is not what pg_dump writes")
        is_wanted = self._wanted(table)
        yield table
        self._text.line_text()
        count = 0
        while (line := self._text.line_text()) != "\\.":
            if line is None:
                raise self._text.damage(f"the file ends within the data of {table}, after row {count:,}")
            count += 1
            if not is_wanted:
                continue
            fields = line.split("\t")
            if len(fields) != len(columns):
                raise self._text.damage(f"row {count:,} of {table} has {len(fields)} values, not {len(columns)}")
            values = {name: self._copied(value) for name, value in zip(columns, fields, strict=True)}
            yield DumpRow(table, self._text.line - 1, values)

    def _copied(self, value: str) -> str | None:
        if "\\" not in value:
            return value
        return None if value == "\\N" else _ESCAPE.sub(self._escaped, value)

    def _escaped(self, found: re.Match[str]) -> str:
        sign = found[1]
        number = int(sign[1:], 16) if sign[0] == "x" and len(sign) > 1 else int(sign, 8) if sign.isdecimal() else None
        if number is None:
            return _LETTERS.get(sign, sign)
        if number > 127:
            raise self._text.damage("a byte is spelled as a number, which pg_dump does not do")
        return chr(number)

    def _insert(self) -> Iterator[Found]:
        if word_of(self._next("after INSERT")) != "into":
            self._rest()
            return
        token, table, columns = self._target()
        if word_of(token) == "overriding":  # SYSTEM VALUE
            self._next("within INSERT"), self._next("within INSERT")
            token = self._next("within INSERT")
        if word_of(token) != "values":
            raise self._text.damage(f"INSERT INTO {table} without VALUES is not what pg_dump writes")
        is_wanted = self._wanted(table)
        yield table
        while True:
            line = self._text.line
            values = self._values(table)
            if is_wanted:
                if not columns:
                    raise self._text.damage(
                        f"the columns of {table} are not known; dump the schema too, or with --column-inserts"
                    )
                if len(values) > len(columns):
                    raise self._text.damage(f"a row of {table} has {len(values)} values, not {len(columns)}")
                yield DumpRow(table, line, dict(zip(columns, values, strict=False)))
            token = self._next(f"after a row of {table}")
            if token == ("other", ","):
                continue
            if token[1] != ";":
                self._rest()  # ON CONFLICT DO NOTHING
            return

    def _values(self, table: DumpTable) -> list[str | None]:
        """The values in brackets."""
        where = f"within a row of {table}"
        if self._next(where) != ("other", "("):
            raise self._text.damage(f"no row where one of {table} should be")
        values: list[str | None] = []
        while True:
            values.append(self._value(self._next(where), table))
            token = self._next(where)
            if token == ("other", ")"):
                return values
            if token != ("other", ","):
                raise self._text.damage(f"{token[1][:30]!r} after a value of {table}")

    def _value(self, token: Token, table: DumpTable) -> str | None:
        kind, text = token
        if kind == "string":
            return text[1:-1].replace("''", "'")
        if kind == "escaped":
            return _ESCAPE.sub(self._escaped, text[2:-1].replace("''", "'"))
        if kind == "word":
            word = text.lower()
            return None if word == "null" else word if word in ("true", "false") else text
        raise self._text.damage(f"{text[:30]!r} where a value of {table} should be")

    def _next(self, where: str) -> Token:
        token = self._text.token()
        if token is None:
            raise self._text.damage(f"the file ends {where}")
        return token


def _named(tokens: list[Token]) -> DumpTable:
    """The table that some tokens name, with its schema or without."""
    names = [_unquoted(token) for token in tokens if token != ("other", ".")]
    return DumpTable(".".join(names[:-1]), names[-1])


def word_of(token: Token) -> str:
    return token[1].lower() if token[0] == "word" else ""


def _unquoted(token: Token) -> str:
    kind, text = token
    return text[1:-1].replace('""', '"') if kind == "quoted" else text
