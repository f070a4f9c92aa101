-- Pictures of people, apart from the people, so that a page of people reads none; users.avatar names the picture there is.
CREATE TABLE avatars (
    user_id      uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    content_type text NOT NULL CHECK (content_type IN ('image/png', 'image/jpeg')),
    content      bytea NOT NULL
);
-- They are compressed already.
ALTER TABLE avatars ALTER COLUMN content SET STORAGE EXTERNAL;
ALTER TABLE users ADD COLUMN avatar text;
