-- What people, and the system on its own, changed.
create table audit_log (
    id          bigint generated always as identity primary key,
    environment text        not null check (environment in ('staging', 'production')),
    at          timestamptz not null default now(),
    actor       text        not null,
    action      text        not null,
    object      text        not null,
    details     jsonb       not null default '{}'
);

create index audit_log_by_time on audit_log (environment, id desc);
create index audit_log_by_object on audit_log (environment, object, id desc);

-- Keys of the HTTP API. The token itself is not kept, only its SHA-256.
create table api_keys (
    environment text        not null check (environment in ('staging', 'production')),
    id          text        not null,
    name        text        not null,
    hash        bytea       not null check (length(hash) = 32),
    scopes      text[]      not null,
    created_at  timestamptz not null default now(),
    revoked_at  timestamptz,
    last_used   timestamptz,
    primary key (environment, id)
);

create unique index api_keys_by_hash on api_keys (environment, hash);
create unique index api_keys_by_name on api_keys (environment, name) where revoked_at is null;
