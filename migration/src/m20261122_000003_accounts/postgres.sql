-- Credentials besides the password (PINs, devices, API keys), counters of wrong secrets, and the audit trail.

-- "wrong" is the number of wrong PINs since the last right secret.
CREATE TABLE pins (
    user_id  uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    pin_hash text NOT NULL,
    wrong    integer NOT NULL
);

CREATE TABLE devices (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash   bytea NOT NULL UNIQUE,
    last_used_at timestamptz NOT NULL
);
CREATE INDEX devices_of_user ON devices (user_id, last_used_at);

CREATE TABLE api_keys (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    license_id   uuid NOT NULL REFERENCES licenses (id),
    name         text NOT NULL,
    role         text NOT NULL,
    prefix       text NOT NULL,
    token_hash   bytea NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    expires_at   timestamptz
);
CREATE INDEX api_keys_of_license ON api_keys (license_id, created_at);
CREATE INDEX api_keys_of_user ON api_keys (user_id);

-- Counters of wrong secrets of an account or a network address, without a reference to either: an account that does not
-- exist is counted too.
CREATE TABLE attempts (
    subject bytea PRIMARY KEY,
    wrong   integer NOT NULL,
    since   timestamptz NOT NULL
);
CREATE INDEX attempts_by_age ON attempts (since);

CREATE TABLE tombstones (
    user_id    uuid PRIMARY KEY,
    license_id uuid NOT NULL REFERENCES licenses (id),
    deleted_at timestamptz NOT NULL,
    deleted_by uuid
);

-- Each event contains the hash of the previous one (src/audit/mod.rs). The hash covers the changes by their own, salted
-- hash, so that personal values in them can be erased with the user, and the chain stays valid.
CREATE TABLE audit_events (
    seq          bigint PRIMARY KEY,
    id           uuid NOT NULL UNIQUE,
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
    previous     bytea NOT NULL,
    hash         bytea NOT NULL
);
CREATE INDEX audit_events_of_license ON audit_events (license_id, seq);
CREATE INDEX audit_events_of_subject ON audit_events (subject_id, seq);
CREATE INDEX audit_events_of_actor ON audit_events (actor_id, seq);

-- The end of the chain: without it, the removal of the last event would go unnoticed. Its row is also the lock under
-- which events are appended one after the other.
CREATE TABLE audit_head (
    only_one integer PRIMARY KEY CHECK (only_one = 1),
    seq      bigint NOT NULL,
    hash     bytea NOT NULL
);
INSERT INTO audit_head VALUES (1, 0, '');

CREATE FUNCTION audit_events_appended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE audit_head SET (seq, hash) = (SELECT seq, hash FROM added ORDER BY seq DESC LIMIT 1);
    RETURN NULL;
END $$;
CREATE FUNCTION audit_events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_events is append-only';
END $$;
CREATE FUNCTION audit_events_only_lose_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.changes IS NULL AND NEW.salt IS NULL
        AND EXISTS (SELECT 1 FROM tombstones WHERE user_id = OLD.subject_id)
        AND (NEW.seq, NEW.id, NEW.license_id, NEW.at, NEW.action, NEW.actor_id, NEW.api_key_id, NEW.subject_type,
             NEW.subject_id, NEW.request_id, NEW.changes_hash, NEW.previous, NEW.hash)
            IS NOT DISTINCT FROM
            (OLD.seq, OLD.id, OLD.license_id, OLD.at, OLD.action, OLD.actor_id, OLD.api_key_id, OLD.subject_type,
             OLD.subject_id, OLD.request_id, OLD.changes_hash, OLD.previous, OLD.hash)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit_events is append-only';
END $$;
CREATE TRIGGER audit_events_insert AFTER INSERT ON audit_events
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION audit_events_appended();
CREATE TRIGGER audit_events_delete BEFORE DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_are_append_only();
CREATE TRIGGER audit_events_update BEFORE UPDATE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_events_only_lose_changes();
