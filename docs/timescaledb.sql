-- Makes the table of events a hypertable of TimescaleDB, partitioned by persisted_at (epoch milliseconds).
--
--   psql --set ON_ERROR_STOP=1 --file docs/timescaledb.sql DATABASE
--
-- Optional, and only for who asked for it: nothing in this project needs it. Take a backup first; other writers wait
-- while it runs. On a server without the extension, all but the hypertable itself is done; run it again later.
-- The part that any PostgreSQL can run is tested on PostgreSQL 18. THE PART OF TIMESCALEDB IS UNTESTED: no server could be had.
--
-- A hypertable wants its partition column in each unique index. So the primary key becomes (id, persisted_at), and that an
-- id is stored once is kept by fsm_event_ids, whoever writes: a second one is refused as before, as a unique violation.

BEGIN;

LOCK TABLE fsm_events IN ACCESS EXCLUSIVE MODE;

CREATE TABLE IF NOT EXISTS fsm_event_ids (id VARCHAR(50) PRIMARY KEY);
INSERT INTO fsm_event_ids SELECT id FROM fsm_events ON CONFLICT DO NOTHING;

CREATE OR REPLACE FUNCTION fsm_event_id_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO fsm_event_ids VALUES (new.id);
  RETURN new;
END $$;

CREATE OR REPLACE FUNCTION fsm_event_id_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM fsm_event_ids WHERE id = old.id;
  RETURN NULL;
END $$;

DROP TRIGGER IF EXISTS fsm_event_id_added ON fsm_events;
CREATE TRIGGER fsm_event_id_added BEFORE INSERT ON fsm_events
  FOR EACH ROW EXECUTE FUNCTION fsm_event_id_added();
DROP TRIGGER IF EXISTS fsm_event_id_deleted ON fsm_events;
CREATE TRIGGER fsm_event_id_deleted AFTER DELETE ON fsm_events
  FOR EACH ROW EXECUTE FUNCTION fsm_event_id_deleted();

DO $$
DECLARE
  old_key text;
BEGIN
  SELECT conname INTO old_key FROM pg_constraint
    WHERE conrelid = 'fsm_events'::regclass AND contype = 'p' AND cardinality(conkey) = 1;
  IF old_key IS NOT NULL THEN
    EXECUTE format('ALTER TABLE fsm_events DROP CONSTRAINT %I', old_key);
    ALTER TABLE fsm_events ADD PRIMARY KEY (id, persisted_at);
  END IF;
END $$;

-- What "now" is to policies, in the unit of the partition column.
CREATE OR REPLACE FUNCTION fsm_now_ms() RETURNS bigint LANGUAGE sql STABLE AS
  $$ SELECT (extract(epoch FROM now()) * 1000)::bigint $$;

DO $$
DECLARE
  definition text;
  definitions text[];
BEGIN
  IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') THEN
    RAISE NOTICE 'TimescaleDB is not installed on this server: fsm_events stays a plain table';
    RETURN;
  END IF;
  EXECUTE 'CREATE EXTENSION IF NOT EXISTS timescaledb';

  -- No hypertable is made of a table that has triggers with transition tables, as the stores of this project do; added
  -- afterwards they need a version that knows them (pull request 6901 of timescale/timescaledb).
  SELECT array_agg(pg_get_triggerdef(oid)) INTO definitions FROM pg_trigger
    WHERE tgrelid = 'fsm_events'::regclass AND NOT tgisinternal
      AND (tgnewtable IS NOT NULL OR tgoldtable IS NOT NULL);
  IF definitions IS NOT NULL THEN
    EXECUTE 'DROP TRIGGER IF EXISTS fsm_events_added ON fsm_events';
    EXECUTE 'DROP TRIGGER IF EXISTS fsm_events_deleted ON fsm_events';
  END IF;

  EXECUTE $sql$
    SELECT create_hypertable('fsm_events', 'persisted_at', chunk_time_interval => 604800000::bigint,
                             migrate_data => true, if_not_exists => true)
  $sql$;  -- chunks of a week
  EXECUTE $sql$ SELECT set_integer_now_func('fsm_events', 'fsm_now_ms', replace_if_exists => true) $sql$;

  FOREACH definition IN ARRAY coalesce(definitions, '{}') LOOP
    EXECUTE definition;
  END LOOP;
END $$;

COMMIT;

-- Compression of what is older than 30 days, where it is wanted; retention then goes by chunk, too:
--
--   ALTER TABLE fsm_events SET (timescaledb.compress, timescaledb.compress_segmentby = 'instance_id',
--                               timescaledb.compress_orderby = 'persisted_at, id');
--   SELECT add_compression_policy('fsm_events', BIGINT '2592000000');
--
-- Remove events with `python -m xcstore prune`, not with drop_chunks: that fires no triggers, and fsm_event_ids, and in a
-- store of this project fsm_event_extra, fsm_event_causes and fsm_instances, would go on naming what is gone.
