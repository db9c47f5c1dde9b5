"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    ("module", "at_least"), [("xcstore.model.linting", 3), ("xcstore.ops.steps", 2), ("xcstore.ops.simulating", 2)]
)
def test_the_examples_of_a_module_do_what_they_say(module, at_least):
    found = doctest.testmod(importlib.import_module(module))

    assert found.failed == 0
    assert found.attempted >= at_least
