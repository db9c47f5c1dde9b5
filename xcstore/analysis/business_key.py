"""The name by which people know an instance: a value in its creation, such as an order number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from xcstore.redaction import MASK

__all__ = ["business_key"]

_NAMES: Final = re.compile(r"(?:^|_)(?:id|key|number|no|ref|reference|code|sku)$|(?:Id|ID|Key|Number|No|Ref|Code)$")
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_MAX_CHARS: Final = 40


def business_key(payload: object, machine_name: str) -> str | None:
    """The value in a creation's payload that most likely names the instance; None where none does.

    No store says which value it is. By its name: one that carries the machine's name (`orderId` of Order) comes
    first, then a plain `id`, then any other that ends like a key, then codes, which name kinds of things rather
    than one; in each, the shortest name, then the first by letters, so that the order of keys, which databases
    change, says nothing. Values that are UUIDs name nothing to people.
    """
    if not isinstance(payload, Mapping):
        return None
    initial = payload.get("initialContext", payload)
    if not isinstance(initial, Mapping):
        return None
    found = [
        (_rank(name, machine_name), len(name), name, str(value))
        for name, value in initial.items()
        if isinstance(name, str)
        and (isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)))
        and 0 < len(str(value)) <= _MAX_CHARS
        and _NAMES.search(name)
        and value != MASK
        and not _UUID.fullmatch(str(value))
    ]
    return min(found)[3] if found else None


def _rank(name: str, machine_name: str) -> int:
    lower = name.lower()
    if machine_name and lower.startswith(machine_name.lower()):
        return 0
    if lower in ("id", "key"):
        return 1
    return 3 if lower.endswith(("code", "sku")) else 2
