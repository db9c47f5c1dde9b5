"""What the runtime tells those who look on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Listener", "Notice"]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the runtime tells its listeners, under the name that the TypeScript runtime gives it."""

    name: str
    component_name: str
    instance_id: str = ""
    data: Mapping[str, object] = field(default_factory=dict, hash=False)


Listener = Callable[[Notice], None]
