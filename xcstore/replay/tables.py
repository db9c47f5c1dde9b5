"""Which definition governs an event: the version that the event names, else the one that is known today."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import groupby
from operator import attrgetter
from typing import Literal

from xcstore.errors import DefinitionError
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component, StateMachine
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.model.loader import component_from_document
from xcstore.runtime.folding import Folded, fold, from_snapshot
from xcstore.runtime.interpreter import MachineTable
from xcstore.store.base import StoredDefinition

__all__ = ["Found", "Tables"]

Found = Literal["version", "today", "unnamed", "none"]
"""How a definition was found: the version that the event names; another one, as that version is not kept; by name, as
the event names no version; not at all."""

_Key = tuple[str | None, str, str]
_KEY_OF: Callable[[PersistedEvent], _Key] = attrgetter("definition_hash", "component_name", "machine_name")


class Tables:
    """Machines made ready for replay, by the event that they govern. One instance may change its definition on the way.

    Parameters
    ----------
    catalog : Catalog
        Definitions as they are known today.
    stored : iterable of StoredDefinition
        What the store keeps, by hash. Of one name the last one stands in where the catalog has none.
    """

    def __init__(self, catalog: Catalog, stored: Iterable[StoredDefinition] = ()) -> None:
        self.problems: list[str] = []
        """Documents in the store that cannot be read, in words."""
        self._versions: dict[str, Component] = {}
        kept: dict[str, Component] = {}
        for item in stored:
            try:
                component = component_from_document(item.document)
            except DefinitionError as error:
                self.problems.append(f"a definition of {item.component_name!r} in the store cannot be read: {error}")
                continue
            self._versions[item.hash] = kept[component.name] = component
        self.catalog = Catalog(kept.values()).merged(catalog)
        """By name: those given, and of other names the last that the store keeps."""
        for component in self.catalog:
            if component.hash:
                self._versions.setdefault(component.hash, component)
        self._found: dict[_Key, tuple[MachineTable | None, Found]] = {}
        self._tables: dict[int, MachineTable] = {}
        self._unknown: dict[tuple[str, bool], MachineTable] = {}

    def of(self, event: PersistedEvent) -> MachineTable | None:
        """The machine that took this event; None where no definition is known."""
        return self._find(event)[0]

    def component_of(self, event: PersistedEvent) -> Component | None:
        """The component whose machine took this event, in the version that the event names, else as known today."""
        named = self._versions.get(event.definition_hash) if event.definition_hash else None
        return named or self.catalog.find_component(event.component_name)

    def found(self, event: PersistedEvent) -> Found:
        """How `of` found it."""
        return self._find(event)[1]

    def fold(self, events: Iterable[PersistedEvent], base: Folded | None = None) -> Folded | None:
        """The instance after `events` of one stream, each taken by its own definition; see `runtime.folding.fold`.

        Events without a definition are followed as recorded.
        """
        folded = base
        for table, run in groupby(events, key=self._following):
            folded = fold(table, run, folded)
        return folded

    def begin(self, snapshot: InstanceSnapshot) -> Folded:
        """The instance of a snapshot, by the definition known today."""
        instance = snapshot.instance
        table = self.table(instance.component_name, instance.machine_name)
        base = from_snapshot(
            snapshot, table or self._nothing(instance.machine_name, instance.public_member is not None)
        )
        base.notes.clear()
        return base

    def machine(self, component_name: str, machine_name: str) -> StateMachine | None:
        """The machine as it is known today."""
        return self.catalog.find_machine(component_name, machine_name)

    def table(self, component_name: str, machine_name: str) -> MachineTable | None:
        """The same, made ready."""
        machine = self.machine(component_name, machine_name)
        return None if machine is None else self._ready(machine)

    def notes(self, events: Iterable[PersistedEvent]) -> tuple[str, ...]:
        """What there is to say about the definitions of these events, in words, counted."""
        missing: Counter[str] = Counter()
        replaced: Counter[str] = Counter()
        versions: Counter[_Key] = Counter(map(_KEY_OF, events))
        for key, count in versions.items():
            _, component_name, machine_name = key
            name = f"{component_name}.{machine_name}" if component_name else machine_name
            how = self._by_key(key)[1]
            if how == "none":
                missing[name] += count
            elif how == "today":
                replaced[name] += count
        return (
            *self.problems,
            *(
                f"no definition of {name} is known: its {count:,} events are followed as recorded, what they merge and"
                " whether a state ends the instance is assumed"
                for name, count in missing.items()
            ),
            *(
                f"{count:,} events of {name} name a version of the definition that is not kept; the one known today is"
                " used"
                for name, count in replaced.items()
            ),
        )

    def _find(self, event: PersistedEvent) -> tuple[MachineTable | None, Found]:
        return self._by_key(_KEY_OF(event))

    def _by_key(self, key: _Key) -> tuple[MachineTable | None, Found]:
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._look_up(*key)
        return found

    def _look_up(
        self, version: str | None, component_name: str, machine_name: str
    ) -> tuple[MachineTable | None, Found]:
        component = self._versions.get(version) if version else None
        machine = component.find_machine(machine_name) if component is not None else None
        if machine is not None:
            return self._ready(machine), "version"
        machine = self.machine(component_name, machine_name)
        if machine is None:
            return None, "none"
        return self._ready(machine), "today" if version else "unnamed"

    def _following(self, event: PersistedEvent) -> MachineTable:
        table = self._find(event)[0]
        if table is not None:
            return table
        # Who records a context beside the public member has both.
        return self._nothing(event.machine_name, event.public_member_snapshot is not None and event.context is not None)

    def _nothing(self, machine_name: str, public: bool) -> MachineTable:
        """A machine that knows no state, and so lets what is recorded hold."""
        key = (machine_name, public)
        if key not in self._unknown:
            machine = StateMachine(
                name=machine_name, initial_state="", states=(), public_member_type="not known" if public else None
            )
            self._unknown[key] = MachineTable(machine)
        return self._unknown[key]

    def _ready(self, machine: StateMachine) -> MachineTable:
        # By identity: definitions hold mappings, and equal ones may well have a table each.
        table = self._tables.get(id(machine))
        if table is None:
            table = self._tables[id(machine)] = MachineTable(machine)
        return table
