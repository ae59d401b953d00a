-- Agents (DESIGN 5.3): segments of conversations, sessions of external agents, tool servers of workspaces.

ALTER TABLE workspace ADD COLUMN mcp_servers jsonb NOT NULL DEFAULT '[]';
ALTER TABLE attempt ADD COLUMN turns int NOT NULL DEFAULT 0;

CREATE TABLE agent_segment (
    org_id uuid NOT NULL,
    run_id uuid NOT NULL,
    attempt_id uuid NOT NULL,
    number int NOT NULL,
    turn int NOT NULL,
    execution_id uuid NOT NULL,
    tree text NOT NULL,
    sha256 text NOT NULL,
    size_bytes bigint NOT NULL,
    body text,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_agent_segment PRIMARY KEY (attempt_id, number)
);
CREATE INDEX ix_agent_segment_run_id ON agent_segment (run_id);

CREATE TABLE agent_session (
    attempt_id uuid NOT NULL,
    org_id uuid NOT NULL,
    executor text NOT NULL,
    session_id text NOT NULL,
    data jsonb NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT pk_agent_session PRIMARY KEY (attempt_id)
);

ALTER TABLE agent_segment ENABLE ROW LEVEL SECURITY;
ALTER TABLE agent_segment FORCE ROW LEVEL SECURITY;
CREATE POLICY agent_segment_of_organization ON agent_segment
    USING (org_id = nullif(current_setting('app.org_id', true), '')::uuid)
    WITH CHECK (org_id = nullif(current_setting('app.org_id', true), '')::uuid);

ALTER TABLE agent_session ENABLE ROW LEVEL SECURITY;
ALTER TABLE agent_session FORCE ROW LEVEL SECURITY;
CREATE POLICY agent_session_of_organization ON agent_session
    USING (org_id = nullif(current_setting('app.org_id', true), '')::uuid)
    WITH CHECK (org_id = nullif(current_setting('app.org_id', true), '')::uuid);

GRANT SELECT, INSERT, UPDATE, DELETE ON agent_segment, agent_session TO millwright_app;
REVOKE UPDATE ON agent_segment FROM millwright_app;

CREATE FUNCTION agent_open(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
-- domain.agents.ports.OpenedAgent: what the earlier executions of the attempt have left.
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    RETURN jsonb_build_object(
        'segments', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'number', number, 'turn', turn, 'tree', tree, 'sha256', sha256, 'size_bytes', size_bytes,
                'body', body) ORDER BY number)
            FROM agent_segment WHERE attempt_id = (p->>'attempt_id')::uuid), '[]'),
        'calls', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'step_key', key, 'model_answered', model_answered,
                'cost', jsonb_build_object(
                    'tokens_in', tokens_in, 'tokens_out', tokens_out, 'tokens_cached', tokens_cached,
                    'cost_usd', cost_usd::text, 'api_seconds', coalesce(api_seconds, 0)))
                ORDER BY started_at)
            FROM step
            WHERE attempt_id = (p->>'attempt_id')::uuid AND kind = 'model_call'
              AND (status = 'done' OR tokens_in IS NOT NULL)), '[]'),
        'unknown_calls', (
            SELECT count(*) FROM step
            WHERE attempt_id = (p->>'attempt_id')::uuid AND kind = 'model_call'
              AND status IN ('lost', 'failed') AND cost_usd IS NULL AND tokens_in IS NULL));
END $$;

CREATE FUNCTION agent_checkpoint(p jsonb, p_body text) RETURNS boolean LANGUAGE plpgsql AS $$
-- One segment with its tree, the packs of the tree, the step that ends with it and the output until then. False: a
-- newer execution took over, nothing is written. The share lock makes a taking over wait until this is committed.
DECLARE
    t timestamptz := clock_timestamp();
    v_org uuid := (p->>'org_id')::uuid;
    v_execution uuid := (p->>'execution_id')::uuid;
    e record;
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    IF p->'ended' IS NOT NULL THEN  -- before the execution's row is locked: a taking over locks in this order
        PERFORM step_end(p || (p->'ended'));
    END IF;
    SELECT run_id, attempt_id, ordinal INTO e FROM execution
     WHERE id = v_execution AND token = (p->>'token')::uuid AND status = 'running' FOR SHARE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO agent_segment (org_id, run_id, attempt_id, number, turn, execution_id, tree, sha256, size_bytes, body,
                               created_at)
    VALUES (v_org, e.run_id, e.attempt_id, (p->>'number')::int, (p->>'turn')::int, v_execution, p->>'tree',
            p->>'sha256', (p->>'size_bytes')::bigint, p_body, t)
    ON CONFLICT (attempt_id, number) DO NOTHING;
    IF NOT FOUND THEN  -- said before: the first answer to it was lost on its way
        RETURN EXISTS (SELECT 1 FROM agent_segment WHERE attempt_id = e.attempt_id AND number = (p->>'number')::int
                       AND execution_id = v_execution AND sha256 = p->>'sha256');
    END IF;
    INSERT INTO artifact (org_id, run_id, attempt_id, name, sha256, size_bytes, media_type, created_at)
    SELECT v_org, e.run_id, e.attempt_id, x->>'name', x->>'sha256', (x->>'size_bytes')::bigint, x->>'media_type', t
      FROM jsonb_array_elements(p->'artifacts') x;
    IF (p->>'output_sequence')::int > 0 THEN
        INSERT INTO output_chunk (run_id, execution_ordinal, seq, org_id, text, at)
        VALUES (e.run_id, e.ordinal, (p->>'output_sequence')::int, v_org, p->>'output', t)
        ON CONFLICT (run_id, execution_ordinal, seq) DO UPDATE SET text = excluded.text;
    END IF;
    UPDATE attempt SET turns = greatest(turns, (p->>'turn')::int)
     WHERE id = e.attempt_id AND turns < (p->>'turn')::int;
    RETURN true;
END $$;

CREATE FUNCTION agent_session_of(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
-- domain.agents.ports.AgentSession, or null.
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    RETURN (SELECT jsonb_build_object('executor', executor, 'session_id', session_id, 'data', data)
            FROM agent_session WHERE attempt_id = (p->>'attempt_id')::uuid);
END $$;

CREATE FUNCTION agent_session_keep(p jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
-- The newest session of the attempt. False: a newer execution took over.
DECLARE
    v_attempt uuid;
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    SELECT attempt_id INTO v_attempt FROM execution
     WHERE id = (p->>'execution_id')::uuid AND token = (p->>'token')::uuid AND status = 'running' FOR SHARE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO agent_session (attempt_id, org_id, executor, session_id, data, changed_at)
    VALUES (v_attempt, (p->>'org_id')::uuid, p->>'executor', p->>'session_id', p->'data', clock_timestamp())
    ON CONFLICT (attempt_id) DO UPDATE
       SET executor = excluded.executor, session_id = excluded.session_id, data = excluded.data,
           changed_at = excluded.changed_at;
    RETURN true;
END $$;

GRANT EXECUTE ON FUNCTION agent_open, agent_checkpoint, agent_session_of, agent_session_keep TO millwright_app;
