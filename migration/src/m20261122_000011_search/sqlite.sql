-- What people are searched by, as words, in place of the full-text index of fragments.
DROP TRIGGER users_search_insert;
DROP TRIGGER users_search_update;
DROP TRIGGER users_search_delete;
DROP TABLE users_search;

-- Every word that somebody has.
CREATE TABLE search_words (
    id   integer PRIMARY KEY,
    word text NOT NULL UNIQUE
) STRICT;

-- By what a word is found: `^` and the word, `*` and what follows one of its letters, `~` and the word with letters left out.
CREATE TABLE search_keys (
    key     text NOT NULL,
    word_id integer NOT NULL,
    PRIMARY KEY (key, word_id)
) STRICT, WITHOUT ROWID;

-- Who has a word. The license is a short form of its id.
CREATE TABLE search_hits (
    word_id integer NOT NULL,
    license integer NOT NULL,
    user_id blob NOT NULL,
    PRIMARY KEY (word_id, license, user_id)
) STRICT, WITHOUT ROWID;
