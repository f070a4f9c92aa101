-- Pictures of users, in a table of their own, so that a page of users reads none. users.avatar names the current picture.
CREATE TABLE avatars (
    user_id      blob NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    content_type text NOT NULL CHECK (content_type IN ('image/png', 'image/jpeg')),
    content      blob NOT NULL
) STRICT;
ALTER TABLE users ADD COLUMN avatar text;
