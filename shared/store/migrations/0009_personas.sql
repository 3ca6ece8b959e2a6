-- Personas: who an account speaks as. Every bot that writes as an account reads its persona here; operators change it while Perch runs.
create table personas (
    environment text        not null check (environment in ('staging', 'production')),
    name        text        not null check (name ~ '^[a-z0-9][a-z0-9_-]{0,39}$'),
    account     text        not null,
    -- Whether it posts.
    enabled     boolean     not null default true,
    -- Everything else that was said about it, checked before it is written.
    spec        jsonb       not null check (jsonb_typeof(spec) = 'object'),
    -- Goes up with each change, so that an edit of an old version is refused.
    version     bigint      not null default 1,
    created_at  timestamptz not null default clock_timestamp(),
    updated_at  timestamptz not null default clock_timestamp(),
    updated_by  text        not null,
    primary key (environment, name)
);

create index personas_by_account on personas (environment, account);
