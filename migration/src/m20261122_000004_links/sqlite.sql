-- Links that let a person in once; a newer one takes the place of the older.
CREATE TABLE links (
    user_id    blob NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    text NOT NULL,
    token_hash blob NOT NULL UNIQUE,
    email_key  text,
    expires_at text NOT NULL,
    PRIMARY KEY (user_id, purpose)
) STRICT, WITHOUT ROWID;
