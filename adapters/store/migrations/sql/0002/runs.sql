-- Runs from their request to their end. Each function sets the organization itself; whatever is told is told in the
-- same transaction, with the next number under the run's row.

CREATE FUNCTION workspace_of(p_org uuid, p_new_id uuid, p_repo_path text, p_name text, t timestamptz) RETURNS uuid
LANGUAGE plpgsql AS $$
-- The organization's oldest workspace of a repository, made now when it has none; a name that is taken gets a number.
DECLARE
    v_id uuid;
    v_name text := p_name;
    v_number int := 1;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('workspace/' || p_org, 0));
    SELECT id INTO v_id FROM workspace WHERE org_id = p_org AND repo_path = p_repo_path ORDER BY created_at LIMIT 1;
    IF FOUND THEN
        RETURN v_id;
    END IF;
    WHILE EXISTS (SELECT 1 FROM workspace WHERE org_id = p_org AND name = v_name) LOOP
        v_number := v_number + 1;
        v_name := p_name || '-' || v_number;
    END LOOP;
    INSERT INTO workspace (id, org_id, name, repo_path, setup_inputs, env, allowed_remotes, created_at)
    VALUES (p_new_id, p_org, v_name, p_repo_path, '[]', '{}', '[]', t);
    RETURN p_new_id;
END $$;

CREATE FUNCTION run_create(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
-- The run with its request and first events, and its delivery: all or nothing. One that was started by hand runs
-- already: it is opened as well.
-- {run_id, request_id, repeated} | by hand {run_id, state} | {conflict: true}
-- | {refused: pipeline | workspace | repository | no_repository, name, repo_path}
DECLARE
    t timestamptz := clock_timestamp();
    v_org uuid := (p->>'org_id')::uuid;
    v_run uuid := (p->>'run_id')::uuid;
    v_by_hand boolean := p->>'workflow_run_id' IS NOT NULL;
    v_key text := p->>'idempotency_key';
    v_warnings int := jsonb_array_length(p->'warnings');
    v_workspace uuid;
    v_workspace_name text;
    q record;
    v record;
    w record;
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    IF EXISTS (SELECT 1 FROM run WHERE id = v_run) THEN
        RETURN CASE WHEN v_by_hand THEN run_open(p)
                    ELSE jsonb_build_object('run_id', v_run, 'request_id', p->'request_id', 'repeated', false) END;
    END IF;
    IF v_key IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('request/' || v_org || '/' || v_key, 0));
        SELECT run_id, id, body_sha256 INTO q FROM request WHERE org_id = v_org AND idempotency_key = v_key;
        IF FOUND AND q.body_sha256 IS DISTINCT FROM p->>'body_sha256' THEN
            RETURN '{"conflict": true}';
        ELSIF FOUND THEN
            RETURN jsonb_build_object('run_id', q.run_id, 'request_id', q.id, 'repeated', true);
        END IF;
    END IF;
    IF v_by_hand THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('workflow/' || (p->>'workflow_run_id'), 0));
        SELECT id INTO q FROM run WHERE workflow_id = p->>'workflow_id' AND workflow_run_id = p->>'workflow_run_id';
        IF FOUND THEN
            RETURN run_open(p || jsonb_build_object('run_id', q.id));
        END IF;
    END IF;

    SELECT id, name, coalesce((document->>'needs_workspace')::boolean, true) AS needs_workspace INTO v
      FROM pipeline_version
     WHERE name = p->>'pipeline' AND starts_with(content_hash, p->>'hash')
     ORDER BY published_at DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN '{"refused": "pipeline"}';
    END IF;
    IF p->>'workspace' IS NOT NULL OR p->>'repo' IS NOT NULL THEN
        SELECT id, name, repo_path INTO w
          FROM workspace
         WHERE CASE WHEN p->>'workspace' IS NULL THEN repo_path = p->>'repo'
                    ELSE name = p->>'workspace' OR id::text = lower(p->>'workspace') END
         ORDER BY (name = p->>'workspace') DESC, created_at LIMIT 1;
        IF FOUND AND w.repo_path <> p->>'repo' THEN
            RETURN jsonb_build_object('refused', 'repository', 'name', w.name, 'repo_path', w.repo_path);
        ELSIF NOT FOUND AND p->>'repo' IS NULL THEN
            RETURN '{"refused": "workspace"}';
        ELSIF p->>'base_commit' IS NOT NULL THEN
            v_workspace := coalesce(w.id, workspace_of(v_org, (p->>'new_workspace_id')::uuid, p->>'repo', p->>'workspace_name', t));
            SELECT name INTO v_workspace_name FROM workspace WHERE id = v_workspace;
        END IF;
    END IF;
    IF v.needs_workspace AND v_workspace IS NULL THEN
        RETURN jsonb_build_object('refused', 'no_repository', 'name', v.name);
    END IF;

    INSERT INTO run (id, org_id, status, title, task, settings, pipeline_version_id, pipeline_name, workspace_id,
                     workspace_name, base_commit, base_tree, branch, workflow_id, workflow_run_id, actor,
                     created_at, started_at, changed_at, event_seq)
    VALUES (v_run, v_org, CASE WHEN v_by_hand THEN 'RUNNING' ELSE 'QUEUED' END, p->>'title', p->'task', p->'settings',
            v.id, v.name, v_workspace, v_workspace_name,
            CASE WHEN v_workspace IS NOT NULL THEN p->>'base_commit' END,
            CASE WHEN v_workspace IS NOT NULL THEN p->>'base_tree' END,
            CASE WHEN v_workspace IS NOT NULL THEN p->>'branch' END,
            p->>'workflow_id', p->>'workflow_run_id', p->>'actor', t, CASE WHEN v_by_hand THEN t END, t,
            1 + v_warnings + CASE WHEN v_by_hand THEN 1 ELSE 0 END);
    INSERT INTO open_run (run_id, org_id, workflow_id) VALUES (v_run, v_org, p->>'workflow_id');
    INSERT INTO request (id, org_id, run_id, kind, status, payload, actor, idempotency_key, body_sha256,
                         created_at, settled_at)
    VALUES ((p->>'request_id')::uuid, v_org, v_run, 'start', CASE WHEN v_by_hand THEN 'applied' ELSE 'recorded' END,
            '{}', p->>'actor', v_key, p->>'body_sha256', t, CASE WHEN v_by_hand THEN t END);
    INSERT INTO run_event (run_id, seq, org_id, type, at, actor, data)
    SELECT v_run, 1, v_org, 'run.queued', t, p->>'actor',
           jsonb_build_object('pipeline', v.name, 'request_id', p->'request_id')
    UNION ALL
    SELECT v_run, 1 + ordinality, v_org, 'run.warning', t, NULL, jsonb_build_object('message', warning)
      FROM jsonb_array_elements_text(p->'warnings') WITH ORDINALITY AS told(warning, ordinality)
    UNION ALL
    SELECT v_run, 2 + v_warnings, v_org, 'run.started', t, NULL, '{}' WHERE v_by_hand;
    INSERT INTO tally_delta (org_id, name, a, amount)
    VALUES (v_org, 'runs', CASE WHEN v_by_hand THEN 'RUNNING' ELSE 'QUEUED' END, 1);
    IF v_by_hand THEN
        RETURN jsonb_build_object('run_id', v_run, 'state', run_state(v_run, (p->>'started_at_seconds')::float8));
    END IF;
    INSERT INTO outbox (org_id, run_id, request_id, kind, workflow_id, priority, due_at, created_at)
    VALUES (v_org, v_run, (p->>'request_id')::uuid, 'start', p->>'workflow_id', (p->>'priority')::int, t, t);
    RETURN jsonb_build_object('run_id', v_run, 'request_id', p->'request_id', 'repeated', false);
END $$;

CREATE FUNCTION run_state(p_run uuid, p_started_at_seconds float8) RETURNS jsonb LANGUAGE sql STABLE AS $$
-- domain.runs.state.RunState, as far as the record holds it.
    SELECT jsonb_build_object(
        'org_id', r.org_id, 'run_id', r.id, 'settings', r.settings, 'base_tree', r.base_tree,
        'pipeline', v.document,
        'cancel_requested', r.cancel_requested_at IS NOT NULL,
        'started_at_seconds', least(p_started_at_seconds, extract(epoch FROM r.started_at)::float8),
        'attempts', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'iteration', iteration, 'phase', phase, 'attempt', attempt, 'cause', cause, 'result', result,
                'stale', stale) ORDER BY finished_at)
            FROM attempt WHERE run_id = p_run AND result IS NOT NULL), '[]'))
      FROM run r JOIN pipeline_version v ON v.id = r.pipeline_version_id WHERE r.id = p_run
$$;

CREATE FUNCTION run_open(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
-- {state: RunState, run_id} | {closed: status} | {missing: true}
DECLARE
    t timestamptz := clock_timestamp();
    v_org uuid := (p->>'org_id')::uuid;
    v_run uuid := (p->>'run_id')::uuid;
    r record;
    q record;
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    SELECT status, event_seq, workflow_run_id INTO r FROM run WHERE id = v_run FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN '{"missing": true}';
    ELSIF r.status IN ('SUCCEEDED', 'FAILED', 'CANCELLED') THEN
        -- Something was asked of a run that had ended: it says so on the request.
        FOR q IN SELECT id, kind, actor FROM request
                  WHERE run_id = v_run AND status IN ('recorded', 'sent') ORDER BY created_at
        LOOP
            UPDATE request SET status = 'refused', problem = p->>'ended_problem', settled_at = t WHERE id = q.id;
            UPDATE run SET event_seq = event_seq + 1 WHERE id = v_run;
            INSERT INTO run_event (run_id, seq, org_id, type, at, actor, data)
            SELECT v_run, event_seq, v_org, 'request.refused', t, q.actor,
                   jsonb_build_object('request_id', q.id, 'kind', q.kind, 'problem', p->'ended_problem')
              FROM run WHERE id = v_run;
        END LOOP;
        RETURN jsonb_build_object('closed', r.status);
    END IF;
    IF r.status = 'QUEUED' THEN
        INSERT INTO run_event (run_id, seq, org_id, type, at) VALUES (v_run, r.event_seq + 1, v_org, 'run.started', t);
        INSERT INTO tally_delta (org_id, name, a, amount) VALUES (v_org, 'runs', 'QUEUED', -1), (v_org, 'runs', 'RUNNING', 1);
        UPDATE run
           SET status = 'RUNNING', started_at = t, changed_at = t, event_seq = event_seq + 1,
               workflow_run_id = p->>'workflow_run_id'
         WHERE id = v_run;
        UPDATE request SET status = 'applied', settled_at = t
         WHERE run_id = v_run AND kind = 'start' AND status IN ('recorded', 'sent');
    ELSIF r.workflow_run_id IS DISTINCT FROM p->>'workflow_run_id' THEN
        UPDATE run SET workflow_run_id = p->>'workflow_run_id', changed_at = t WHERE id = v_run;
    END IF;
    RETURN jsonb_build_object('run_id', v_run, 'state', run_state(v_run, (p->>'started_at_seconds')::float8));
END $$;

CREATE FUNCTION run_flag_cancel(p_org uuid, p_run uuid, p_actor text, p_reason text, p_request uuid, t timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
-- Sets the flag that phases watch, and tells it. The caller holds the run's row.
BEGIN
    UPDATE run SET cancel_requested_at = t, changed_at = t, event_seq = event_seq + 1 WHERE id = p_run;
    INSERT INTO run_event (run_id, seq, org_id, type, at, actor, data)
    SELECT p_run, event_seq, p_org, 'run.cancel_requested', t, p_actor,
           jsonb_build_object('reason', p_reason, 'request_id', p_request)
      FROM run WHERE id = p_run;
    UPDATE permit SET cancel_requested = true WHERE run_id = p_run;
END $$;

CREATE FUNCTION run_cancel(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
-- A cancel through the API, the same again while one is under way.
-- {request_id, repeated} | {closed: status} | {missing: true} | {conflict: true}
DECLARE
    t timestamptz := clock_timestamp();
    v_org uuid := (p->>'org_id')::uuid;
    v_run uuid := (p->>'run_id')::uuid;
    v_request uuid := (p->>'request_id')::uuid;
    v_key text := p->>'idempotency_key';
    r record;
    q record;
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    IF v_key IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('request/' || v_org || '/' || v_key, 0));
        SELECT id, run_id, kind INTO q FROM request WHERE org_id = v_org AND idempotency_key = v_key;
        IF FOUND AND (q.run_id <> v_run OR q.kind <> 'cancel') THEN
            RETURN '{"conflict": true}';
        ELSIF FOUND THEN
            RETURN jsonb_build_object('request_id', q.id, 'repeated', true);
        END IF;
    END IF;
    SELECT status, cancel_requested_at, workflow_id, (settings->>'priority')::int AS priority
      INTO r FROM run WHERE id = v_run FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN '{"missing": true}';
    ELSIF r.status IN ('SUCCEEDED', 'FAILED', 'CANCELLED') THEN
        RETURN jsonb_build_object('closed', r.status);
    ELSIF r.cancel_requested_at IS NOT NULL THEN
        SELECT id INTO q FROM request WHERE run_id = v_run AND kind = 'cancel' AND status <> 'refused'
         ORDER BY created_at LIMIT 1;
        RETURN jsonb_build_object('request_id', q.id, 'repeated', true);
    END IF;
    INSERT INTO request (id, org_id, run_id, kind, status, payload, actor, idempotency_key, created_at)
    VALUES (v_request, v_org, v_run, 'cancel', 'recorded', jsonb_build_object('reason', p->'reason'), p->>'actor', v_key, t);
    PERFORM run_flag_cancel(v_org, v_run, p->>'actor', p->>'reason', v_request, t);
    INSERT INTO outbox (org_id, run_id, request_id, kind, workflow_id, priority, due_at, created_at)
    VALUES (v_org, v_run, v_request, 'cancel', r.workflow_id, coalesce(r.priority, 3), t, t);
    RETURN jsonb_build_object('request_id', v_request, 'repeated', false);
END $$;

CREATE FUNCTION run_record_request(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
-- What came straight through Temporal, settled at once: {request_id, status} | {missing: true}
DECLARE
    t timestamptz := clock_timestamp();
    v_org uuid := (p->>'org_id')::uuid;
    v_run uuid := (p->>'run_id')::uuid;
    v_request uuid := (p->>'request_id')::uuid;
    v_problem text := p->>'problem';
    r record;
    q record;
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    SELECT status, cancel_requested_at INTO r FROM run WHERE id = v_run FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN '{"missing": true}';
    END IF;
    IF v_problem IS NULL AND r.status IN ('SUCCEEDED', 'FAILED', 'CANCELLED') THEN
        v_problem := 'The run has already ended (' || r.status || ').';
    END IF;
    IF v_problem IS NULL AND p->>'kind' = 'cancel' AND r.cancel_requested_at IS NOT NULL THEN
        SELECT id, status INTO q FROM request WHERE run_id = v_run AND kind = 'cancel' AND status <> 'refused'
         ORDER BY created_at LIMIT 1;
        RETURN jsonb_build_object('request_id', q.id, 'status', q.status);
    END IF;
    SELECT id, status INTO q FROM request WHERE id = v_request;
    IF FOUND THEN
        RETURN jsonb_build_object('request_id', q.id, 'status', q.status);
    END IF;
    INSERT INTO request (id, org_id, run_id, kind, status, payload, actor, problem, created_at, settled_at)
    VALUES (v_request, v_org, v_run, p->>'kind', CASE WHEN v_problem IS NULL THEN 'applied' ELSE 'refused' END,
            p->'payload', p->>'actor', v_problem, t, t);
    IF v_problem IS NULL THEN
        PERFORM run_flag_cancel(v_org, v_run, p->>'actor', p->'payload'->>'reason', v_request, t);
    ELSE
        UPDATE run SET event_seq = event_seq + 1 WHERE id = v_run;
        INSERT INTO run_event (run_id, seq, org_id, type, at, actor, data)
        SELECT v_run, event_seq, v_org, 'request.refused', t, p->>'actor',
               jsonb_build_object('request_id', v_request, 'kind', p->'kind', 'problem', v_problem)
          FROM run WHERE id = v_run;
    END IF;
    RETURN jsonb_build_object('request_id', v_request, 'status', CASE WHEN v_problem IS NULL THEN 'applied' ELSE 'refused' END);
END $$;

CREATE FUNCTION run_apply_requests(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
-- Settles what is pending and says what it means: {cancel}
DECLARE
    t timestamptz := clock_timestamp();
    v_org uuid := (p->>'org_id')::uuid;
    v_run uuid := (p->>'run_id')::uuid;
    v_seq bigint;
    v_cancel boolean;
    v_problem text;
    q record;
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    SELECT event_seq, cancel_requested_at IS NOT NULL INTO v_seq, v_cancel FROM run WHERE id = v_run FOR NO KEY UPDATE;
    FOR q IN
        SELECT id, kind, actor FROM request
         WHERE run_id = v_run AND status IN ('recorded', 'sent') AND kind <> 'start' ORDER BY created_at
    LOOP
        v_problem := CASE WHEN q.kind <> 'cancel' THEN p->>'unknown_problem' END;
        v_seq := v_seq + 1;
        UPDATE request
           SET status = CASE WHEN v_problem IS NULL THEN 'applied' ELSE 'refused' END, problem = v_problem, settled_at = t
         WHERE id = q.id;
        INSERT INTO run_event (run_id, seq, org_id, type, at, actor, data)
        VALUES (v_run, v_seq, v_org, CASE WHEN v_problem IS NULL THEN 'request.applied' ELSE 'request.refused' END, t,
                q.actor, jsonb_build_object('request_id', q.id, 'kind', q.kind, 'problem', v_problem));
        UPDATE run SET event_seq = v_seq, changed_at = t WHERE id = v_run;
    END LOOP;
    RETURN jsonb_build_object('cancel', coalesce(v_cancel, false));
END $$;

CREATE FUNCTION run_finalise(p jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
-- The end: status, outcome, last event, and nothing of the run left open. Applied once; later calls change nothing.
DECLARE
    t timestamptz := clock_timestamp();
    v_org uuid := (p->>'org_id')::uuid;
    v_run uuid := (p->>'run_id')::uuid;
    o jsonb := p->'outcome';
    v_error jsonb := nullif(p->'outcome'->'error', 'null');
    v_status text := p->>'status';
    v_left jsonb;
    v_seq bigint;
    r record;
    e record;
    a record;
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    SELECT status, event_seq INTO r FROM run WHERE id = v_run FOR NO KEY UPDATE;
    IF NOT FOUND OR r.status IN ('SUCCEEDED', 'FAILED', 'CANCELLED') THEN
        RETURN false;
    END IF;
    v_seq := r.event_seq;

    FOR e IN
        SELECT x.id, x.number, x.worker, x.attempt_id, b.iteration, b.phase, b.attempt
          FROM attempt b JOIN execution x ON x.attempt_id = b.id WHERE b.run_id = v_run AND x.status = 'running'
    LOOP
        PERFORM execution_settle(v_run, e.attempt_id, e.id, 'lost', p->'lost_error', t);
        v_seq := v_seq + 1;
        INSERT INTO run_event (run_id, seq, org_id, type, at, iteration, phase, attempt, execution, data)
        VALUES (v_run, v_seq, v_org, 'phase.lost', t, e.iteration, e.phase, e.attempt, e.number,
                jsonb_build_object('worker', e.worker));
    END LOOP;

    FOR a IN SELECT id, iteration, phase, attempt, kind, started_at, executions FROM attempt
              WHERE run_id = v_run AND result IS NULL
    LOOP
        v_left := coalesce(v_error, p->'lost_error');
        IF coalesce(v_left->>'excerpt', '') = '' THEN
            v_left := v_left || jsonb_build_object('excerpt', output_tail(v_run, a.id));
        END IF;
        UPDATE attempt
           SET status = CASE WHEN v_status = 'CANCELLED' THEN 'cancelled' ELSE 'failed' END, error = v_left,
               fingerprint = v_left->>'kind', finished_at = t, waiting_reason = NULL, waiting_until = NULL,
               result = jsonb_build_object(
                   'status', CASE WHEN v_status = 'CANCELLED' THEN 'cancelled' ELSE 'failed' END, 'error', v_left,
                   'fingerprint', v_left->'kind', 'tree', tree_before, 'tokens', tokens_in + tokens_out,
                   'cost_usd', cost_usd::text, 'executions', executions)
         WHERE id = a.id;
        v_seq := v_seq + 1;
        INSERT INTO run_event (run_id, seq, org_id, type, at, iteration, phase, attempt, execution, data)
        VALUES (v_run, v_seq, v_org, 'phase.finished', t, a.iteration, a.phase, a.attempt, nullif(a.executions, 0),
                jsonb_build_object('status', CASE WHEN v_status = 'CANCELLED' THEN 'cancelled' ELSE 'failed' END,
                                   'error_kind', v_left->'kind', 'message', v_left->'message'));
        PERFORM phase_tally(v_org, a.phase, a.kind, v_left->>'kind', a.started_at, t);
    END LOOP;

    FOR e IN SELECT id, kind, actor FROM request
              WHERE run_id = v_run AND status IN ('recorded', 'sent') ORDER BY created_at
    LOOP
        UPDATE request
           SET status = CASE WHEN v_status = 'CANCELLED' AND kind = 'cancel' THEN 'applied' ELSE 'refused' END,
               problem = CASE WHEN v_status = 'CANCELLED' AND kind = 'cancel' THEN NULL ELSE p->>'ended_problem' END,
               settled_at = t
         WHERE id = e.id;
        v_seq := v_seq + 1;
        INSERT INTO run_event (run_id, seq, org_id, type, at, actor, data)
        VALUES (v_run, v_seq, v_org,
                CASE WHEN v_status = 'CANCELLED' AND e.kind = 'cancel' THEN 'request.applied' ELSE 'request.refused' END,
                t, e.actor, jsonb_build_object('request_id', e.id, 'kind', e.kind));
    END LOOP;
    DELETE FROM outbox WHERE run_id = v_run;
    DELETE FROM permit WHERE run_id = v_run;

    v_seq := v_seq + 1;
    INSERT INTO run_event (run_id, seq, org_id, type, at, data)
    VALUES (v_run, v_seq, v_org, 'run.finished', t,
            jsonb_build_object('status', v_status, 'outcome', o->'kind', 'detail', o->'detail', 'message', v_error->'message'));
    UPDATE run
       SET status = v_status, outcome_kind = o->>'kind', outcome_detail = o->>'detail', error = v_error,
           protected_changed = coalesce(o->'protected_changed', '[]'), finished_at = t, changed_at = t,
           started_at = coalesce(started_at, t), current_phase = NULL, current_iteration = NULL,
           waiting_reason = NULL, waiting_until = NULL, event_seq = v_seq,
           iterations = greatest(iterations, (p->>'iterations')::int)
     WHERE id = v_run;
    INSERT INTO tally_delta (org_id, name, a, amount) VALUES (v_org, 'runs', r.status, -1), (v_org, 'runs', v_status, 1);
    DELETE FROM open_run WHERE run_id = v_run;
    RETURN true;
END $$;
