-- The number of rows of each list, so that no list is counted. Triggers keep it in the transaction of each change.
--
-- parent_id is the license, institution or group that the list belongs to, and license_id the license of its rows.
-- ACTIVE_USERS and INACTIVE_USERS, GROUPS, INSTITUTIONS and AUDIT_EVENTS are lists of a license; USERS_OF_INSTITUTION and
-- MEMBERS_OF_GROUP have only active users.
CREATE TABLE list_totals (
    list       text NOT NULL,
    parent_id  blob NOT NULL,
    license_id blob NOT NULL,
    total      integer NOT NULL,
    PRIMARY KEY (list, parent_id, license_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER users_total_insert AFTER INSERT ON users BEGIN
    INSERT INTO list_totals (list, parent_id, license_id, total)
    VALUES (iif(new.is_active, 'ACTIVE_USERS', 'INACTIVE_USERS'), new.license_id, new.license_id, 1)
    ON CONFLICT DO UPDATE SET total = total + 1;
    INSERT INTO list_totals (list, parent_id, license_id, total)
    SELECT 'USERS_OF_INSTITUTION', new.institution_id, new.license_id, 1
    WHERE new.is_active AND new.institution_id IS NOT NULL
    ON CONFLICT DO UPDATE SET total = total + 1;
END;

-- A user leaves the lists of the old row, and enters those of the new one.
CREATE TRIGGER users_total_update AFTER UPDATE OF license_id, institution_id, is_active ON users
WHEN (old.license_id, old.institution_id, old.is_active) IS NOT (new.license_id, new.institution_id, new.is_active) BEGIN
    INSERT INTO list_totals (list, parent_id, license_id, total)
    SELECT list, parent_id, license_id, sum(change) FROM (
        SELECT iif(old.is_active, 'ACTIVE_USERS', 'INACTIVE_USERS') AS list, old.license_id AS parent_id,
            old.license_id AS license_id, -1 AS change
        UNION ALL
        SELECT iif(new.is_active, 'ACTIVE_USERS', 'INACTIVE_USERS'), new.license_id, new.license_id, 1
        UNION ALL
        SELECT 'USERS_OF_INSTITUTION', old.institution_id, old.license_id, -1
        WHERE old.is_active AND old.institution_id IS NOT NULL
        UNION ALL
        SELECT 'USERS_OF_INSTITUTION', new.institution_id, new.license_id, 1
        WHERE new.is_active AND new.institution_id IS NOT NULL
        UNION ALL
        SELECT 'MEMBERS_OF_GROUP', group_id, old.license_id, -1
        FROM memberships WHERE user_id = old.id AND old.is_active
        UNION ALL
        SELECT 'MEMBERS_OF_GROUP', group_id, new.license_id, 1
        FROM memberships WHERE user_id = new.id AND new.is_active
    )
    GROUP BY list, parent_id, license_id HAVING sum(change) <> 0
    ON CONFLICT DO UPDATE SET total = total + excluded.total;
END;

-- Before the deletion of the memberships, which counts nothing for a user who does not exist.
CREATE TRIGGER users_total_delete BEFORE DELETE ON users BEGIN
    UPDATE list_totals SET total = total - 1
    WHERE list = iif(old.is_active, 'ACTIVE_USERS', 'INACTIVE_USERS')
        AND parent_id = old.license_id AND license_id = old.license_id;
    UPDATE list_totals SET total = total - 1
    WHERE list = 'USERS_OF_INSTITUTION' AND parent_id = old.institution_id AND license_id = old.license_id
        AND old.is_active;
    UPDATE list_totals SET total = total - 1
    WHERE list = 'MEMBERS_OF_GROUP' AND parent_id IN (SELECT group_id FROM memberships WHERE user_id = old.id)
        AND license_id = old.license_id AND old.is_active;
END;

CREATE TRIGGER memberships_total_insert AFTER INSERT ON memberships BEGIN
    INSERT INTO list_totals (list, parent_id, license_id, total)
    SELECT 'MEMBERS_OF_GROUP', new.group_id, license_id, 1 FROM users WHERE id = new.user_id AND is_active
    ON CONFLICT DO UPDATE SET total = total + 1;
END;
CREATE TRIGGER memberships_total_delete AFTER DELETE ON memberships BEGIN
    UPDATE list_totals SET total = total - 1
    WHERE list = 'MEMBERS_OF_GROUP' AND parent_id = old.group_id
        AND license_id = (SELECT license_id FROM users WHERE id = old.user_id AND is_active);
END;

CREATE TRIGGER groups_total_insert AFTER INSERT ON groups BEGIN
    INSERT INTO list_totals (list, parent_id, license_id, total)
    VALUES ('GROUPS', new.license_id, new.license_id, 1)
    ON CONFLICT DO UPDATE SET total = total + 1;
END;
CREATE TRIGGER groups_total_delete AFTER DELETE ON groups BEGIN
    UPDATE list_totals SET total = total - 1
    WHERE list = 'GROUPS' AND parent_id = old.license_id AND license_id = old.license_id;
    DELETE FROM list_totals WHERE list = 'MEMBERS_OF_GROUP' AND parent_id = old.id;
END;

CREATE TRIGGER institutions_total_insert AFTER INSERT ON institutions BEGIN
    INSERT INTO list_totals (list, parent_id, license_id, total)
    VALUES ('INSTITUTIONS', new.license_id, new.license_id, 1)
    ON CONFLICT DO UPDATE SET total = total + 1;
END;
CREATE TRIGGER institutions_total_delete AFTER DELETE ON institutions BEGIN
    UPDATE list_totals SET total = total - 1
    WHERE list = 'INSTITUTIONS' AND parent_id = old.license_id AND license_id = old.license_id;
    DELETE FROM list_totals WHERE list = 'USERS_OF_INSTITUTION' AND parent_id = old.id;
END;

CREATE TRIGGER audit_events_total_insert AFTER INSERT ON audit_events BEGIN
    INSERT INTO list_totals (list, parent_id, license_id, total)
    VALUES ('AUDIT_EVENTS', new.license_id, new.license_id, 1)
    ON CONFLICT DO UPDATE SET total = total + 1;
END;

INSERT INTO list_totals (list, parent_id, license_id, total)
SELECT iif(is_active, 'ACTIVE_USERS', 'INACTIVE_USERS'), license_id, license_id, count(*)
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
