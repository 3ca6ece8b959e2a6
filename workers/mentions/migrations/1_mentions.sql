-- The mentions of the accounts that reply, and what became of each.
create table mentions.mentions (
    environment         text        not null check (environment in ('staging', 'production')),
    account             text        not null,
    -- As it was handed on.
    id                  text        not null,
    text                text        not null,
    author_id           text        not null,
    conversation_id     text        not null,
    created_at          timestamptz not null,
    processed_at        timestamptz not null,
    referenced_tweet_id text,
    -- The handle of the author, where it is known.
    author              text,
    state               text        not null check (state in ('seen', 'left_out', 'queued', 'decided', 'sending',
                                                              'in_review', 'answered', 'rejected', 'expired', 'failed')),
    -- Why it was left out, rejected or failed.
    reason              text,
    -- What was decided first. It stays, however often the job runs.
    reply               text,
    model               text,
    prompt_tokens       bigint      not null default 0,
    completion_tokens   bigint      not null default 0,
    effect_key          text        not null,
    -- The job that decides, and the one that publishes.
    job_id              text,
    publish_job_id      text,
    -- The id of the reply, and whether it was only rendered.
    external_id         text,
    simulated           boolean     not null default false,
    decided_at          timestamptz,
    settled_at          timestamptz,
    primary key (environment, account, id)
);

create index mentions_by_time on mentions.mentions (environment, account, created_at desc);
create index mentions_by_conversation on mentions.mentions (environment, account, conversation_id);
create index mentions_by_author on mentions.mentions (environment, account, author_id, created_at desc);
create index mentions_open on mentions.mentions (environment, account, state)
    where state in ('seen', 'queued', 'decided', 'sending', 'in_review', 'failed');

-- How far the mentions of an account were read: what a Redis that lost its data goes on from.
create table mentions.cursors (
    environment text        not null check (environment in ('staging', 'production')),
    account     text        not null,
    since_id    text        not null,
    moved_at    timestamptz not null default clock_timestamp(),
    primary key (environment, account)
);

-- Replies that a person decides about.
create table mentions.reviews (
    environment text        not null check (environment in ('staging', 'production')),
    id          bigint      not null generated always as identity,
    account     text        not null,
    mention_id  text        not null,
    state       text        not null default 'open' check (state in ('open', 'approved', 'rejected', 'expired')),
    -- What the model proposed; null when it was not asked.
    proposed    text,
    -- What the guard objects to: in the mention or in the proposal.
    reasons     jsonb       not null default '[]',
    -- What was approved.
    approved    text,
    created_at  timestamptz not null default clock_timestamp(),
    expires_at  timestamptz not null,
    decided_at  timestamptz,
    decided_by  text,
    note        text,
    primary key (environment, id)
);

create unique index reviews_once on mentions.reviews (environment, account, mention_id);
create index reviews_open on mentions.reviews (environment, expires_at) where state = 'open';

-- Users who are not answered, besides those of the configuration. A handle is kept in lower case.
create table mentions.blocked_users (
    environment text        not null check (environment in ('staging', 'production')),
    account     text        not null,
    who         text        not null,
    reason      text,
    blocked_by  text        not null,
    blocked_at  timestamptz not null default clock_timestamp(),
    -- Their id, once a mention told it: a user who takes another handle stays blocked.
    author_id   text,
    primary key (environment, account, who)
);

-- What operators said to the bots that answer mentions. Here and not in Redis: a bot that was stopped stays so, whatever is lost.
create table mentions.switches (
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
