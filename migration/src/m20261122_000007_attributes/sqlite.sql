-- Custom attributes, besides the columns of users: the definitions of a license, and the values of its users.
CREATE TABLE attribute_definitions (
    id            blob NOT NULL PRIMARY KEY,
    license_id    blob NOT NULL REFERENCES licenses (id),
    name          text NOT NULL,
    label         text NOT NULL,
    kind          text NOT NULL,
    required      integer NOT NULL,
    user_editable integer NOT NULL,
    user_visible  integer NOT NULL,
    created_at    text NOT NULL,
    modified_at   text NOT NULL,
    UNIQUE (license_id, name)
) STRICT;

CREATE TABLE attribute_values (
    user_id       blob NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    definition_id blob NOT NULL REFERENCES attribute_definitions (id) ON DELETE CASCADE,
    value         text NOT NULL,
    value_key     text NOT NULL,
    PRIMARY KEY (user_id, definition_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX attribute_values_by_value ON attribute_values (definition_id, value_key, user_id);
