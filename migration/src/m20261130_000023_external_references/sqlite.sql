-- The ids of users, groups and institutions in other systems, each with the source that it is from: a JSON array such as
-- [{"source":"hr","id":"7"}], sorted by source. A column, so that a change of it is a change of its row; the id of the default
-- source is external_id.
ALTER TABLE users ADD COLUMN external_references text;
ALTER TABLE groups ADD COLUMN external_references text;
ALTER TABLE institutions ADD COLUMN external_references text;

-- An index of the arrays, which triggers keep: it finds the rows by their references, and an id belongs to one row of a license.
CREATE TABLE user_references (
    license_id     blob NOT NULL,
    source         text NOT NULL,
    external_id    text NOT NULL,
    user_id        blob NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (license_id, source, external_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_references_by_user ON user_references (user_id);
CREATE TRIGGER users_references_insert AFTER INSERT ON users WHEN new.external_references IS NOT NULL BEGIN
    INSERT INTO user_references (license_id, source, external_id, user_id)
    SELECT new.license_id, json_extract(value, '$.source'), json_extract(value, '$.id'), new.id
    FROM json_each(new.external_references);
END;
CREATE TRIGGER users_references_update AFTER UPDATE OF external_references ON users
WHEN new.external_references IS NOT old.external_references BEGIN
    DELETE FROM user_references WHERE user_id = new.id;
    INSERT INTO user_references (license_id, source, external_id, user_id)
    SELECT new.license_id, json_extract(value, '$.source'), json_extract(value, '$.id'), new.id
    FROM json_each(new.external_references);
END;

CREATE TABLE group_references (
    license_id     blob NOT NULL,
    source         text NOT NULL,
    external_id    text NOT NULL,
    group_id       blob NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    PRIMARY KEY (license_id, source, external_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_references_by_group ON group_references (group_id);
CREATE TRIGGER groups_references_insert AFTER INSERT ON groups WHEN new.external_references IS NOT NULL BEGIN
    INSERT INTO group_references (license_id, source, external_id, group_id)
    SELECT new.license_id, json_extract(value, '$.source'), json_extract(value, '$.id'), new.id
    FROM json_each(new.external_references);
END;
CREATE TRIGGER groups_references_update AFTER UPDATE OF external_references ON groups
WHEN new.external_references IS NOT old.external_references BEGIN
    DELETE FROM group_references WHERE group_id = new.id;
    INSERT INTO group_references (license_id, source, external_id, group_id)
    SELECT new.license_id, json_extract(value, '$.source'), json_extract(value, '$.id'), new.id
    FROM json_each(new.external_references);
END;

CREATE TABLE institution_references (
    license_id     blob NOT NULL,
    source         text NOT NULL,
    external_id    text NOT NULL,
    institution_id blob NOT NULL REFERENCES institutions (id) ON DELETE CASCADE,
    PRIMARY KEY (license_id, source, external_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX institution_references_by_institution ON institution_references (institution_id);
CREATE TRIGGER institutions_references_insert AFTER INSERT ON institutions WHEN new.external_references IS NOT NULL BEGIN
    INSERT INTO institution_references (license_id, source, external_id, institution_id)
    SELECT new.license_id, json_extract(value, '$.source'), json_extract(value, '$.id'), new.id
    FROM json_each(new.external_references);
END;
CREATE TRIGGER institutions_references_update AFTER UPDATE OF external_references ON institutions
WHEN new.external_references IS NOT old.external_references BEGIN
    DELETE FROM institution_references WHERE institution_id = new.id;
    INSERT INTO institution_references (license_id, source, external_id, institution_id)
    SELECT new.license_id, json_extract(value, '$.source'), json_extract(value, '$.id'), new.id
    FROM json_each(new.external_references);
END;
