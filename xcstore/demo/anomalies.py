"""The faults that real stores have, planted one by one into a history that is sound.

Each is modelled on something that was found in stores of the TypeScript runtime. Instances of the demo's stories are
left alone, and no instance gets two faults.
"""

from __future__ import annotations

import copy
import random
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from xcstore.demo.report import PlantedAnomaly
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.runtime.ids import TimeOrderedIds
from xcstore.store.codec import event_from_document, event_to_document, snapshot_from_document, snapshot_to_document
from xcstore.units import MINUTE, EpochMs

__all__ = ["History", "plant"]

Document = dict[str, object]
LAGGING_SNAPSHOTS = 12
LOST_SNAPSHOTS = 5


@dataclass(slots=True)
class History:
    """Events in the order in which they were stored, and the snapshots of each instance, oldest first."""

    events: list[PersistedEvent]
    snapshots: dict[str, list[InstanceSnapshot]]


def plant(history: History, *, seed: int, spare: Collection[str] = ()) -> list[PlantedAnomaly]:
    """Put one fault of each kind into `history`, and say where. `spare`: instances that stay as they are."""
    return _Planter(history, seed, spare).plant()


class _Planter:
    def __init__(self, history: History, seed: int, spare: Collection[str]) -> None:
        self._history = history
        self._random = random.Random(seed)
        self._used = set(spare)
        self._planted: list[PlantedAnomaly] = []
        self._position = {event.id: index for index, event in enumerate(history.events)}
        self._streams: dict[str, list[PersistedEvent]] = defaultdict(list)
        for event in history.events:
            self._streams[event.instance_id].append(event)
        self._inserts: list[tuple[int, PersistedEvent]] = []

    def plant(self) -> list[PlantedAnomaly]:
        self._unrelated_cause()
        self._dangling_cause()
        self._missing_cause()
        self._rolled_back()
        self._two_runtimes()
        self._documents()
        self._snapshots()
        events = self._history.events
        for index, event in sorted(self._inserts, key=lambda entry: entry[0], reverse=True):
            events.insert(index, event)
        return self._planted

    # Causes

    def _unrelated_cause(self) -> None:
        event = self._pick("STOCK_HELD", lambda e: bool(e.caused_by))
        earlier = reversed(self._history.events[: self._position[event.id]])
        other = next(e for e in earlier if _business_key(e) not in (None, _business_key(event)))
        self._replace(replace(event, caused_by=(other.id,)))
        self._note(
            "unrelated_cause",
            f"its recorded cause {other.event_type} of {other.machine_name} belongs to another order: "
            "the previous transition of that runtime, as the TypeScript runtime records it",
            event,
        )

    def _dangling_cause(self) -> None:
        event = self._pick("PAYMENT_CAPTURED", lambda e: bool(e.caused_by))
        lost = self._new_id(EpochMs(event.persisted_at - 1))
        self._replace(replace(event, caused_by=(lost,)))
        self._note("dangling_cause", f"its recorded cause {lost} is not in the store", event)

    def _missing_cause(self) -> None:
        event = self._pick("SHIPMENT_DISPATCHED", lambda e: bool(e.caused_by))
        self._replace(replace(event, caused_by=()))
        self._note("missing_cause", "it came from another component, but no cause is recorded", event)

    # Streams

    def _rolled_back(self) -> None:
        """After a restart the runtime went on from an old snapshot, and went the same way again."""
        event = self._pick("PACKED", lambda e: self._next_gap(e) > 60 * MINUTE)
        again_at = EpochMs(event.persisted_at + self._next_gap(event) // 2)
        again = self._copy(event, again_at)
        self._insert(again)
        self._note(
            "state_chain_break",
            f"it leaves {event.state_before} although the event before had reached {event.state_after}: "
            "a restart rolled the instance back",
            again,
        )

    def _two_runtimes(self) -> None:
        """Two runtimes held the same instance and went on separately for a while."""

        def scans(event: PersistedEvent) -> bool:
            later = self._streams[event.instance_id]
            rest = later[later.index(event) :]
            return len(rest) > 4 and all(e.event_type == "SCANNED" for e in rest[:3])

        first = self._pick("SCANNED", scans)
        stream = self._streams[first.instance_id]
        start = stream.index(first)
        copies = [self._copy(e, EpochMs(e.persisted_at + 7 * MINUTE)) for e in stream[start : start + 2]]
        leave = self._copy(first, EpochMs(copies[-1].persisted_at + 3 * MINUTE))
        leave = replace(leave, event_type="OUT_FOR_DELIVERY", payload={"van": "V31"}, state_after="WithCourier")
        leave = replace(leave, caused_by=(copies[-1].id,))
        for event in (*copies, leave):
            self._insert(event)
        self._note(
            "two_runtimes",
            "a second runtime held the same parcel: its events are mixed with the first one's, "
            f"and it had the parcel in {leave.state_after} while the first still scanned it",
            leave,
        )

    # Documents

    def _documents(self) -> None:
        def text_time(document: Document) -> None:
            document["persistedAt"] = str(document["persistedAt"])

        def no_timestamp(document: Document) -> None:
            _inner(document).pop("timestamp")

        def no_causes(document: Document) -> None:
            document.pop("causedBy")
            document.pop("caused", None)

        def no_component(document: Document) -> None:
            document.pop("componentName")

        def extra_keys(document: Document) -> None:
            _inner(document)["_sourceComponent"] = "ShippingComponent"
            document["shard"] = 3

        self._edit("persisted_at_text", "RETRY", text_time, "persistedAt is text, not a number")
        self._edit("missing_timestamp", "ALLOCATE", no_timestamp, "event.timestamp is missing")
        self._edit("missing_caused_by", "CHARGE", no_causes, "causedBy and caused are missing altogether")
        self._edit("missing_component", "COUNTED", no_component, "componentName is missing")
        self._edit("extra_keys", "PARCEL_DELIVERED", extra_keys, "the document has keys that nobody knows")

    def _edit(self, kind: str, event_type: str, change: Callable[[Document], None], words: str) -> None:
        event = self._pick(event_type, lambda e: bool(e.caused_by) or event_type == "COUNTED")
        document = copy.deepcopy(event_to_document(event))
        change(document)
        self._replace(event_from_document(document))
        self._note(kind, words, event)

    # Snapshots

    def _snapshots(self) -> None:
        snapshots = self._history.snapshots
        several = [i for i, taken in snapshots.items() if len(taken) > 1 and i not in self._used]
        for instance_id in self._random.sample(several, min(LAGGING_SNAPSHOTS, len(several))):
            gone = snapshots[instance_id].pop()
            left = snapshots[instance_id][-1]
            words = (
                f"its snapshot says {left.instance.current_state}, "
                f"the instance went on to {gone.instance.current_state} without another"
            )
            self._note_snapshot("lagging_snapshot", words, instance_id)
        one = [i for i, taken in snapshots.items() if len(taken) == 1 and i not in self._used]
        for instance_id in self._random.sample(one, min(LOST_SNAPSHOTS, len(one))):
            del snapshots[instance_id]
            self._note_snapshot("no_snapshot", "it has ended, but there is no snapshot of it", instance_id)
        instance_id = self._random.choice([i for i in snapshots if i not in self._used])
        document = copy.deepcopy(snapshot_to_document(snapshots[instance_id][-1]))
        instance = document["instance"]
        assert isinstance(instance, dict)
        instance.pop("status")
        snapshots[instance_id][-1] = replace(snapshot_from_document(document), status_recorded=False)
        self._note_snapshot("snapshot_without_status", "its snapshot does not say whether it is active", instance_id)

    # Small things

    def _event(self, event_id: str) -> PersistedEvent:
        return self._history.events[self._position[event_id]]

    def _pick(self, event_type: str, fits: Callable[[PersistedEvent], bool]) -> PersistedEvent:
        """Some event of that type whose instance has no fault yet."""
        found = [
            event
            for event in self._history.events
            if event.event_type == event_type and event.instance_id not in self._used and fits(event)
        ]
        if not found:
            raise ValueError(f"the history is too short to plant a fault on {event_type}; give it more days")
        event = self._random.choice(found)
        self._used.add(event.instance_id)
        return event

    def _next_gap(self, event: PersistedEvent) -> int:
        stream = self._streams[event.instance_id]
        index = stream.index(event)
        return stream[index + 1].persisted_at - event.persisted_at if index + 1 < len(stream) else 0

    def _copy(self, event: PersistedEvent, at: EpochMs) -> PersistedEvent:
        return replace(event, id=self._new_id(at), persisted_at=at, timestamp=at)

    def _new_id(self, at: EpochMs) -> str:
        # A new source each time: one source never goes back in time, and these ids lie in the past.
        return TimeOrderedIds(self._random.getrandbits(64)).event_id(at)

    def _replace(self, event: PersistedEvent) -> None:
        self._history.events[self._position[event.id]] = event

    def _insert(self, event: PersistedEvent) -> None:
        events = self._history.events
        index = next((i for i, e in enumerate(events) if e.persisted_at > event.persisted_at), len(events))
        self._inserts.append((index, event))

    def _note(self, kind: str, words: str, event: PersistedEvent) -> None:
        self._used.add(event.instance_id)
        self._planted.append(PlantedAnomaly(kind=kind, words=words, instance_id=event.instance_id, event_id=event.id))

    def _note_snapshot(self, kind: str, words: str, instance_id: str) -> None:
        self._used.add(instance_id)
        self._planted.append(PlantedAnomaly(kind=kind, words=words, instance_id=instance_id))


def _business_key(event: PersistedEvent) -> object:
    data = event.public_member_snapshot
    return None if data is None else data.get("orderId")


def _inner(document: Document) -> Document:
    inner = document["event"]
    assert isinstance(inner, dict)
    return inner
