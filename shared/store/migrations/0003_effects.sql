-- The effect ledger: one row for each thing done, or meant to be done, to the outside world.
create table effects (
    environment text        not null check (environment in ('staging', 'production')),
    key         text        not null,
    kind        text        not null,
    account     text        not null,
    state       text        not null check (state in ('intended', 'confirmed', 'failed', 'unknown')),
    -- Grows with every permit to act. Who holds an older one cannot write here any more.
    fence       bigint      not null,
    -- SHA-256 of the request.
    digest      bytea       not null check (length(digest) = 32),
    -- Who was given the last permit.
    job_id      text        not null,
    attempt     integer     not null,
    holder      text        not null,
    external_id text,
    response    jsonb,
    error       text,
    created_at  timestamptz not null default now(),
    intended_at timestamptz not null default now(),
    settled_at  timestamptz,
    primary key (environment, key)
);

create index effects_by_job on effects (environment, job_id);
-- What an operator asks for: everything that is not settled.
create index effects_unsettled on effects (environment, intended_at) where state in ('intended', 'unknown');
