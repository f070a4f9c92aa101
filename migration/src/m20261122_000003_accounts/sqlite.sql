-- Credentials besides the password (PINs, devices, API keys), counters of wrong secrets, and the audit trail.

-- "wrong" is the number of wrong PINs since the last right secret.
CREATE TABLE pins (
    user_id  blob NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    pin_hash text NOT NULL,
    wrong    integer NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
    id           blob NOT NULL PRIMARY KEY,
    user_id      blob NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash   blob NOT NULL UNIQUE,
    last_used_at text NOT NULL
) STRICT;
CREATE INDEX devices_of_user ON devices (user_id, last_used_at);

CREATE TABLE api_keys (
    id           blob NOT NULL PRIMARY KEY,
    user_id      blob NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    license_id   blob NOT NULL REFERENCES licenses (id),
    name         text NOT NULL,
    role         text NOT NULL,
    prefix       text NOT NULL,
    token_hash   blob NOT NULL UNIQUE,
    created_at   text NOT NULL,
    last_used_at text,
    expires_at   text
) STRICT;
CREATE INDEX api_keys_of_license ON api_keys (license_id, created_at);
CREATE INDEX api_keys_of_user ON api_keys (user_id);

-- Counters of wrong secrets of an account or a network address, without a reference to either: an account that does not
-- exist is counted too.
CREATE TABLE attempts (
    subject blob NOT NULL PRIMARY KEY,
    wrong   integer NOT NULL,
    since   text NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_by_age ON attempts (since);

CREATE TABLE tombstones (
    user_id    blob NOT NULL PRIMARY KEY,
    license_id blob NOT NULL REFERENCES licenses (id),
    deleted_at text NOT NULL,
    deleted_by blob
) STRICT, WITHOUT ROWID;

-- Each event contains the hash of the previous one (src/audit/mod.rs). The hash covers the changes by their own, salted
-- hash, so that personal values in them can be erased with the user, and the chain stays valid.
CREATE TABLE audit_events (
    seq          integer NOT NULL PRIMARY KEY,
    id           blob NOT NULL UNIQUE,
    license_id   blob NOT NULL,
    at           text NOT NULL,
    action       text NOT NULL,
    actor_id     blob,
    api_key_id   blob,
    subject_type text NOT NULL,
    subject_id   blob NOT NULL,
    request_id   text,
    changes      text,
    salt         blob,
    changes_hash blob,
    previous     blob NOT NULL,
    hash         blob NOT NULL
) STRICT;
CREATE INDEX audit_events_of_license ON audit_events (license_id, seq);
CREATE INDEX audit_events_of_subject ON audit_events (subject_id, seq);
CREATE INDEX audit_events_of_actor ON audit_events (actor_id, seq);

-- The end of the chain: without it, the removal of the last event would go unnoticed.
CREATE TABLE audit_head (
    only_one integer NOT NULL PRIMARY KEY CHECK (only_one = 1),
    seq      integer NOT NULL,
    hash     blob NOT NULL
) STRICT;
INSERT INTO audit_head VALUES (1, 0, x'');

CREATE TRIGGER audit_events_insert AFTER INSERT ON audit_events BEGIN
    UPDATE audit_head SET seq = new.seq, hash = new.hash;
END;
CREATE TRIGGER audit_events_delete BEFORE DELETE ON audit_events BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only');
END;
CREATE TRIGGER audit_events_update BEFORE UPDATE ON audit_events
WHEN NOT (
    new.changes IS NULL AND new.salt IS NULL
    AND EXISTS (SELECT 1 FROM tombstones WHERE user_id = old.subject_id)
    AND (new.seq, new.id, new.license_id, new.at, new.action, new.actor_id, new.api_key_id, new.subject_type,
         new.subject_id, new.request_id, new.changes_hash, new.previous, new.hash)
     IS (old.seq, old.id, old.license_id, old.at, old.action, old.actor_id, old.api_key_id, old.subject_type,
         old.subject_id, old.request_id, old.changes_hash, old.previous, old.hash)
) BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only');
END;
