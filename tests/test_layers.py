"""Imports run one way (DESIGN 2)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py")), *sorted((ROOT / "xcstore").rglob("*.py"))]

# What each part may import of the package, besides itself. ALONE are single modules of the store: its contract, what
# can be written, and the memory in which a runtime keeps its history where it is given no store.
MODEL = {"model", "config", "redaction", "jsontext", "units", "errors"}
STORE = MODEL | {"frames", "store"}
ALONE = {"base", "memory", "limits"}
ALLOWED = {
    "errors": set(),
    "units": set(),
    "jsontext": set(),
    "redaction": {"errors"},
    "config": {"errors", "units", "redaction"},
    "model": {"errors", "units", "jsontext"},
    "store": MODEL,
    "frames": MODEL | {"store"},
    "runtime": MODEL | ALONE,
    "analysis": MODEL,
    "replay": STORE | {"analysis", "runtime"},
    "ops": STORE | {"analysis", "runtime"},
    "queries": STORE | {"analysis", "runtime"},
    "demo": STORE | {"analysis", "runtime"},
    "render": {"units", "errors", "model"},
    "views": STORE | {"analysis", "render", "queries", "replay", "ops"},
    "ui": STORE | {"views", "render", "analysis", "queries", "replay", "ops", "demo"},
    "pages": {"ui", "views", "queries", "errors", "units", "model", "render", "base"},
    "app": {"ui", "api"},
    "api": STORE | {"queries", "replay", "ops", "analysis", "runtime"},
    "notebook": STORE | {"queries", "views", "render", "analysis", "ops", "runtime"},
    "commands": STORE | {"queries", "replay", "ops", "analysis", "runtime", "demo"},
    "cli": STORE | {"queries", "replay", "ops", "analysis", "runtime", "demo", "commands"},
    "__main__": {"cli"},
}
PUBLIC = {"__init__"}


def part_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    if relative.parts[0] == "xcstore":
        return relative.parts[1].removesuffix(".py")
    return relative.parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


def imported_parts(path: Path) -> set[str]:
    parts = set()
    for name in imports(path):
        words = name.split(".")
        if words[0] == "xcstore" and len(words) > 1:
            alone = words[1] == "store" and words[2] in ALONE
            parts.add(words[2] if alone else words[1])
    return parts


def libraries(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_imports_only_what_stands_to_the_right_of_it(path):
    part = part_of(path)
    if part in PUBLIC:
        return
    assert part in ALLOWED, f"{name(path)} belongs to no part that DESIGN names"
    allowed = ALLOWED[part] | {part} | (ALONE if "store" in ALLOWED[part] or part == "store" else set())
    assert imported_parts(path) - allowed == set()


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_streamlit_is_imported_by_the_ui_alone(path):
    if part_of(path) not in {"ui", "pages", "app"}:
        assert "streamlit" not in libraries(path)


@pytest.mark.parametrize("path", sorted((ROOT / "pages").glob("*.py")), ids=name)
def test_a_page_holds_no_data_work(path):
    assert libraries(path) & {"pandas", "numpy", "sqlalchemy", "pymongo", "sqlite3", "psycopg", "pyarrow"} == set()
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 80


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_only_the_store_talks_to_a_database(path):
    drivers = {"sqlalchemy", "psycopg", "psycopg_pool", "pymongo", "sqlite3", "adbc_driver_sqlite", "duckdb", "redis"}
    # The demo starts servers, and asks them whether they are there; what only others write it writes as they do.
    if part_of(path) != "store" and not name(path).startswith(("xcstore/demo/servers/", "xcstore/demo/redis_writer")):
        assert libraries(path) & drivers == set()
