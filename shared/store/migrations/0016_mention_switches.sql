-- What operators said to the bots that answer mentions. Here and not in Redis: a bot that was stopped stays so, whatever is lost.
create table mention_switches (
    environment text        not null check (environment in ('staging', 'production')),
    account     text        not null,
    -- Whether its mentions are read, and replied to.
    polling     boolean     not null default true,
    replying    boolean     not null default true,
    -- How often they are read, where it was set at run time.
    interval_ms bigint      check (interval_ms > 0),
    changed_by  text        not null,
    changed_at  timestamptz not null default clock_timestamp(),
    primary key (environment, account)
);

-- The id of a user who was blocked by handle, once a mention told it: a user who takes another handle stays blocked.
alter table blocked_users add column author_id text;
