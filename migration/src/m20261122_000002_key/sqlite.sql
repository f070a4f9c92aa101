-- The fingerprint of the server key, which is kept outside the database and goes into the hashes of secrets.

CREATE TABLE server_key (
    only_one    integer NOT NULL PRIMARY KEY CHECK (only_one = 1),
    fingerprint blob NOT NULL
) STRICT;
