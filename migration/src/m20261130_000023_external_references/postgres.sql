-- The ids of users, groups and institutions in other systems, each with the source that it is from: a JSON array such as
-- [{"source":"hr","id":"7"}], sorted by source. A column, so that a change of it is a change of its row; the id of the default
-- source is external_id.
ALTER TABLE users ADD COLUMN external_references text COLLATE "C";
ALTER TABLE groups ADD COLUMN external_references text COLLATE "C";
ALTER TABLE institutions ADD COLUMN external_references text COLLATE "C";

-- An index of the arrays, which triggers keep: it finds the rows by their references, and an id belongs to one row of a license.
CREATE TABLE user_references (
    license_id     uuid NOT NULL,
    source         text COLLATE "C" NOT NULL,
    external_id    text COLLATE "C" NOT NULL,
    user_id        uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (license_id, source, external_id)
);
CREATE INDEX user_references_by_user ON user_references (user_id);
CREATE FUNCTION index_user_references() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM user_references WHERE user_id = new.id;
    END IF;
    INSERT INTO user_references (license_id, source, external_id, user_id)
    SELECT new.license_id, item.source, item.id, new.id
    FROM jsonb_to_recordset(new.external_references::jsonb) AS item (source text, id text);
    RETURN NULL;
END $$;
CREATE TRIGGER users_references_insert AFTER INSERT ON users FOR EACH ROW
    WHEN (new.external_references IS NOT NULL) EXECUTE FUNCTION index_user_references();
CREATE TRIGGER users_references_update AFTER UPDATE OF external_references ON users FOR EACH ROW
    WHEN (new.external_references IS DISTINCT FROM old.external_references) EXECUTE FUNCTION index_user_references();

CREATE TABLE group_references (
    license_id     uuid NOT NULL,
    source         text COLLATE "C" NOT NULL,
    external_id    text COLLATE "C" NOT NULL,
    group_id       uuid NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    PRIMARY KEY (license_id, source, external_id)
);
CREATE INDEX group_references_by_group ON group_references (group_id);
CREATE FUNCTION index_group_references() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM group_references WHERE group_id = new.id;
    END IF;
    INSERT INTO group_references (license_id, source, external_id, group_id)
    SELECT new.license_id, item.source, item.id, new.id
    FROM jsonb_to_recordset(new.external_references::jsonb) AS item (source text, id text);
    RETURN NULL;
END $$;
CREATE TRIGGER groups_references_insert AFTER INSERT ON groups FOR EACH ROW
    WHEN (new.external_references IS NOT NULL) EXECUTE FUNCTION index_group_references();
CREATE TRIGGER groups_references_update AFTER UPDATE OF external_references ON groups FOR EACH ROW
    WHEN (new.external_references IS DISTINCT FROM old.external_references) EXECUTE FUNCTION index_group_references();

CREATE TABLE institution_references (
    license_id     uuid NOT NULL,
    source         text COLLATE "C" NOT NULL,
    external_id    text COLLATE "C" NOT NULL,
    institution_id uuid NOT NULL REFERENCES institutions (id) ON DELETE CASCADE,
    PRIMARY KEY (license_id, source, external_id)
);
CREATE INDEX institution_references_by_institution ON institution_references (institution_id);
CREATE FUNCTION index_institution_references() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM institution_references WHERE institution_id = new.id;
    END IF;
    INSERT INTO institution_references (license_id, source, external_id, institution_id)
    SELECT new.license_id, item.source, item.id, new.id
    FROM jsonb_to_recordset(new.external_references::jsonb) AS item (source text, id text);
    RETURN NULL;
END $$;
CREATE TRIGGER institutions_references_insert AFTER INSERT ON institutions FOR EACH ROW
    WHEN (new.external_references IS NOT NULL) EXECUTE FUNCTION index_institution_references();
CREATE TRIGGER institutions_references_update AFTER UPDATE OF external_references ON institutions FOR EACH ROW
    WHEN (new.external_references IS DISTINCT FROM old.external_references) EXECUTE FUNCTION index_institution_references();
