-- An event is appended at the end of the chain or refused.
CREATE OR REPLACE FUNCTION audit_events_appended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT min(seq) FROM added) <= (SELECT seq FROM audit_head) THEN
        RAISE EXCEPTION 'audit_events is append-only';
    END IF;
    UPDATE audit_head SET (seq, hash) = (SELECT seq, hash FROM added ORDER BY seq DESC LIMIT 1);
    RETURN NULL;
END $$;
