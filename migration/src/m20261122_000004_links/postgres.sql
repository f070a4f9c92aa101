-- One-time links that authenticate a user. A newer link replaces the older one of the same purpose.
CREATE TABLE links (
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    text NOT NULL,
    token_hash bytea NOT NULL UNIQUE,
    email_key  text,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, purpose)
);
