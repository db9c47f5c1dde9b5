"""The examples in the docstrings run."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from pathlib import Path

import pytest

from xcstore.runtime import executor

TELLING = ("notify", "notice")
MOMENTS = ("exit_method", "triggered_method", "entry_method")


@pytest.mark.parametrize(
    ("module", "at_least"),
    [
        ("xcstore.runtime", 10),
        ("xcstore.runtime.clock", 4),
        ("xcstore.runtime.ids", 3),
        ("xcstore.runtime.matching", 6),
    ],
)
def test_the_examples_of_a_module_do_what_they_say(module, at_least):
    found = doctest.testmod(importlib.import_module(module))

    assert found.failed == 0
    assert found.attempted >= at_least


def test_the_examples_of_the_page_run():
    page = (Path(__file__).parents[2] / "docs" / "runtime.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    exec("\n".join(blocks), {"__name__": "page"})  # our own page


def test_the_page_names_every_notice_with_what_it_carries():
    page = (Path(__file__).parents[2] / "docs" / "runtime.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| ([a-z_, ]+) \|$", page, re.MULTILINE)
    documented = {name: set(data.split(", ")) for names, data in rows for name in re.findall(r"`(\w+)`", names)}
    told: dict[str, set[str]] = {}
    for module in Path(executor.__file__).parent.glob("*.py"):
        for call in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in TELLING:
                names = [call.args[0].value] if isinstance(call.args[0], ast.Constant) else MOMENTS
                for name in names:
                    told.setdefault(name, set()).update(word.arg for word in call.keywords)
    assert documented == told
