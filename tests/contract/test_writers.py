"""Many processes write into one store at once: nothing is lost, nothing is there twice, and nobody fails."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.contract import writing
from tests.contract.helpers import ids, walk
from xcstore.store.base import EventQuery, InstanceQuery
from xcstore.store.opening import open_stores

EVENTS = {"sqlite": (32, 25), "postgresql": (32, 25), "mongodb": (32, 25), "archive": (8, 10)}
"""How many writers, and how many events each."""


@pytest.mark.parametrize("backend", EVENTS, indirect=True)
def test_many_processes_write_at_once(backend: str, store_url: str) -> None:
    writers, events = EVENTS[backend]
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.writing", store_url, str(writers), str(events)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.returncode) == ("", 0), done.stderr[-2000:]
    with open_stores(store_url) as stores:
        everything = list(stores.events.get_all_events())
        assert sorted(ids(everything)) == sorted(f"w{w}-{n}" for w in range(writers) for n in range(events))

        # One order for all, by pages of any size and both ways.
        places = [(event.persisted_at, event.seq) for event in everything]
        assert places == sorted(set(places))
        assert ids(walk(stores.events.find, EventQuery(), limit=37)) == ids(everything)
        assert ids(walk(stores.events.find, EventQuery(), limit=100, newest_first=True)) == ids(everything)[::-1]

        # Each event of an instance was appended behind the one before it.
        streams = stores.events.get_streams({event.instance_id for event in everything})
        assert len(streams) == len(range(0, writers, 2)) + min(writing.SHARED, writers // 2)
        for stream in streams.values():
            assert [event.caused_by for event in stream] == [(), *((event.id,) for event in stream[:-1])]

        # What is counted beside the events is what counting them gives.
        by = ("component_name", "machine_name")
        counted = {count.key: count.count for count in stores.events.count(EventQuery(), by=by)}
        assert counted == Counter((event.component_name, event.machine_name) for event in everything)
        summaries = walk(stores.events.instances, InstanceQuery(), limit=7)
        assert {one.instance_id: (one.event_count, one.last_event_id, one.created_at) for one in summaries} == {
            instance_id: (len(stream), stream[-1].id, stream[0].persisted_at) for instance_id, stream in streams.items()
        }
        assert sum(state.count for state in stores.events.count_instances(InstanceQuery())) == len(streams)
        shared = streams["shared-0"]
        assert ids(stores.events.trace(shared[0].id, "effects", max_events=1_000).events) == ids(shared)
