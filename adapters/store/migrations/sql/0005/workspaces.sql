-- What workspaces keep for all of their runs: the packs of bases, and what was red on a base before a run changed it.
-- Packs of trees are rows of `artifact`, written in the transaction that names the tree.

CREATE TABLE base_pack (
    org_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    base_commit text NOT NULL,
    sha256 text NOT NULL,
    size_bytes bigint NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_base_pack PRIMARY KEY (workspace_id, base_commit)
);

CREATE TABLE baseline (
    org_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    base_tree text NOT NULL,
    key text NOT NULL,
    document jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_baseline PRIMARY KEY (workspace_id, base_tree, key)
);

ALTER TABLE base_pack ENABLE ROW LEVEL SECURITY;
ALTER TABLE base_pack FORCE ROW LEVEL SECURITY;
CREATE POLICY base_pack_of_organization ON base_pack
    USING (org_id = nullif(current_setting('app.org_id', true), '')::uuid)
    WITH CHECK (org_id = nullif(current_setting('app.org_id', true), '')::uuid);

ALTER TABLE baseline ENABLE ROW LEVEL SECURITY;
ALTER TABLE baseline FORCE ROW LEVEL SECURITY;
CREATE POLICY baseline_of_organization ON baseline
    USING (org_id = nullif(current_setting('app.org_id', true), '')::uuid)
    WITH CHECK (org_id = nullif(current_setting('app.org_id', true), '')::uuid);

GRANT SELECT, INSERT, DELETE ON base_pack, baseline TO millwright_app;

CREATE FUNCTION run_warn(p jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
-- Tells something of a run that is neither a failure nor a step of it; the same once. False: it was told before.
DECLARE
    v_org uuid := (p->>'org_id')::uuid;
    v_run uuid := (p->>'run_id')::uuid;
    v_seq bigint;
BEGIN
    PERFORM set_config('app.org_id', p->>'org_id', true);
    SELECT event_seq + 1 INTO v_seq FROM run WHERE id = v_run FOR NO KEY UPDATE;
    IF NOT FOUND OR EXISTS (
        SELECT 1 FROM run_event WHERE run_id = v_run AND type = 'run.warning' AND data->>'message' = p->>'message'
    ) THEN
        RETURN false;
    END IF;
    INSERT INTO run_event (run_id, seq, org_id, type, at, data)
    VALUES (v_run, v_seq, v_org, 'run.warning', clock_timestamp(), jsonb_build_object('message', p->'message'));
    UPDATE run SET event_seq = v_seq, changed_at = clock_timestamp() WHERE id = v_run;
    RETURN true;
END $$;
