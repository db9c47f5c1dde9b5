"""What `xcstore` promises to export."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import xcstore


@pytest.mark.parametrize("name", xcstore.__all__)
def test_each_exported_name_is_there(name: str) -> None:
    assert getattr(xcstore, name).__name__ == name


def test_the_names_are_sorted_and_are_those_the_type_checker_sees() -> None:
    assert xcstore.__all__ == sorted(xcstore.__all__)
    tree = ast.parse(Path(xcstore.__file__ or "").read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {name: f"xcstore.{home}" for name, home in xcstore._HOMES.items()}
    assert set(seen) == set(xcstore.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = xcstore.nothing


def test_importing_the_package_alone_loads_no_pandas() -> None:
    code = "import sys, xcstore; sys.exit('pandas' in sys.modules or 'sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
