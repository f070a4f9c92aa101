-- Every username and email address of every user, in the form in which they are compared: one namespace. The triggers
-- keep it in step with users, so that no way of writing a user bypasses it.
CREATE TABLE logins (
    key     text COLLATE "C" NOT NULL PRIMARY KEY,
    user_id uuid NOT NULL
);

-- No user is written between the copy and the creation of the triggers.
LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE;

-- If a username is another user's email address, the email address takes precedence, as in sign-in.
INSERT INTO logins (key, user_id) SELECT email_key, id FROM users WHERE email_key IS NOT NULL;
INSERT INTO logins (key, user_id) SELECT username_key, id FROM users WHERE username_key IS NOT NULL ON CONFLICT DO NOTHING;

CREATE FUNCTION users_logins_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO logins (key, user_id)
        SELECT NEW.username_key, NEW.id WHERE NEW.username_key IS NOT NULL
        UNION
        SELECT NEW.email_key, NEW.id WHERE NEW.email_key IS NOT NULL;
    RETURN NULL;
END $$;

CREATE FUNCTION users_logins_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM logins
        WHERE key IN (OLD.username_key, OLD.email_key) AND user_id = OLD.id
        AND key IS DISTINCT FROM NEW.username_key AND key IS DISTINCT FROM NEW.email_key;
    -- Another user with the same login has it alone from now on.
    INSERT INTO logins (key, user_id)
        SELECT email_key, id FROM users WHERE email_key IN (OLD.username_key, OLD.email_key) AND id <> OLD.id
        UNION ALL
        SELECT username_key, id FROM users WHERE username_key IN (OLD.username_key, OLD.email_key) AND id <> OLD.id
        ON CONFLICT DO NOTHING;
    INSERT INTO logins (key, user_id)
        SELECT NEW.username_key, NEW.id WHERE NEW.username_key IS NOT NULL
            AND NEW.username_key IS DISTINCT FROM OLD.username_key AND NEW.username_key IS DISTINCT FROM OLD.email_key
        UNION
        SELECT NEW.email_key, NEW.id WHERE NEW.email_key IS NOT NULL
            AND NEW.email_key IS DISTINCT FROM OLD.username_key AND NEW.email_key IS DISTINCT FROM OLD.email_key;
    RETURN NULL;
END $$;

CREATE FUNCTION users_logins_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM logins WHERE key IN (OLD.username_key, OLD.email_key) AND user_id = OLD.id;
    INSERT INTO logins (key, user_id)
        SELECT email_key, id FROM users WHERE email_key IN (OLD.username_key, OLD.email_key)
        UNION ALL
        SELECT username_key, id FROM users WHERE username_key IN (OLD.username_key, OLD.email_key)
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE TRIGGER users_logins_insert AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION users_logins_insert();

-- A duplicate login from before this namespace is kept until the user's logins change.
CREATE TRIGGER users_logins_update AFTER UPDATE OF username_key, email_key ON users FOR EACH ROW
WHEN (OLD.username_key IS DISTINCT FROM NEW.username_key OR OLD.email_key IS DISTINCT FROM NEW.email_key)
EXECUTE FUNCTION users_logins_update();

CREATE TRIGGER users_logins_delete AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION users_logins_delete();
