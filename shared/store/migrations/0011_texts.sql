-- The texts that accounts have published or are about to, so that no account publishes nearly what another has. The key is that of the effect.
create table account_texts (
    environment text        not null check (environment in ('staging', 'production')),
    key         text        not null,
    account     text        not null,
    text        text        not null,
    -- What near-duplicates are searched by.
    keys        integer[]   not null,
    claimed_at  timestamptz not null default clock_timestamp(),
    primary key (environment, key)
);

create index account_texts_by_keys on account_texts using gin (keys);
create index account_texts_by_time on account_texts (environment, claimed_at);
