-- The number of rows of each list, so that no list is counted. A change of the rows adds what it changes to
-- total_changes, without waiting for another one, and whoever appends to the audit trail adds that up in folded_totals.
-- The sum of both, list_totals, is exact in every snapshot.
--
-- parent_id is the license, institution or group that the list belongs to, and license_id the license of its rows.
-- ACTIVE_USERS and INACTIVE_USERS, GROUPS, INSTITUTIONS and AUDIT_EVENTS are lists of a license; USERS_OF_INSTITUTION and
-- MEMBERS_OF_GROUP have only active users. The total of a group that was deleted means nothing.
CREATE TABLE folded_totals (
    list       text COLLATE "C" NOT NULL,
    parent_id  uuid NOT NULL,
    license_id uuid NOT NULL,
    total      bigint NOT NULL,
    PRIMARY KEY (list, parent_id, license_id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE TABLE total_changes (
    list       text COLLATE "C" NOT NULL,
    parent_id  uuid NOT NULL,
    license_id uuid NOT NULL,
    change     bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE VIEW list_totals AS
    SELECT list, parent_id, license_id, total FROM folded_totals
    UNION ALL
    SELECT list, parent_id, license_id, change FROM total_changes;

CREATE FUNCTION count_added_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO total_changes (list, parent_id, license_id, change)
    SELECT CASE WHEN is_active THEN 'ACTIVE_USERS' ELSE 'INACTIVE_USERS' END, license_id, license_id, count(*)
    FROM added GROUP BY is_active, license_id
    UNION ALL
    SELECT 'USERS_OF_INSTITUTION', institution_id, license_id, count(*)
    FROM added WHERE is_active AND institution_id IS NOT NULL GROUP BY institution_id, license_id;
    RETURN NULL;
END $$;
CREATE TRIGGER users_total_insert AFTER INSERT ON users
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_added_users();

-- A user leaves the lists of the old row, and enters those of the new one. On a deletion, there is no new row.
CREATE FUNCTION count_changed_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO total_changes (list, parent_id, license_id, change)
    SELECT counted.list, counted.parent_id, state.license_id, sum(state.change)
    FROM (VALUES
        (old.id, old.license_id, old.institution_id, old.is_active, -1),
        (new.id, new.license_id, new.institution_id, new.is_active, 1)
    ) AS state (id, license_id, institution_id, is_active, change)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN state.is_active THEN 'ACTIVE_USERS' ELSE 'INACTIVE_USERS' END, state.license_id
        UNION ALL
        SELECT 'USERS_OF_INSTITUTION', state.institution_id
        WHERE state.is_active AND state.institution_id IS NOT NULL
        UNION ALL
        SELECT 'MEMBERS_OF_GROUP', group_id FROM memberships WHERE user_id = state.id AND state.is_active
    ) AS counted (list, parent_id)
    WHERE state.id IS NOT NULL
    GROUP BY counted.list, counted.parent_id, state.license_id HAVING sum(state.change) <> 0;
    RETURN old;
END $$;
CREATE TRIGGER users_total_update AFTER UPDATE OF license_id, institution_id, is_active ON users FOR EACH ROW
    WHEN ((old.license_id, old.institution_id, old.is_active)
        IS DISTINCT FROM (new.license_id, new.institution_id, new.is_active))
    EXECUTE FUNCTION count_changed_user();
-- Before the deletion of the memberships, which counts nothing for a user who does not exist.
CREATE TRIGGER users_total_delete BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION count_changed_user();

-- Members are counted while their rows are locked, so that none is activated or deactivated meanwhile. The application
-- has locked the rows before.
CREATE FUNCTION count_added_members() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO total_changes (list, parent_id, license_id, change)
    SELECT 'MEMBERS_OF_GROUP', group_id, license_id, count(*) FILTER (WHERE is_active)
    FROM (
        SELECT added.group_id, users.license_id, users.is_active
        FROM added JOIN users ON users.id = added.user_id FOR SHARE OF users
    ) AS members
    GROUP BY group_id, license_id HAVING count(*) FILTER (WHERE is_active) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER memberships_total_insert AFTER INSERT ON memberships
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_added_members();

-- The memberships of a group that is deleted are not counted, so that their users need not be locked.
CREATE FUNCTION count_removed_members() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO total_changes (list, parent_id, license_id, change)
    SELECT 'MEMBERS_OF_GROUP', group_id, license_id, -count(*) FILTER (WHERE is_active)
    FROM (
        SELECT removed.group_id, users.license_id, users.is_active
        FROM removed JOIN users ON users.id = removed.user_id
        WHERE EXISTS (SELECT 1 FROM groups WHERE groups.id = removed.group_id) FOR SHARE OF users
    ) AS members
    GROUP BY group_id, license_id HAVING count(*) FILTER (WHERE is_active) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER memberships_total_delete AFTER DELETE ON memberships
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_removed_members();

-- The arguments are the list, and 1 or -1.
CREATE FUNCTION count_rows_of_license() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO total_changes (list, parent_id, license_id, change)
    SELECT TG_ARGV[0], license_id, license_id, TG_ARGV[1]::bigint * count(*) FROM changed GROUP BY license_id;
    RETURN NULL;
END $$;
CREATE TRIGGER groups_total_insert AFTER INSERT ON groups
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_rows_of_license('GROUPS', '1');
CREATE TRIGGER groups_total_delete AFTER DELETE ON groups
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_rows_of_license('GROUPS', '-1');
CREATE TRIGGER institutions_total_insert AFTER INSERT ON institutions
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_rows_of_license('INSTITUTIONS', '1');
CREATE TRIGGER institutions_total_delete AFTER DELETE ON institutions
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_rows_of_license('INSTITUTIONS', '-1');

-- Whoever appends to the trail holds the lock of its head, so one transaction at a time adds up the changes. Deleting them
-- and adding them up is one statement: every snapshot has them once.
CREATE FUNCTION fold_totals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH folded AS (DELETE FROM total_changes RETURNING list, parent_id, license_id, change)
    INSERT INTO folded_totals AS kept (list, parent_id, license_id, total)
    SELECT list, parent_id, license_id, sum(change) FROM (
        SELECT list, parent_id, license_id, change FROM folded
        UNION ALL
        SELECT 'AUDIT_EVENTS', license_id, license_id, count(*) FROM added GROUP BY license_id
    ) AS changes
    GROUP BY list, parent_id, license_id HAVING sum(change) <> 0
    ON CONFLICT (list, parent_id, license_id) DO UPDATE SET total = kept.total + excluded.total;
    RETURN NULL;
END $$;
-- Its name makes it run after audit_events_insert, which locks the head in any case.
CREATE TRIGGER audit_events_total_insert AFTER INSERT ON audit_events
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION fold_totals();

-- The triggers lock their tables, so nothing changes while the rows are counted.
INSERT INTO folded_totals (list, parent_id, license_id, total)
SELECT CASE WHEN is_active THEN 'ACTIVE_USERS' ELSE 'INACTIVE_USERS' END, license_id, license_id, count(*)
FROM users GROUP BY is_active, license_id
UNION ALL
SELECT 'USERS_OF_INSTITUTION', institution_id, license_id, count(*)
FROM users WHERE is_active AND institution_id IS NOT NULL GROUP BY institution_id, license_id
UNION ALL
SELECT 'MEMBERS_OF_GROUP', memberships.group_id, users.license_id, count(*)
FROM memberships JOIN users ON users.id = memberships.user_id
WHERE users.is_active GROUP BY memberships.group_id, users.license_id
UNION ALL
SELECT 'GROUPS', license_id, license_id, count(*) FROM groups GROUP BY license_id
UNION ALL
SELECT 'INSTITUTIONS', license_id, license_id, count(*) FROM institutions GROUP BY license_id
UNION ALL
SELECT 'AUDIT_EVENTS', license_id, license_id, count(*) FROM audit_events GROUP BY license_id;
