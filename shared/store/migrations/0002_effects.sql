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
    -- Whether what an attempt was permitted to do reaches the outside world, or is only simulated. A claim that a crash left open is
    -- settled by that: what may have reached the outside world is looked for there, also where nothing is sent any more.
    live        boolean,
    created_at  timestamptz not null default now(),
    intended_at timestamptz not null default now(),
    settled_at  timestamptz,
    primary key (environment, key)
);

create index effects_by_job on effects (environment, job_id);
-- What an operator asks for: everything that is not settled.
create index effects_unsettled on effects (environment, intended_at) where state in ('intended', 'unknown');
-- What an operator lists.
create index effects_by_time on effects (environment, intended_at desc);

-- What happened to each effect, and what was decided on what evidence. Written in the transaction of the change.
create table effect_history (
    environment text        not null check (environment in ('staging', 'production')),
    key         text        not null,
    number      bigint      not null generated always as identity,
    at          timestamptz not null default clock_timestamp(),
    event       text        not null check (event in ('claimed', 'asked', 'taken_over', 'confirmed', 'failed', 'unknown',
                                                      'resolved')),
    -- The permit it was about, or the one it led to.
    fence       bigint      not null,
    -- Who did it: an attempt of a job, or a person.
    job_id      text,
    attempt     integer,
    holder      text,
    actor       text,
    -- The evidence, the answer, the error or the reason.
    details     jsonb       not null default '{}',
    primary key (environment, key, number)
);
