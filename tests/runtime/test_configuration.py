"""How a runtime's persistence is configured: by keywords, by the environment, by the stores it is given."""

from __future__ import annotations

import doctest
from typing import Any

import pytest

from tests.factories import snapshot
from xcstore.errors import ConfigError
from xcstore.runtime import persistence
from xcstore.runtime.persistence import PersistenceConfig, persistence_from
from xcstore.store.memory import InMemoryEventStore, InMemorySnapshotStore, open_memory_stores


def resolved(environment: dict[str, str] | None = None, **settings: Any) -> PersistenceConfig:
    return PersistenceConfig(**settings).resolve(environment or {})


def test_with_nothing_said_nothing_is_kept() -> None:
    config = resolved()

    assert (config.event_sourcing, config.snapshots, config.snapshot_interval) == (False, False, 10)
    assert (config.event_store, config.snapshot_store, config.definition_store) == (None, None, None)


def test_what_is_given_a_store_is_on() -> None:
    events, snapshots = InMemoryEventStore(), InMemorySnapshotStore()

    only_events = resolved(event_store=events)
    only_snapshots = resolved(snapshot_store=snapshots)

    assert (only_events.event_sourcing, only_events.snapshots) == (True, False)
    assert only_events.event_store is events
    assert (only_snapshots.event_sourcing, only_snapshots.snapshots) == (False, True)
    assert only_snapshots.snapshot_store is snapshots


def test_what_is_on_without_a_store_gets_one_of_its_own_in_memory() -> None:
    first, second = (resolved(event_sourcing=True, snapshots=True) for _ in range(2))

    assert isinstance(first.event_store, InMemoryEventStore)
    assert isinstance(first.snapshot_store, InMemorySnapshotStore)
    assert first.event_store is not second.event_store
    assert first.snapshot_store is not second.snapshot_store


def test_snapshots_without_event_sourcing_are_allowed() -> None:
    config = resolved(snapshots=True, event_sourcing=False)

    assert (config.event_sourcing, config.snapshots, config.event_store) == (False, True, None)


def test_what_is_off_stays_off_though_it_has_a_store() -> None:
    config = resolved(event_sourcing=False, event_store=InMemoryEventStore())

    assert config.event_sourcing is False


def test_the_environment_settles_what_was_left_open() -> None:
    config = resolved({"EVENT_SOURCING_ENABLED": "true", "SNAPSHOTS_ENABLED": "1", "SNAPSHOT_INTERVAL": "50"})

    assert (config.event_sourcing, config.snapshots, config.snapshot_interval) == (True, True, 50)
    assert isinstance(config.event_store, InMemoryEventStore)


def test_the_environment_turns_off_what_has_a_store() -> None:
    stores = open_memory_stores()
    environment = {"EVENT_SOURCING_ENABLED": "false", "SNAPSHOTS_ENABLED": "off"}

    config = PersistenceConfig.of(stores).resolve(environment)

    assert (config.event_sourcing, config.snapshots) == (False, False)


def test_what_is_said_wins_over_the_environment() -> None:
    environment = {"EVENT_SOURCING_ENABLED": "false", "SNAPSHOTS_ENABLED": "true", "SNAPSHOT_INTERVAL": "50"}

    config = resolved(environment, event_sourcing=True, snapshots=False, snapshot_interval=3)

    assert (config.event_sourcing, config.snapshots, config.snapshot_interval) == (True, False, 3)


def test_an_empty_variable_is_not_set() -> None:
    empty = {"EVENT_SOURCING_ENABLED": "", "SNAPSHOTS_ENABLED": " ", "SNAPSHOT_INTERVAL": ""}

    assert resolved(empty) == resolved()


def test_the_environment_is_looked_at_when_the_configuration_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    config = PersistenceConfig()
    monkeypatch.setenv("SNAPSHOT_INTERVAL", "7")

    assert config.resolve().snapshot_interval == 7
    assert persistence_from().snapshot_interval == 7


def test_a_store_of_its_own_keeps_as_many_snapshots_as_the_environment_says() -> None:
    store = resolved({"SNAPSHOT_RETENTION_COUNT": "2"}, snapshots=True).snapshot_store
    assert isinstance(store, InMemorySnapshotStore)

    for at in range(5):
        store.save_snapshot(snapshot(id="i", snapshot_at=at))

    assert [kept.snapshot_at for kept in store.list_snapshots("i")] == [3, 4]


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("EVENT_SOURCING_ENABLED", "maybe", "true or false"),
        ("SNAPSHOTS_ENABLED", "2", "true or false"),
        ("SNAPSHOT_INTERVAL", "0", "a whole number from 1"),
        ("SNAPSHOT_INTERVAL", "often", "a whole number from 1"),
        ("SNAPSHOT_RETENTION_COUNT", "-1", "a whole number from 1"),
    ],
)
def test_a_wrong_variable_is_refused_with_name_value_and_what_is_accepted(name: str, value: str, accepted: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is '{value}'; it must be {accepted}"):
        resolved({name: value})


def test_a_wrong_variable_that_is_none_of_its_own_does_not_keep_a_runtime_from_starting() -> None:
    assert resolved({"DATABASE_URL": "nonsense", "XCSTORE_NONSENSE": "1"}) == resolved()


def test_settling_twice_changes_nothing() -> None:
    once = resolved(event_sourcing=True, snapshots=True)
    opposite = {"EVENT_SOURCING_ENABLED": "false", "SNAPSHOTS_ENABLED": "false", "SNAPSHOT_INTERVAL": "99"}

    assert once.resolve(opposite) == once
    assert resolved().resolve({"EVENT_SOURCING_ENABLED": "true", "SNAPSHOTS_ENABLED": "true"}) == resolved()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"snapshot_interval": 0}, "snapshot_interval is 0; it counts transitions, from 1 on"),
        ({"snapshot_interval": -3}, "snapshot_interval is -3; it counts transitions, from 1 on"),
        ({"snapshot_interval": "20"}, "snapshot_interval is '20'; it must be a whole number"),
        ({"snapshot_interval": True}, "snapshot_interval is True; it must be a whole number"),
        ({"event_sourcing": "no"}, "event_sourcing is 'no'; it must be True or False"),
        ({"snapshots": 1}, "snapshots is 1; it must be True or False"),
        ({"snapshot_store": InMemoryEventStore()}, r"snapshot_store has no save_snapshot\(\)"),
    ],
)
def test_a_wrong_value_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PersistenceConfig(**settings)
    with pytest.raises(ConfigError, match=message):
        persistence_from(settings, environment={})


def test_a_url_in_the_place_of_a_store_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match=r"event_store has no append\(\): it is of type str") as caught:
        PersistenceConfig(event_store="postgresql://ann:s3cret@db/shop")  # type: ignore[arg-type]

    assert "s3cret" not in str(caught.value)


def test_keywords_an_object_and_a_mapping_say_the_same() -> None:
    stores = open_memory_stores()
    said: dict[str, Any] = {
        "event_sourcing": True,
        "snapshots": True,
        "snapshot_interval": 20,
        "event_store": stores.events,
        "snapshot_store": stores.snapshots,
        "definition_store": stores.definitions,
    }

    by_keyword = persistence_from(**said, environment={})

    assert by_keyword == persistence_from(PersistenceConfig(**said), environment={})
    assert by_keyword == persistence_from(said, environment={})
    assert by_keyword == PersistenceConfig.of(stores, snapshot_interval=20).resolve({})
    assert by_keyword == PersistenceConfig(**said)


def test_an_object_and_a_keyword_beside_it_are_refused() -> None:
    with pytest.raises(ConfigError, match="persistence is given, and snapshots, snapshot_interval beside it"):
        persistence_from(PersistenceConfig(), snapshots=False, snapshot_interval=5)
    with pytest.raises(ConfigError, match="persistence is given, and event_sourcing beside it"):
        persistence_from({}, event_sourcing=True)


def test_an_unknown_name_in_a_mapping_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match="no setting 'snapshot_intervall'; did you mean snapshot_interval"):
        persistence_from({"snapshot_intervall": 5})
    with pytest.raises(ConfigError, match="no setting 'colour'; there are event_sourcing, snapshots"):
        persistence_from({"colour": 5})


def test_the_examples_of_the_module_do_what_they_say() -> None:
    found = doctest.testmod(persistence)

    assert found.failed == 0
    assert found.attempted >= 4
