"""The tables of a SQL store of ours: the documented ones, and beside them what they have no room for.

The documented tables and indexes are those of the specification, unchanged, so that another writer can join.
Triggers keep the tables beside them true whoever writes:

fsm_meta              schema_version; its presence makes a store ours
fsm_event_extra       seq: the order of insertion; original: JSON text of the whole event; definition_hash
fsm_event_causes      one row per recorded cause, which makes a trace an index walk
fsm_snapshot_history  whole snapshot documents, the last few of each instance
fsm_definitions       component documents by hash
fsm_instances         one row per instance, as its events tell it
fsm_outbox            what runtimes have still to do
fsm_event_counts      SQLite: events per hour, names, type and states

Every event of an hour updates the same few rows of fsm_event_counts. SQLite has one writer at a time, so that costs it
little, and saves whole scans. PostgreSQL has many writers, which such rows would make wait for each other; it has an
index of the same columns instead, small because equal keys are stored once.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

__all__ = [
    "EVENT_COLUMNS",
    "HOUR_MS",
    "SCHEMA_VERSION",
    "add_what_is_missing",
    "create_schema",
    "definitions",
    "event_causes",
    "event_counts",
    "event_extra",
    "events",
    "instances",
    "meta",
    "outbox",
    "snapshot_history",
    "snapshots",
    "upsert_snapshots",
]

SCHEMA_VERSION: Final = "1"
HOUR_MS: Final = 3_600_000

# SQLite knows neither arrays nor JSONB: both are JSON text there.
_IDS: Final = sa.Text().with_variant(postgresql.ARRAY(sa.String(50)), "postgresql")
_JSON: Final = sa.Text().with_variant(postgresql.JSONB(), "postgresql")
_NOW: Final = sa.text("CURRENT_TIMESTAMP")

_metadata: Final = sa.MetaData()

events: Final = sa.Table(
    "fsm_events",
    _metadata,
    sa.Column("id", sa.String(50), primary_key=True, nullable=False),
    sa.Column("instance_id", sa.String(50), nullable=False),
    sa.Column("machine_name", sa.String(100), nullable=False),
    sa.Column("component_name", sa.String(100), nullable=False),
    sa.Column("event_type", sa.String(50), nullable=False),
    sa.Column("event_payload", _JSON, nullable=False),
    sa.Column("state_before", sa.String(50), nullable=False),
    sa.Column("state_after", sa.String(50), nullable=False),
    sa.Column("persisted_at", sa.BigInteger, nullable=False),
    sa.Column("caused_by", _IDS),
    sa.Column("caused", _IDS),
    sa.Column("source_component_name", sa.String(100)),
    sa.Column("target_component_name", sa.String(100)),
    sa.Column("created_at", sa.TIMESTAMP, server_default=_NOW),
)
sa.Index("idx_events_instance", events.c.instance_id)
sa.Index("idx_events_component", events.c.component_name)
sa.Index("idx_events_machine", events.c.machine_name)
sa.Index("idx_events_timestamp", events.c.persisted_at)
sa.Index("idx_events_caused_by", events.c.caused_by, postgresql_using="gin").ddl_if(dialect="postgresql")
sa.Index(
    "idx_events_transition",
    *(events.c[name] for name in ("component_name", "machine_name", "state_before", "event_type", "state_after")),
).ddl_if(dialect="postgresql")

EVENT_COLUMNS: Final = tuple(column.name for column in events.c if column.name != "created_at")
"""Those that a writer gives, in order; `codec.event_to_documented_row` has the same."""

snapshots: Final = sa.Table(
    "fsm_snapshots",
    _metadata,
    sa.Column("instance_id", sa.String(50), primary_key=True, nullable=False),
    sa.Column("machine_name", sa.String(100), nullable=False),
    sa.Column("current_state", sa.String(50), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("context", _JSON, nullable=False),
    sa.Column("public_member", _JSON),
    sa.Column("snapshot_at", sa.BigInteger, nullable=False),
    sa.Column("last_event_id", sa.String(50), nullable=False),
    sa.Column("pending_timeouts", _JSON),
    sa.Column("created_at", sa.TIMESTAMP, server_default=_NOW),
    sa.Column("updated_at", sa.TIMESTAMP, server_default=_NOW),
)

meta: Final = sa.Table(
    "fsm_meta",
    _metadata,
    sa.Column("schema_version", sa.String(20), nullable=False),
)

_SEQ: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # INTEGER PRIMARY KEY: VACUUM leaves it alone

event_extra: Final = sa.Table(
    "fsm_event_extra",
    _metadata,
    sa.Column("seq", _SEQ, sa.Identity(), primary_key=True),
    sa.Column("event_id", sa.String(50), nullable=False, unique=True),
    sa.Column("original", sa.Text),
    sa.Column("definition_hash", sa.String(64)),
)

event_causes: Final = sa.Table(
    "fsm_event_causes",
    _metadata,
    sa.Column("cause_id", sa.String(50), primary_key=True, nullable=False),
    sa.Column("event_id", sa.String(50), primary_key=True, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("idx_event_causes_event", event_causes.c.event_id)

snapshot_history: Final = sa.Table(
    "fsm_snapshot_history",
    _metadata,
    sa.Column("seq", _SEQ, sa.Identity(), primary_key=True),
    sa.Column("instance_id", sa.String(50), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
)
sa.Index("idx_snapshot_history_instance", snapshot_history.c.instance_id, snapshot_history.c.seq)

definitions: Final = sa.Table(
    "fsm_definitions",
    _metadata,
    sa.Column("seq", _SEQ, sa.Identity(), primary_key=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("component_name", sa.Text, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
)

outbox: Final = sa.Table(
    "fsm_outbox",
    _metadata,
    sa.Column("id", sa.String(50), primary_key=True, nullable=False),
    sa.Column("component_name", sa.String(100), nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

instances: Final = sa.Table(
    "fsm_instances",
    _metadata,
    sa.Column("instance_id", sa.String(50), primary_key=True, nullable=False),
    sa.Column("component_name", sa.String(100), nullable=False),
    sa.Column("machine_name", sa.String(100), nullable=False),
    sa.Column("state", sa.String(50), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("event_count", sa.BigInteger, nullable=False),
    sa.Column("last_event_id", sa.String(50), nullable=False),
    sa.Column("last_event_type", sa.String(50), nullable=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    # Events of one moment are ordered by their chain, which a trigger can follow only while each event goes on
    # where the last one ended. `chained`: the first event of the last moment did. `settled`: so did all of it, or it
    # is one event. What is not settled is worked out when it is read.
    sa.Column("moment_size", sa.BigInteger, nullable=False),
    sa.Column("chained", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("settled", sa.Boolean(create_constraint=False), nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("idx_instances_updated", instances.c.updated_at, instances.c.last_seq)
sa.Index(
    "idx_instances_unsettled",
    instances.c.instance_id,
    sqlite_where=instances.c.settled == 0,
    postgresql_where=sa.text("NOT settled"),
)

_sqlite_metadata: Final = sa.MetaData()

event_counts: Final = sa.Table(
    "fsm_event_counts",
    _sqlite_metadata,
    sa.Column("hour_at", sa.BigInteger, primary_key=True, nullable=False),
    sa.Column("component_name", sa.String(100), primary_key=True, nullable=False),
    sa.Column("machine_name", sa.String(100), primary_key=True, nullable=False),
    sa.Column("event_type", sa.String(50), primary_key=True, nullable=False),
    sa.Column("state_before", sa.String(50), primary_key=True, nullable=False),
    sa.Column("state_after", sa.String(50), primary_key=True, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)


def create_schema(connection: sa.Connection) -> None:
    """Make an empty database a store of ours. Runs in the caller's transaction, so that half a schema is never seen."""
    _metadata.create_all(connection, checkfirst=False)
    if connection.dialect.name == "sqlite":
        _sqlite_metadata.create_all(connection, checkfirst=False)
        statements: tuple[str, ...] = _SQLITE_TRIGGERS
    else:
        statements = (*_POSTGRESQL_TRIGGERS, *_POSTGRESQL_APPEND)
    for statement in statements:
        connection.exec_driver_sql(statement)
    connection.execute(meta.insert(), {"schema_version": SCHEMA_VERSION})


def add_what_is_missing(connection: sa.Connection) -> None:
    """Give a store of ours that an earlier version made what has come since. That is only ever added to, so the
    version stays: earlier ones go on reading and writing."""
    outbox.create(connection, checkfirst=True)
    if connection.dialect.name == "sqlite":
        # It took states to chain that did not, after a moment whose order it could not tell.
        statements: tuple[str, ...] = ("DROP TRIGGER fsm_events_added", _SQLITE_TRIGGERS[0])
    else:
        statements = _POSTGRESQL_APPEND
    for statement in statements:
        connection.exec_driver_sql(statement)


def upsert_snapshots(insert: Any) -> sa.Insert:
    """The specification's statement: insert, or replace all but the time of creation.

    Its parameters are the columns with `new_` before their names, JSON as text.
    """
    given = [column for column in snapshots.c if column.server_default is None]
    values: dict[str, Any] = {column.name: sa.bindparam(f"new_{column.name}", type_=column.type) for column in given}
    for name in ("context", "public_member", "pending_timeouts"):
        values[name] = sa.cast(sa.bindparam(f"new_{name}", type_=sa.Text), snapshots.c[name].type)
    replaced = {column.name: insert.excluded[column.name] for column in given if not column.primary_key}
    statement: sa.Insert = insert.values(values).on_conflict_do_update(
        index_elements=["instance_id"], set_={**replaced, "updated_at": sa.func.current_timestamp()}
    )
    return statement


# A trigger for each row costs more than the row. Where the extra row is there before the event, our bulk writer does
# all this for many events at once (`sqlite_bulk`), and the trigger stays out of the way.
# An hour is rounded down, also before 1970, where SQLite's division rounds up.
_SQLITE_HOUR: Final = f"({{row}}.persisted_at - (({{row}}.persisted_at % {HOUR_MS}) + {HOUR_MS}) % {HOUR_MS})"

_SQLITE_TRIGGERS: Final = (
    f"""
CREATE TRIGGER fsm_events_added AFTER INSERT ON fsm_events
WHEN NOT EXISTS (SELECT 1 FROM fsm_event_extra WHERE event_id = new.id) BEGIN
  INSERT INTO fsm_event_extra (event_id) VALUES (new.id);

  INSERT INTO fsm_event_causes (cause_id, event_id)
    SELECT DISTINCT value, new.id FROM json_each(CASE WHEN json_valid(new.caused_by) THEN new.caused_by ELSE '[]' END)
    WHERE new.caused_by <> '[]' AND type = 'text';

  INSERT INTO fsm_event_counts
    VALUES ({_SQLITE_HOUR.format(row="new")}, new.component_name, new.machine_name, new.event_type,
            new.state_before, new.state_after, 1)
    ON CONFLICT DO UPDATE SET count = count + 1;

  INSERT INTO fsm_instances
    SELECT new.instance_id, new.component_name, new.machine_name, new.state_after, new.persisted_at, new.persisted_at,
           1, new.id, new.event_type, seq, 1, new.state_before = '', 1
    FROM fsm_event_extra WHERE event_id = new.id
    ON CONFLICT (instance_id) DO UPDATE SET
      event_count = event_count + 1,
      created_at = min(created_at, excluded.created_at);

  UPDATE fsm_instances SET
      component_name = new.component_name,
      machine_name = new.machine_name,
      state = new.state_after,
      last_event_id = new.id,
      last_event_type = new.event_type,
      last_seq = (SELECT seq FROM fsm_event_extra WHERE event_id = new.id),
      chained = CASE WHEN new.persisted_at > updated_at THEN settled AND state = new.state_before ELSE chained END,
      settled = CASE WHEN new.persisted_at > updated_at THEN 1
                     ELSE settled AND chained AND state = new.state_before END,
      moment_size = CASE WHEN new.persisted_at > updated_at THEN 1 ELSE moment_size + 1 END,
      updated_at = new.persisted_at
    WHERE instance_id = new.instance_id AND event_count > 1 AND new.persisted_at >= updated_at;

  UPDATE fsm_instances SET settled = moment_size = 1, chained = 0
    WHERE instance_id = new.instance_id AND new.persisted_at < updated_at;
END""",
    f"""
CREATE TRIGGER fsm_events_deleted AFTER DELETE ON fsm_events BEGIN
  DELETE FROM fsm_event_extra WHERE event_id = old.id;
  DELETE FROM fsm_event_causes WHERE event_id = old.id;
  UPDATE fsm_event_counts SET count = count - 1
    WHERE hour_at = {_SQLITE_HOUR.format(row="old")} AND component_name = old.component_name
      AND machine_name = old.machine_name AND event_type = old.event_type
      AND state_before = old.state_before AND state_after = old.state_after;
  DELETE FROM fsm_event_counts
    WHERE hour_at = {_SQLITE_HOUR.format(row="old")} AND count = 0;
  DELETE FROM fsm_instances WHERE instance_id = old.instance_id AND event_count = 1;
  UPDATE fsm_instances SET
      event_count = event_count - 1,
      chained = 0,
      settled = settled AND moment_size = 1 AND old.persisted_at < updated_at,
      created_at = CASE WHEN created_at < old.persisted_at THEN created_at ELSE
        (SELECT min(persisted_at) FROM fsm_events WHERE instance_id = old.instance_id) END,
      updated_at = CASE WHEN updated_at > old.persisted_at THEN updated_at ELSE
        (SELECT max(persisted_at) FROM fsm_events WHERE instance_id = old.instance_id) END
    WHERE instance_id = old.instance_id;
END""",
)

# Plans are kept for the session: what suits a batch of thousands, or tables that are still empty, must not be used for
# one event among millions. So events are not joined with what is beside them but looked up, each by the index.
# The fold of `fsm_events_added` is the one of SQLite's trigger, over events in the order of instance and insertion: all
# writers lock instances in the same order. Where a state is not settled, what follows it at one moment is not either.
_PUT_INSTANCE: Final = """UPDATE fsm_instances SET
          component_name = known.component_name, machine_name = known.machine_name, state = known.state,
          created_at = known.created_at, updated_at = known.updated_at, event_count = known.event_count,
          last_event_id = known.last_event_id, last_event_type = known.last_event_type, last_seq = known.last_seq,
          moment_size = known.moment_size, chained = known.chained, settled = known.settled
        WHERE instance_id = known.instance_id;"""

_POSTGRESQL_TRIGGERS: Final = (
    f"""
CREATE FUNCTION fsm_events_added() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  e record;
  known fsm_instances;
  changed boolean := false;
BEGIN
  INSERT INTO fsm_event_extra (event_id)
    SELECT id FROM added WHERE (SELECT seq FROM fsm_event_extra x WHERE x.event_id = added.id) IS NULL;
  INSERT INTO fsm_event_causes (cause_id, event_id)
    SELECT DISTINCT cause, id FROM added CROSS JOIN LATERAL unnest(added.caused_by) AS cause WHERE cause IS NOT NULL;

  FOR e IN
    SELECT a.id, a.instance_id, a.component_name, a.machine_name, a.event_type, a.state_before, a.state_after,
           a.persisted_at, (SELECT seq FROM fsm_event_extra x WHERE x.event_id = a.id) AS seq
    FROM added a ORDER BY instance_id, seq
  LOOP
    IF known.instance_id IS DISTINCT FROM e.instance_id THEN
      IF changed THEN
        {_PUT_INSTANCE}
        changed := false;
      END IF;
      SELECT * INTO known FROM fsm_instances WHERE instance_id = e.instance_id FOR UPDATE;
      IF NOT FOUND THEN
        INSERT INTO fsm_instances
          VALUES (e.instance_id, e.component_name, e.machine_name, e.state_after, e.persisted_at, e.persisted_at, 1,
                  e.id, e.event_type, e.seq, 1, e.state_before = '', true)
          ON CONFLICT DO NOTHING RETURNING * INTO known;
        CONTINUE WHEN FOUND;
        -- Another writer was first, and is done now.
        SELECT * INTO known FROM fsm_instances WHERE instance_id = e.instance_id FOR UPDATE;
      END IF;
    END IF;
    changed := true;
    known.event_count := known.event_count + 1;
    IF e.persisted_at < known.updated_at THEN
      known.created_at := least(known.created_at, e.persisted_at);
      known.chained := false;
      known.settled := known.moment_size = 1;
      CONTINUE;
    ELSIF e.persisted_at > known.updated_at THEN
      known.chained := known.settled AND known.state = e.state_before;
      known.settled := true;
      known.moment_size := 1;
    ELSE
      known.settled := known.settled AND known.chained AND known.state = e.state_before AND known.last_seq < e.seq;
      known.moment_size := known.moment_size + 1;
    END IF;
    known.component_name := e.component_name;
    known.machine_name := e.machine_name;
    known.state := e.state_after;
    known.updated_at := e.persisted_at;
    known.last_event_id := e.id;
    known.last_event_type := e.event_type;
    known.last_seq := e.seq;
  END LOOP;
  IF changed THEN
    {_PUT_INSTANCE}
  END IF;
  RETURN NULL;
END $$""",
    """
CREATE FUNCTION fsm_events_deleted() RETURNS trigger LANGUAGE plpgsql
  SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  PERFORM 1 FROM fsm_instances WHERE instance_id IN (SELECT instance_id FROM gone) ORDER BY instance_id FOR UPDATE;
  DELETE FROM fsm_instances WHERE instance_id IN (SELECT instance_id FROM gone);
  INSERT INTO fsm_instances
    SELECT DISTINCT ON (instance_id)
           e.instance_id, e.component_name, e.machine_name, e.state_after,
           min(e.persisted_at) OVER stream, e.persisted_at, count(*) OVER stream, e.id, e.event_type, x.seq,
           count(*) OVER moment, false, count(*) OVER moment = 1
    FROM fsm_events e JOIN fsm_event_extra x ON x.event_id = e.id
    WHERE e.instance_id IN (SELECT instance_id FROM gone)
    WINDOW stream AS (PARTITION BY e.instance_id), moment AS (PARTITION BY e.instance_id, e.persisted_at)
    ORDER BY instance_id, e.persisted_at DESC, x.seq DESC;
  DELETE FROM fsm_event_extra x USING gone WHERE x.event_id = gone.id;
  DELETE FROM fsm_event_causes c USING gone WHERE c.event_id = gone.id;
  RETURN NULL;
END $$""",
    """
CREATE TRIGGER fsm_events_deleted AFTER DELETE ON fsm_events
  REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION fsm_events_deleted()""",
    # Also while a backup is restored with triggers switched off.
    "ALTER TABLE fsm_events ENABLE ALWAYS TRIGGER fsm_events_deleted",
)

# What the trigger does for others, our own writers do themselves: for one event here, in one way to the server, and for
# many in `postgresql_bulk`. The trigger stays away in a transaction that says so. Said for the transaction only, as a
# pool between us and the server may give others the same session.
# The instance comes first: whoever waits, waits there, before anything is written; and numbers are drawn only by who
# is let in, so that within an instance they follow the order in which events came.
_POSTGRESQL_APPEND: Final = (
    """
CREATE OR REPLACE FUNCTION fsm_append(
  new_id varchar, new_instance varchar, new_machine varchar, new_component varchar, new_type varchar, payload text,
  old_state varchar, new_state varchar, at bigint, new_causes varchar[], new_caused varchar[],
  source_component varchar, target_component varchar, original text, definition_hash varchar,
  expected varchar, work_ids varchar[], work_components varchar[], work_positions bigint[], work_documents text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  new_seq bigint;
  last varchar;
  is_settled boolean;
BEGIN
  PERFORM set_config('xcstore.writer', 'ours', true);
  LOOP
    UPDATE fsm_instances SET
        component_name = new_component, machine_name = new_machine, state = new_state, updated_at = at,
        event_count = event_count + 1, last_event_id = new_id, last_event_type = new_type,
        last_seq = nextval('fsm_event_extra_seq_seq'),
        chained = CASE WHEN at > updated_at THEN settled AND state = old_state ELSE chained END,
        settled = at > updated_at OR (settled AND chained AND state = old_state),
        moment_size = CASE WHEN at > updated_at THEN 1 ELSE moment_size + 1 END
      WHERE instance_id = new_instance AND at >= updated_at
        AND (expected IS NULL OR (settled AND last_event_id = expected))
      RETURNING last_seq INTO new_seq;
    EXIT WHEN FOUND;
    SELECT last_event_id, settled INTO last, is_settled FROM fsm_instances WHERE instance_id = new_instance;
    IF NOT FOUND THEN
      IF expected <> '' THEN
        RAISE SQLSTATE 'XC001' USING MESSAGE = 'moved on', DETAIL = '';
      END IF;
      INSERT INTO fsm_instances
        VALUES (new_instance, new_component, new_machine, new_state, at, at, 1, new_id, new_type,
                nextval('fsm_event_extra_seq_seq'), 1, old_state = '', true)
        ON CONFLICT DO NOTHING RETURNING last_seq INTO new_seq;
      EXIT WHEN FOUND;
      CONTINUE;  -- another writer was first, and is done now
    ELSIF NOT is_settled AND expected IS NOT NULL THEN
      RAISE SQLSTATE 'XC002' USING MESSAGE = 'not settled';
    ELSIF last <> expected THEN
      RAISE SQLSTATE 'XC001' USING MESSAGE = 'moved on', DETAIL = last;
    END IF;
    UPDATE fsm_instances SET
        event_count = event_count + 1, created_at = least(created_at, at), chained = false, settled = moment_size = 1
      WHERE instance_id = new_instance AND at < updated_at
        AND (expected IS NULL OR (settled AND last_event_id = expected));
    IF FOUND THEN
      new_seq := nextval('fsm_event_extra_seq_seq');
      EXIT;
    END IF;
  END LOOP;
  INSERT INTO fsm_event_extra VALUES (new_seq, new_id, original, definition_hash);
  INSERT INTO fsm_events (id, instance_id, machine_name, component_name, event_type, event_payload, state_before,
                          state_after, persisted_at, caused_by, caused, source_component_name, target_component_name)
    VALUES (new_id, new_instance, new_machine, new_component, new_type, payload::jsonb, old_state, new_state, at,
            new_causes, new_caused, source_component, target_component);
  IF cardinality(new_causes) = 1 THEN
    INSERT INTO fsm_event_causes VALUES (new_causes[1], new_id);
  ELSIF cardinality(new_causes) > 1 THEN
    INSERT INTO fsm_event_causes SELECT DISTINCT cause, new_id FROM unnest(new_causes) AS cause;
  END IF;
  FOR i IN 1 .. coalesce(cardinality(work_ids), 0) LOOP
    IF work_documents[i] IS NULL THEN
      DELETE FROM fsm_outbox WHERE id = work_ids[i];
    ELSE
      INSERT INTO fsm_outbox (id, component_name, position, document)
        VALUES (work_ids[i], work_components[i], work_positions[i], work_documents[i])
        ON CONFLICT (id) DO UPDATE SET component_name = excluded.component_name, position = excluded.position,
          document = excluded.document;
    END IF;
  END LOOP;
END $$""",
    "DROP TRIGGER IF EXISTS fsm_events_added ON fsm_events",
    """
CREATE TRIGGER fsm_events_added AFTER INSERT ON fsm_events
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT
  WHEN (current_setting('xcstore.writer', true) IS DISTINCT FROM 'ours') EXECUTE FUNCTION fsm_events_added()""",
    "ALTER TABLE fsm_events ENABLE ALWAYS TRIGGER fsm_events_added",
)
