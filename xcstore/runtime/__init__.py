"""The embedded runtime: runs components, and appends what happens to an event store.

Examples
--------
A component from its document, one instance of it, and an hour that passes at once:

>>> from xcstore.model.loader import parse_component
>>> from xcstore.runtime import FSMRuntime, SimulatedClock
>>> from xcstore.store.memory import InMemoryEventStore
>>> from xcstore.units import HOUR, EpochMs
>>> component = parse_component('''
... name: Doors
... stateMachines:
...   - name: Door
...     initialState: Shut
...     states: [{name: Shut, type: entry}, {name: Open}]
...     transitions:
...       - {from: Shut, to: Open, event: PUSH}
...       - {from: Open, to: Shut, event: FELL_SHUT, type: timeout, timeoutMs: 60000}
... ''')
>>> store, clock = InMemoryEventStore(), SimulatedClock(EpochMs(0))
>>> runtime = FSMRuntime(component, event_store=store, clock=clock)
>>> door = runtime.create_instance("Door", {"room": 12})
>>> runtime.send(door, "PUSH", {"by": "Grace"})
>>> clock.advance(HOUR)
1
>>> [event.event_type for event in store.get_events_for_instance(door)]
['INSTANCE_CREATED', 'PUSH', 'FELL_SHUT']
>>> created, push, fell = store.get_events_for_instance(door)
>>> fell.caused_by == (push.id,)
True
"""

from xcstore.runtime.clock import Clock, SimulatedClock, SystemClock
from xcstore.runtime.engine import FSMRuntime, Listener, Notice
from xcstore.runtime.ids import IdSource, TimeOrderedIds
from xcstore.runtime.interpreter import Event, MachineTable, Step, step
from xcstore.runtime.matching import PropertyFilter
from xcstore.runtime.persistence import PersistenceConfig
from xcstore.runtime.registry import ComponentRegistry, ComponentStatistics, LocatedInstance, RegistryStatistics
from xcstore.runtime.restoring import RestoreReport
from xcstore.runtime.sender import Method, Sender

__all__ = [
    "Clock",
    "ComponentRegistry",
    "ComponentStatistics",
    "Event",
    "FSMRuntime",
    "IdSource",
    "Listener",
    "LocatedInstance",
    "MachineTable",
    "Method",
    "Notice",
    "PersistenceConfig",
    "PropertyFilter",
    "RegistryStatistics",
    "RestoreReport",
    "Sender",
    "SimulatedClock",
    "Step",
    "SystemClock",
    "TimeOrderedIds",
    "step",
]
