-- Every username and email address of every user, in the form in which they are compared: one namespace. The triggers
-- keep it in step with users, so that no way of writing a user bypasses it.
CREATE TABLE logins (
    key     text NOT NULL PRIMARY KEY,
    user_id blob NOT NULL
) STRICT, WITHOUT ROWID;

-- If a username is another user's email address, the email address takes precedence, as in sign-in.
INSERT INTO logins (key, user_id) SELECT email_key, id FROM users WHERE email_key IS NOT NULL;
INSERT OR IGNORE INTO logins (key, user_id) SELECT username_key, id FROM users WHERE username_key IS NOT NULL;

CREATE TRIGGER users_logins_insert AFTER INSERT ON users BEGIN
    INSERT INTO logins (key, user_id)
        SELECT NEW.username_key, NEW.id WHERE NEW.username_key IS NOT NULL
        UNION
        SELECT NEW.email_key, NEW.id WHERE NEW.email_key IS NOT NULL;
END;

-- A duplicate login from before this namespace is kept until the user's logins change.
CREATE TRIGGER users_logins_update AFTER UPDATE OF username_key, email_key ON users
WHEN OLD.username_key IS NOT NEW.username_key OR OLD.email_key IS NOT NEW.email_key BEGIN
    DELETE FROM logins
        WHERE key IN (OLD.username_key, OLD.email_key) AND user_id = OLD.id
        AND key IS NOT NEW.username_key AND key IS NOT NEW.email_key;
    -- Another user with the same login has it alone from now on.
    INSERT OR IGNORE INTO logins (key, user_id)
        SELECT email_key, id FROM users WHERE email_key IN (OLD.username_key, OLD.email_key) AND id <> OLD.id
        UNION ALL
        SELECT username_key, id FROM users WHERE username_key IN (OLD.username_key, OLD.email_key) AND id <> OLD.id;
    INSERT INTO logins (key, user_id)
        SELECT NEW.username_key, NEW.id WHERE NEW.username_key IS NOT NULL
            AND NEW.username_key IS NOT OLD.username_key AND NEW.username_key IS NOT OLD.email_key
        UNION
        SELECT NEW.email_key, NEW.id WHERE NEW.email_key IS NOT NULL
            AND NEW.email_key IS NOT OLD.username_key AND NEW.email_key IS NOT OLD.email_key;
END;

CREATE TRIGGER users_logins_delete AFTER DELETE ON users BEGIN
    DELETE FROM logins WHERE key IN (OLD.username_key, OLD.email_key) AND user_id = OLD.id;
    INSERT OR IGNORE INTO logins (key, user_id)
        SELECT email_key, id FROM users WHERE email_key IN (OLD.username_key, OLD.email_key)
        UNION ALL
        SELECT username_key, id FROM users WHERE username_key IN (OLD.username_key, OLD.email_key);
END;
