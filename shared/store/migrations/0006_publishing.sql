-- What the bots did, and are to do: what is to be done is kept before it is done. The key is that of the effect.
create table actions (
    environment text        not null check (environment in ('staging', 'production')),
    key         text        not null,
    kind        text        not null check (kind in ('comment', 'retweet', 'post')),
    account     text        not null,
    -- What it is about, as the bot names it.
    subject     text,
    source_post text,
    text        text        not null,
    state       text        not null check (state in ('pending', 'simulated', 'published', 'failed')),
    external_id text,
    error       text,
    -- What was chosen to be done, and why.
    why         text,
    job_id      text,
    created_at  timestamptz not null,
    version_ms  bigint      not null,
    version_seq bigint      not null,
    primary key (environment, key)
);

create index actions_by_time on actions (environment, created_at desc);
create index actions_by_subject on actions (environment, subject) where subject is not null;
-- A post that names several things is retweeted once: the retweet belongs to each of them.
create index actions_by_source on actions (environment, source_post) where kind = 'retweet';

-- Actions as they are shown: what waits for a job that is dead or was taken away will not be done.
create view actions_shown as
select a.environment, a.key, a.kind, a.account, a.subject, a.source_post, a.text,
       case when a.state = 'pending' and j.id is not null then 'failed' else a.state end as state,
       a.external_id, coalesce(a.error, j.last_error, 'its job is ' || j.state) as error, a.why, a.job_id, a.created_at
from actions a
left join jobs j on a.state = 'pending' and j.environment = a.environment and j.id = a.job_id
                and j.state in ('dead', 'cancelled', 'discarded');

-- The posts that were really published.
create table published_posts (
    environment  text        not null check (environment in ('staging', 'production')),
    post_id      text        not null,
    account      text        not null,
    text         text        not null,
    reply_to     text,
    -- What it is about, as the bot names it.
    subject      text,
    job_id       text,
    published_at timestamptz not null,
    version_ms   bigint      not null,
    version_seq  bigint      not null,
    primary key (environment, post_id)
);

create index published_posts_by_time on published_posts (environment, published_at desc);

-- The public metrics of published posts as a time series. Null is what the service did not say.
create table post_metrics (
    environment text        not null check (environment in ('staging', 'production')),
    post_id     text        not null,
    observed_at timestamptz not null,
    likes       bigint      not null,
    replies     bigint      not null,
    reposts     bigint      not null,
    quotes      bigint      not null,
    bookmarks   bigint,
    impressions bigint,
    version_ms  bigint      not null,
    version_seq bigint      not null,
    primary key (environment, post_id, observed_at)
);

-- What was paid for outside: one row a call that cost something, or may have.
create table spend (
    environment       text        not null check (environment in ('staging', 'production')),
    id                text        not null,
    at                timestamptz not null,
    -- x, or the name of a model provider.
    provider          text        not null,
    bot               text        not null,
    -- Whom it was for: an account that is watched or that acts.
    account           text,
    kind              text        not null check (kind in ('post_read', 'own_read', 'user_read', 'post',
                                                           'post_with_link', 'summoned_reply', 'retweet', 'model')),
    -- How many of the kind: posts, users, calls of a model.
    units             bigint      not null,
    model             text,
    prompt_tokens     bigint      not null default 0,
    completion_tokens bigint      not null default 0,
    -- Millionths of a US dollar.
    micros            bigint      not null,
    job_id            text,
    version_ms        bigint      not null,
    version_seq       bigint      not null,
    primary key (environment, id)
);

create index spend_by_time on spend (environment, at desc, provider);

-- By day in UTC, as the budgets count.
create view spend_by_day as
select environment, (at at time zone 'UTC')::date as day, provider, bot, account, kind, model,
       count(*) as calls, sum(units)::bigint as units, sum(prompt_tokens)::bigint as prompt_tokens,
       sum(completion_tokens)::bigint as completion_tokens, sum(micros)::bigint as micros
from spend
group by environment, day, provider, bot, account, kind, model;
