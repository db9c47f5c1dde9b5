"""The live instances of one component, and whom an event reaches among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xcstore.errors import NotFoundError
from xcstore.model.definition import Component, MatchingRule
from xcstore.model.history import Instance
from xcstore.runtime.interpreter import Event, MachineTable, properties_of
from xcstore.runtime.matching import MISSING, js_text, rules_hold, value_at
from xcstore.runtime.work import Broadcast, Live

__all__ = ["Population"]


class Population:
    """Live instances by id and by machine, with an index over the properties that matching rules ask for."""

    def __init__(self, component: Component) -> None:
        self._component_name = component.name
        self._tables = {machine.name: MachineTable(machine) for machine in component.machines}
        self._live: dict[str, Live] = {}
        self._by_machine: dict[str, dict[str, None]] = {name: {} for name in self._tables}
        # (machine, property) -> text of the value -> ids in order of creation.
        self._index: dict[tuple[str, str], dict[str, dict[str, None]]] = {
            (name, prop): {} for name, table in self._tables.items() for prop in table.matched_properties
        }
        self._created = 0

    def has_machine(self, name: str) -> bool:
        return name in self._tables

    def get_table(self, machine_name: str) -> MachineTable:
        """`NotFoundError` where the component has no such machine."""
        table = self._tables.get(machine_name)
        if table is None:
            known = ", ".join(self._tables) or "none"
            raise NotFoundError(f"{self._component_name!r} has no machine {machine_name!r}; it has: {known}")
        return table

    def find(self, instance_id: str) -> Live | None:
        return self._live.get(instance_id)

    def of_machine(self, machine_name: str | None = None) -> list[Live]:
        """Those of one machine or all, in order of creation, as they are now."""
        ids: Iterable[str] = self._live if machine_name is None else self._by_machine.get(machine_name, ())
        return [self._live[instance_id] for instance_id in ids]

    def add(self, instance: Instance, table: MachineTable, last_event_id: str) -> Live:
        self._created += 1
        live = Live(instance, table, last_event_id, number=self._created)
        self._live[instance.id] = live
        self._by_machine[instance.machine_name][instance.id] = None
        properties = properties_of(instance)
        for prop in table.matched_properties:
            value = value_at(properties, prop)
            if value is not MISSING:
                text = js_text(value)
                self._index[instance.machine_name, prop].setdefault(text, {})[instance.id] = None
                live.index_keys.append((prop, text))
        return live

    def remove(self, live: Live) -> None:
        instance_id, machine_name = live.instance.id, live.instance.machine_name
        self._live.pop(instance_id, None)
        self._by_machine[machine_name].pop(instance_id, None)
        for prop, text in live.index_keys:
            index = self._index[machine_name, prop]
            ids = index.get(text, {})
            ids.pop(instance_id, None)
            if not ids:
                index.pop(text, None)

    def targets(self, work: Broadcast) -> tuple[list[str], bool]:
        """Whom a broadcast reaches, in order of creation, and whether only those that change their state count."""
        table = self.get_table(work.machine_name)
        transitions = () if work.everybody or work.rules else table.matched_transitions(work.event.type, work.state)
        # An instance that several transitions fit is reached once. The reference sends it the event once for each.
        found: dict[str, Live] = {}
        if transitions:
            for transition in transitions:
                for live in self._matching(work.machine_name, transition.matching_rules, work.event):
                    if live.instance.current_state == transition.source:
                        found[live.instance.id] = live
        else:
            for live in self._matching(work.machine_name, work.rules, work.event):
                if work.state is None or live.instance.current_state == work.state:
                    found[live.instance.id] = live
        return sorted(found, key=lambda instance_id: found[instance_id].number), bool(transitions)

    def _matching(self, machine_name: str, rules: tuple[MatchingRule, ...], event: Event) -> Iterator[Live]:
        """Active instances for which the rules hold.

        As in the reference, the index knows the values that instances were created with, by their text, and what it
        finds is not compared again; without a find, all instances are looked at as they are now.
        """
        ids = self._by_machine[machine_name]
        for rule in rules:
            index = self._index.get((machine_name, rule.instance_property))
            if index is not None and rule.operator == "===":
                value = value_at(event.payload, rule.event_property)
                if value is MISSING:
                    return
                hits = index.get(js_text(value))
                if hits:
                    ids, rules = hits, tuple(other for other in rules if other is not rule)
                break
        for instance_id in ids:
            live = self._live[instance_id]
            if live.instance.status == "active" and (
                not rules or rules_hold(rules, event.payload, properties_of(live.instance))
            ):
                yield live
