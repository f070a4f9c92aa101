-- INSERT OR REPLACE deletes conflicting rows without firing the triggers of DELETE, so an event is appended at the end of
-- the chain or refused.
CREATE TRIGGER audit_events_order BEFORE INSERT ON audit_events
WHEN new.seq <= (SELECT seq FROM audit_head) OR EXISTS (SELECT 1 FROM audit_events WHERE id = new.id) BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only');
END;

-- Deleted text leaves the index at once. Otherwise the parts of an erased user's name would stay until they are merged
-- away.
INSERT INTO users_search (users_search, rank) VALUES ('secure-delete', 1);
