-- Pictures of people, apart from the people, so that a page of people reads none; users.avatar names the picture there is.
CREATE TABLE avatars (
    user_id      blob NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    content_type text NOT NULL CHECK (content_type IN ('image/png', 'image/jpeg')),
    content      blob NOT NULL
) STRICT;
ALTER TABLE users ADD COLUMN avatar text;
