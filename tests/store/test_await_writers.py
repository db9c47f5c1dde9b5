"""Whoever goes on in the place of a killed process waits for what the server still writes for it."""

from __future__ import annotations

import threading

import psycopg

from xcstore.store.opening import open_stores


def test_reading_the_outbox_waits_for_an_event_that_is_being_written(postgresql_database):
    with open_stores(postgresql_database, read_only=False) as stores, psycopg.connect(postgresql_database) as writing:
        writing.execute(
            "INSERT INTO fsm_events (id, instance_id, machine_name, component_name, event_type, event_payload,"
            " state_before, state_after, persisted_at) VALUES ('e', 'i', 'M', 'C', 'GO', '{}', 'A', 'B', 1)"
        )
        seen: list[list[str]] = []

        def restore() -> None:
            stores.events.get_outbox()
            seen.append([event.id for event in stores.events.get_events_for_instance("i")])

        restoring = threading.Thread(target=restore)
        restoring.start()
        with psycopg.connect(postgresql_database, autocommit=True) as looking:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'fsm_events'::regclass"
            while restoring.is_alive() and looking.execute(waiting).fetchone() == (0,):
                pass
        writing.commit()
        restoring.join()

    assert seen == [["e"]]
