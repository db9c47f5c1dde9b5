"""The rows of a JSON file, whatever its layout, its size and its damage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xcstore.ops import json_rows
from xcstore.ops.json_rows import Row, RowFault, TruncatedFileError, read_rows

ROWS: list[Any] = [{"id": "a", "text": 'x"],{[\\'}, {"id": "b", "deep": [{"c": [1, 2.5]}]}, {}]


def read(path: Path) -> tuple[list[Row], TruncatedFileError | None]:
    rows = []
    try:
        for row in read_rows(path):
            rows.append(row)
    except TruncatedFileError as error:
        return rows, error
    return rows, None


def rows_of(path: Path, text: str | bytes) -> tuple[list[Row], TruncatedFileError | None]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dump.json"


@pytest.fixture(params=[1, 2, 3, 7, 64, 1 << 20])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Size of the blocks that arrays are read in; small ones end within strings, numbers and characters.

    The look at the start of the file is never smaller than a line, so it keeps its size.
    """
    monkeypatch.setattr(json_rows, "BLOCK", request.param)
    return int(request.param)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=1),
        json.dumps(ROWS, indent=1).replace("\n", "\r\n"),
        "\n\n " + json.dumps(ROWS) + " \n",
        "\n".join(json.dumps(row) for row in ROWS),
        "\n\n".join(json.dumps(row) for row in ROWS) + "\n",
        "\r\n".join(json.dumps(row) for row in ROWS),
        "\ufeff" + json.dumps(ROWS),
        "\ufeff" + "\n".join(json.dumps(row) for row in ROWS),
        "\n".join(json.dumps(row, indent=2) for row in ROWS),
    ],
)
def test_every_layout_gives_the_same_rows(file: Path, text: str) -> None:
    rows, error = rows_of(file, text)

    assert [row.value for row in rows] == ROWS
    assert [row.number for row in rows] == [1, 2, 3]
    assert error is None


def test_an_empty_array_has_no_rows(file: Path) -> None:
    assert rows_of(file, " [ ] ") == ([], None)


def test_arrays_are_read_whole_in_blocks_of_any_size(file: Path, block: int) -> None:
    rows, error = rows_of(file, json.dumps([*ROWS, {"é🚀": "état 状態"}], indent=1, ensure_ascii=False))

    assert [row.value for row in rows] == [*ROWS, {"é🚀": "état 状態"}]
    assert error is None


def test_a_row_says_its_line(file: Path) -> None:
    text = json.dumps(ROWS, indent=1)

    rows, _ = rows_of(file, text)

    lines = text.split("\n")
    assert [lines[row.line - 1].strip()[:1] for row in rows] == ["{", "{", "{"]
    assert [row.line for row in rows_of(file, "\n" + '{"a": 1}\n\n{"a": 2}')[0]] == [2, 4]


def test_a_line_that_is_not_json_is_one_bad_row_among_the_others(file: Path) -> None:
    rows, error = rows_of(file, '{"id": 1}\n{"id": 2,}\nplain text\n{"id": 3}')

    assert [row.number for row in rows if isinstance(row.value, RowFault)] == [2, 3]
    assert rows[-1].value == {"id": 3}
    assert error is None


def test_a_row_of_an_array_that_is_not_json_is_one_bad_row_where_its_end_is_seen(file: Path, block: int) -> None:
    rows, error = rows_of(file, '[{"id": 1}, {"id": tru, "x": "}{"}, {"id" 2}, {"id": 3}]')

    assert [isinstance(row.value, RowFault) for row in rows] == [False, True, True, False]
    assert rows[-1].value == {"id": 3}
    assert error is None


def test_a_row_nested_without_end_is_one_bad_row(file: Path) -> None:
    deep = "[" * 100_000 + "]" * 100_000

    for text in (f'[{{"a": {deep}}}, {{"id": 2}}]', f'{{"a": {deep}}}\n{{"id": 2}}'):
        rows, error = rows_of(file, text)
        assert isinstance(rows[0].value, RowFault)
        assert "nested" in rows[0].value.reason
        assert rows[1].value == {"id": 2}
        assert error is None


@pytest.mark.parametrize(
    ("text", "whole", "reason"),
    [
        ('[{"id": 1}, {"id": 2', 1, "the file ends within the row"),
        ('[{"id": 1}, {"id": "open', 1, "the file ends within the row"),
        ('[{"id": 1},', 1, "the file ends where a row should be"),
        ('[{"id": 1}', 1, "the array is not closed"),
        ('[{"id": 1} {"id": 2}]', 1, "'{' after the row"),
        ('[{"id": 1}] []', 1, "there is more after the end of the array"),
        ('[{"id": 1}, hello]', 1, "not JSON: Expecting value"),
        ("[", 0, "the file ends where a row should be"),
        ("[,]", 0, "not JSON: Expecting value"),
    ],
)
def test_an_array_that_stops_being_json_gives_what_was_whole_and_one_sentence(
    file: Path, block: int, text: str, whole: int, reason: str
) -> None:
    rows, error = rows_of(file, text)

    assert len(rows) == whole
    assert error is not None
    assert reason in str(error)


@pytest.mark.parametrize(
    ("text", "whole", "reason"),
    [
        ('{\n "id": 1\n}\n{\n "id": 2', 1, "the file ends within the row"),
        ("", 0, "not a JSON array and not NDJSON: it is empty"),
        ("  \n", 0, "not a JSON array and not NDJSON: it is empty"),
        ("name: Shop\n", 0, "not a JSON array and not NDJSON: it starts with 'name: Shop'"),
        ("\xff\xfe\x00", 0, "not a JSON array and not NDJSON"),
    ],
)
def test_a_file_that_is_not_json_gives_one_sentence(file: Path, text: str, whole: int, reason: str) -> None:
    rows, error = rows_of(file, text)

    assert len(rows) == whole
    assert error is not None
    assert reason in str(error)


def test_the_line_of_a_break_is_the_line_of_the_row(file: Path) -> None:
    _, error = rows_of(file, '[\n{"id": 1},\n{"id":\n 2')

    assert error is not None
    assert (error.number, error.line) == (2, 3)


def test_a_row_without_end_is_given_up_before_it_fills_the_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "BLOCK", 100)
    monkeypatch.setattr(json_rows, "MAX_ROW", 1_000)

    for text in ('[{"a": "' + "x" * 100_000, '{"a": "' + "x" * 100_000):
        _, error = rows_of(file, text)
        assert error is not None
        assert "longer than 1,000" in str(error)


def test_bytes_that_are_no_utf8_stay_in_their_row(file: Path) -> None:
    for text in (b'[{"a": "\xff"}, {"b": 1}]', b'{"a": "\xff"}\n{"b": 1}'):
        rows, error = rows_of(file, text)
        assert [row.value for row in rows] == [{"a": "\udcff"}, {"b": 1}]
        assert error is None


def test_progress_adds_up_to_the_size_of_the_file(file: Path) -> None:
    for text in (json.dumps(ROWS, indent=1), "\n".join(json.dumps(row) for row in ROWS)):
        file.write_text(text)
        sizes: list[int] = []
        list(read_rows(file, sizes.append))
        assert sum(sizes) == len(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(values, max_size=5), st.sampled_from([None, 1]), st.booleans(), st.integers(1, 40))
def test_any_array_is_read_as_json_reads_it(
    tmp_path: Path, rows: list[object], indent: int | None, ascii_only: bool, size: int
) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "BLOCK", size)
        found, error = rows_of(tmp_path / "any.json", text.encode("utf-8", "surrogatepass"))

    if "\ud800" not in text:
        assert error is None
        assert json.dumps([row.value for row in found]) == json.dumps(json.loads(text))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.text(), values, max_size=3), min_size=1, max_size=4), st.data())
def test_a_cut_file_never_gives_a_row_that_was_not_in_it(
    tmp_path: Path, rows: list[dict[str, object]], data: st.DataObject
) -> None:
    text = json.dumps(rows)
    cut = data.draw(st.integers(1, len(text) - 1))

    found, error = rows_of(tmp_path / "cut.json", text[:cut])

    assert error is not None
    assert json.dumps([row.value for row in found]) == json.dumps(rows[: len(found)])


def test_a_number_that_is_cut_behind_its_point_is_read_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "BLOCK", 1)

    rows, error = rows_of(file, "[0.5, 1e-3 ,-12.25]")

    assert error is None
    assert [row.value for row in rows] == [0.5, 0.001, -12.25]
