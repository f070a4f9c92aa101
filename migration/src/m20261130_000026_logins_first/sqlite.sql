-- SQLite has one writer: no one waits for the logins of another transaction.
SELECT 1;
