-- Events of committed writes that have no place in the hash chain yet. A write adds its events last, without a lock, and
-- the sealer (src/audit/sealer.rs) moves them to audit_events. The content hash covers an event except its place in the
-- chain. Rows come and go all the time, so the table is vacuumed after a fixed number of them.
CREATE TABLE audit_inbox (
    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           uuid NOT NULL,
    license_id   uuid NOT NULL,
    at           timestamptz NOT NULL,
    action       text NOT NULL,
    actor_id     uuid,
    api_key_id   uuid,
    subject_type text NOT NULL,
    subject_id   uuid NOT NULL,
    request_id   text,
    changes      text,
    salt         bytea,
    changes_hash bytea,
    content_hash bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE FUNCTION audit_inbox_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_inbox is append-only';
END $$;

-- An event leaves the inbox only when it is in the chain.
CREATE FUNCTION audit_inbox_loses_only_sealed_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM removed WHERE NOT EXISTS (SELECT 1 FROM audit_events WHERE audit_events.id = removed.id)
    ) THEN
        RAISE EXCEPTION 'audit_inbox is append-only';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER audit_inbox_update BEFORE UPDATE OR TRUNCATE ON audit_inbox
    FOR EACH STATEMENT EXECUTE FUNCTION audit_inbox_is_append_only();
CREATE TRIGGER audit_inbox_delete AFTER DELETE ON audit_inbox
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION audit_inbox_loses_only_sealed_events();
