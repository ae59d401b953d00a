-- begin_call and end_call: the record's side of every model call, one statement each.
-- Invoker's rights: row-level security holds, for the organization that the caller names.
-- Locks (advisory, only where a limit stands, always in this order): the organization's money, the provider, the run.
-- Counters (usage_counter.scope):
--   calls/<provider>  one row per second; a window is the last 60 of them, so no 60 s ever hold more than the limit
--   money/<0-7>       settled cost by month, spread so that calls that end together do not queue
--   run/<run id>      settled tokens and cost of a run

CREATE FUNCTION begin_call(
    p_org uuid, p_run uuid, p_attempt uuid, p_execution uuid, p_key text, p_title text,
    p_provider text, p_model text, p_policy_version int, p_waited_seconds float8,
    p_requests_per_minute bigint, p_tokens_per_minute bigint, p_concurrent bigint, p_monthly_usd numeric,
    p_run_tokens bigint, p_run_usd numeric, p_reserve_tokens bigint, p_reserve_usd numeric,
    p_step uuid, p_token uuid, p_worker text, p_lease_seconds float8,
    OUT o_outcome text, OUT o_seconds float8, OUT o_reason text, OUT o_message text,
    OUT o_policy_version int, OUT o_policy jsonb,
    OUT o_step uuid, OUT o_sha256 text, OUT o_body bytea, OUT o_cost_usd numeric, OUT o_price_version text,
    OUT o_model_answered text, OUT o_response_id text,
    OUT o_tokens_in bigint, OUT o_tokens_out bigint, OUT o_tokens_cached bigint
) LANGUAGE plpgsql AS $$
DECLARE
    v_pool text := 'provider/' || p_org || '/' || p_provider;
    v_window text := 'calls/' || p_provider;
    v_now timestamptz;
    v_second timestamptz;
    v_earlier step%ROWTYPE;
    v_version int;
    v_used numeric;
    v_used_tokens numeric;
    v_left numeric;
    v_left_tokens numeric;
    v_free_at timestamptz;
    v_bucket record;
BEGIN
    PERFORM set_config('app.org_id', p_org::text, true);

    PERFORM 1 FROM step WHERE id = p_step;
    IF FOUND THEN
        o_outcome := 'begun';  -- said before: the first answer to it was lost on its way
        RETURN;
    END IF;

    IF p_execution IS NOT NULL THEN
        PERFORM 1 FROM execution WHERE id = p_execution AND status = 'running';
        IF NOT FOUND THEN
            o_outcome := 'fenced';
            RETURN;
        END IF;
    END IF;

    IF p_attempt IS NOT NULL THEN
        SELECT * INTO v_earlier FROM step
        WHERE attempt_id = p_attempt AND key = p_key AND status IN ('running', 'done') FOR UPDATE;
        IF FOUND AND v_earlier.status = 'done' THEN
            o_outcome := 'repeated';
            o_step := v_earlier.id;
            o_sha256 := v_earlier.reply_sha256;
            o_body := v_earlier.reply_body;
            o_cost_usd := v_earlier.cost_usd;
            o_price_version := v_earlier.price_version;
            o_model_answered := v_earlier.model_answered;
            o_response_id := v_earlier.provider_response_id;
            o_tokens_in := v_earlier.tokens_in;
            o_tokens_out := v_earlier.tokens_out;
            o_tokens_cached := v_earlier.tokens_cached;
            RETURN;
        ELSIF FOUND THEN
            -- Never answered: its cost stays unknown, its reservation keeps counting.
            UPDATE step SET status = 'lost', ended_at = clock_timestamp() WHERE id = v_earlier.id;
            DELETE FROM permit
            WHERE pool = 'provider/' || p_org || '/' || v_earlier.provider AND holder = v_earlier.id;
        END IF;
    END IF;

    SELECT max(version) INTO v_version FROM provider_policy WHERE org_id = p_org;
    IF coalesce(v_version, 0) <> p_policy_version THEN
        o_outcome := 'policy';
        o_policy_version := coalesce(v_version, 0);
        SELECT document INTO o_policy FROM provider_policy WHERE org_id = p_org AND version = v_version;
        RETURN;
    END IF;

    IF p_monthly_usd IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('money/' || p_org, 0));
    END IF;
    IF p_requests_per_minute IS NOT NULL OR p_tokens_per_minute IS NOT NULL OR p_concurrent IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(v_pool, 0));
    END IF;
    IF p_run IS NOT NULL AND (p_run_tokens IS NOT NULL OR p_run_usd IS NOT NULL) THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('run/' || p_run, 0));
    END IF;
    v_now := clock_timestamp();
    v_second := date_trunc('second', v_now);

    IF p_monthly_usd IS NOT NULL THEN
        SELECT coalesce(sum(cost_usd), 0) INTO v_used FROM usage_counter
        WHERE org_id = p_org AND window_start = date_trunc('month', v_now, 'UTC')
          AND scope IN ('money/0', 'money/1', 'money/2', 'money/3', 'money/4', 'money/5', 'money/6', 'money/7');
        SELECT v_used + coalesce(sum(usd), 0) INTO v_used FROM reservation
        WHERE org_id = p_org AND settled_at IS NULL AND created_at >= date_trunc('month', v_now, 'UTC');
        IF p_reserve_usd IS NULL OR v_used + p_reserve_usd > p_monthly_usd THEN
            o_outcome := 'money';
            o_reason := 'monthly_usd';
            o_message := format('This call may cost $%s; $%s of the organization''s $%s for this month are used or reserved.',
                round(p_reserve_usd, 4), round(v_used, 4), round(p_monthly_usd, 4));
            RETURN;
        END IF;
    END IF;

    IF p_run IS NOT NULL AND (p_run_tokens IS NOT NULL OR p_run_usd IS NOT NULL) THEN
        SELECT coalesce(sum(tokens), 0), coalesce(sum(cost_usd), 0) INTO v_used_tokens, v_used FROM usage_counter
        WHERE org_id = p_org AND scope = 'run/' || p_run AND window_start = 'epoch';
        SELECT v_used_tokens + coalesce(sum(tokens), 0), v_used + coalesce(sum(usd), 0) INTO v_used_tokens, v_used
        FROM reservation WHERE org_id = p_org AND run_id = p_run AND settled_at IS NULL;
        IF p_run_usd IS NOT NULL AND (p_reserve_usd IS NULL OR v_used + p_reserve_usd > p_run_usd) THEN
            o_outcome := 'money';
            o_reason := 'run cost_usd';
            o_message := format('This call may cost $%s; $%s of the run''s $%s are used or reserved.',
                round(p_reserve_usd, 4), round(v_used, 4), round(p_run_usd, 4));
            RETURN;
        END IF;
        IF p_run_tokens IS NOT NULL AND v_used_tokens + p_reserve_tokens > p_run_tokens THEN
            o_outcome := 'money';
            o_reason := 'run tokens';
            o_message := format('This call may use %s tokens; %s of the run''s %s are used or reserved.',
                p_reserve_tokens, v_used_tokens, p_run_tokens);
            RETURN;
        END IF;
    END IF;

    IF p_concurrent IS NOT NULL THEN
        DELETE FROM permit WHERE pool = v_pool AND expires_at <= v_now;
        SELECT count(*) INTO v_used FROM permit WHERE pool = v_pool;
        IF v_used >= p_concurrent THEN
            o_outcome := 'wait';
            o_seconds := 1;
            o_reason := format('all %s concurrent calls of provider %s are taken', p_concurrent, p_provider);
            RETURN;
        END IF;
    END IF;

    IF p_requests_per_minute IS NOT NULL OR p_tokens_per_minute IS NOT NULL THEN
        IF p_reserve_tokens > p_tokens_per_minute THEN
            o_outcome := 'money';
            o_reason := 'tokens_per_minute';
            o_message := format('This call may use %s tokens, provider %s is allowed %s per minute: it would wait for ever.',
                p_reserve_tokens, p_provider, p_tokens_per_minute);
            RETURN;
        END IF;
        DELETE FROM usage_counter
        WHERE org_id = p_org AND scope = v_window AND window_start <= v_now - interval '61 seconds';
        SELECT p_requests_per_minute - 1 - coalesce(sum(requests), 0),
               p_tokens_per_minute - p_reserve_tokens - coalesce(sum(tokens), 0)
        INTO v_left, v_left_tokens FROM usage_counter WHERE org_id = p_org AND scope = v_window;
        IF v_left < 0 OR v_left_tokens < 0 THEN
            o_reason := CASE WHEN v_left < 0 THEN 'requests_per_minute' ELSE 'tokens_per_minute' END;
            FOR v_bucket IN
                SELECT window_start, requests, tokens FROM usage_counter
                WHERE org_id = p_org AND scope = v_window ORDER BY window_start
            LOOP
                v_left := v_left + v_bucket.requests;
                v_left_tokens := v_left_tokens + v_bucket.tokens;
                v_free_at := v_bucket.window_start + interval '61 seconds';
                EXIT WHEN coalesce(v_left, 0) >= 0 AND coalesce(v_left_tokens, 0) >= 0;
            END LOOP;
            o_outcome := 'wait';
            o_seconds := greatest(0.1, extract(epoch FROM v_free_at - v_now));
            o_reason := format('the limit %s of provider %s is used up', o_reason, p_provider);
            RETURN;
        END IF;
    END IF;

    INSERT INTO step (id, org_id, run_id, attempt_id, execution_id, key, kind, title, effect, status, started_at,
                      provider, model_asked)
    VALUES (p_step, p_org, p_run, p_attempt, p_execution, p_key, 'model_call', p_title, 'none', 'running',
            statement_timestamp() - make_interval(secs => p_waited_seconds), p_provider, p_provider || ':' || p_model)
    ON CONFLICT (attempt_id, key) WHERE status IN ('running', 'done') DO NOTHING;
    IF NOT FOUND THEN
        o_outcome := 'wait';
        o_seconds := 0.1;
        o_reason := format('another call with the step key %s is in flight', p_key);
        RETURN;
    END IF;
    INSERT INTO permit (pool, holder, token, org_id, run_id, execution_id, worker, acquired_at, expires_at)
    VALUES (v_pool, p_step, p_token, p_org, p_run, p_execution, p_worker, v_now,
            v_now + make_interval(secs => p_lease_seconds));
    IF p_monthly_usd IS NOT NULL OR p_run_usd IS NOT NULL OR p_run_tokens IS NOT NULL OR p_tokens_per_minute IS NOT NULL
    THEN
        INSERT INTO reservation (step_id, org_id, run_id, provider, usd, tokens, created_at)
        VALUES (p_step, p_org, p_run, p_provider, p_reserve_usd, p_reserve_tokens, v_now);
    END IF;
    IF p_requests_per_minute IS NOT NULL OR p_tokens_per_minute IS NOT NULL THEN
        INSERT INTO usage_counter AS c (org_id, scope, window_start, requests, tokens, cost_usd)
        VALUES (p_org, v_window, v_second, 1, p_reserve_tokens, 0)
        ON CONFLICT (org_id, scope, window_start)
        DO UPDATE SET requests = c.requests + 1, tokens = c.tokens + excluded.tokens;
    END IF;
    o_outcome := 'begun';
END
$$;

CREATE FUNCTION end_call(
    p_org uuid, p_step uuid, p_token uuid, p_status text,
    p_queue_seconds float8, p_api_seconds float8, p_run_seconds float8,
    p_model_answered text, p_response_id text, p_tokens_in bigint, p_tokens_out bigint, p_tokens_cached bigint,
    p_cost_usd numeric, p_price_version text, p_sha256 text, p_body bytea, p_error jsonb
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_step step%ROWTYPE;
    v_tokens bigint := CASE
        WHEN p_tokens_in IS NOT NULL AND p_tokens_out IS NOT NULL THEN p_tokens_in + p_tokens_out
        WHEN p_status <> 'done' AND p_cost_usd = 0 AND p_tokens_in IS NULL AND p_tokens_out IS NULL THEN 0
    END;
    v_reserved reservation%ROWTYPE;
    v_now timestamptz := clock_timestamp();
BEGIN
    PERFORM set_config('app.org_id', p_org::text, true);
    SELECT * INTO v_step FROM step WHERE id = p_step FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    ELSIF v_step.status IN ('done', 'failed') OR v_step.tokens_in IS NOT NULL OR v_step.cost_usd IS NOT NULL THEN
        RETURN v_step.status <> 'lost';  -- said before: the first answer to it was lost on its way
    END IF;

    IF v_step.status = 'lost' THEN
        UPDATE step SET model_answered = p_model_answered, provider_response_id = p_response_id,
            tokens_in = p_tokens_in, tokens_out = p_tokens_out, tokens_cached = p_tokens_cached,
            cost_usd = p_cost_usd, price_version = p_price_version
        WHERE id = p_step;
    ELSE
        UPDATE step SET status = p_status, ended_at = v_now,
            queue_seconds = p_queue_seconds, api_seconds = p_api_seconds,
            run_seconds = p_run_seconds + extract(epoch FROM v_now - statement_timestamp()),
            model_answered = p_model_answered, provider_response_id = p_response_id,
            tokens_in = p_tokens_in, tokens_out = p_tokens_out, tokens_cached = p_tokens_cached,
            cost_usd = p_cost_usd, price_version = p_price_version,
            reply_sha256 = p_sha256, reply_body = p_body, error = p_error
        WHERE id = p_step;
    END IF;
    DELETE FROM permit
    WHERE pool = 'provider/' || p_org || '/' || v_step.provider AND holder = p_step AND token = p_token;

    SELECT * INTO v_reserved FROM reservation WHERE step_id = p_step AND settled_at IS NULL;
    IF FOUND THEN
        UPDATE reservation SET
            usd = CASE WHEN p_cost_usd IS NULL THEN usd ELSE 0 END,
            tokens = CASE WHEN v_tokens IS NULL THEN tokens ELSE 0 END,
            settled_at = CASE WHEN (p_cost_usd IS NOT NULL OR usd IS NULL) AND v_tokens IS NOT NULL THEN v_now END
        WHERE step_id = p_step;
        IF v_tokens IS NOT NULL THEN
            UPDATE usage_counter SET tokens = greatest(0, tokens - v_reserved.tokens + v_tokens)
            WHERE org_id = p_org AND scope = 'calls/' || v_step.provider
              AND window_start = date_trunc('second', v_reserved.created_at);
        END IF;
    END IF;
    IF p_cost_usd > 0 THEN
        INSERT INTO usage_counter AS c (org_id, scope, window_start, requests, tokens, cost_usd)
        VALUES (p_org, 'money/' || floor(random() * 8)::int,
                date_trunc('month', coalesce(v_reserved.created_at, v_now), 'UTC'), 0, 0, p_cost_usd)
        ON CONFLICT (org_id, scope, window_start) DO UPDATE SET cost_usd = c.cost_usd + excluded.cost_usd;
    END IF;
    IF v_step.run_id IS NOT NULL AND (v_tokens > 0 OR p_cost_usd > 0) THEN
        INSERT INTO usage_counter AS c (org_id, scope, window_start, requests, tokens, cost_usd)
        VALUES (p_org, 'run/' || v_step.run_id, 'epoch', 0, coalesce(v_tokens, 0), coalesce(p_cost_usd, 0))
        ON CONFLICT (org_id, scope, window_start)
        DO UPDATE SET tokens = c.tokens + excluded.tokens, cost_usd = c.cost_usd + excluded.cost_usd;
    END IF;
    RETURN v_step.status <> 'lost';
END
$$;

CREATE FUNCTION renew_call(p_org uuid, p_provider text, p_step uuid, p_token uuid, p_lease_seconds float8)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE permit SET expires_at = clock_timestamp() + make_interval(secs => p_lease_seconds)
    WHERE pool = 'provider/' || p_org || '/' || p_provider AND holder = p_step AND token = p_token
      AND expires_at > clock_timestamp();
    RETURN FOUND;
END
$$;

CREATE FUNCTION newest_policy(p_org uuid, OUT o_version int, OUT o_document jsonb) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.org_id', p_org::text, true);
    SELECT version, document INTO o_version, o_document FROM provider_policy
    WHERE org_id = p_org ORDER BY version DESC LIMIT 1;
END
$$;

GRANT EXECUTE ON FUNCTION begin_call, end_call, renew_call, newest_policy TO millwright_app;
