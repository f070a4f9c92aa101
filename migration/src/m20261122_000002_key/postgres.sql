-- The fingerprint of the key, kept outside the database, that goes into the hashes of secrets.

CREATE TABLE server_key (
    only_one    integer NOT NULL PRIMARY KEY CHECK (only_one = 1),
    fingerprint bytea NOT NULL
);
