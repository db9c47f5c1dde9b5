"""Does one thing to a store again and again, each time killed at another of its writes; `test_mongodb_killed` looks.

Run as a program: URL of a server, prefix of the databases, what to do. Prints how many databases there are.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest
from pymongo import monitoring

from tests.factories import START, event, snapshot
from xcstore.errors import DuplicateEventError
from xcstore.store.base import OutboxChange, StoredWork, Stores
from xcstore.store.opening import open_stores

_WRITES = {"insert", "update", "delete", "findAndModify", "findandmodify"}
_MOST = 60


class Killer(monitoring.CommandListener):
    """Kills this process when it is about to send its nth write."""

    def __init__(self) -> None:
        self.left = 0

    def started(self, started: monitoring.CommandStartedEvent) -> None:
        if self.left and started.command_name in _WRITES:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)

    def succeeded(self, succeeded: monitoring.CommandSucceededEvent) -> None:
        """Of no interest."""

    def failed(self, failed: monitoring.CommandFailedEvent) -> None:
        """Of no interest."""


def work(id_: str, **document: object) -> StoredWork:
    return StoredWork(id=id_, position=0, component_name="Shop", document=document)


def e(id_: str, instance: str, at: int, before: str, after: str, **more: Any) -> Any:
    return event(id=id_, instance_id=instance, persisted_at=START + at, state_before=before, state_after=after, **more)


def prepare(stores: Stores) -> None:
    """Two instances, one of which has a tie at its end, and work to do."""
    stores.events.append(e("a1", "a", 1, "", "New"), outbox=OutboxChange(add=(work("w1", n=1), work("w2", n=1))))
    stores.events.append_many([e("a2", "a", 2, "New", "Paid"), e("b1", "b", 2, "", "New"), e("b2", "b", 2, "New", "X")])
    stores.snapshots.save_snapshot(snapshot(id="a", context={"n": 1}))


def refused(stores: Stores) -> None:
    with pytest.raises(DuplicateEventError):
        stores.events.append_many(
            [e("a3", "a", 3, "Paid", "Sent"), e("c1", "c", 3, "", "New", payload=_LARGE), e("a2", "a", 4, "S", "S")]
        )


_LARGE = {"numbers": [0] * 2_000_000}
DOINGS: dict[str, Callable[[Stores], object]] = {
    "append": lambda stores: stores.events.append(
        e("a3", "a", 3, "Paid", "Sent"),
        expected_last_id="a2",
        outbox=OutboxChange(add=(work("w2", n=2), work("w3", n=2)), remove=("w1",)),
    ),
    "append late": lambda stores: stores.events.append(e("b0", "b", 1, "", "Early")),
    "append large": lambda stores: stores.events.append(e("a3", "a", 3, "Paid", "Sent", payload=_LARGE)),
    "change outbox": lambda stores: stores.events.change_outbox(
        OutboxChange(add=(work("w2", n=2), work("w3", n=2)), remove=("w1",))
    ),
    "append many": lambda stores: stores.events.append_many(
        [e("a3", "a", 3, "Paid", "Sent"), e("c1", "c", 3, "", "New"), *(e(f"a{n}", "a", n, "S", "S") for n in (4, 5))]
    ),
    "append many, one of which is there": refused,
    "delete": lambda stores: stores.events.delete_events(["a2", "b1", "b2"]),
    "save snapshot": lambda stores: stores.snapshots.save_snapshot(snapshot(id="a", context={"n": 2})),
}


def main(server: str, prefix: str, doing: str) -> None:
    for number in range(1, _MOST):
        child = os.fork()
        if not child:
            killer = Killer()
            monitoring.register(killer)
            stores = open_stores(f"{server}{prefix}_{number}", read_only=False)
            prepare(stores)
            killer.left = number
            DOINGS[doing](stores)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            print(number)
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
