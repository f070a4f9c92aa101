-- Pictures of users, in a table of their own, so that a page of users reads none. users.avatar names the current picture.
CREATE TABLE avatars (
    user_id      uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    content_type text NOT NULL CHECK (content_type IN ('image/png', 'image/jpeg')),
    content      bytea NOT NULL
);
-- The pictures are compressed already.
ALTER TABLE avatars ALTER COLUMN content SET STORAGE EXTERNAL;
ALTER TABLE users ADD COLUMN avatar text;
