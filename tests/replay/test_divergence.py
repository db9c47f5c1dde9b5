"""The divergence map of a whole store: exact counts, bounded examples, every instance once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.factories import START, event
from xcstore.demo import generate_demo, generator
from xcstore.demo.report import DemoReport
from xcstore.errors import QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.model.loader import parse_component
from xcstore.replay import divergence
from xcstore.replay.divergence import divergence_map
from xcstore.store.base import StoredDefinition, Stores
from xcstore.store.memory import open_memory_stores
from xcstore.units import EpochMs

SHOP = """
name: Shop
stateMachines:
  - name: Order
    initialState: Created
    states: [{name: Created, type: entry}, {name: Paid}, {name: Sent, type: final}]
    transitions:
      - {from: Created, to: Paid, event: PAY}
      - {from: Paid, to: Paid, event: NOTE}
      - {from: Paid, to: Sent, event: SEND}
"""
V1, V2 = parse_component(SHOP), parse_component(SHOP.replace("to: Sent, event: SEND", "to: Created, event: SEND"))
CATALOG = Catalog([V1])


@pytest.fixture
def stores() -> Iterator[Stores]:
    with open_memory_stores() as opened:
        yield opened


def order(instance_id: str, *, notes: int = 0, version: str | None = None) -> list[PersistedEvent]:
    """Made, paid, noted and sent, as version 1 says, in steps of a second."""
    steps = [("", "Created", CREATION), ("Created", "Paid", "PAY")]
    steps += [*[("Paid", "Paid", "NOTE")] * notes, ("Paid", "Sent", "SEND")]
    return [
        event(
            id=f"{instance_id}-{number}",
            instance_id=instance_id,
            event_type=kind,
            payload={},
            state_before=before,
            state_after=after,
            persisted_at=START + number * 1_000,
            public_member_snapshot={},
            definition_hash=version,
        )
        for number, (before, after, kind) in enumerate(steps)
    ]


def test_an_empty_store_has_an_empty_map(stores: Stores) -> None:
    found = divergence_map(stores)

    assert (found.events, found.instances, found.diverging, found.rows, found.as_of) == (0, 0, 0, (), None)


def test_what_our_runtime_wrote_goes_as_defined(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "plant", lambda history, *, seed, spare=(): [])
    made: DemoReport = generate_demo(stores)

    found = divergence_map(stores)

    assert (found.events, found.instances, found.diverging) == (made.events, made.instances, 0)
    assert set(found.verdicts) <= {"same", "not_replayable"}
    assert set(found.kinds) <= {"user_code"}
    assert sum(found.verdicts.values()) == made.events
    assert {(row.component_name, row.machine_name) for row in found.rows} == {key[:2] for key in made.machines}


def test_of_the_planted_faults_those_of_streams_are_found_and_nothing_else(stores: Stores) -> None:
    made: DemoReport = generate_demo(stores, days=7)
    planted = {one.instance_id: one for one in made.anomalies if one.kind in ("state_chain_break", "two_runtimes")}

    found = divergence_map(stores)

    assert {one.instance_id for one in found.examples} == set(planted)
    for one in found.examples:
        if planted[one.instance_id].kind == "state_chain_break":
            assert (one.kind, one.event_id) == ("rolled_back", planted[one.instance_id].event_id)


def test_counts_are_exact_and_examples_bounded(stores: Stores) -> None:
    for number in range(7):
        events = order(f"good{number}")
        stores.events.append_many(events)
        bad = order(f"bad{number}")
        stores.events.append_many([bad[0], replace(bad[1], state_after="Sent"), replace(bad[2], state_before="Sent")])

    found = divergence_map(stores, CATALOG, limit=3)

    assert (found.events, found.instances, found.diverging) == (42, 14, 7)
    assert (found.first_kinds, found.shown("state")) == ({"state": 7}, 3)
    # After the divergence the instance has ended, by the record; it goes on all the same.
    assert (found.kinds, found.verdicts) == (
        {"state": 7, "ended": 7},
        {"same": 28, "different": 7, "ignored_here": 7},
    )
    (row,) = found.rows
    assert (row.instances, row.diverging, row.events) == (14, 7, 42)
    assert all((one.position, one.event_id) == (2, f"{one.instance_id}-1") for one in found.examples)
    with pytest.raises(QueryError):
        divergence_map(stores, limit=-1)


def test_each_version_of_a_definition_speaks_for_its_own_events(stores: Stores) -> None:
    for component in (V1, V2):
        stores.definitions.save_definition(
            StoredDefinition(hash=component.hash, component_name="Shop", document=component.source)
        )
    for version in (V1.hash, V2.hash, "f" * 64, None):
        stores.events.append_many(order(f"i-{str(version)[:5]}", version=version))

    found = divergence_map(stores, CATALOG)

    rows = {row.definition_hash: row for row in found.rows}
    assert rows[V1.hash].verdicts == {"same": 3}
    assert (rows[V2.hash].diverging, rows[V2.hash].kinds) == (1, {"state": 1})
    assert (rows["f" * 64].known, rows["f" * 64].kinds) == (False, {"no_definition": 3})
    assert (rows[""].known, rows[""].verdicts) == (True, {"same": 3})
    (one,) = found.examples
    assert (one.definition_hash, one.event_id) == (V2.hash, f"i-{V2.hash[:5]}-2")


def test_a_stream_too_long_for_memory_is_read_in_pages_and_judged_the_same(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = order("long", notes=60)
    # Some share a moment, and are stored the wrong way round.
    events[1], events[2] = (replace(one, persisted_at=EpochMs(START + 1_500)) for one in events[1:3])
    stores.events.append_many([*events[:1], events[2], events[1], *events[3:]])
    stores.events.append_many(order("short"))
    whole = divergence_map(stores, CATALOG)
    monkeypatch.setattr(divergence, "_EVENTS", 20)

    found = divergence_map(stores, CATALOG)

    assert found.diverging == whole.diverging == 0
    assert found.verdicts == whole.verdicts == {"same": len(events) + 3}


def test_progress_is_told_and_what_it_raises_ends_the_work(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.events.append_many(order("i", notes=6_000))
    told: list[tuple[int, int]] = []
    divergence_map(stores, CATALOG, on_progress=lambda done, total: told.append((done, total)))
    assert told == [*((done, 6_003) for done in range(1_000, 6_001, 1_000)), (6_003, 6_003)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        divergence_map(stores, CATALOG, on_progress=stop)


def test_the_map_says_what_it_did_not_compare(stores: Stores) -> None:
    stores.events.append_many([replace(one, public_member_snapshot=None) for one in order("i")])

    found = divergence_map(stores, CATALOG)

    assert found.kinds == {"state_only": 3}
    assert "3 of 3 events record no values: their states were compared alone" in found.notes
    assert found.document()["verdicts"] == {"same": 3}
