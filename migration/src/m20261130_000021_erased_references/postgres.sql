-- Keyed hashes of the external ids of erased users, so that an import does not bring them back.
CREATE TABLE erased_references (
    hash       text COLLATE "C" PRIMARY KEY,
    license_id uuid NOT NULL REFERENCES licenses (id)
);
