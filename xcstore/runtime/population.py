"""The live instances of one component, and whom an event reaches among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from xcstore.errors import NotFoundError
from xcstore.model.definition import Component, MatchingRule
from xcstore.runtime.interpreter import MachineTable
from xcstore.runtime.live import Live
from xcstore.runtime.matching import MISSING, js_text, rules_hold, value_at
from xcstore.runtime.work import Broadcast

__all__ = ["Population"]


class Population:
    """Live instances by id and by machine, with an index over the properties that matching rules ask for."""

    def __init__(self, component: Component) -> None:
        self._component_name = component.name
        self.tables = {machine.name: MachineTable(machine) for machine in component.machines}
        self.by_id: dict[str, Live] = {}
        self._by_machine: dict[str, dict[str, None]] = {name: {} for name in self.tables}
        # (machine, property) -> text of the value -> ids in order of creation.
        self._index: dict[tuple[str, str], dict[str, dict[str, None]]] = {
            (name, prop): {} for name, table in self.tables.items() for prop in table.matched_properties
        }
        self._created = 0

    def has_machine(self, name: str) -> bool:
        return name in self.tables

    def get_table(self, machine_name: str) -> MachineTable:
        """`NotFoundError` where the component has no such machine."""
        table = self.tables.get(machine_name)
        if table is None:
            known = ", ".join(self.tables) or "none"
            raise NotFoundError(f"{self._component_name!r} has no machine {machine_name!r}; it has: {known}")
        return table

    def find(self, instance_id: str) -> Live | None:
        return self.by_id.get(instance_id)

    def of_machine(self, machine_name: str | None = None) -> list[Live]:
        """Those of one machine or all, in order of creation, as they are now."""
        ids: Iterable[str] = self.by_id if machine_name is None else self._by_machine.get(machine_name, ())
        return [self.by_id[instance_id] for instance_id in ids]

    def add(self, live: Live, created_with: Mapping[str, object] | None = None) -> None:
        """`created_with`: the properties that it had at its creation, where it has changed since."""
        self._created += 1
        live.number = self._created
        self.by_id[live.id] = live
        machine_name = live.machine_name
        self._by_machine[machine_name][live.id] = None
        properties = live.properties if created_with is None else created_with
        for prop in live.table.matched_properties:
            value = value_at(properties, prop)
            if value is not MISSING and value is not None:
                text = js_text(value)
                self._index[machine_name, prop].setdefault(text, {})[live.id] = None
                live.index_keys.append((prop, text))

    def remove(self, live: Live) -> None:
        instance_id, machine_name = live.id, live.machine_name
        self.by_id.pop(instance_id, None)
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
                for live in self._matching(work.machine_name, transition.matching_rules, work.event.payload):
                    if live.state == transition.source:
                        found[live.id] = live
        else:
            wanted = work.event.payload if work.wanted is None else work.wanted
            for live in self._chosen(self._by_machine[work.machine_name], work.rules, wanted):
                if work.state is None or live.state == work.state:
                    found[live.id] = live
        return sorted(found, key=lambda instance_id: found[instance_id].number), bool(transitions)

    def _matching(self, machine_name: str, rules: tuple[MatchingRule, ...], payload: object) -> Iterator[Live]:
        """Active instances for which the rules of a transition hold.

        As in the reference: a single rule of equality is answered by the index, which knows the values that
        instances were created with, by their text, and what it finds is not compared again. Without a find, and for
        all other rules, all instances are looked at as they are now.
        """
        index = self._index.get((machine_name, rules[0].instance_property)) if len(rules) == 1 else None
        if index is not None and rules[0].operator == "===":
            value = value_at(payload, rules[0].event_property)
            if value is MISSING:
                return
            hits = index.get(js_text(value))
            if hits:
                yield from self._chosen(hits, (), payload)
                return
        yield from self._chosen(self._by_machine[machine_name], rules, payload)

    def _chosen(self, ids: Iterable[str], rules: tuple[MatchingRule, ...], wanted: object) -> Iterator[Live]:
        """The active ones among `ids` for which the rules hold."""
        for instance_id in ids:
            live = self.by_id[instance_id]
            if live.status == "active" and (not rules or rules_hold(rules, wanted, live.properties)):
                yield live
