"""The real data that the reference tests read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

DEFAULT = Path(__file__).parents[2] / ".." / "shared" / "reference"


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of XCSTORE_REFERENCE, else `../shared/reference`; absent, tests skip at a desk and fail in CI."""
    folder = Path(os.environ.get("XCSTORE_REFERENCE") or DEFAULT)
    if not folder.is_dir():
        message = f"the reference data is not at {folder}; set XCSTORE_REFERENCE to its folder"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def reference_json(reference: Path) -> Any:
    """A function from the name of a JSON file of the reference to its value, read once."""
    read: dict[str, object] = {}

    def load(name: str) -> object:
        if name not in read:
            read[name] = json.loads((reference / name).read_text(encoding="utf-8"))
        return read[name]

    return load
