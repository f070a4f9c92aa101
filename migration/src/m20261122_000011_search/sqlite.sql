-- The words by which users are searched, instead of the full-text index of fragments.
DROP TRIGGER users_search_insert;
DROP TRIGGER users_search_update;
DROP TRIGGER users_search_delete;
DROP TABLE users_search;

-- Every word of any user.
CREATE TABLE search_words (
    id   integer PRIMARY KEY,
    word text NOT NULL UNIQUE
) STRICT;

-- The keys by which a word is found: `^` and the word, `*` and what follows one of its letters, `~` and the word with
-- letters left out.
CREATE TABLE search_keys (
    key     text NOT NULL,
    word_id integer NOT NULL,
    PRIMARY KEY (key, word_id)
) STRICT, WITHOUT ROWID;

-- The users that have a word. license is a short form of the license's id.
CREATE TABLE search_hits (
    word_id integer NOT NULL,
    license integer NOT NULL,
    user_id blob NOT NULL,
    PRIMARY KEY (word_id, license, user_id)
) STRICT, WITHOUT ROWID;
