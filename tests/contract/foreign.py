"""Stores of others, made and filled without our stores, in the layouts that exist in the wild."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg.types.json import Jsonb

from tests.contract import others
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.store.codec import event_to_document, snapshot_to_document

__all__ = ["DATABASES", "make"]

DATABASES = {
    "documented": "postgresql_database",
    "shipped": "postgresql_database",
    "documents": "mongodb_database",
}
"""Fixture with the URL of an empty database, by layout."""

# As in the specification.
DOCUMENTED = """
CREATE TABLE fsm_events (
  id VARCHAR(50) PRIMARY KEY,
  instance_id VARCHAR(50) NOT NULL,
  machine_name VARCHAR(100) NOT NULL,
  component_name VARCHAR(100) NOT NULL,
  event_type VARCHAR(50) NOT NULL,
  event_payload JSONB NOT NULL,
  state_before VARCHAR(50) NOT NULL,
  state_after VARCHAR(50) NOT NULL,
  persisted_at BIGINT NOT NULL,
  caused_by VARCHAR(50)[],
  caused VARCHAR(50)[],
  source_component_name VARCHAR(100),
  target_component_name VARCHAR(100),
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_events_instance ON fsm_events(instance_id);
CREATE INDEX idx_events_component ON fsm_events(component_name);
CREATE INDEX idx_events_machine ON fsm_events(machine_name);
CREATE INDEX idx_events_timestamp ON fsm_events(persisted_at);
CREATE INDEX idx_events_caused_by ON fsm_events USING GIN(caused_by);
CREATE TABLE fsm_snapshots (
  instance_id VARCHAR(50) PRIMARY KEY,
  machine_name VARCHAR(100) NOT NULL,
  current_state VARCHAR(50) NOT NULL,
  status VARCHAR(20) NOT NULL,
  context JSONB NOT NULL,
  public_member JSONB,
  snapshot_at BIGINT NOT NULL,
  last_event_id VARCHAR(50) NOT NULL,
  pending_timeouts JSONB,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
"""

# As the runtime creates them.
SHIPPED = """
CREATE TABLE fsm_events (
  id UUID PRIMARY KEY,
  instance_id UUID NOT NULL,
  machine_name VARCHAR(255) NOT NULL,
  component_name VARCHAR(255),
  event_type VARCHAR(255) NOT NULL,
  event_payload JSONB,
  from_state VARCHAR(255),
  to_state VARCHAR(255),
  context JSONB,
  public_member_snapshot JSONB,
  source_component_name VARCHAR(255),
  correlation_id UUID,
  causation_id UUID,
  caused JSONB DEFAULT '[]'::jsonb,
  persisted_at BIGINT NOT NULL,
  created_at TIMESTAMPTZ DEFAULT now()
);
CREATE INDEX idx_fsm_events_correlation_id ON fsm_events (correlation_id);
CREATE INDEX idx_fsm_events_instance_id ON fsm_events (instance_id);
CREATE INDEX idx_fsm_events_machine_name ON fsm_events (machine_name);
CREATE INDEX idx_fsm_events_persisted_at ON fsm_events (persisted_at);
CREATE TABLE fsm_snapshots (
  instance_id UUID PRIMARY KEY,
  machine_name VARCHAR(255) NOT NULL,
  current_state VARCHAR(255) NOT NULL,
  context JSONB,
  event_count INTEGER DEFAULT 0,
  pending_timeouts JSONB DEFAULT '[]'::jsonb,
  created_at TIMESTAMPTZ,
  updated_at TIMESTAMPTZ DEFAULT now()
);
"""

INSERT_DOCUMENTED = "INSERT INTO fsm_events VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
INSERT_SHIPPED = """INSERT INTO fsm_events (id, instance_id, machine_name, component_name, event_type, event_payload,
from_state, to_state, persisted_at, correlation_id, causation_id) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""


def make(
    url: str, layout: str, events: Iterable[PersistedEvent] = (), snapshots: Iterable[InstanceSnapshot] = ()
) -> None:
    """A store of that layout, with these in it. The shipped layout holds one cause per event, and no status."""
    if layout == "documents":
        others.make_documents(url, map(event_to_document, events), map(snapshot_to_document, snapshots))
        return
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(DOCUMENTED if layout == "documented" else SHIPPED)
        for event in events:
            start = (
                event.id,
                event.instance_id,
                event.machine_name,
                event.component_name,
                event.event_type,
                Jsonb(event.payload),
                event.state_before,
                event.state_after,
                event.persisted_at,
            )
            if layout == "documented":
                causes = list(event.caused_by) if event.caused_by else None
                cursor.execute(INSERT_DOCUMENTED, (*start, causes, None, None, None))
            else:
                cause = event.caused_by[0] if event.caused_by else None
                cursor.execute(INSERT_SHIPPED, (*start, cause, cause))
        for snapshot in snapshots:
            instance = snapshot.instance
            if layout == "documented":
                cursor.execute(
                    "INSERT INTO fsm_snapshots VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                    (
                        instance.id,
                        instance.machine_name,
                        instance.current_state,
                        instance.status,
                        Jsonb(instance.context),
                        None,
                        snapshot.snapshot_at,
                        snapshot.last_event_id,
                        Jsonb([]),
                    ),
                )
            else:
                cursor.execute(
                    "INSERT INTO fsm_snapshots (instance_id, machine_name, current_state, context)"
                    " VALUES (%s, %s, %s, %s)",
                    (instance.id, instance.machine_name, instance.current_state, Jsonb(instance.context)),
                )
