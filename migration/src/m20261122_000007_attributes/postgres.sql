-- Custom attributes, besides the columns of users: the definitions of a license, and the values of its users.
CREATE TABLE attribute_definitions (
    id            uuid PRIMARY KEY,
    license_id    uuid NOT NULL REFERENCES licenses (id),
    name          text COLLATE "C" NOT NULL,
    label         text NOT NULL,
    kind          text NOT NULL,
    required      boolean NOT NULL,
    user_editable boolean NOT NULL,
    user_visible  boolean NOT NULL,
    created_at    timestamptz NOT NULL,
    modified_at   timestamptz NOT NULL,
    UNIQUE (license_id, name)
);

CREATE TABLE attribute_values (
    user_id       uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    definition_id uuid NOT NULL REFERENCES attribute_definitions (id) ON DELETE CASCADE,
    value         text NOT NULL,
    value_key     text COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, definition_id)
);
CREATE INDEX attribute_values_by_value ON attribute_values (definition_id, value_key, user_id);
