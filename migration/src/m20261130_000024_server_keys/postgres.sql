-- The server keys beside the current one, by their fingerprints in hexadecimal: the next one, which is about to replace it, the
-- old one, which only verifies, and those that were retired, which are not used again.
CREATE TABLE other_server_keys (
    fingerprint text COLLATE "C" PRIMARY KEY,
    state       text NOT NULL CHECK (state IN ('NEXT', 'OLD', 'RETIRED')),
    since       timestamptz NOT NULL
);

-- What each server says about its keys, while a key is being replaced.
CREATE TABLE server_key_reports (
    server_id uuid PRIMARY KEY,
    name      text NOT NULL,
    held      text NOT NULL,
    used      text NOT NULL
);

ALTER TABLE erased_references ADD COLUMN key_id text;
