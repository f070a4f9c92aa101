-- INSERT OR REPLACE deletes what is in its way without asking the triggers of DELETE, so events go to the end or nowhere.
CREATE TRIGGER audit_events_order BEFORE INSERT ON audit_events
WHEN new.seq <= (SELECT seq FROM audit_head) OR EXISTS (SELECT 1 FROM audit_events WHERE id = new.id) BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only');
END;

-- What is deleted leaves the index at once; without it, the parts of an erased person's name stay until they are merged away.
INSERT INTO users_search (users_search, rank) VALUES ('secure-delete', 1);
