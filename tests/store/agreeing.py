"""Random histories, and all that can be asked of a store about one, for comparison with the memory store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.contract.helpers import walk
from tests.factories import START, event
from xcstore.errors import XcstoreError
from xcstore.model.history import PersistedEvent
from xcstore.store.base import EventQuery, EventStore, InstanceQuery
from xcstore.units import DurationMs, EpochMs

__all__ = ["answers", "histories"]

_words = st.sampled_from(["Shop", "shop", "", "Dépôt 100%", 'a,b=c "d"', "back\\", "two\nlines", "'; DROP"])
_states = st.sampled_from(["", "New", "Paid", "Sent"])
_times = st.sampled_from([START, START + 1, START + 2, START + 3_600_000, START - 1, 0, -1])
_scalars = st.sampled_from(["42", 42, 42.0, True, None, "needle", "NEEDLE %_\\\"'\n\t", "", "é", -1.5, "🦉"])
_payloads = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "é.\\"]), inner, max_size=3),
    max_leaves=4,
)
_ids = [f"e{number}" for number in range(12)] + ["é", 'q"\\', "a b,c=d", "x" * 50]


def _history(fields: list[dict[str, Any]]) -> list[PersistedEvent]:
    """In page order, so that the order of insertion, which the memory store goes by, is the order by id."""
    events = [event(id=event_id, **given) for event_id, given in zip(_ids, fields, strict=False)]
    return sorted(events, key=lambda stored: (stored.persisted_at, stored.id))


histories = st.lists(
    st.fixed_dictionaries(
        {
            "instance_id": st.sampled_from(["i1", "i2", "I1", "i\\ 3,=\n"]),
            "component_name": _words,
            "machine_name": _words,
            "event_type": _words,
            "state_before": _states,
            "state_after": _states,
            "persisted_at": _times,
            "payload": _payloads,
            "caused_by": st.lists(st.sampled_from([*_ids, "gone"]), max_size=3).map(tuple),
        }
    ),
    max_size=len(_ids),
).map(_history)
"""Events in page order, of few instances and moments, with hostile words."""

_QUERIES = (
    EventQuery(),
    EventQuery(components=("Shop", "")),
    EventQuery(machines=("back\\", "two\nlines"), event_types=("", "Shop", "'; DROP", 'a,b=c "d"')),
    EventQuery(states=("Paid",), states_before=("New", "")),
    EventQuery(instance_ids=("i1", "i\\ 3,=\n", "nobody")),
    EventQuery(start=START, end=EpochMs(START + 1)),
    EventQuery(end=EpochMs(0), instance_ids=("i2",)),
    EventQuery(text="needle"),
    EventQuery(text='"'),
    EventQuery(payload_path=("a",), payload_value="42"),
    EventQuery(start=EpochMs(START + 5), end=START),
)


def answers(store: EventStore) -> dict[str, Any]:
    """What the store says, by question."""
    said: dict[str, Any] = {
        "all": list(store.get_all_events()),
        "range": store.get_events_by_time_range(START, EpochMs(START + 2)),
        "ends": store.time_range(),
        "by id": {event_id: store.get_events([event_id]) for event_id in [*_ids, "gone"]},
        "states": list(store.count_instances(InstanceQuery())),
        "streams": store.get_streams(["i1", "nobody", "i2"], event_types=("Shop", ""), start=START),
    }
    for instance_id in ("i1", "i2", "I1", "i\\ 3,=\n", "nobody"):
        said[f"stream {instance_id}"] = list(store.get_events_for_instance(instance_id))
    for number, query in enumerate(_QUERIES):
        for newest_first in (False, True):
            said[f"find {number} {newest_first}"] = walk(store.find, query, limit=3, newest_first=newest_first)
        said[f"counts {number}"] = [
            list(store.count(query)),
            list(store.count(query, bucket_ms=DurationMs(1_000))),
            list(store.count(query, by=("component_name", "event_type", "state_after"), bucket_ms=DurationMs(7))),
            list(store.count(query, by=("machine_name", "state_before"))),
        ]
        said[f"arrow {number}"] = store.to_arrow(query, newest_first=True, limit=5).drop_columns("seq").to_pylist()
    for number, asked in enumerate(
        (
            InstanceQuery(),
            InstanceQuery(components=("Shop", "")),
            InstanceQuery(states=("Paid", "New"), id_prefix="i"),
            InstanceQuery(instance_ids=("i1", "nobody"), updated_from=START),
            InstanceQuery(updated_to=EpochMs(START + 1), updated_from=EpochMs(0)),
        )
    ):
        for newest_first in (False, True):
            found = walk(store.instances, asked, limit=2, newest_first=newest_first)
            said[f"instances {number} {newest_first}"] = found
    for event_id in [*_ids[:6], "é", "gone"]:
        said[f"caused {event_id}"] = list(store.get_caused_events(event_id))
        for direction in ("effects", "causes", "both"):
            said[f"trace {event_id} {direction}"] = _outcome(lambda: store.trace(event_id, direction, 4))  # noqa: B023
    return said


def _outcome(ask: Callable[[], object]) -> object:
    try:
        return ask()
    except XcstoreError as error:
        return type(error)
