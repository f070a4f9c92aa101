-- The logins of a user are written before the row. So a statement that creates a user and adds the event to the inbox of
-- the audit trail waits for another user with the same login before it takes a number there, never afterwards. And a login
-- is taken here first and in the indexes of users next, by a new user and by one who is changed: in another order, two who
-- take the same one would wait for each other.
CREATE OR REPLACE FUNCTION users_logins_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO logins (key, user_id)
        SELECT NEW.username_key, NEW.id WHERE NEW.username_key IS NOT NULL
        UNION
        SELECT NEW.email_key, NEW.id WHERE NEW.email_key IS NOT NULL;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION users_logins_update() RETURNS trigger LANGUAGE plpgsql AS $$
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
    RETURN NEW;
END $$;

DROP TRIGGER users_logins_insert ON users;
DROP TRIGGER users_logins_update ON users;
CREATE TRIGGER users_logins_insert BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION users_logins_insert();
CREATE TRIGGER users_logins_update BEFORE UPDATE OF username_key, email_key ON users FOR EACH ROW
WHEN (OLD.username_key IS DISTINCT FROM NEW.username_key OR OLD.email_key IS DISTINCT FROM NEW.email_key)
EXECUTE FUNCTION users_logins_update();
