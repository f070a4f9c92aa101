-- Links that let a person in once; a newer one takes the place of the older.
CREATE TABLE links (
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    text NOT NULL,
    token_hash bytea NOT NULL UNIQUE,
    email_key  text,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, purpose)
);
