-- The documents that servers trust, published from the command line. A document can be in several sets; its text is the
-- same in all of them.
CREATE TABLE trusted_documents (
    set_name     text COLLATE "C" NOT NULL,
    id           text COLLATE "C" NOT NULL,
    name         text,
    body         text NOT NULL,
    published_at timestamptz NOT NULL,
    PRIMARY KEY (set_name, id)
);
CREATE INDEX trusted_documents_by_id ON trusted_documents (id);

-- The number of publications and withdrawals, by which servers notice them.
CREATE TABLE document_revision (
    only_one integer PRIMARY KEY CHECK (only_one = 1),
    revision bigint NOT NULL
);
INSERT INTO document_revision (only_one, revision) VALUES (1, 0);

ALTER TABLE api_keys ADD COLUMN document_set text;
