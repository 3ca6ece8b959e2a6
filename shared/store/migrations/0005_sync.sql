-- How far each stream of Redis has been moved here. It changes in the transaction that moves the entries.
create table sync_cursors (
    environment  text        not null check (environment in ('staging', 'production')),
    stream       text        not null,
    -- The id of the last entry moved.
    ms           bigint      not null default 0,
    seq          bigint      not null default 0,
    -- How many entries the stream had been given up to that one; -1 when Redis does not say (before version 7).
    ordinal      bigint      not null default 0,
    -- How often entries were gone before they could be moved, and how many they were.
    gaps         bigint      not null default 0,
    lost_entries bigint      not null default 0,
    -- The version given last to a row that came by the stream. Versions are the ids of entries, which carry the time of Redis. After a
    -- failover to a server whose clock is behind, a stream that begins anew has lower ids; its rows get versions that follow the last
    -- one all the same.
    version_ms   bigint      not null default 0,
    version_seq  bigint      not null default 0,
    updated_at   timestamptz not null default now(),
    primary key (environment, stream)
);

-- What could not be moved, kept for a person to look at.
create table sync_rejects (
    environment text        not null check (environment in ('staging', 'production')),
    stream      text        not null,
    ms          bigint      not null,
    seq         bigint      not null,
    idx         integer     not null,
    field       text        not null,
    value       text        not null,
    reason      text        not null,
    rejected_at timestamptz not null default now(),
    primary key (environment, stream, ms, seq, idx)
);

create index sync_rejects_by_time on sync_rejects (environment, rejected_at desc);
