-- The stock of posts of each persona, with the names that its template uses: bot_id is the name of the persona.
create table personas.posts (
    environment       text        not null check (environment in ('staging', 'production')),
    id                bigint      not null generated always as identity,
    bot_id            text        not null,
    content           text        not null,
    -- The topic that it was asked for.
    category          text,
    state             text        not null check (state in ('drafted', 'in_review', 'ready', 'reserved', 'published',
                                                            'failed', 'rejected', 'expired')),
    used              integer     not null generated always as (case when state = 'published' then 1 else 0 end) stored,
    created_at        timestamptz not null default clock_timestamp(),
    updated_at        timestamptz not null default clock_timestamp(),
    -- Its share of the call that wrote it: USD, tokens read and written, and the model.
    generation_cost   double precision,
    generation_tokens bigint,
    generation_model  text,
    content_hash      text        not null,
    -- The keys of its text by perch_safety::similar: posts that share none are not similar.
    keys              integer[]   not null,
    opening           text        not null,
    -- What the guard objects to, and why it was rejected, expired or failed.
    reasons           jsonb       not null default '[]',
    reason            text,
    -- The decision of a person.
    decided_by        text,
    decided_at        timestamptz,
    -- When it is dropped if it is neither reserved nor published by then.
    expires_at        timestamptz,
    -- Its publication: the slot, the effect, the job, when that was enqueued, the id on X, and whether it was only rendered.
    slot_at           timestamptz,
    effect_key        text,
    publish_job_id    text,
    handed_over_at    timestamptz,
    external_id       text,
    simulated         boolean     not null default false,
    published_at      timestamptz,
    primary key (environment, id)
);

create unique index posts_once on personas.posts (environment, content_hash);
create index posts_by_bot on personas.posts (environment, bot_id, id desc);
create index posts_in_stock on personas.posts (environment, bot_id, state, id) where state in ('drafted', 'in_review', 'ready', 'reserved');
create index posts_published on personas.posts (environment, bot_id, published_at desc) where state = 'published';
create index posts_to_settle on personas.posts (environment, updated_at)
    where state in ('reserved', 'failed', 'expired') and effect_key is not null;
create index posts_by_slot on personas.posts (environment, bot_id, slot_at desc) where slot_at is not null;
create unique index posts_by_effect on personas.posts (environment, effect_key) where effect_key is not null;
create index posts_by_key on personas.posts using gin (keys) where state not in ('drafted', 'rejected');

-- The times at which a persona posts. A slot is filled once.
create table personas.slots (
    environment text        not null check (environment in ('staging', 'production')),
    bot_id      text        not null,
    slot_at     timestamptz not null,
    state       text        not null check (state in ('empty', 'reserved', 'published', 'failed', 'missed')),
    post_id     bigint,
    -- Why it was missed or failed.
    reason      text,
    created_at  timestamptz not null default clock_timestamp(),
    settled_at  timestamptz,
    primary key (environment, bot_id, slot_at)
);

create index slots_open on personas.slots (environment, bot_id, slot_at) where state in ('empty', 'reserved');

-- How far each persona is.
create table personas.progress (
    environment           text        not null check (environment in ('staging', 'production')),
    bot_id                text        not null,
    -- Slots up to here are known, by this schedule.
    slots_until           timestamptz not null,
    schedule              text        not null,
    last_replenishment_at timestamptz,
    -- Batches in a row that added nothing to the stock, when the last one was, and why.
    fruitless             integer     not null default 0,
    fruitless_at          timestamptz,
    fruitless_reason      text,
    primary key (environment, bot_id)
);

-- The statistics of each persona.
create view personas.bot_stats with (security_invoker = true) as
select p.environment, p.name as bot_id,
       coalesce(s.published, 0) as total_posts,
       coalesce(s.ready, 0) as remaining_posts,
       s.last_post_at,
       g.last_replenishment_at,
       p.created_at,
       greatest(p.updated_at, s.updated_at) as updated_at,
       coalesce(s.in_review, 0) as in_review_posts,
       coalesce(s.cost, 0) as generation_cost,
       coalesce(w.filled, 0) as slots_filled,
       coalesce(w.lost, 0) as slots_lost
from public.personas p
left join lateral (
    select count(*) filter (where state = 'published') as published, count(*) filter (where state = 'ready') as ready,
           count(*) filter (where state = 'in_review') as in_review, max(published_at) as last_post_at,
           max(updated_at) as updated_at, sum(generation_cost) as cost
    from personas.posts q where q.environment = p.environment and q.bot_id = p.name
) s on true
left join lateral (
    select count(*) filter (where state = 'published') as filled, count(*) filter (where state in ('failed', 'missed')) as lost
    from personas.slots q
    where q.environment = p.environment and q.bot_id = p.name and q.slot_at > now() - interval '30 days'
) w on true
left join personas.progress g on g.environment = p.environment and g.bot_id = p.name;

-- The configuration of each persona.
create view personas.bot_configs with (security_invoker = true) as
select environment, name as bot_id,
       spec ->> 'prompt' as personality_prompt,
       (spec -> 'sources')::text as content_sources,
       spec ->> 'style' as posting_style,
       (spec -> 'topics')::text as topics,
       spec ->> 'tone' as tone,
       (spec ->> 'max_length')::integer as max_length,
       (select string_agg(value, E'\n') from jsonb_array_elements_text(coalesce(spec -> 'schedule', '[]'))) as schedule_cron,
       spec ->> 'timezone' as timezone,
       created_at, updated_at
from public.personas;
