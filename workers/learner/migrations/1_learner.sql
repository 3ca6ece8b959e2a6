-- The learning posters: each is a persona that learns which posts, and which times, its readers like.
create table learner.bot_config (
    environment text        not null check (environment in ('staging', 'production')),
    bot_id      text        not null,
    config      jsonb       not null,
    enabled     boolean     not null default true,
    version     bigint      not null default 1,
    created_at  timestamptz not null default clock_timestamp(),
    updated_at  timestamptz not null default clock_timestamp(),
    updated_by  text        not null,
    primary key (environment, bot_id)
);

-- The policies that choose for a bot. Exactly one of a bot is active; a version never changes what it is.
create table learner.policies (
    environment text        not null check (environment in ('staging', 'production')),
    bot_id      text        not null,
    version     integer     not null,
    policy      jsonb       not null,
    hash        text        not null,
    state       text        not null check (state in ('proposed', 'active', 'retired')),
    reason      text        not null default '',
    -- The figures by which it was promoted or refused the last time.
    figures     jsonb,
    created_at  timestamptz not null default clock_timestamp(),
    created_by  text        not null,
    activated_at timestamptz,
    primary key (environment, bot_id, version)
);

create unique index policies_one_active on learner.policies (environment, bot_id) where state = 'active';

-- The days that are planned: which of the allowed hours got a slot, with what probability, from which seed.
create table learner.plans (
    environment text        not null check (environment in ('staging', 'production')),
    bot_id      text        not null,
    day         date        not null,
    policy      integer     not null,
    plan        jsonb       not null,
    created_at  timestamptz not null default clock_timestamp(),
    primary key (environment, bot_id, day)
);

-- The times at which a bot posts. A slot is decided once.
create table learner.slots (
    environment text        not null check (environment in ('staging', 'production')),
    bot_id      text        not null,
    slot_at     timestamptz not null,
    day         date        not null,
    propensity  double precision not null,
    state       text        not null check (state in ('planned', 'decided', 'published', 'failed', 'missed')),
    reason      text,
    created_at  timestamptz not null default clock_timestamp(),
    settled_at  timestamptz,
    primary key (environment, bot_id, slot_at)
);

create index slots_open on learner.slots (environment, slot_at) where state in ('planned', 'decided');

-- What a model wrote, each as the parts of a thread; a single post has one.
create table learner.candidates (
    environment  text        not null check (environment in ('staging', 'production')),
    id           bigint      not null generated always as identity,
    bot_id       text        not null,
    arm          text        not null,
    parts        text[]      not null check (cardinality(parts) between 1 and 25),
    state        text        not null check (state in ('drafted', 'in_review', 'ready', 'chosen', 'rejected', 'expired')),
    -- What the guard objects to, and why it was rejected or expired.
    reasons      jsonb       not null default '[]',
    reason       text,
    decided_by   text,
    decided_at   timestamptz,
    -- Its share of the call that wrote it.
    usd          double precision,
    tokens       bigint,
    model        text,
    content_hash text        not null,
    -- The keys of its text by perch_safety::similar: texts that share none are not similar.
    keys         integer[]   not null,
    opening      text        not null,
    created_at   timestamptz not null default clock_timestamp(),
    updated_at   timestamptz not null default clock_timestamp(),
    expires_at   timestamptz not null,
    primary key (environment, id)
);

create unique index candidates_once on learner.candidates (environment, content_hash);
create index candidates_by_bot on learner.candidates (environment, bot_id, id desc);
create index candidates_open on learner.candidates (environment, bot_id, state) where state in ('drafted', 'in_review', 'ready');
create index candidates_by_key on learner.candidates using gin (keys) where state in ('in_review', 'ready', 'chosen');

-- The log of decisions. It is only added to, before anything is done; what became of a decision stands in learner.outcomes.
create table learner.decisions (
    environment     text        not null check (environment in ('staging', 'production')),
    id              bigint      not null generated always as identity,
    bot_id          text        not null,
    slot_at         timestamptz not null,
    decided_at      timestamptz not null default clock_timestamp(),
    policy          integer     not null,
    policy_hash     text        not null,
    arm             text        not null,
    candidate_id    bigint      not null,
    -- The probability of what was chosen, and of its slot.
    propensity      double precision not null check (propensity > 0 and propensity <= 1),
    slot_propensity double precision not null,
    -- Everything that was weighed: all candidates with their scores, those that were removed and why, the seed and the draws.
    decision        jsonb       not null,
    effect_key      text        not null,
    job_id          text        not null,
    primary key (environment, id)
);

create unique index decisions_once on learner.decisions (environment, bot_id, slot_at);
create unique index decisions_by_effect on learner.decisions (environment, effect_key);

-- What became of a decision.
create table learner.outcomes (
    environment    text        not null check (environment in ('staging', 'production')),
    decision_id    bigint      not null,
    state          text        not null check (state in ('decided', 'published', 'failed', 'missed')),
    handed_over_at timestamptz,
    external_id    text,
    simulated      boolean     not null default false,
    published_at   timestamptz,
    reason         text,
    updated_at     timestamptz not null default clock_timestamp(),
    primary key (environment, decision_id)
);

create index outcomes_open on learner.outcomes (environment, decision_id) where state = 'decided';
create unique index outcomes_by_post on learner.outcomes (environment, external_id) where external_id is not null;

-- The rewards of published posts, each frozen once at a fixed age. A post that was never measured has none, and a reason.
create table learner.rewards (
    environment text        not null check (environment in ('staging', 'production')),
    decision_id bigint      not null,
    post_id     text        not null,
    -- The weights that it was counted with.
    version     text        not null,
    -- Seconds from its publication to its measurement.
    age         bigint,
    counts      jsonb,
    impressions bigint,
    -- The logarithmic odds of its engagement, what the account expected of the hour, and the difference, which is the reward.
    log_odds    double precision,
    expected    double precision,
    reward      double precision,
    follows     bigint,
    reason      text,
    frozen_at   timestamptz not null default clock_timestamp(),
    primary key (environment, decision_id)
);

create unique index rewards_by_post on learner.rewards (environment, post_id);

-- What X tells the account itself of a post, as a time series. Null is what it did not say.
create table learner.post_analytics (
    environment     text        not null check (environment in ('staging', 'production')),
    post_id         text        not null,
    observed_at     timestamptz not null,
    impressions     bigint,
    engagements     bigint,
    follows         bigint,
    url_clicks      bigint,
    profile_clicks  bigint,
    detail_expands  bigint,
    shares          bigint,
    primary key (environment, post_id, observed_at)
);

-- The followers of each account, once a day (UTC).
create table learner.followers (
    environment text        not null check (environment in ('staging', 'production')),
    account     text        not null,
    day         date        not null,
    followers   bigint      not null,
    observed_at timestamptz not null default clock_timestamp(),
    primary key (environment, account, day)
);

-- Replies of others to posts of a bot, by whether the guard would let them pass. Kept only where a bot stops itself over them.
create table learner.replies (
    environment text        not null check (environment in ('staging', 'production')),
    reply_id    text        not null,
    bot_id      text        not null,
    post_id     text        not null,
    negative    boolean     not null,
    observed_at timestamptz not null default clock_timestamp(),
    primary key (environment, reply_id)
);

create index replies_by_bot on learner.replies (environment, bot_id, observed_at);
