"""A server that cannot be had skips the tests that want it at a desk, and fails them where it is required."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def had_or_skipped(name: str) -> Iterator[None]:
    """For the block that obtains and reaches the server of that name. XCSTORE_TEST_REQUIRE lists what must be there."""
    try:
        yield
    except Exception as error:
        reason = f"no {name} server could be had: {error}"
        if name in os.environ.get("XCSTORE_TEST_REQUIRE", "").split(","):
            pytest.fail(reason)
        pytest.skip(reason)
