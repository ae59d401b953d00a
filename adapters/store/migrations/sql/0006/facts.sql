-- A run's facts name the models that its workspace chooses for roles and stages.

CREATE OR REPLACE FUNCTION run_facts(p_run uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
-- domain.runs.ports.RunFacts: constant for the run's life.
    SELECT jsonb_build_object(
        'org_id', r.org_id, 'run_id', r.id, 'task', r.task, 'settings', r.settings, 'pipeline', v.document,
        'base_commit', r.base_commit, 'base_tree', r.base_tree, 'branch', r.branch,
        'workspace', CASE WHEN w.id IS NOT NULL THEN jsonb_build_object(
            'workspace_id', w.id, 'name', w.name, 'repo_path', w.repo_path, 'test_command', w.test_command,
            'setup_command', w.setup_command, 'setup_inputs', w.setup_inputs, 'env', w.env,
            'allowed_remotes', w.allowed_remotes, 'mcp_servers', w.mcp_servers, 'models', w.models) END)
    FROM run r
    JOIN pipeline_version v ON v.id = r.pipeline_version_id
    LEFT JOIN workspace w ON w.id = r.workspace_id
    WHERE r.id = p_run
$$;
