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
    kind              text        not null check (kind in ('post_read', 'user_read', 'post', 'post_with_link',
                                                           'summoned_reply', 'retweet', 'model')),
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

-- What was decided about each post that was read: by the rules that stand before the model, and by the model.
create table extractions (
    environment       text        not null check (environment in ('staging', 'production')),
    post_id           text        not null,
    -- Whether the rules held it worth a call of a model, and why.
    worth             boolean     not null,
    reason            text        not null,
    -- Whether a model was asked all the same, to measure what the rules miss.
    sampled           boolean     not null,
    -- Null where no model was asked.
    provider          text,
    model             text,
    -- Picks found; those that did not stand in the post are counted apart.
    picks             bigint,
    dropped           bigint      not null default 0,
    objections        bigint      not null default 0,
    prompt_tokens     bigint      not null default 0,
    completion_tokens bigint      not null default 0,
    at                timestamptz not null,
    version_ms        bigint      not null,
    version_seq       bigint      not null,
    primary key (environment, post_id)
);

create index extractions_by_time on extractions (environment, at desc);

-- What the rules before the model saved, and what they missed as far as samples tell.
create view prefilter_quality as
select environment, (at at time zone 'UTC')::date as day,
       count(*) as posts,
       count(*) filter (where worth) as worth,
       count(*) filter (where not worth and not sampled) as saved,
       count(*) filter (where not worth and sampled) as sampled,
       count(*) filter (where not worth and sampled and picks > 0) as missed
from extractions
group by environment, day;

-- What was chosen to be done, and why.
alter table actions add column why text;
