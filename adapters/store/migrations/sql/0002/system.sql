-- Work over all organizations: delivery, the reconciler's list, leases that ran out, totals.

CREATE FUNCTION outbox_claim(p_limit int, p_lease_seconds float8) RETURNS SETOF outbox LANGUAGE sql AS $$
-- Due deliveries, hidden from other relays for so long; of one run only its oldest.
    UPDATE outbox SET due_at = clock_timestamp() + make_interval(secs => p_lease_seconds), tries = tries + 1
    WHERE id IN (
        SELECT o.id FROM outbox o
        WHERE o.due_at <= clock_timestamp()
          AND NOT EXISTS (SELECT 1 FROM outbox older WHERE older.run_id = o.run_id AND older.id < o.id)
        ORDER BY o.id LIMIT p_limit FOR UPDATE SKIP LOCKED)
    RETURNING *
$$;

CREATE FUNCTION outbox_sent(p_org uuid, p_id bigint, p_request uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.org_id', p_org::text, true);
    DELETE FROM outbox WHERE id = p_id;
    UPDATE request SET sent_at = clock_timestamp(), status = CASE status WHEN 'recorded' THEN 'sent' ELSE status END
     WHERE id = p_request AND sent_at IS NULL;
END $$;

CREATE FUNCTION open_runs(p_quiet_seconds float8)
RETURNS TABLE (org_id uuid, run_id uuid, workflow_id text, phase text, iteration int) LANGUAGE plpgsql AS $$
-- Runs without an end whose start Temporal has and whose row has not changed for so long.
DECLARE
    v_org uuid;
BEGIN
    FOR v_org IN SELECT DISTINCT o.org_id FROM open_run o LOOP
        PERFORM set_config('app.org_id', v_org::text, true);
        RETURN QUERY
            SELECT r.org_id, r.id, r.workflow_id, r.current_phase, coalesce(r.current_iteration, 0)
              FROM open_run o JOIN run r ON r.id = o.run_id
             WHERE o.org_id = v_org AND r.changed_at < clock_timestamp() - make_interval(secs => p_quiet_seconds)
               AND NOT EXISTS (SELECT 1 FROM outbox x WHERE x.run_id = r.id AND x.kind = 'start');
    END LOOP;
END $$;

CREATE FUNCTION lease_take(p_pool text, p_holder uuid, p_worker text, p_ttl_seconds float8) RETURNS boolean
LANGUAGE plpgsql AS $$
-- Takes or keeps a permit of a pool that one process at a time may hold.
DECLARE
    t timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('permit_pool/' || p_pool, 0));
    t := clock_timestamp();
    IF EXISTS (SELECT 1 FROM permit WHERE pool = p_pool AND holder <> p_holder AND expires_at > t) THEN
        RETURN false;
    END IF;
    DELETE FROM permit WHERE pool = p_pool AND holder <> p_holder;
    INSERT INTO permit (pool, holder, token, worker, acquired_at, expires_at)
    VALUES (p_pool, p_holder, p_holder, p_worker, t, t + make_interval(secs => p_ttl_seconds))
    ON CONFLICT (pool, holder) DO UPDATE SET expires_at = excluded.expires_at;
    RETURN true;
END $$;

CREATE FUNCTION leases_expire(p_lost_error jsonb) RETURNS int LANGUAGE plpgsql AS $$
-- Sweeps leases that ran out (they did not count any more) and marks the executions that held them as lost.
DECLARE
    t timestamptz := clock_timestamp();
    v_count int := 0;
    c record;
    e record;
    v_seq bigint;
BEGIN
    FOR c IN SELECT pool, holder, token, org_id, run_id, execution_id FROM permit WHERE expires_at < t LIMIT 100 LOOP
        IF c.run_id IS NOT NULL THEN
            PERFORM set_config('app.org_id', c.org_id::text, true);
            SELECT event_seq INTO v_seq FROM run WHERE id = c.run_id FOR NO KEY UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
        END IF;
        DELETE FROM permit WHERE pool = c.pool AND holder = c.holder AND token = c.token AND expires_at < t;
        CONTINUE WHEN NOT FOUND;
        v_count := v_count + 1;
        CONTINUE WHEN c.pool <> 'executor';
        SELECT x.id, x.number, x.worker, x.attempt_id, b.iteration, b.phase, b.attempt INTO e
          FROM execution x JOIN attempt b ON b.id = x.attempt_id
         WHERE x.id = c.execution_id AND x.status = 'running';
        CONTINUE WHEN NOT FOUND;
        PERFORM execution_settle(
            c.run_id, e.attempt_id, e.id, 'lost',
            p_lost_error || jsonb_build_object('excerpt', output_tail(c.run_id, e.attempt_id)), t);
        UPDATE run
           SET event_seq = v_seq + 1
         WHERE id = c.run_id;
        INSERT INTO run_event (run_id, seq, org_id, type, at, iteration, phase, attempt, execution, data)
        VALUES (c.run_id, v_seq + 1, c.org_id, 'phase.lost', t, e.iteration, e.phase, e.attempt, e.number,
                jsonb_build_object('worker', e.worker));
    END LOOP;
    RETURN v_count;
END $$;

CREATE FUNCTION tallies_fold() RETURNS int LANGUAGE plpgsql AS $$
-- Moves the writers' deltas into the totals; one process at a time, the others skip.
DECLARE
    v_count int;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('tallies_fold', 0)) THEN
        RETURN 0;
    END IF;
    WITH gone AS (
        DELETE FROM tally_delta RETURNING org_id, name, a, b, amount, seconds
    ), folded AS (
        INSERT INTO tally AS t (org_id, name, a, b, amount, seconds)
        SELECT org_id, name, a, b, sum(amount), sum(seconds) FROM gone GROUP BY org_id, name, a, b
        ON CONFLICT (org_id, name, a, b)
        DO UPDATE SET amount = t.amount + excluded.amount, seconds = t.seconds + excluded.seconds
        RETURNING 1
    )
    SELECT count(*) INTO v_count FROM gone;
    RETURN v_count;
END $$;

CREATE FUNCTION chunks_compact(p_age_seconds float8) RETURNS bigint LANGUAGE plpgsql AS $$
-- Live output of executions that ended so long ago goes where the attempt keeps its whole output as an artifact.
DECLARE
    v_org uuid;
    v_rows bigint;
    v_count bigint := 0;
BEGIN
    FOR v_org IN SELECT id FROM organization LOOP
        PERFORM set_config('app.org_id', v_org::text, true);
        DELETE FROM output_chunk c
         USING execution e
         WHERE c.org_id = v_org AND e.run_id = c.run_id AND e.ordinal = c.execution_ordinal
           AND e.ended_at < clock_timestamp() - make_interval(secs => p_age_seconds)
           AND EXISTS (SELECT 1 FROM artifact f WHERE f.attempt_id = e.attempt_id AND f.name = 'output');
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        v_count := v_count + v_rows;
    END LOOP;
    RETURN v_count;
END $$;

INSERT INTO permit_pool (name, size) VALUES ('executor', 8);
