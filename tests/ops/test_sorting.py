"""Sorting by runs in files: the same order as in memory, and nothing left behind."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest

from xcstore.ops import sorting
from xcstore.ops.sorting import Sorter


def test_pairs_come_in_order_whatever_goes_into_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "RUN_BYTES", 200)
    random.seed(5)
    rows = [((random.randrange(20), f"é\ud800{number}"), {"n": [number, None, "x\n"]}) for number in range(300)]
    with Sorter() as sorter:
        for key, value in rows:
            sorter.add(key, value)

        assert list(sorter) == sorted(rows, key=lambda row: row[0])
        assert list(sorter) == sorted(rows, key=lambda row: row[0])


def test_equal_keys_keep_the_order_in_which_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "RUN_BYTES", 50)
    with Sorter() as sorter:
        for number in range(100):
            sorter.add((number % 2,), number)

        assert [value for _, value in sorter] == [*range(0, 100, 2), *range(1, 100, 2)]


def test_the_files_are_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sorting, "RUN_BYTES", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Sorter() as sorter:
        sorter.add((1,), "a")
        assert list(tmp_path.iterdir())

    assert not list(tmp_path.iterdir())
