-- The phase protocol as one statement per step (DESIGN 5.2). Each function sets the organization itself and locks the
-- run's row first: it orders the run's events. After it come the attempt, the pool's advisory lock, the permit.

CREATE FUNCTION execution_end(
    p_execution uuid, p_status text, p_error jsonb, t timestamptz,
    OUT tokens_in bigint, OUT tokens_out bigint, OUT tokens_cached bigint,
    OUT cost_usd numeric, OUT known_cost_usd numeric, OUT api_seconds double precision
) LANGUAGE plpgsql AS $$
-- Ends an execution and says what it used: the sums over its model calls (a call in flight is lost, its cost unknown).
BEGIN
    IF EXISTS (SELECT 1 FROM step WHERE execution_id = p_execution AND status = 'running') THEN
        WITH lost AS (
            UPDATE step SET status = 'lost', ended_at = t
            WHERE execution_id = p_execution AND status = 'running' RETURNING id
        )
        DELETE FROM permit USING lost WHERE permit.holder = lost.id AND permit.pool <> 'executor';
    END IF;
    SELECT coalesce(sum(s.tokens_in), 0), coalesce(sum(s.tokens_out), 0), coalesce(sum(s.tokens_cached), 0),
           CASE WHEN count(*) = count(s.cost_usd) THEN coalesce(sum(s.cost_usd), 0) END,
           coalesce(sum(s.cost_usd), 0), coalesce(sum(s.api_seconds), 0)
      INTO tokens_in, tokens_out, tokens_cached, cost_usd, known_cost_usd, api_seconds
      FROM step s WHERE s.execution_id = p_execution AND s.kind = 'model_call';
    UPDATE execution e
       SET status = p_status, error = p_error, ended_at = t,
           tokens_in = execution_end.tokens_in, tokens_out = execution_end.tokens_out,
           tokens_cached = execution_end.tokens_cached, cost_usd = execution_end.cost_usd,
           known_cost_usd = execution_end.known_cost_usd, api_seconds = execution_end.api_seconds
     WHERE e.id = p_execution;
END $$;

CREATE FUNCTION execution_settle(
    p_run uuid, p_attempt uuid, p_execution uuid, p_status text, p_error jsonb, t timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
-- Ends an execution that gave no result, and adds what it used to its attempt and its run.
DECLARE
    u record;
BEGIN
    SELECT * INTO u FROM execution_end(p_execution, p_status, p_error, t);
    UPDATE attempt
       SET tokens_in = tokens_in + u.tokens_in, tokens_out = tokens_out + u.tokens_out,
           tokens_cached = tokens_cached + u.tokens_cached, cost_usd = cost_usd + u.cost_usd,
           known_cost_usd = known_cost_usd + u.known_cost_usd, api_seconds = api_seconds + u.api_seconds
     WHERE id = p_attempt;
    UPDATE run
       SET tokens_in = tokens_in + u.tokens_in, tokens_out = tokens_out + u.tokens_out,
           tokens_cached = tokens_cached + u.tokens_cached, cost_usd = cost_usd + u.cost_usd,
           known_cost_usd = known_cost_usd + u.known_cost_usd, api_seconds = api_seconds + u.api_seconds
     WHERE id = p_run;
END $$;

CREATE FUNCTION output_tail(p_run uuid, p_attempt uuid) RETURNS text LANGUAGE sql STABLE AS $$
-- The end of what the attempt's newest execution wrote: the excerpt of a failure that left none.
    SELECT coalesce(nullif(right(string_agg(c.text, '' ORDER BY c.seq), 2000), ''), '(the phase left no output)')
    FROM (
        SELECT text, seq FROM output_chunk
        WHERE run_id = p_run AND execution_ordinal = (
            SELECT ordinal FROM execution WHERE attempt_id = p_attempt ORDER BY number DESC LIMIT 1)
        ORDER BY seq DESC LIMIT 20
    ) c
$$;

CREATE FUNCTION run_facts(p_run uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
-- domain.runs.ports.RunFacts: constant for the run's life.
    SELECT jsonb_build_object(
        'org_id', r.org_id, 'run_id', r.id, 'task', r.task, 'settings', r.settings, 'pipeline', v.document,
        'base_commit', r.base_commit, 'base_tree', r.base_tree, 'branch', r.branch,
        'workspace', CASE WHEN w.id IS NOT NULL THEN jsonb_build_object(
            'workspace_id', w.id, 'name', w.name, 'repo_path', w.repo_path, 'test_command', w.test_command,
            'setup_command', w.setup_command, 'setup_inputs', w.setup_inputs, 'env', w.env,
            'allowed_remotes', w.allowed_remotes) END)
    FROM run r
    JOIN pipeline_version v ON v.id = r.pipeline_version_id
    LEFT JOIN workspace w ON w.id = r.workspace_id
    WHERE r.id = p_run
$$;

CREATE FUNCTION phase_begin(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
-- {done: PhaseResult} | {wait: MustWait} | {began: Began} | {missing: true}
DECLARE
    t timestamptz := clock_timestamp();
    v_org uuid := (p->>'org_id')::uuid;
    v_run uuid := (p->>'run_id')::uuid;
    v_iteration int := (p->>'iteration')::int;
    v_phase text := p->>'phase';
    v_number int := (p->>'attempt')::int;
    v_execution uuid := (p->>'execution_id')::uuid;
    v_token uuid := (p->>'token')::uuid;
    v_ttl interval := make_interval(secs => (p->>'ttl_seconds')::float8);
    v_error jsonb;
    v_result jsonb;
    v_until timestamptz;
    v_seq bigint;
    v_own timestamptz;
    v_free boolean;
    v_new boolean;
    r record;
    a record;
    e record;
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    SELECT status, event_seq, cancel_requested_at IS NOT NULL AS cancelled, pipeline_version_id
      INTO r FROM run WHERE id = v_run FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN '{"missing": true}';
    END IF;
    v_seq := r.event_seq;

    SELECT id, status, result, executions, waiting_reason, waits, kind
      INTO a FROM attempt
     WHERE run_id = v_run AND iteration = v_iteration AND phase = v_phase AND attempt = v_number;
    IF FOUND AND a.result IS NOT NULL THEN
        RETURN jsonb_build_object('done', a.result);
    END IF;
    IF r.status IN ('SUCCEEDED', 'FAILED', 'CANCELLED') THEN
        RETURN jsonb_build_object('done', jsonb_build_object('status', 'cancelled', 'error', p->'closed_error'));
    END IF;
    v_new := a.id IS NULL;
    IF v_new THEN
        INSERT INTO attempt (id, org_id, run_id, iteration, phase, attempt, kind, cause, status, tree_before, created_at,
                             started_at, executions)
        SELECT (p->>'attempt_id')::uuid, v_org, v_run, v_iteration, v_phase, v_number,
               v.phase_kinds->>v_phase, p->>'cause', 'running', p->>'tree', t, t, 1
          FROM pipeline_version v WHERE v.id = r.pipeline_version_id
        RETURNING id, status, result, 0 AS executions, waiting_reason, waits, kind INTO a;
        v_free := false;
    ELSE
        -- An execution that is still open was lost: its worker died, or is cut off and fenced from now on.
        SELECT id, number, worker, ordinal, token INTO e FROM execution WHERE attempt_id = a.id AND status = 'running';
        IF FOUND AND e.id = v_execution THEN
            RETURN phase_began(p, a.id, e.number, r.cancelled);
        ELSIF FOUND THEN
            v_error := p->'lost_error' || jsonb_build_object('excerpt', output_tail(v_run, a.id));
            PERFORM execution_settle(v_run, a.id, e.id, 'lost', v_error, t);
            v_seq := v_seq + 1;
            UPDATE run SET event_seq = v_seq WHERE id = v_run;
            INSERT INTO run_event (run_id, seq, org_id, type, at, iteration, phase, attempt, execution, data)
            VALUES (v_run, v_seq, v_org, 'phase.lost', t, v_iteration, v_phase, v_number, e.number,
                    jsonb_build_object('worker', e.worker));
        END IF;
        IF a.executions >= (p->>'max_executions')::int THEN
            RETURN jsonb_build_object('done', attempt_exhausted(v_org, v_run, a.id, v_seq, t));
        END IF;
        SELECT expires_at INTO v_own FROM permit WHERE pool = 'executor' AND holder = a.id FOR UPDATE;
        v_free := FOUND AND v_own > t;
    END IF;

    -- The permit: the attempt's own is taken over, else there must be room in the pool.
    IF NOT v_free THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('permit_pool/executor', 0));
        t := clock_timestamp();
        SELECT count(*) < (SELECT size FROM permit_pool WHERE name = 'executor') INTO v_free
          FROM permit WHERE pool = 'executor' AND expires_at > t AND holder <> a.id;
    END IF;
    IF NOT coalesce(v_free, false) THEN
        v_until := t + make_interval(secs => least(15, 0.5 * 2 ^ least(a.waits, 5)) * (0.8 + 0.4 * random()));
        IF v_new THEN
            UPDATE attempt SET started_at = NULL, executions = 0 WHERE id = a.id;
        END IF;
        PERFORM attempt_waits(v_org, v_run, a.id, 'no_permit', v_until, t);
        RETURN jsonb_build_object('wait', jsonb_build_object('reason', 'no_permit', 'until', v_until));
    END IF;
    INSERT INTO permit (pool, holder, token, org_id, run_id, phase, iteration, attempt, execution_id, worker,
                        cancel_requested, acquired_at, expires_at)
    VALUES ('executor', a.id, v_token, v_org, v_run, v_phase, v_iteration, v_number, v_execution, p->>'worker',
            r.cancelled, t, t + v_ttl)
    ON CONFLICT (pool, holder) DO UPDATE
       SET token = excluded.token, execution_id = excluded.execution_id, worker = excluded.worker,
           cancel_requested = excluded.cancel_requested, acquired_at = excluded.acquired_at,
           expires_at = excluded.expires_at;

    v_seq := v_seq + 1;
    INSERT INTO execution (id, org_id, run_id, attempt_id, number, ordinal, token, status, worker, started_at)
    VALUES (v_execution, v_org, v_run, a.id, a.executions + 1, v_seq, v_token, 'running', p->>'worker', t);
    INSERT INTO run_event (run_id, seq, org_id, type, at, iteration, phase, attempt, execution, data)
    VALUES (v_run, v_seq, v_org, 'phase.started', t, v_iteration, v_phase, v_number, a.executions + 1,
            jsonb_build_object('kind', a.kind, 'cause', p->'cause', 'worker', p->'worker'));
    IF NOT v_new THEN
        UPDATE attempt
           SET status = 'running', started_at = coalesce(started_at, t), executions = executions + 1,
               waiting_reason = NULL, waiting_until = NULL, waits = 0
         WHERE id = a.id;
    END IF;
    UPDATE run
       SET status = 'RUNNING', current_phase = v_phase, current_iteration = v_iteration, event_seq = v_seq,
           waiting_reason = NULL, waiting_until = NULL, changed_at = t
     WHERE id = v_run;
    IF r.status <> 'RUNNING' THEN
        INSERT INTO tally_delta (org_id, name, a, amount) VALUES (v_org, 'runs', r.status, -1), (v_org, 'runs', 'RUNNING', 1);
    END IF;
    RETURN phase_began(p, a.id, a.executions + 1, r.cancelled);
END $$;

CREATE FUNCTION phase_began(p jsonb, p_attempt uuid, p_number int, p_cancelled boolean) RETURNS jsonb
LANGUAGE sql STABLE AS $$
-- domain.runs.ports.Began; the run's facts only when the worker does not have them.
    SELECT jsonb_build_object('began', jsonb_build_object(
        'attempt_id', p_attempt,
        'number', p_number,
        'cancel_requested', p_cancelled,
        'run', CASE WHEN NOT (p->>'facts_known')::boolean THEN run_facts((p->>'run_id')::uuid) END,
        'earlier', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'iteration', n.iteration, 'phase', n.phase, 'attempt', n.attempt, 'status', n.status,
                'error', n.error, 'summary', n.summary) ORDER BY n.finished_at)
            FROM (
                SELECT DISTINCT ON (phase) iteration, phase, attempt, status, error, summary, finished_at
                FROM attempt
                WHERE run_id = (p->>'run_id')::uuid AND result IS NOT NULL AND NOT stale
                ORDER BY phase, finished_at DESC
            ) n), '[]')))
$$;

CREATE FUNCTION attempt_exhausted(p_org uuid, p_run uuid, p_attempt uuid, p_seq bigint, t timestamptz) RETURNS jsonb
LANGUAGE plpgsql AS $$
-- The executions are used up: the attempt is committed as failed, with the error of the newest one.
DECLARE
    a record;
    v_error jsonb;
    v_result jsonb;
BEGIN
    SELECT error INTO v_error FROM execution WHERE attempt_id = p_attempt ORDER BY number DESC LIMIT 1;
    IF coalesce(v_error->>'excerpt', '') = '' THEN
        v_error := v_error || jsonb_build_object('excerpt', output_tail(p_run, p_attempt));
    END IF;
    SELECT * INTO a FROM attempt WHERE id = p_attempt;
    v_result := jsonb_build_object(
        'status', 'failed', 'error', v_error, 'fingerprint', v_error->>'kind', 'tree', a.tree_before,
        'tokens', a.tokens_in + a.tokens_out, 'cost_usd', a.cost_usd::text, 'executions', a.executions);
    UPDATE attempt
       SET status = 'failed', error = v_error, fingerprint = v_error->>'kind', result = v_result,
           tree_after = tree_before, finished_at = t, waiting_reason = NULL, waiting_until = NULL
     WHERE id = p_attempt;
    DELETE FROM permit WHERE pool = 'executor' AND holder = p_attempt;
    INSERT INTO run_event (run_id, seq, org_id, type, at, iteration, phase, attempt, execution, data)
    VALUES (p_run, p_seq + 1, p_org, 'phase.finished', t, a.iteration, a.phase, a.attempt, a.executions,
            jsonb_build_object('status', 'failed', 'error_kind', v_error->'kind', 'message', v_error->'message'));
    UPDATE run SET event_seq = p_seq + 1, changed_at = t WHERE id = p_run;
    PERFORM phase_tally(p_org, a.phase, a.kind, v_error->>'kind', a.started_at, t);
    RETURN v_result;
END $$;

CREATE FUNCTION phase_tally(
    p_org uuid, p_phase text, p_kind text, p_error_kind text, p_started timestamptz, t timestamptz
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO tally_delta (org_id, name, a, b, amount, seconds)
    SELECT p_org, 'phase_seconds', p_kind,
           width_bucket(s, ARRAY[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0]::float8[])::text,
           1, s
      FROM (SELECT extract(epoch FROM t - p_started)::float8 AS s) taken WHERE p_started IS NOT NULL
    UNION ALL
    SELECT p_org, 'phase_failures', p_phase, p_error_kind, 1, 0 WHERE p_error_kind IS NOT NULL
$$;

CREATE FUNCTION attempt_waits(
    p_org uuid, p_run uuid, p_attempt uuid, p_reason text, p_until timestamptz, t timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
-- The change to waiting: told once per reason, until the attempt runs again.
DECLARE
    a record;
    r record;
    v_changes boolean;
BEGIN
    SELECT iteration, phase, attempt, status, waiting_reason INTO a FROM attempt WHERE id = p_attempt;
    SELECT status, event_seq INTO r FROM run WHERE id = p_run;
    v_changes := a.status <> 'waiting' OR a.waiting_reason IS DISTINCT FROM p_reason OR r.status <> 'WAITING';
    UPDATE attempt
       SET status = 'waiting', waiting_reason = p_reason, waiting_until = p_until, waits = waits + 1
     WHERE id = p_attempt;
    UPDATE run
       SET status = 'WAITING', waiting_reason = p_reason, waiting_until = p_until, changed_at = t,
           current_phase = a.phase, current_iteration = a.iteration,
           event_seq = event_seq + CASE WHEN v_changes THEN 1 ELSE 0 END
     WHERE id = p_run;
    IF v_changes THEN
        INSERT INTO run_event (run_id, seq, org_id, type, at, iteration, phase, attempt, data)
        VALUES (p_run, r.event_seq + 1, p_org, 'phase.waiting', t, a.iteration, a.phase, a.attempt,
                jsonb_build_object('reason', p_reason, 'until', p_until));
    END IF;
    IF r.status <> 'WAITING' THEN
        INSERT INTO tally_delta (org_id, name, a, amount) VALUES (p_org, 'runs', r.status, -1), (p_org, 'runs', 'WAITING', 1);
    END IF;
END $$;

CREATE FUNCTION phase_renew(p jsonb) RETURNS jsonb LANGUAGE sql AS $$
-- Renews the leases of many organizations at once; {token: cancel_requested} of those that still hold.
    WITH renewed AS (
        UPDATE permit SET expires_at = clock_timestamp() + make_interval(secs => (p->>'ttl_seconds')::float8)
        WHERE token = ANY (SELECT value::uuid FROM jsonb_array_elements_text(p->'tokens'))
          AND expires_at > clock_timestamp()
        RETURNING token, cancel_requested
    )
    SELECT coalesce(jsonb_object_agg(token, cancel_requested), '{}') FROM renewed
$$;

CREATE FUNCTION phase_finish(p jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
-- Step 4: result, tree, artifacts, usage, events and the permit's release. False: fenced, nothing of it was written.
-- The end of the phase's last call, where it was left to this transaction, is written in any case: it was paid.
DECLARE
    t timestamptz := clock_timestamp();
    v_org uuid := (p->>'org_id')::uuid;
    v_run uuid := (p->>'run_id')::uuid;
    f jsonb := p->'finished';
    c jsonb := p->'call';
    v_result jsonb := f->'result';
    v_error jsonb := nullif(v_result->'error', 'null');
    v_commit jsonb := nullif(f->'commit', 'null');
    v_seq bigint;
    e record;
    a record;
    u record;
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    SELECT event_seq INTO v_seq FROM run WHERE id = v_run FOR NO KEY UPDATE;
    IF c <> 'null' THEN
        PERFORM end_call(
            v_org, (c->>'step_id')::uuid, (c->>'token')::uuid, 'done', (c->>'queue_seconds')::float8,
            (c->>'api_seconds')::float8, (c->>'run_seconds')::float8, c->>'model_answered', c->>'response_id',
            (c->>'tokens_in')::bigint, (c->>'tokens_out')::bigint, (c->>'tokens_cached')::bigint,
            (c->>'cost_usd')::numeric, c->>'price_version', c->>'sha256', decode(c->>'body', 'base64'), NULL);
    END IF;
    SELECT attempt_id, number, status INTO e FROM execution
     WHERE id = (p->>'execution_id')::uuid AND token = (p->>'token')::uuid;
    IF NOT FOUND THEN
        RETURN false;
    ELSIF e.status <> 'running' THEN
        RETURN e.status = 'done';
    END IF;
    IF v_error IS NOT NULL AND v_error->>'excerpt' = '' THEN
        v_error := v_error || jsonb_build_object('excerpt', output_tail(v_run, e.attempt_id));
        v_result := v_result || jsonb_build_object('error', v_error);
    END IF;
    SELECT * INTO u FROM execution_end((p->>'execution_id')::uuid, 'done', v_error, t);
    UPDATE attempt
       SET status = v_result->>'status', error = v_error, fingerprint = v_result->>'fingerprint',
           result = v_result || jsonb_build_object('executions', e.number),
           summary = f->>'summary', tree_before = f->>'tree_before', tree_after = f->>'tree_after',
           exit_code = (f->>'exit_code')::int, signal = f->>'signal',
           model_asked = f->>'model_asked', model_answered = f->>'model_answered',
           commit_facts = v_commit, branch = f->>'branch', finished_at = t,
           waiting_reason = NULL, waiting_until = NULL,
           tokens_in = tokens_in + u.tokens_in, tokens_out = tokens_out + u.tokens_out,
           tokens_cached = tokens_cached + u.tokens_cached, cost_usd = cost_usd + u.cost_usd,
           known_cost_usd = known_cost_usd + u.known_cost_usd, api_seconds = api_seconds + u.api_seconds
     WHERE id = e.attempt_id
    RETURNING iteration, phase, attempt, kind, started_at INTO a;
    IF jsonb_array_length(f->'artifacts') > 0 THEN
        INSERT INTO artifact (org_id, run_id, attempt_id, name, sha256, size_bytes, media_type, created_at)
        SELECT v_org, v_run, e.attempt_id, x->>'name', x->>'sha256', (x->>'size_bytes')::bigint, x->>'media_type', t
          FROM jsonb_array_elements(f->'artifacts') x;
    END IF;

    IF (f->>'output_sequence')::int > 0 THEN
        INSERT INTO output_chunk (run_id, execution_ordinal, seq, org_id, text, at)
        SELECT v_run, ordinal, (f->>'output_sequence')::int, v_org, f->>'output', t
          FROM execution WHERE id = (p->>'execution_id')::uuid
        ON CONFLICT (run_id, execution_ordinal, seq) DO UPDATE SET text = excluded.text;
    END IF;

    IF v_commit IS NOT NULL THEN
        v_seq := v_seq + 1;
        INSERT INTO run_event (run_id, seq, org_id, type, at, iteration, phase, attempt, execution, data)
        VALUES (v_run, v_seq, v_org, 'commit.created', t, a.iteration, a.phase, a.attempt, e.number, v_commit);
    END IF;
    IF f->>'branch' IS NOT NULL THEN
        v_seq := v_seq + 1;
        INSERT INTO run_event (run_id, seq, org_id, type, at, iteration, phase, attempt, execution, data)
        VALUES (v_run, v_seq, v_org, 'branch.delivered', t, a.iteration, a.phase, a.attempt, e.number,
                jsonb_build_object('branch', f->'branch'));
    END IF;
    v_seq := v_seq + 1;
    INSERT INTO run_event (run_id, seq, org_id, type, at, iteration, phase, attempt, execution, data)
    VALUES (v_run, v_seq, v_org, 'phase.finished', t, a.iteration, a.phase, a.attempt, e.number,
            jsonb_build_object('status', v_result->'status', 'exit_code', f->'exit_code',
                               'error_kind', v_error->'kind', 'message', v_error->'message'));
    UPDATE run
       SET event_seq = v_seq, changed_at = t, iterations = greatest(iterations, a.iteration),
           delivered_branch = coalesce(f->>'branch', delivered_branch),
           tokens_in = tokens_in + u.tokens_in, tokens_out = tokens_out + u.tokens_out,
           tokens_cached = tokens_cached + u.tokens_cached, cost_usd = cost_usd + u.cost_usd,
           known_cost_usd = known_cost_usd + u.known_cost_usd, api_seconds = api_seconds + u.api_seconds
     WHERE id = v_run;
    DELETE FROM permit WHERE pool = 'executor' AND holder = e.attempt_id AND token = (p->>'token')::uuid;
    PERFORM phase_tally(v_org, a.phase, a.kind, v_error->>'kind', a.started_at, t);
    RETURN true;
END $$;

CREATE FUNCTION phase_fail(p jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
-- Ends this execution with an infrastructure failure and releases the permit; the attempt stays open.
DECLARE
    t timestamptz := clock_timestamp();
    v_org uuid := (p->>'org_id')::uuid;
    v_run uuid := (p->>'run_id')::uuid;
    e record;
    a record;
    v_seq bigint;
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    SELECT event_seq INTO v_seq FROM run WHERE id = v_run FOR NO KEY UPDATE;
    SELECT attempt_id, number, status, worker INTO e FROM execution
     WHERE id = (p->>'execution_id')::uuid AND token = (p->>'token')::uuid;
    IF NOT FOUND THEN
        RETURN false;
    ELSIF e.status <> 'running' THEN
        RETURN e.status = 'failed';
    END IF;
    PERFORM execution_settle(v_run, e.attempt_id, (p->>'execution_id')::uuid, 'failed', p->'error', t);
    SELECT iteration, phase, attempt INTO a FROM attempt WHERE id = e.attempt_id;
    INSERT INTO run_event (run_id, seq, org_id, type, at, iteration, phase, attempt, execution, data)
    VALUES (v_run, v_seq + 1, v_org, 'phase.execution_failed', t, a.iteration, a.phase, a.attempt, e.number,
            jsonb_build_object('error_kind', p->'error'->'kind', 'message', p->'error'->'message'));
    UPDATE run
       SET event_seq = v_seq + 1, changed_at = t
     WHERE id = v_run;
    DELETE FROM permit WHERE pool = 'executor' AND holder = e.attempt_id AND token = (p->>'token')::uuid;
    RETURN true;
END $$;

CREATE FUNCTION phase_wait(p jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
-- The execution turned out to be none: its row goes, its steps stay with the attempt, its permit is released.
DECLARE
    t timestamptz := clock_timestamp();
    v_org uuid := (p->>'org_id')::uuid;
    v_run uuid := (p->>'run_id')::uuid;
    e record;
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    PERFORM 1 FROM run WHERE id = v_run FOR NO KEY UPDATE;
    SELECT id, attempt_id, ordinal INTO e FROM execution
     WHERE id = (p->>'execution_id')::uuid AND token = (p->>'token')::uuid AND status = 'running';
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM execution_settle(v_run, e.attempt_id, e.id, 'failed', NULL, t);
    UPDATE attempt SET executions = executions - 1 WHERE id = e.attempt_id;
    DELETE FROM output_chunk WHERE run_id = v_run AND execution_ordinal = e.ordinal;
    DELETE FROM execution WHERE id = e.id;
    DELETE FROM permit WHERE pool = 'executor' AND holder = e.attempt_id AND token = (p->>'token')::uuid;
    PERFORM attempt_waits(v_org, v_run, e.attempt_id, p->>'reason', (p->>'until')::timestamptz, t);
    RETURN true;
END $$;

CREATE FUNCTION step_start(p jsonb) RETURNS text LANGUAGE plpgsql AS $$
-- The status of the attempt's newest step with this key, else null and the row is written. `fenced`: not ours to do.
DECLARE
    e record;
    s record;
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    SELECT run_id, attempt_id INTO e FROM execution
     WHERE id = (p->>'execution_id')::uuid AND token = (p->>'token')::uuid AND status = 'running';
    IF NOT FOUND THEN
        RETURN 'fenced';
    END IF;
    SELECT y.id, y.status INTO s
      FROM execution x JOIN step y ON y.execution_id = x.id
     WHERE x.attempt_id = e.attempt_id AND y.key = p->>'key'
     ORDER BY y.started_at DESC LIMIT 1;
    IF FOUND THEN
        RETURN CASE WHEN s.id <> (p->>'step_id')::uuid THEN s.status END;
    END IF;
    INSERT INTO step (id, org_id, run_id, attempt_id, execution_id, key, kind, title, effect, status, started_at)
    VALUES ((p->>'step_id')::uuid, (p->>'org_id')::uuid, e.run_id, e.attempt_id, (p->>'execution_id')::uuid,
            p->>'key', p->>'kind', p->>'title', p->>'effect', 'running', clock_timestamp());
    RETURN NULL;
END $$;

CREATE FUNCTION step_end(p jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
-- False: the execution was fenced, or the step has ended.
DECLARE
    d jsonb := p->'end';
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    UPDATE step s
       SET status = d->>'status', ended_at = clock_timestamp(),
           queue_seconds = (d->>'queue_seconds')::float8, api_seconds = (d->>'api_seconds')::float8,
           run_seconds = (d->>'run_seconds')::float8, exit_code = (d->>'exit_code')::int, signal = d->>'signal',
           error = nullif(d->'error', 'null'), tail = d->>'tail'
      FROM execution e
     WHERE s.execution_id = (p->>'execution_id')::uuid AND s.key = p->>'key' AND s.status = 'running'
       AND e.id = s.execution_id AND e.token = (p->>'token')::uuid AND e.status = 'running';
    RETURN FOUND;
END $$;

CREATE FUNCTION output_append(p jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
-- One chunk of live output; the same number again replaces the text (it was sent with more behind it).
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    INSERT INTO output_chunk (run_id, execution_ordinal, seq, org_id, text, at)
    SELECT e.run_id, e.ordinal, (p->>'seq')::int, e.org_id, p->>'text', clock_timestamp()
      FROM execution e
     WHERE e.id = (p->>'execution_id')::uuid AND e.token = (p->>'token')::uuid AND e.status = 'running'
    ON CONFLICT (run_id, execution_ordinal, seq) DO UPDATE SET text = excluded.text;
    RETURN FOUND;
END $$;
