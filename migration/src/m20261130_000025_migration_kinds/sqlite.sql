-- The kind of each migration since this one, for servers that do not know it: EXPAND if they keep working; CONTRACT if they do not,
-- unless they know the migration in needs.
CREATE TABLE migration_kinds (
    version text NOT NULL PRIMARY KEY,
    kind    text NOT NULL CHECK (kind IN ('EXPAND', 'CONTRACT')),
    needs   text,
    CHECK ((kind = 'CONTRACT') = (needs IS NOT NULL))
) STRICT, WITHOUT ROWID;
