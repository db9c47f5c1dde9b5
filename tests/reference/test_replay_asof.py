"""Every instance of the real histories as of each of its events, on every backend: against a fold of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.backends import open_writable
from tests.servers.postgresql import PostgresServer
from xcstore.analysis.context import same_json
from xcstore.model.catalog import Catalog
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.model.loader import component_from_document
from xcstore.replay.controller import Moment, ReplayController
from xcstore.replay.track import InstanceScope, RangeScope, open_track
from xcstore.store.base import EventQuery, Stores
from xcstore.store.codec import event_from_document, snapshot_from_document
from xcstore.store.opening import open_stores

SOURCES = ("documented", "shipped", "memory")

History = tuple[list[PersistedEvent], list[InstanceSnapshot]]

_read: dict[str, History] = {}


@pytest.fixture(params=SOURCES)
def history(request: pytest.FixtureRequest, reference: Path, reference_json: Any) -> History:
    """All that one reference store holds, read once: the two layouts in PostgreSQL, loaded by psql, and the dump."""
    name: str = request.param
    if name in _read:
        return _read[name]
    if name == "memory":
        events = [event_from_document(document) for document in reference_json("memory_events.json")]
        _read[name] = (events, [snapshot_from_document(one) for one in reference_json("memory_snapshots.json")])
    else:
        server: PostgresServer = request.getfixturevalue("postgresql_server")
        with server.database() as url:
            server.load(url, reference / f"{name}_layout.sql")
            with open_stores(url) as stores:
                assert stores.events.layout == name
                _read[name] = (list(stores.events.get_all_events()), list(stores.snapshots.get_all_snapshots()))
    return _read[name]


def catalog_of(reference_json: Any) -> Catalog:
    found = reference_json("components.json")
    return Catalog(map(component_from_document, found if isinstance(found, list) else found.values()))


# A fold of its own, from REFERENCE_BEHAVIOUR: nothing of it is taken from the code it is held against.


@dataclass
class Folded:
    state: str = ""
    values: dict[str, Any] = field(default_factory=dict)


def takes_payload(machine: Any, event: PersistedEvent, values: Mapping[str, Any]) -> bool:
    """Whether the transition that was taken has no matching rules."""
    ways = [way for way in machine.transitions if (way.source, way.event) == (event.state_before, event.event_type)]
    fitting = [way for way in ways if way.target == event.state_after]
    if len(fitting) < 2:
        return not (fitting and fitting[0].matching_rules)
    for way in fitting:
        if way.matching_rules and all(
            rule.operator == "===" and event.payload.get(rule.event_property) == values.get(rule.instance_property)
            for rule in way.matching_rules
        ):
            return False
    unruled = [way for way in fitting if not way.matching_rules]
    return not (unruled[0] if len(unruled) == 1 else fitting[0]).matching_rules


def fold(before: Folded, event: PersistedEvent, machine: Any) -> Folded:
    recorded = event.public_member_snapshot
    if recorded is None and machine.public_member_type is None:
        recorded = event.context
    if recorded is not None:
        return Folded(event.state_after, dict(recorded))
    if event.event_type == "INSTANCE_CREATED":
        return Folded(event.state_after, dict(event.payload.get("initialContext") or {}))
    merged = event.payload if takes_payload(machine, event, before.values) else {}
    return Folded(event.state_after, {**before.values, **merged})


def held(moment: Moment) -> Mapping[str, Any]:
    assert moment.after is not None
    return moment.after.context if moment.after.public_member is None else moment.after.public_member


def agrees(moment: Moment, expected: Folded) -> bool:
    event, after = moment.event, moment.after
    assert event is not None
    assert after is not None
    return (
        (after.id, after.current_state, after.updated_at) == (event.instance_id, expected.state, event.persisted_at)
        and same_json(held(moment), expected.values)
        and (event.public_member_snapshot is None or same_json(held(moment), event.public_member_snapshot))
        and (event.context is None or same_json(after.context, event.context))
    )


def as_of_every_event(stores: Stores, catalog: Catalog) -> int:
    """Hold the whole store, one step after the other, against the fold; how many steps there are."""
    bounds = stores.events.time_range()
    assert bounds is not None
    controller = ReplayController(open_track(stores, RangeScope(start=bounds[0], end=bounds[1]), catalog=catalog))
    expected: dict[str, Folded] = {}
    for moment in walked(controller):
        event = moment.event
        assert event is not None
        machine = catalog.find_machine(event.component_name, event.machine_name)
        expected[event.instance_id] = fold(expected.get(event.instance_id, Folded()), event, machine)
        assert agrees(moment, expected[event.instance_id]), (event.id, moment.after, expected[event.instance_id])
    assert controller.track.notes == ("instances without an event in this range are not part of it",)
    last = controller.moment().instances
    assert {name: instance.current_state for name, instance in last.items()} == {
        name: folded.state for name, folded in expected.items()
    }
    return controller.length


def walked(controller: ReplayController) -> Iterator[Moment]:
    while controller.position < controller.length:
        yield controller.step()


def alone(stores: Stores, catalog: Catalog, instance_id: str) -> None:
    """Hold one instance, sought at each of its events from the last to the first, against the fold of its stream."""
    stream: Sequence[PersistedEvent] = stores.events.get_events_for_instance(instance_id)
    controller = ReplayController(open_track(stores, InstanceScope(instance_id=instance_id), catalog=catalog))
    assert [event.id for event in controller.track.events] == [event.id for event in stream]
    machine = catalog.find_machine(stream[0].component_name, stream[0].machine_name)
    steps = [Folded()]
    for event in stream:
        steps.append(fold(steps[-1], event, machine))
    for position in range(len(stream), 0, -1):
        assert agrees(controller.seek(position), steps[position])
    assert not controller.seek(0).instances


@pytest.mark.parametrize("layout", ["documented", "shipped"])
def test_in_the_layout_in_which_it_was_written_too(
    layout: str, reference: Path, reference_json: Any, postgresql_server: PostgresServer
) -> None:
    with postgresql_server.database() as url:
        postgresql_server.load(url, reference / f"{layout}_layout.sql")
        with open_stores(url) as stores:
            assert as_of_every_event(stores, catalog_of(reference_json)) == stores.events.count(EventQuery())[0].count


def test_as_of_every_event_of_every_instance_it_is_what_was_recorded_and_what_a_fold_of_its_own_gives(
    history: History, reference_json: Any, backend: str, store_url: str
) -> None:
    events, snapshots = history
    catalog = catalog_of(reference_json)
    with open_writable(store_url) as stores:
        stores.events.append_many(events)
        stores.snapshots.save_snapshots(snapshots)
        assert as_of_every_event(stores, catalog) == len(events)

        longest = max(events, key=lambda event: sum(other.instance_id == event.instance_id for other in events[:500]))
        for instance_id in {longest.instance_id, *(event.instance_id for event in events[:: len(events) // 5])}:
            alone(stores, catalog, instance_id)
