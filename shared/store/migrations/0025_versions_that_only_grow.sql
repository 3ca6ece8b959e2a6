-- The version given last to a row that came by a stream. Versions are the ids of entries, which carry the time of Redis. After a failover to
-- a server whose clock is behind, a stream that begins anew has lower ids; its rows get versions that follow the last one all the same.
alter table sync_cursors
    add column version_ms  bigint not null default 0,
    add column version_seq bigint not null default 0;
