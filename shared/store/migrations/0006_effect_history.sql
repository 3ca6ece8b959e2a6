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

-- What an operator lists.
create index effects_by_time on effects (environment, intended_at desc);
