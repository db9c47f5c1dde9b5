"""Restoring the real stores: every instance once, what came back against another fold, which snapshots lag or lack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers.mongodb import empty_database
from tests.servers.postgresql import PostgresServer
from xcstore.analysis.context import fold, same_json
from xcstore.config import Settings
from xcstore.model.catalog import Catalog
from xcstore.model.history import PersistedEvent
from xcstore.model.loader import component_from_document
from xcstore.ops.contents import StoreContents
from xcstore.ops.copying import copy_contents
from xcstore.ops.drill import drill
from xcstore.ops.fresh_runtime import fresh_runtime
from xcstore.ops.restoration import InstanceRestoration, RestorationReport, restoration
from xcstore.store.base import Stores
from xcstore.store.codec import event_from_document, snapshot_from_document
from xcstore.store.memory import open_memory_stores
from xcstore.store.opening import open_stores

DUMPS = {"documented": "documented_layout.sql", "shipped": "shipped_layout.sql"}


@dataclass(frozen=True)
class Restored:
    name: str
    stores: Stores
    catalog: Catalog
    report: RestorationReport
    told: Sequence[InstanceRestoration]
    streams: Mapping[str, Sequence[PersistedEvent]]
    snapshots: Mapping[str, str]
    """The event that the snapshot of each instance names, as it is in the dump itself."""

    @property
    def by_id(self) -> dict[str, InstanceRestoration]:
        return {one.instance_id: one for one in self.told}


@pytest.fixture(scope="module")
def catalog(reference_json: Any) -> Catalog:
    found = reference_json("components.json")
    documents = found if isinstance(found, list) else list(found.values())
    return Catalog(component_from_document(document) for document in documents)


def memory_dump(reference_json: Any) -> Stores:
    stores = open_memory_stores()
    stores.events.append_many(map(event_from_document, reference_json("memory_events.json")))
    stores.snapshots.save_snapshots(map(snapshot_from_document, reference_json("memory_snapshots.json")))
    return stores


@pytest.fixture(scope="module", params=["memory", "sqlite", "mongodb", *DUMPS])
def restored(
    request: pytest.FixtureRequest,
    reference: Path,
    reference_json: Any,
    catalog: Catalog,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Restored]:
    """The memory dump in memory, SQLite and MongoDB, and the two layouts as they are in PostgreSQL."""
    name = request.param
    if name in DUMPS:
        server: PostgresServer = request.getfixturevalue("postgresql_server")
        with server.database() as url:
            server.load(url, reference / DUMPS[name])
            with open_stores(url) as stores:
                assert stores.events.read_only
                yield look(name, stores, catalog, raw_snapshots(stores))
        return
    raw = {one["instance"]["id"]: one["lastEventId"] for one in reference_json("memory_snapshots.json")}
    with memory_dump(reference_json) as source:
        if name == "memory":
            yield look(name, source, catalog, raw)
            return
        if name == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('restoration') / 'dump.db'}"
            yield from copied(name, url, source, catalog, raw)
            return
        with empty_database(request.getfixturevalue("mongodb_server")) as url:
            yield from copied(name, url, source, catalog, raw)


def copied(name: str, url: str, source: Stores, catalog: Catalog, raw: Mapping[str, str]) -> Iterator[Restored]:
    with open_stores(url, read_only=False) as target:
        copy_contents(StoreContents(source), target)
    with open_stores(url) as stores:
        assert stores.events.read_only
        yield look(name, stores, catalog, raw)


def raw_snapshots(stores: Stores) -> dict[str, str]:
    return {one.instance.id: one.last_event_id for one in stores.snapshots.get_all_snapshots()}


def look(name: str, stores: Stores, catalog: Catalog, snapshots: Mapping[str, str]) -> Restored:
    told: list[InstanceRestoration] = []
    report = restoration(stores, catalog, on_instance=told.append)
    streams = stores.events.get_streams(dict.fromkeys(event.instance_id for event in stores.events.get_all_events()))
    return Restored(name, stores, catalog, report, told, streams, snapshots)


def test_every_instance_is_told_of_exactly_once(restored: Restored) -> None:
    ids = [one.instance_id for one in restored.told]

    assert len(ids) == len(set(ids)) == restored.report.instances
    assert set(ids) == set(restored.streams) | set(restored.snapshots)
    assert restored.report.restored + restored.report.ended + restored.report.not_restored == len(ids)


def test_the_state_and_the_values_are_those_of_another_fold(restored: Restored) -> None:
    for one in restored.told:
        stream = restored.streams[one.instance_id]
        machine = restored.catalog.find_machine(one.component_name, one.machine_name)
        last = fold(stream, machine)[-1]
        assert (one.events, one.state, one.last_event_id) == (len(stream), stream[-1].state_after, stream[-1].id)
        if one.agrees and last.source == "recorded":
            assert one.instance is not None
            held = one.instance.public_member if one.instance.public_member is not None else one.instance.context
            assert one.instance.current_state == one.state
            assert same_json(held, last.values)


def test_what_ended_stays_ended_and_what_lives_comes_back(restored: Restored) -> None:
    for one in restored.told:
        machine = restored.catalog.find_machine(one.component_name, one.machine_name)
        state = machine.find_state(one.state) if machine is not None else None
        if machine is None:
            assert one.outcome == "not_restored"
        elif state is not None and state.is_terminal:
            assert one.outcome == "ended" or (one.instance is not None and one.instance.is_entry_point)
        else:
            assert one.outcome in ("restored", "ended")
            assert one.outcome == "restored" or any(way.type == "inter_machine" for way in machine.transitions)


def test_instances_without_a_snapshot_are_those_without_one_in_the_dump(restored: Restored) -> None:
    found = {one.instance_id for one in restored.told if one.snapshot.state == "none"}

    assert found == restored.streams.keys() - restored.snapshots.keys()


def test_snapshots_that_lag_are_those_that_name_an_earlier_event(restored: Restored) -> None:
    if restored.name == "shipped":
        assert not any(restored.snapshots.values()), "this layout has no place for the event"
        assert all(one.base == "events" for one in restored.told if one.outcome == "restored")
        return
    lagging = {}
    for instance_id, event_id in restored.snapshots.items():
        ids = [event.id for event in restored.streams[instance_id]]
        if event_id in ids and ids[-1] != event_id:
            lagging[instance_id] = len(ids) - 1 - ids.index(event_id)

    found = {one.instance_id: one.snapshot.behind for one in restored.told if one.snapshot.behind}
    assert found == lagging


def test_what_came_back_is_what_a_runtime_in_memory_holds(restored: Restored) -> None:
    fresh = fresh_runtime(restored.stores, restored.catalog)

    living = {instance.id: instance for runtime in fresh.runtimes.values() for instance in runtime.instances()}
    expected = {one.instance_id: one.instance for one in restored.told if one.outcome == "restored"}
    assert living.keys() == expected.keys()
    assert {key: one.current_state for key, one in living.items()} == {
        key: one.current_state for key, one in expected.items() if one is not None
    }


@pytest.mark.parametrize("name", DUMPS)
def test_the_drill_passes_on_the_dumps_and_tells_what_is_odd(name: str, reference: Path, catalog: Catalog) -> None:
    report = drill(str(reference / DUMPS[name]), Settings(), definitions=catalog)

    assert report.passed, report.damages
    assert report.warning_count, "a restart rolled instances back there"
    assert report.revived is not None
    assert report.revived.instances > 0
    assert report.digest is not None
    assert report.digest.last_at == report.recovery_point


def test_the_drill_passes_on_the_memory_dump(reference_json: Any, catalog: Catalog, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'dump.db'}"
    with closing(StoreContents(memory_dump(reference_json))) as source, open_stores(url, read_only=False) as target:
        copy_contents(source, target)

    report = drill(url, Settings(), definitions=catalog)

    assert report.passed, report.damages
    assert report.not_revived == 0


@pytest.mark.parametrize("name", DUMPS)
def test_the_drill_fails_on_a_dump_that_ends_too_early(
    name: str, reference: Path, catalog: Catalog, tmp_path: Path
) -> None:
    whole = (reference / DUMPS[name]).read_bytes()
    (tmp_path / "cut.sql").write_bytes(whole[: len(whole) // 2])

    report = drill(str(tmp_path / "cut.sql"), Settings(), definitions=catalog)

    assert not report.passed
    assert report.damages
    assert report.recovery_seconds is None
