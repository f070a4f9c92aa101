-- The documents that servers trust, published from the command line. A document can be in several sets; its text is the
-- same in all of them.
CREATE TABLE trusted_documents (
    set_name     text NOT NULL,
    id           text NOT NULL,
    name         text,
    body         text NOT NULL,
    published_at text NOT NULL,
    PRIMARY KEY (set_name, id)
) STRICT;
CREATE INDEX trusted_documents_by_id ON trusted_documents (id);

-- The number of publications and withdrawals, by which servers notice them.
CREATE TABLE document_revision (
    only_one integer NOT NULL PRIMARY KEY CHECK (only_one = 1),
    revision integer NOT NULL
) STRICT;
INSERT INTO document_revision (only_one, revision) VALUES (1, 0);

ALTER TABLE api_keys ADD COLUMN document_set text;
