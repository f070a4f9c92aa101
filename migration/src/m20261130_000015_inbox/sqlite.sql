-- SQLite has one writer, which appends events to the chain itself: there is no inbox.
SELECT 1;
