"""A history that was lived: replayed to any step it is what the runtimes held then, and goes on from there alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.replay.programs import Step, populated, programs
from tests.runtime.disturbing import START, CountedIds, Life, describe
from tests.runtime.strategies import COUNTERS, Asked, components, methods_for
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component
from xcstore.model.history import Instance
from xcstore.model.loader import component_from_document
from xcstore.replay.controller import ReplayController
from xcstore.replay.track import RangeScope, open_track
from xcstore.runtime import Notice
from xcstore.runtime.reviving import Reviver, start_timers
from xcstore.store.codec import event_to_document
from xcstore.store.memory import open_memory_stores
from xcstore.units import EpochMs

Held = tuple[object, ...]

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


class Watched(Life):
    """What the runtimes hold is written down at every event, while they run."""

    def __init__(self, made: Sequence[Component]) -> None:
        self.seen: dict[str, dict[str, Held]] = {}
        self.ended: dict[str, Held] = {}
        super().__init__(made, open_memory_stores(), methods_for(tuple(made), Asked()))

    def _listen(self, notice: Notice) -> None:
        super()._listen(notice)
        if notice.name not in ("state_change", "instance_created"):
            return
        alive = {
            instance.id: held(instance, self.components)
            for runtime in self.runtimes.values()
            for instance in runtime.instances()
        }
        self.seen[str(notice.data["event_id"])] = {**self.ended, **alive}
        self.ended |= {name: found for name, found in alive.items() if found[2] != "active"}


def held(instance: Instance, among: Sequence[Component]) -> Held:
    """What there is to compare. What a method on entry changed after the last event is in no event yet."""
    machine = next(one for component in among for one in component.machines if one.name == instance.machine_name)
    state = machine.find_state(instance.current_state)
    loosely = state is not None and state.entry_method is not None
    return (
        instance.machine_name,
        instance.current_state,
        instance.status,
        _without_counters(instance.context, loosely=loosely),
        _without_counters(instance.public_member, loosely=loosely),
        instance.parent_instance_id,
        instance.parent_machine_name,
        instance.created_at,
        instance.updated_at,
    )


def _without_counters(values: Mapping[str, object] | None, *, loosely: bool) -> object:
    return None if values is None else {k: v for k, v in values.items() if not (loosely and k in COUNTERS)}


def replayed(life: Life) -> ReplayController:
    scope = RangeScope(start=START, end=life.clock.now())
    return ReplayController(open_track(life.stores, scope, catalog=Catalog(life.components)))


@given(components(), programs)
@settings(max_examples=60, deadline=None, suppress_health_check=_QUIET)
def test_every_step_of_a_replay_is_what_lived_then(made: tuple[Component, ...], program: list[Step]) -> None:
    life = Watched(made)
    populated(life)
    for step in program:
        step(life)

    controller = replayed(life)

    assert controller.length == life.count_events()
    for _ in range(controller.length):
        moment = controller.step()
        assert moment.event is not None
        found = {name: held(instance, made) for name, instance in moment.instances.items()}
        assert found == life.seen[moment.event.id]


@given(components(), programs, st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=_QUIET)
def test_what_goes_on_from_a_step_goes_on_as_what_lived(
    made: tuple[Component, ...], program: list[Step], choice: st.DataObject
) -> None:
    # Who is an entry point is in no event.
    documents = [{key: value for key, value in one.source.items() if key != "entryMachine"} for one in made]
    found = tuple(map(component_from_document, documents))
    life = Life(found, open_memory_stores(), methods_for(found, Asked()))
    populated(life)
    left_after = choice.draw(st.integers(0, len(program) - 1))
    for step in program[:left_after]:
        step(life)
    position, moment, counts = life.count_events(), life.clock.now(), dict(vars(life.ids))
    alive = describe(life.runtimes)
    for step in program[left_after:]:
        step(life)

    controller = replayed(life)
    again = _revived(found, life, controller, position, moment, counts)
    if describe(again.runtimes) != alive:
        return  # a method on entry has changed something after the last event, and that is lost
    for step in program[left_after:]:
        step(again)

    assert _documents(again) == _documents(life)
    assert describe(again.runtimes) == describe(life.runtimes)


def _revived(
    made: Sequence[Component],
    life: Life,
    controller: ReplayController,
    position: int,
    moment: EpochMs,
    counts: Mapping[str, int],
) -> Life:
    """Fresh runtimes with the instances of one step, in a world of their own."""
    ids = CountedIds()
    vars(ids).update(counts)
    again = Life(made, open_memory_stores(), methods_for(tuple(made), Asked()), ids=ids)
    again.stores.events.append_many(life.all_events()[:position])
    again.clock.advance_to(moment)
    revivers = {name: Reviver(runtime.executor, runtime.persistence) for name, runtime in again.runtimes.items()}
    for folded in controller.states(position).values():
        if folded.instance.status == "active":
            revivers[folded.instance.component_name].add(folded)
    start_timers(list(revivers.values()))
    return again


def _documents(life: Life) -> list[Mapping[str, object]]:
    return [event_to_document(event) for event in life.all_events()]
