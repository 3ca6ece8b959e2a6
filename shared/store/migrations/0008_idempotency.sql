-- Idempotency keys of requests for ledger queues. What Postgres says of them holds, whatever became of Redis.
create table idempotency_keys (
    environment text        not null check (environment in ('staging', 'production')),
    -- SHA-256 of the caller and the key, in hexadecimal.
    key_hash    text        not null check (length(key_hash) = 64),
    -- SHA-256 of the body that came with the key, in hexadecimal.
    request     text        not null check (length(request) = 64),
    -- Given before the job was enqueued, so that a repetition is the same job whatever became of the first.
    job_id      text        not null,
    -- Null while it is not known what was answered.
    answer      jsonb,
    expires_at  timestamptz not null,
    primary key (environment, key_hash)
);

create index idempotency_keys_by_expiry on idempotency_keys (environment, expires_at);
