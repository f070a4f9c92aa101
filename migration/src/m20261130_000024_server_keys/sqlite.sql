-- The server keys beside the current one, by their fingerprints in hexadecimal: the next one, which is about to replace it, the
-- old one, which only verifies, and those that were retired, which are not used again.
CREATE TABLE other_server_keys (
    fingerprint text NOT NULL PRIMARY KEY,
    state       text NOT NULL CHECK (state IN ('NEXT', 'OLD', 'RETIRED')),
    since       text NOT NULL
) STRICT, WITHOUT ROWID;

-- What each server says about its keys, while a key is being replaced.
CREATE TABLE server_key_reports (
    server_id blob NOT NULL PRIMARY KEY,
    name      text NOT NULL,
    held      text NOT NULL,
    used      text NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE erased_references ADD COLUMN key_id text;
