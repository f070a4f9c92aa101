-- Outgoing email and its status.

-- A link is emailed, or shown at the command line. It may name the URL to continue at, and a new email address.
ALTER TABLE links ADD COLUMN is_mailed integer NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN next_url text;
ALTER TABLE links ADD COLUMN new_email text;

-- Emails that are still to be sent. A row is deleted when its email was sent or given up. The sender of an email moves
-- next_try_at beyond the time that sending may take, so that no other instance sends it meanwhile. The token of a link is
-- derived from the seed and the server key.
CREATE TABLE mails (
    id          blob NOT NULL PRIMARY KEY,
    kind        text NOT NULL,
    user_id     blob REFERENCES users (id) ON DELETE CASCADE,
    address     text NOT NULL,
    language    text NOT NULL,
    seed        blob,
    request_id  text,
    created_at  text NOT NULL,
    next_try_at text NOT NULL,
    tries       integer NOT NULL
) STRICT;
CREATE INDEX mails_by_turn ON mails (next_try_at);
CREATE INDEX mails_of_user ON mails (user_id);

-- The status of a user's invitation email.
CREATE TABLE invitations (
    user_id     blob NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    mail_id     blob NOT NULL,
    sent_at     text,
    last_error  text,
    failed_at   text,
    accepted_at text,
    expires_at  text NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX invitations_open ON invitations (user_id) WHERE accepted_at IS NULL;

-- Visitors that registered, until they have confirmed their email address. They are not users yet.
CREATE TABLE registrations (
    email_key  text NOT NULL PRIMARY KEY,
    license_id blob NOT NULL REFERENCES licenses (id),
    email      text NOT NULL,
    first_name text NOT NULL,
    last_name  text NOT NULL,
    token_hash blob NOT NULL UNIQUE,
    next_url   text,
    expires_at text NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX registrations_by_age ON registrations (expires_at);
