"""Many processes that write into one store at once: `python -m tests.contract.writing URL WRITERS EVENTS`.

Imports once and then forks, so that the writers start together. Prints what went wrong, nothing if all went well.
Even writers append to an instance of their own, in turn one by one and in batches. Odd ones contend for a few shared
instances, each event behind the last, and read again where another was faster.
"""

from __future__ import annotations

import os
import sys
import time
import traceback

from xcstore.errors import ConcurrencyError
from xcstore.model.history import PersistedEvent
from xcstore.store.base import EventStore, InstanceQuery
from xcstore.store.opening import open_stores
from xcstore.units import EpochMs

SHARED = 4
"""Instances that the odd writers share."""


def made(writer: int, number: int, instance_id: str, last: str) -> PersistedEvent:
    return PersistedEvent(
        id=f"w{writer}-{number}",
        instance_id=instance_id,
        machine_name="Order" if writer % 2 else "Cart",
        component_name=f"C{writer % 3}",
        event_type="GO",
        state_before="A" if last else "",
        state_after="A",
        persisted_at=EpochMs(time.time_ns() // 1_000_000),
        caused_by=(last,) if last else (),
        payload={"writer": writer, "number": number},
    )


def write_alone(store: EventStore, writer: int, events: int) -> None:
    instance_id, last = f"own-{writer}", ""
    for first in range(0, events, 5):
        numbers = range(first, min(first + 5, events))
        if writer % 4:
            batch = []
            for number in numbers:
                batch.append(made(writer, number, instance_id, last))
                last = batch[-1].id
            store.append_many(batch)
        else:
            for number in numbers:
                event = made(writer, number, instance_id, last)
                store.append(event, expected_last_id=last)
                last = event.id


def write_behind_others(store: EventStore, writer: int, events: int) -> None:
    instance_id = f"shared-{writer // 2 % SHARED}"
    for number in range(events):
        while True:
            found = store.instances(InstanceQuery(instance_ids=(instance_id,))).items
            last = found[0].last_event_id if found else ""
            try:
                store.append(made(writer, number, instance_id, last), expected_last_id=last)
            except ConcurrencyError:
                continue
            break


def work(url: str, writer: int, events: int) -> None:
    with open_stores(url, read_only=False) as stores:
        (write_behind_others if writer % 2 else write_alone)(stores.events, writer, events)


def main(url: str, writers: int, events: int) -> int:
    open_stores(url, read_only=False).close()  # imports the driver, and makes the store
    children = []
    for writer in range(writers):
        child = os.fork()
        if child == 0:
            try:
                work(url, writer, events)
            except BaseException:
                sys.stdout.write(f"writer {writer}: {traceback.format_exc(limit=-3)}\n")
                sys.stdout.flush()
                os._exit(1)
            os._exit(0)
        children.append(child)
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
