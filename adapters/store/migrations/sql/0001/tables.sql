CREATE TABLE app_user (
    id UUID NOT NULL,
    login TEXT NOT NULL,
    password_hash TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    disabled_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_app_user PRIMARY KEY (id),
    CONSTRAINT uq_app_user_login UNIQUE (login)
);

CREATE TABLE artifact (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    org_id UUID NOT NULL,
    run_id UUID NOT NULL,
    attempt_id UUID NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    media_type TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_artifact PRIMARY KEY (id)
);

CREATE INDEX ix_artifact_attempt_id ON artifact (attempt_id);

CREATE INDEX ix_artifact_org_id_sha256 ON artifact (org_id, sha256);

CREATE INDEX ix_artifact_run_id ON artifact (run_id);

CREATE TABLE open_run (
    run_id UUID NOT NULL,
    org_id UUID NOT NULL,
    workflow_id TEXT NOT NULL,
    CONSTRAINT pk_open_run PRIMARY KEY (run_id)
);

CREATE TABLE organization (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_organization PRIMARY KEY (id),
    CONSTRAINT uq_organization_name UNIQUE (name)
);

CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    org_id UUID NOT NULL,
    run_id UUID NOT NULL,
    request_id UUID NOT NULL,
    kind TEXT NOT NULL,
    workflow_id TEXT NOT NULL,
    priority INTEGER NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    tries INTEGER DEFAULT '0' NOT NULL,
    last_problem TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_outbox PRIMARY KEY (id),
    CONSTRAINT ck_outbox_kind CHECK (kind IN ('start', 'cancel', 'retry', 'feedback', 'approve'))
);

CREATE INDEX ix_outbox_due_at ON outbox (due_at);

CREATE INDEX ix_outbox_run_id_id ON outbox (run_id, id);

CREATE TABLE output_chunk (
    run_id UUID NOT NULL,
    execution_ordinal BIGINT NOT NULL,
    seq INTEGER NOT NULL,
    org_id UUID NOT NULL,
    text TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_output_chunk PRIMARY KEY (run_id, execution_ordinal, seq)
);

CREATE TABLE permit (
    pool TEXT NOT NULL,
    holder UUID NOT NULL,
    token UUID NOT NULL,
    org_id UUID,
    run_id UUID,
    phase TEXT,
    iteration INTEGER,
    attempt INTEGER,
    execution_id UUID,
    worker TEXT NOT NULL,
    cancel_requested BOOLEAN DEFAULT false NOT NULL,
    acquired_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_permit PRIMARY KEY (pool, holder)
)
 WITH (fillfactor = 50);

CREATE INDEX ix_permit_token ON permit (token);

CREATE TABLE permit_pool (
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    CONSTRAINT pk_permit_pool PRIMARY KEY (name)
);

CREATE TABLE request (
    id UUID NOT NULL,
    org_id UUID NOT NULL,
    run_id UUID NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    payload JSONB DEFAULT '{}' NOT NULL,
    actor TEXT NOT NULL,
    problem TEXT,
    idempotency_key TEXT,
    body_sha256 TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE,
    settled_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_request PRIMARY KEY (id),
    CONSTRAINT ck_request_kind CHECK (kind IN ('start', 'cancel', 'retry', 'feedback', 'approve')),
    CONSTRAINT ck_request_status CHECK (status IN ('recorded', 'sent', 'applied', 'refused'))
);

CREATE INDEX ix_request_run_id ON request (run_id);

CREATE UNIQUE INDEX uq_request_idempotency_key ON request (org_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE reservation (
    step_id UUID NOT NULL,
    org_id UUID NOT NULL,
    run_id UUID,
    provider TEXT NOT NULL,
    usd NUMERIC(20, 10),
    tokens BIGINT DEFAULT '0' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    settled_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_reservation PRIMARY KEY (step_id)
);

CREATE INDEX ix_reservation_org_id_created_at ON reservation (org_id, created_at) WHERE settled_at IS NULL;

CREATE INDEX ix_reservation_run_id ON reservation (run_id) WHERE settled_at IS NULL;

CREATE TABLE run_event (
    run_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    org_id UUID NOT NULL,
    type TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    iteration INTEGER,
    phase TEXT,
    attempt INTEGER,
    execution INTEGER,
    actor TEXT,
    data JSONB DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_run_event PRIMARY KEY (run_id, seq),
    CONSTRAINT ck_run_event_type CHECK (type IN ('run.queued', 'run.started', 'run.finished', 'run.cancel_requested', 'run.warning', 'request.applied', 'request.refused', 'phase.waiting', 'phase.started', 'phase.finished', 'phase.lost', 'phase.execution_failed', 'commit.created', 'branch.delivered'))
);

CREATE TABLE tally (
    org_id UUID NOT NULL,
    name TEXT NOT NULL,
    a TEXT NOT NULL,
    b TEXT NOT NULL,
    amount BIGINT NOT NULL,
    seconds FLOAT(53) NOT NULL,
    CONSTRAINT pk_tally PRIMARY KEY (org_id, name, a, b),
    CONSTRAINT ck_tally_name CHECK (name IN ('runs', 'phase_failures', 'phase_seconds'))
);

CREATE TABLE tally_delta (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    org_id UUID NOT NULL,
    name TEXT NOT NULL,
    a TEXT NOT NULL,
    b TEXT DEFAULT '' NOT NULL,
    amount BIGINT NOT NULL,
    seconds FLOAT(53) DEFAULT '0' NOT NULL,
    CONSTRAINT pk_tally_delta PRIMARY KEY (id),
    CONSTRAINT ck_tally_delta_name CHECK (name IN ('runs', 'phase_failures', 'phase_seconds'))
);

CREATE TABLE usage_counter (
    org_id UUID NOT NULL,
    scope TEXT NOT NULL,
    window_start TIMESTAMP WITH TIME ZONE NOT NULL,
    requests BIGINT DEFAULT '0' NOT NULL,
    tokens BIGINT DEFAULT '0' NOT NULL,
    cost_usd NUMERIC(20, 10) DEFAULT '0' NOT NULL,
    CONSTRAINT pk_usage_counter PRIMARY KEY (org_id, scope, window_start)
)
 WITH (fillfactor = 50);

CREATE TABLE worker (
    id TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    slots INTEGER NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_worker PRIMARY KEY (id)
);

CREATE TABLE api_key (
    id UUID NOT NULL,
    org_id UUID NOT NULL,
    user_id UUID,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    key_sha256 TEXT NOT NULL,
    hint TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_used_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_api_key PRIMARY KEY (id),
    CONSTRAINT ck_api_key_role CHECK (role IN ('viewer', 'operator', 'admin')),
    CONSTRAINT fk_api_key_org_id FOREIGN KEY(org_id) REFERENCES organization (id),
    CONSTRAINT fk_api_key_user_id FOREIGN KEY(user_id) REFERENCES app_user (id),
    CONSTRAINT uq_api_key_key_sha256 UNIQUE (key_sha256)
);

CREATE INDEX ix_api_key_org_id ON api_key (org_id);

CREATE TABLE login_session (
    token_sha256 TEXT NOT NULL,
    org_id UUID NOT NULL,
    user_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_login_session PRIMARY KEY (token_sha256),
    CONSTRAINT fk_login_session_org_id FOREIGN KEY(org_id) REFERENCES organization (id),
    CONSTRAINT fk_login_session_user_id FOREIGN KEY(user_id) REFERENCES app_user (id)
);

CREATE INDEX ix_login_session_expires_at ON login_session (expires_at);

CREATE TABLE membership (
    org_id UUID NOT NULL,
    user_id UUID NOT NULL,
    role TEXT NOT NULL,
    CONSTRAINT pk_membership PRIMARY KEY (org_id, user_id),
    CONSTRAINT ck_membership_role CHECK (role IN ('viewer', 'operator', 'admin')),
    CONSTRAINT fk_membership_org_id FOREIGN KEY(org_id) REFERENCES organization (id),
    CONSTRAINT fk_membership_user_id FOREIGN KEY(user_id) REFERENCES app_user (id)
);

CREATE INDEX ix_membership_user_id ON membership (user_id);

CREATE TABLE pipeline_version (
    id UUID NOT NULL,
    org_id UUID NOT NULL,
    name TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    document JSONB NOT NULL,
    phase_kinds JSONB NOT NULL,
    published_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_pipeline_version PRIMARY KEY (id),
    CONSTRAINT uq_pipeline_version_org_id_name_content_hash UNIQUE (org_id, name, content_hash),
    CONSTRAINT fk_pipeline_version_org_id FOREIGN KEY(org_id) REFERENCES organization (id)
);

CREATE INDEX ix_pipeline_version_org_id_name_published_at ON pipeline_version (org_id, name, published_at);

CREATE TABLE provider_policy (
    org_id UUID NOT NULL,
    version INTEGER NOT NULL,
    document JSONB NOT NULL,
    actor TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_provider_policy PRIMARY KEY (org_id, version),
    CONSTRAINT fk_provider_policy_org_id FOREIGN KEY(org_id) REFERENCES organization (id)
);

CREATE TABLE workspace (
    id UUID NOT NULL,
    org_id UUID NOT NULL,
    name TEXT NOT NULL,
    repo_path TEXT NOT NULL,
    test_command TEXT,
    setup_command TEXT,
    setup_inputs JSONB NOT NULL,
    env JSONB NOT NULL,
    allowed_remotes JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_workspace PRIMARY KEY (id),
    CONSTRAINT uq_workspace_org_id_name UNIQUE (org_id, name),
    CONSTRAINT fk_workspace_org_id FOREIGN KEY(org_id) REFERENCES organization (id)
);

CREATE INDEX ix_workspace_org_id_repo_path ON workspace (org_id, repo_path);

CREATE TABLE run (
    id UUID NOT NULL,
    org_id UUID NOT NULL,
    status TEXT NOT NULL,
    outcome_kind TEXT,
    outcome_detail TEXT,
    error JSONB,
    protected_changed JSONB DEFAULT '[]' NOT NULL,
    title TEXT NOT NULL,
    task JSONB NOT NULL,
    settings JSONB NOT NULL,
    pipeline_version_id UUID NOT NULL,
    pipeline_name TEXT NOT NULL,
    workspace_id UUID,
    workspace_name TEXT,
    base_commit TEXT,
    base_tree TEXT,
    branch TEXT,
    delivered_branch TEXT,
    workflow_id TEXT NOT NULL,
    workflow_run_id TEXT,
    actor TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    cancel_requested_at TIMESTAMP WITH TIME ZONE,
    current_phase TEXT,
    current_iteration INTEGER,
    waiting_reason TEXT,
    waiting_until TIMESTAMP WITH TIME ZONE,
    iterations INTEGER DEFAULT '0' NOT NULL,
    tokens_in BIGINT DEFAULT '0' NOT NULL,
    tokens_out BIGINT DEFAULT '0' NOT NULL,
    tokens_cached BIGINT DEFAULT '0' NOT NULL,
    cost_usd NUMERIC(20, 10) DEFAULT '0',
    known_cost_usd NUMERIC(20, 10) DEFAULT '0' NOT NULL,
    api_seconds FLOAT(53) DEFAULT '0' NOT NULL,
    event_seq BIGINT DEFAULT '0' NOT NULL,
    CONSTRAINT pk_run PRIMARY KEY (id),
    CONSTRAINT ck_run_status CHECK (status IN ('QUEUED', 'RUNNING', 'WAITING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
    CONSTRAINT ck_run_outcome_kind CHECK (outcome_kind IN ('verified', 'completed', 'max_iterations', 'max_consecutive_failures', 'max_failures', 'stuck', 'budget_exceeded', 'provider_unavailable', 'policy_blocked', 'rejected', 'phase_error', 'invalid_input', 'cancelled', 'orphaned')),
    CONSTRAINT ck_run_waiting_reason CHECK (waiting_reason IN ('no_permit', 'paused', 'cooling', 'rate_limit')),
    CONSTRAINT fk_run_pipeline_version_id FOREIGN KEY(pipeline_version_id) REFERENCES pipeline_version (id),
    CONSTRAINT fk_run_workspace_id FOREIGN KEY(workspace_id) REFERENCES workspace (id)
)
 WITH (fillfactor = 80);

CREATE INDEX ix_run_newest ON run (org_id, created_at DESC, id DESC);

CREATE INDEX ix_run_newest_of_pipeline ON run (org_id, pipeline_name, created_at DESC, id DESC);

CREATE INDEX ix_run_newest_of_status ON run (org_id, status, created_at DESC, id DESC);

CREATE INDEX ix_run_newest_of_workspace ON run (org_id, workspace_name, created_at DESC, id DESC);

CREATE UNIQUE INDEX uq_run_started_by_hand ON run (workflow_id, workflow_run_id);

CREATE TABLE attempt (
    id UUID NOT NULL,
    org_id UUID NOT NULL,
    run_id UUID NOT NULL,
    iteration INTEGER NOT NULL,
    phase TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    kind TEXT NOT NULL,
    cause TEXT NOT NULL,
    status TEXT NOT NULL,
    error JSONB,
    fingerprint TEXT,
    result JSONB,
    summary TEXT DEFAULT '' NOT NULL,
    tree_before TEXT,
    tree_after TEXT,
    exit_code INTEGER,
    signal TEXT,
    model_asked TEXT,
    model_answered TEXT,
    commit_facts JSONB,
    branch TEXT,
    waiting_reason TEXT,
    waiting_until TIMESTAMP WITH TIME ZONE,
    waits INTEGER DEFAULT '0' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    executions INTEGER DEFAULT '0' NOT NULL,
    stale BOOLEAN DEFAULT false NOT NULL,
    tokens_in BIGINT DEFAULT '0' NOT NULL,
    tokens_out BIGINT DEFAULT '0' NOT NULL,
    tokens_cached BIGINT DEFAULT '0' NOT NULL,
    cost_usd NUMERIC(20, 10) DEFAULT '0',
    known_cost_usd NUMERIC(20, 10) DEFAULT '0' NOT NULL,
    api_seconds FLOAT(53) DEFAULT '0' NOT NULL,
    CONSTRAINT pk_attempt PRIMARY KEY (id),
    CONSTRAINT ck_attempt_kind CHECK (kind IN ('model', 'agent', 'command', 'review', 'git', 'render', 'approval')),
    CONSTRAINT ck_attempt_cause CHECK (cause IN ('first', 'requested', 'downstream')),
    CONSTRAINT ck_attempt_status CHECK (status IN ('waiting', 'running', 'passed', 'changes_requested', 'failed', 'cancelled')),
    CONSTRAINT ck_attempt_waiting_reason CHECK (waiting_reason IN ('no_permit', 'paused', 'cooling', 'rate_limit')),
    CONSTRAINT uq_attempt_run_id_iteration_phase_attempt UNIQUE (run_id, iteration, phase, attempt),
    CONSTRAINT fk_attempt_run_id FOREIGN KEY(run_id) REFERENCES run (id)
)
 WITH (fillfactor = 80);

CREATE TABLE execution (
    id UUID NOT NULL,
    org_id UUID NOT NULL,
    run_id UUID NOT NULL,
    attempt_id UUID NOT NULL,
    number INTEGER NOT NULL,
    ordinal BIGINT NOT NULL,
    token UUID NOT NULL,
    status TEXT NOT NULL,
    worker TEXT NOT NULL,
    error JSONB,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    tokens_in BIGINT DEFAULT '0' NOT NULL,
    tokens_out BIGINT DEFAULT '0' NOT NULL,
    tokens_cached BIGINT DEFAULT '0' NOT NULL,
    cost_usd NUMERIC(20, 10) DEFAULT '0',
    known_cost_usd NUMERIC(20, 10) DEFAULT '0' NOT NULL,
    api_seconds FLOAT(53) DEFAULT '0' NOT NULL,
    CONSTRAINT pk_execution PRIMARY KEY (id),
    CONSTRAINT ck_execution_status CHECK (status IN ('running', 'done', 'failed', 'lost')),
    CONSTRAINT uq_execution_attempt_id_number UNIQUE (attempt_id, number),
    CONSTRAINT fk_execution_attempt_id FOREIGN KEY(attempt_id) REFERENCES attempt (id)
)
 WITH (fillfactor = 80);

CREATE TABLE step (
    id UUID NOT NULL,
    org_id UUID NOT NULL,
    run_id UUID,
    attempt_id UUID,
    execution_id UUID,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    effect TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    queue_seconds FLOAT(53),
    api_seconds FLOAT(53),
    run_seconds FLOAT(53),
    exit_code INTEGER,
    signal TEXT,
    error JSONB,
    tail TEXT DEFAULT '' NOT NULL,
    provider TEXT,
    model_asked TEXT,
    model_answered TEXT,
    tokens_in BIGINT,
    tokens_out BIGINT,
    tokens_cached BIGINT,
    cost_usd NUMERIC(20, 10),
    price_version TEXT,
    reply_sha256 TEXT,
    reply_body BYTEA,
    provider_response_id TEXT,
    CONSTRAINT pk_step PRIMARY KEY (id),
    CONSTRAINT ck_step_kind CHECK (kind IN ('model_call', 'tool_call', 'command', 'effect')),
    CONSTRAINT ck_step_effect CHECK (effect IN ('none', 'idempotent', 'unsafe')),
    CONSTRAINT ck_step_status CHECK (status IN ('running', 'done', 'failed', 'lost')),
    CONSTRAINT fk_step_execution_id FOREIGN KEY(execution_id) REFERENCES execution (id) ON DELETE SET NULL
)
 WITH (fillfactor = 80);

CREATE INDEX ix_step_execution_id ON step (execution_id);

CREATE INDEX ix_step_run_id_started_at ON step (run_id, started_at);

CREATE UNIQUE INDEX uq_step_attempt_key ON step (attempt_id, key) WHERE status IN ('running', 'done');
