"""The definitions that are known, by name. What is not known is answered with None, not guessed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xcstore.model.definition import Component, StateMachine

__all__ = ["Catalog"]


class Catalog:
    """Components by name. Never changed: `merged` gives a new one.

    Of two components with one name the later one counts, so uploads win over the folder.
    """

    __slots__ = ("_components", "_machines")

    def __init__(self, components: Iterable[Component] = ()) -> None:
        self._components = {component.name: component for component in components}
        self._machines = {
            (component.name, machine.name): machine
            for component in self._components.values()
            for machine in component.machines
        }

    def __iter__(self) -> Iterator[Component]:
        return iter(self._components.values())

    def __len__(self) -> int:
        return len(self._components)

    @property
    def components(self) -> tuple[Component, ...]:
        return tuple(self._components.values())

    def merged(self, components: Iterable[Component]) -> Catalog:
        """This catalog and `components`; of two with one name, the given one."""
        return Catalog((*self, *components))

    def find_component(self, name: str) -> Component | None:
        return self._components.get(name)

    def find_machine(self, component_name: str, machine_name: str) -> StateMachine | None:
        """The machine; for component '' (not recorded) the only machine of that name, None where several have it."""
        if component_name:
            return self._machines.get((component_name, machine_name))
        named = [machine for (_, name), machine in self._machines.items() if name == machine_name]
        return named[0] if len(named) == 1 else None

    def is_terminal(self, component_name: str, machine_name: str, state: str) -> bool | None:
        """Whether instances end in the state; None where machine or state is not known."""
        machine = self.find_machine(component_name, machine_name)
        found = machine.find_state(state) if machine is not None else None
        return found.is_terminal if found is not None else None
