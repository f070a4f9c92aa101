WITH counted AS (
    SELECT CASE WHEN is_active THEN 'ACTIVE_USERS' ELSE 'INACTIVE_USERS' END AS list, license_id AS parent_id, license_id,
        COUNT(*) AS total
    FROM users GROUP BY is_active, license_id
    UNION ALL
    SELECT 'USERS_OF_INSTITUTION', institution_id, license_id, COUNT(*)
    FROM users WHERE is_active AND institution_id IS NOT NULL GROUP BY institution_id, license_id
    UNION ALL
    SELECT 'MEMBERS_OF_GROUP', memberships.group_id, users.license_id, COUNT(*)
    FROM memberships JOIN users ON users.id = memberships.user_id
    WHERE users.is_active GROUP BY memberships.group_id, users.license_id
    UNION ALL
    SELECT 'GROUPS', license_id, license_id, COUNT(*) FROM groups GROUP BY license_id
    UNION ALL
    SELECT 'INSTITUTIONS', license_id, license_id, COUNT(*) FROM institutions GROUP BY license_id
    UNION ALL
    SELECT 'AUDIT_EVENTS', license_id, license_id, COUNT(*) FROM audit_events GROUP BY license_id
),
-- A group that was deleted may leave a total, which nobody sees.
kept AS (
    SELECT list, parent_id, license_id, SUM(total) AS total FROM list_totals
    WHERE list <> 'MEMBERS_OF_GROUP' OR parent_id IN (SELECT id FROM groups)
    GROUP BY list, parent_id, license_id HAVING SUM(total) <> 0
),
missing AS (SELECT * FROM counted EXCEPT SELECT * FROM kept),
wrong AS (SELECT * FROM kept EXCEPT SELECT * FROM counted)
SELECT COUNT(*) AS total FROM (
    SELECT list, parent_id, license_id FROM missing UNION SELECT list, parent_id, license_id FROM wrong
) AS lists
