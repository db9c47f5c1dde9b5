"""Dumps of the real pg_dump, in each of its formats, read to the digests of the database that was dumped."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.contract import foreign
from tests.contract.helpers import uid
from tests.factories import START, event, snapshot
from tests.servers.postgresql import PostgresServer
from xcstore.cli import main
from xcstore.errors import NotAStoreError, QueryError
from xcstore.ops import pg_text, sorting
from xcstore.ops.contents import Contents, DamagedFileError
from xcstore.ops.copying import copy_contents
from xcstore.ops.digests import digest_contents, digest_store
from xcstore.ops.pg_dump import DumpRow, DumpTable, parse_array, read_dump
from xcstore.ops.sources import open_source
from xcstore.store.base import OutboxChange, StoredDefinition, StoredWork
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores

HOSTILE = [
    "back\\slash \\N \\. \\t",
    "tab\t line\nfeed\r return \b\f\v",
    "quote ' \" $$ $x$ ; -- /* ",
    "é\u2028\u0085 李伟 \U0001f600",
    {"a;b": ["'", {"-- x": 1.0}], "n": 12345678901234567890, "big": 1e23},
    "\\.\nCOPY public.fsm_events (id) FROM stdin;",
    "",
    " leading, {braces} and \\\\ ",
]
FORMATS = {
    "copy": ["--format=plain"],
    "inserts": ["--inserts"],
    "columns": ["--column-inserts"],
    "rows": ["--rows-per-insert=7"],
    "data": ["--data-only", "--column-inserts"],
    "custom": ["--format=custom"],
    "directory": ["--format=directory"],
    "tar": ["--format=tar"],
}

Dump = Callable[..., Path]


@pytest.fixture
def dump(postgresql_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dump:
    """Runs pg_dump on a database, to a new file or folder."""
    if postgresql_server.programs is not None:
        monkeypatch.setenv("PATH", f"{postgresql_server.programs}{os.pathsep}{os.environ['PATH']}")

    def run(url: str, *options: str, name: str = "dump") -> Path:
        path = tmp_path / name
        subprocess.run(["pg_dump", *options, f"--file={path}", url], check=True, capture_output=True)
        return path

    return run


def fill_foreign(url: str, layout: str) -> None:
    events = [
        event(
            id=uid(number),
            instance_id=uid(500 + number % 3),
            payload={"text": HOSTILE[number % len(HOSTILE)], "number": number},
            state_after=("Paid", "é'\\")[number % 2],
            persisted_at=START - number // 4,
            caused_by=(uid(number + 1),) if layout == "shipped" or number % 2 else ('a"b', "c,d", "{e}", "\\f", "NULL"),
        )
        for number in range(1, 40)
    ]
    foreign.make(url, layout, events, [snapshot(id=uid(number), context={"x": HOSTILE}) for number in range(500, 503)])


def fill_ours(url: str) -> None:
    with open_stores(url, read_only=False, snapshot_retention=5) as stores:
        stores.events.append_many(
            event(
                id=f"e{number}",
                payload=HOSTILE[number % len(HOSTILE)],
                persisted_at=START - number // 4,
                caused_by=(f"e{number - 1}", 'a"{},\\'),
                context={"z": number, "a": None},
                timestamp=START,
                definition_hash="h" if number % 2 else None,
            )
            for number in range(60)
        )
        stores.snapshots.save_snapshots(snapshot(id=f"i{number % 4}", snapshot_at=number) for number in range(12))
        stores.definitions.save_definition(StoredDefinition(hash="h", component_name="Shop", document={"n": HOSTILE}))
        stores.events.change_outbox(
            OutboxChange(add=(StoredWork(id="w", position=-3, component_name="Shop", document={"x": HOSTILE}),))
        )


@pytest.mark.parametrize("how", FORMATS)
@pytest.mark.parametrize("layout", ["documented", "shipped", "ours"])
def test_a_dump_in_any_format_holds_what_the_database_holds(
    layout: str, how: str, postgresql_database: str, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "RUN_BYTES", 2_000)
    fill_ours(postgresql_database) if layout == "ours" else fill_foreign(postgresql_database, layout)
    path = dump(postgresql_database, *FORMATS[how])

    with open_stores(postgresql_database) as stores, closing(open_source(str(path))) as contents:
        assert digest_contents(contents) == digest_store(stores)
        assert contents.notes == contents.damages == ()


def test_a_packed_dump_is_read(postgresql_database: str, dump: Dump) -> None:
    fill_ours(postgresql_database)
    plain = dump(postgresql_database)
    packed = plain.with_suffix(".sql.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    custom = dump(postgresql_database, "-Fc", name="custom")
    custom.with_suffix(".gz").write_bytes(gzip.compress(custom.read_bytes()))

    with closing(open_source(str(plain))) as one, closing(open_source(str(packed))) as other:
        assert digest_contents(one) == digest_contents(other)
    with pytest.raises(QueryError, match="unpack it first"):
        open_source(str(custom.with_suffix(".gz")))


def test_the_two_documented_tables_of_a_store_of_ours_are_enough(postgresql_database: str, dump: Dump) -> None:
    """What the specification says to dump. psql itself stops at the trigger, whose function is not in it."""
    fill_ours(postgresql_database)
    path = dump(postgresql_database, "-t", "fsm_events", "-t", "fsm_snapshots")
    target = open_memory_stores()

    with closing(open_source(str(path))) as contents:
        copy_contents(contents, target)
        (note,) = contents.notes

    assert "without its table fsm_event_extra" in note
    with open_stores(postgresql_database) as stores:
        expected = {one.id: one for one in stores.events.get_all_events()}
    found = {one.id: one for one in target.events.get_all_events()}
    assert found.keys() == expected.keys()
    for event_id, one in found.items():
        assert one.payload == expected[event_id].payload or "1e+23" in str(expected[event_id].payload)
        assert (one.caused_by, one.persisted_at) == (expected[event_id].caused_by, expected[event_id].persisted_at)
    assert target.snapshots.count() == 4


def test_another_schema_and_other_tables_are_named(postgresql_database: str, dump: Dump) -> None:
    fill_foreign(postgresql_database, "documented")
    with psycopg.connect(postgresql_database) as connection:
        connection.execute('CREATE SCHEMA "my.Schema"')
        connection.execute('ALTER TABLE fsm_events SET SCHEMA "my.Schema"')
        connection.execute('ALTER TABLE fsm_snapshots SET SCHEMA "my.Schema"')
        connection.execute('CREATE TABLE "odd table" (a int, b text)')
        connection.execute("INSERT INTO \"odd table\" VALUES (1, E'x\\ty\\\\')")
        connection.execute("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN ';'; -- '\n END $$")
    for options in ([], ["--inserts"]):
        with closing(open_source(str(dump(postgresql_database, *options, name=f"dump{len(options)}")))) as contents:
            assert contents.event_count == 39
            assert contents.notes == ("other tables are left out: public.odd table",)

    with psycopg.connect(postgresql_database) as connection:
        connection.execute('CREATE TABLE public.fsm_events (LIKE "my.Schema".fsm_events)')
    with pytest.raises(NotAStoreError, match="dump one of them with pg_dump --schema"):
        open_source(str(dump(postgresql_database, name="two")))


def test_a_dump_without_events_is_refused(postgresql_database: str, dump: Dump) -> None:
    with psycopg.connect(postgresql_database) as connection:
        connection.execute("CREATE TABLE t (a int)")
    with pytest.raises(NotAStoreError, match=r"no table fsm_events; tables found: public\.t"):
        open_source(str(dump(postgresql_database)))


@pytest.mark.parametrize("how", ["copy", "inserts", "custom"])
def test_a_dump_that_ends_too_early_is_refused_or_salvaged(how: str, postgresql_database: str, dump: Dump) -> None:
    fill_foreign(postgresql_database, "documented")
    path = dump(postgresql_database, *FORMATS[how])
    whole = path.read_bytes()
    for part in range(3, 10):
        path.write_bytes(whole[: len(whole) * part // 10])

        with pytest.raises((DamagedFileError, NotAStoreError)) as caught:
            open_source(str(path))
        if isinstance(caught.value, DamagedFileError) and how != "custom":
            assert "line " in str(caught.value)
            with closing(salvaged(path)) as contents:
                assert contents.damages
                assert list(contents.events()) == list(contents.events())


def salvaged(path: Path) -> Contents:
    return open_source(str(path), salvage=True)


def test_a_dump_is_restored_by_the_command(
    postgresql_database: str, dump: Dump, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_foreign(postgresql_database, "documented")
    path, target = dump(postgresql_database), f"sqlite:///{tmp_path / 'target.db'}"

    assert main(["restore", str(path), target], {}) == 0
    out = capsys.readouterr().out
    assert main(["digest", postgresql_database], {}) == 0
    assert capsys.readouterr().out.splitlines()[1:] == out.splitlines()[1:]

    path.write_bytes(path.read_bytes()[:-2_000])
    assert main(["restore", str(path), f"sqlite:///{tmp_path / 'other.db'}"], {}) == 2
    assert not (tmp_path / "other.db").exists()


def test_without_pg_restore_its_formats_are_refused_with_what_to_do(
    postgresql_database: str, dump: Dump, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fill_foreign(postgresql_database, "documented")
    path = dump(postgresql_database, "-Fc")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(QueryError, match=r"pg_restore -f plain\.sql"):
        open_source(str(path))


# Events in other tables


def divide(url: str, *, inherited: bool = False) -> None:
    """Put the events into partitions, one of them divided again; or into children, as TimescaleDB has its chunks."""
    by = "" if inherited else " PARTITION BY RANGE (persisted_at)"

    def part(name: str, of: str, span: str, more: str = "") -> str:
        if inherited:
            return f"CREATE TABLE parts.{name} () INHERITS ({of})"
        return f"CREATE TABLE parts.{name} PARTITION OF {of} FOR VALUES {span}{more}"

    with psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA parts")
        connection.execute("ALTER TABLE fsm_events RENAME TO was")
        connection.execute(f"CREATE TABLE fsm_events (LIKE was INCLUDING DEFAULTS){by}")
        connection.execute(part("early", "fsm_events", f"FROM (MINVALUE) TO ({START - 5})"))
        connection.execute(part("late", "fsm_events", f"FROM ({START - 5}) TO (MAXVALUE)", by))
        connection.execute(part("latest", "parts.late", f"FROM ({START - 2}) TO (MAXVALUE)"))
        connection.execute(part("other", "parts.late", f"FROM ({START - 5}) TO ({START - 2})"))
        if inherited:
            for name, span in (("early", f"< {START - 5}"), ("latest", f">= {START - 5}")):
                connection.execute(f"INSERT INTO parts.{name} SELECT * FROM was WHERE persisted_at {span}")
        else:
            connection.execute("INSERT INTO fsm_events SELECT * FROM was")
        connection.execute("DROP TABLE was")


@pytest.mark.parametrize("how", ["copy", "inserts", "columns", "custom"])
@pytest.mark.parametrize("inherited", [False, True])
@pytest.mark.parametrize("layout", ["documented", "shipped"])
def test_events_in_partitions_and_chunks_are_those_of_the_table(
    layout: str, inherited: bool, how: str, postgresql_database: str, dump: Dump
) -> None:
    fill_foreign(postgresql_database, layout)
    divide(postgresql_database, inherited=inherited)
    path = dump(postgresql_database, *FORMATS[how])

    with open_stores(postgresql_database) as stores, closing(open_source(str(path))) as contents:
        assert digest_contents(contents) == digest_store(stores)
        assert contents.event_count == 39
        assert contents.notes == contents.damages == ()


def test_parts_of_which_the_dump_does_not_say_whose_they_are_are_not_left_out(
    postgresql_database: str, dump: Dump
) -> None:
    fill_foreign(postgresql_database, "documented")
    divide(postgresql_database)
    with pytest.raises(NotAStoreError, match=r"no table fsm_events"):
        open_source(str(dump(postgresql_database, "--data-only")))

    text = dump(postgresql_database, name="plain").read_text()
    unsaid = "".join(line for line in text.splitlines(keepends=True) if "ATTACH PARTITION" not in line)
    path = dump(postgresql_database, name="unsaid")
    path.write_text(unsaid)
    with pytest.raises(
        NotAStoreError, match=r"no events in fsm_events, but .* parts\.early \(16 rows\), parts\.latest"
    ):
        open_source(str(path))


def test_a_copy_of_the_events_beside_them_is_named_and_left_out(postgresql_database: str, dump: Dump) -> None:
    fill_foreign(postgresql_database, "documented")
    with psycopg.connect(postgresql_database) as connection:
        connection.execute("CREATE TABLE kept AS SELECT * FROM fsm_events LIMIT 5")

    with closing(open_source(str(dump(postgresql_database)))) as contents:
        assert contents.event_count == 39
        assert contents.notes == ("other tables are left out: public.kept (5 rows with the columns of events)",)
    with pytest.raises(NotAStoreError, match=r"does not say whether .* public\.kept \(5 rows\)"):
        open_source(str(dump(postgresql_database, "--data-only", name="data")))


def test_compressed_chunks_are_refused(postgresql_database: str, dump: Dump) -> None:
    """As TimescaleDB keeps them: the columns of the events, packed, and its own."""
    fill_foreign(postgresql_database, "documented")
    with psycopg.connect(postgresql_database) as connection:
        connection.execute(
            "CREATE TABLE compress_hyper_2_3_chunk AS SELECT *, 7 _ts_meta_count FROM fsm_events LIMIT 3"
        )

    with pytest.raises(NotAStoreError, match=r"compressed .* public\.compress_hyper_2_3_chunk \(3 rows\)"):
        open_source(str(dump(postgresql_database)))


# The text itself


def rows_of(text: str, *, block: int | None = None, monkeypatch: pytest.MonkeyPatch | None = None) -> list[DumpRow]:
    if block is not None and monkeypatch is not None:
        monkeypatch.setattr(pg_text, "BLOCK", block)
    found = read_dump(io.BytesIO(text.encode()), lambda table: table.name == "t")
    return [row for row in found if isinstance(row, DumpRow)]


END = "\n-- PostgreSQL database dump complete\n"


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64, 1 << 20])
def test_where_a_block_of_the_file_ends_does_not_matter(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "-- it's a comment\n\\restrict abc'\nSET client_encoding = 'UTF8';\n"
        'CREATE TABLE a.t (id integer NOT NULL, "My ""Col" varchar(3)[] DEFAULT \'{a,b}\'::text, '
        "n numeric(3,2), CONSTRAINT c CHECK ((id > 0)));\n"
        "CREATE FUNCTION f() RETURNS int AS $x$ SELECT 'a;$$' -- '\n$x$ LANGUAGE sql;\n"
        "INSERT INTO a.t VALUES (1, 'it''s; (a)\n--x', -1.5e+10),\n"
        "\t(2, E'a\\'b\\\\\\n', NULL) ON CONFLICT DO NOTHING;\n"
        'INSERT INTO a.t ("My ""Col", id) VALUES (\'é\', true);\n'
        "COPY a.t (id, n) FROM stdin;\n1\ta\\tb\\\\N\\n\n\\N\t\n\\.\n\n"
        "SELECT pg_catalog.setval('x', 1, true);\n" + END
    )

    rows = [row.values for row in rows_of(text, block=block, monkeypatch=monkeypatch)]

    assert rows == [
        {"id": "1", 'My "Col': "it's; (a)\n--x", "n": "-1.5e+10"},
        {"id": "2", 'My "Col': "a'b\\\n", "n": None},
        {'My "Col': "é", "id": "true"},
        {"id": "1", "n": "a\tb\\N\n"},
        {"id": None, "n": ""},
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("COPY t (a) FROM stdin;\n1\n", r"line 3: the file ends within the data of t, after row 1"),
        ("COPY t (a) FROM stdin;\n1\t2\n\\.\n" + END, r"line 3: row 1 of t has 2 values, not 1"),
        ("INSERT INTO t (a) VALUES ('x", r"the file ends within a text"),
        ("INSERT INTO t (a) VALUES (1, 2);" + END, r"a row of t has 2 values, not 1"),
        ("INSERT INTO t (a) SELECT 1;" + END, r"without VALUES"),
        ("INSERT INTO t (a) VALUES (ARRAY[1]);" + END, r"'\[' after a value of t"),
        ("SET client_encoding = 'LATIN1';" + END, r"--encoding=UTF8"),
        ("CREATE TABLE t (a int);\n", r"database dump complete' is missing"),
        ("DO $$ BEGIN", r"the file ends within a text that \$\$ ends"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(DamagedFileError, match=reason):
        rows_of(text)


def test_bytes_that_are_not_utf8_are_an_error() -> None:
    with pytest.raises(DamagedFileError, match="not UTF-8"):
        list(read_dump(io.BytesIO(b"-- \xff\n" + END.encode()), lambda table: True))


def test_whose_part_a_table_is_is_read_in_each_spelling() -> None:
    text = (
        "CREATE TABLE a.t (x int, y int) PARTITION BY RANGE (x);\n"
        "CREATE TABLE a.one PARTITION OF a.t FOR VALUES IN (1);\n"
        "CREATE TABLE a.two PARTITION OF a.t (x DEFAULT 1) DEFAULT;\n"
        'CREATE TABLE "b c".three (\n    CONSTRAINT k CHECK ((x > 1))\n)\nINHERITS (a.t)\nWITH (fillfactor=70);\n'
        "CREATE TABLE a.four (x int, y int);\nCREATE TABLE a.five (z int) INHERITS (a.four);\n"
        "ALTER TABLE ONLY a.t ATTACH PARTITION a.four FOR VALUES FROM (1) TO (2);\n"
        'INSERT INTO a.one VALUES (1, 2);\nINSERT INTO "b c".three VALUES (3, 4);\n'
        "INSERT INTO a.five VALUES (5, 6, 7);\nCREATE TABLE a.six (x int);\n" + END
    )
    found = list(read_dump(io.BytesIO(text.encode()), lambda table: True))

    roots = {str(table): str(table.root) for table in found if isinstance(table, DumpTable)}
    assert roots == {"a.t": "a.t", "a.one": "a.t", "a.two": "a.t", "b c.three": "a.t"} | {
        "a.four": "a.t",
        "a.five": "a.t",
        "a.six": "a.six",
    }
    assert [row.values for row in found if isinstance(row, DumpRow)] == [
        {"x": "1", "y": "2"},
        {"x": "3", "y": "4"},
        {"x": "5", "y": "6", "z": "7"},
    ]


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE a (x int); ALTER TABLE a ATTACH PARTITION b DEFAULT; ALTER TABLE b ATTACH PARTITION a DEFAULT;",
        "ALTER TABLE ONLY a ADD CONSTRAINT attach CHECK (x > 1); ALTER TABLE ATTACH PARTITION; ALTER TABLE a ATTACH;",
    ],
)
def test_odd_words_about_parts_are_passed_over(text: str) -> None:
    found = list(read_dump(io.BytesIO((text + END).encode()), lambda table: True))

    assert all(str(table.root) in "ab" for table in found if isinstance(table, DumpTable))


def test_tables_come_as_they_are_created() -> None:
    text = "CREATE TABLE IF NOT EXISTS x.t (a int);\nCREATE UNLOGGED TABLE u (b int, PRIMARY KEY (b));\n" + END
    found: Iterator[object] = read_dump(io.BytesIO(text.encode()), lambda table: True)

    assert [(str(table), table.columns) for table in found if isinstance(table, DumpTable)] == [
        ("x.t", ("a",)),
        ("u", ("b",)),
    ]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{}", []),
        ("{a}", ["a"]),
        ('{"a,b","c\\"d","e\\\\f",NULL,"NULL",""}', ["a,b", 'c"d', "e\\f", None, "NULL", ""]),
        ("{{a},{b}}", None),
        ("{a,}", None),
        ("[a]", None),
        ('{"a}', None),
    ],
)
def test_arrays_are_read_as_postgresql_spells_them(text: str, values: list[str | None] | None) -> None:
    assert parse_array(text) == values
