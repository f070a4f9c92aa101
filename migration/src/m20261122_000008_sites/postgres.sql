-- The institutions to whose data users have been granted access.
CREATE TABLE site_access (
    user_id        uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    institution_id uuid NOT NULL REFERENCES institutions (id) ON DELETE CASCADE,
    granted_at     timestamptz NOT NULL,
    PRIMARY KEY (user_id, institution_id)
);
CREATE INDEX site_access_of_institution ON site_access (institution_id, user_id);
