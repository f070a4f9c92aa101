-- Keyed hashes of the external ids of erased users, so that an import does not bring them back.
CREATE TABLE erased_references (
    hash       text NOT NULL PRIMARY KEY,
    license_id blob NOT NULL REFERENCES licenses (id)
) STRICT, WITHOUT ROWID;
