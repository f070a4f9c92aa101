-- The search index is in the memory of each process, and made of the users.
DROP TABLE search_hits;
DROP TABLE search_keys;
DROP TABLE search_words;
