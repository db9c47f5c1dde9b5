"""Components that know of each other: who lives where, and how an event gets there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xcstore.errors import ConfigError, NotFoundError
from xcstore.model.history import Instance

if TYPE_CHECKING:
    from xcstore.runtime.engine import FSMRuntime

__all__ = ["ComponentRegistry"]


class ComponentRegistry:
    """Runtimes by the name of their component."""

    def __init__(self) -> None:
        self._runtimes: dict[str, FSMRuntime] = {}

    def register(self, runtime: FSMRuntime) -> None:
        """Make `runtime` reachable for the others, and start its entry machine where it has one.

        Raises
        ------
        ConfigError
            A component of that name is registered.
        """
        name = runtime.component.name
        if name in self._runtimes:
            raise ConfigError(f"component {name!r} is registered already; unregister it first")
        self._runtimes[name] = runtime
        runtime.registry = self
        runtime.start_entry_point()

    def unregister(self, component_name: str) -> None:
        """The others no longer reach it. An unknown name: nothing happens."""
        runtime = self._runtimes.pop(component_name, None)
        if runtime is not None:
            runtime.registry = None

    def __iter__(self) -> Iterator[FSMRuntime]:
        return iter(tuple(self._runtimes.values()))

    def find_runtime(self, component_name: str) -> FSMRuntime | None:
        return self._runtimes.get(component_name)

    def get_runtime(self, component_name: str) -> FSMRuntime:
        """`NotFoundError` where no such component is registered."""
        runtime = self._runtimes.get(component_name)
        if runtime is None:
            known = ", ".join(sorted(self._runtimes)) or "none"
            raise NotFoundError(f"no component {component_name!r} is registered; registered: {known}")
        return runtime

    def find_instance(self, instance_id: str) -> tuple[str, Instance] | None:
        """The component's name and the instance, wherever it lives."""
        for name, runtime in self._runtimes.items():
            instance = runtime.find_instance(instance_id)
            if instance is not None:
                return name, instance
        return None
