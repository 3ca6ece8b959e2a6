-- The posts that were read.
create table picks.posts (
    environment text        not null check (environment in ('staging', 'production')),
    id          text        not null,
    author_id   text        not null,
    author      text        not null,
    text        text        not null,
    created_at  timestamptz not null,
    media       jsonb       not null default '[]',
    read_at     timestamptz not null,
    version_ms  bigint      not null,
    version_seq bigint      not null,
    primary key (environment, id)
);

create index posts_by_time on picks.posts (environment, created_at desc);
create index posts_by_author on picks.posts (environment, author, created_at desc);

-- The picks that were found. The key is the identity of the bet: whoever posts it and at whatever odds.
create table picks.picks (
    environment text             not null check (environment in ('staging', 'production')),
    pick_key    text             not null,
    -- As the model answered it, a parlay with its legs.
    pick        jsonb            not null,
    kind        text             not null,
    sport       text,
    event       text,
    selection   text,
    line        double precision,
    side        text,
    player      text,
    stat        text,
    odds        text,
    units       double precision,
    -- The post that had it first, and its author.
    source_post text             not null,
    author      text             not null,
    first_seen  timestamptz      not null,
    -- What it says beyond its fields, in figures: {"american", "decimal", "implied", "units", "starts_at", "league"}, null where neither
    -- the pick nor its post says it. Those of the post that had the pick first.
    terms       jsonb,
    -- Who read it out of its post: a provider, or `rules`.
    read_by     text,
    -- What is to be done about a pick that only the rules have read, once a person or a model confirms it.
    planned      jsonb,
    confirmed_by text,
    confirmed_at timestamptz,
    -- Short enough to be typed.
    number      bigint           not null generated always as identity,
    version_ms  bigint           not null,
    version_seq bigint           not null
);

create unique index picks_once on picks.picks (environment, pick_key);
create unique index picks_by_number on picks.picks (environment, number);
create index picks_unconfirmed on picks.picks (environment, first_seen desc) where planned is not null and confirmed_at is null;
create index picks_by_time on picks.picks (environment, first_seen desc);

-- Every post that named a pick, the first one included.
create table picks.sightings (
    environment text        not null check (environment in ('staging', 'production')),
    pick_key    text        not null,
    post_id     text        not null,
    author      text        not null,
    odds        text,
    units       double precision,
    seen_at     timestamptz not null,
    version_ms  bigint      not null,
    version_seq bigint      not null,
    primary key (environment, pick_key, post_id)
);

create index sightings_by_author on picks.sightings (environment, lower(author), seen_at desc);
-- An edited post is asked for the picks of its earlier versions.
create index sightings_by_post on picks.sightings (environment, post_id);

-- What was decided about each post that was read: by the rules that stand before the model, and by the model.
create table picks.extractions (
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
    -- What was answered, and to which job: its next attempt goes by the same answer.
    answer            jsonb,
    job_id            text,
    -- Pictures that could not be had, so that the post was read without them.
    pictures_missing  bigint      not null default 0,
    at                timestamptz not null,
    version_ms        bigint      not null,
    version_seq       bigint      not null,
    primary key (environment, post_id)
);

create index extractions_by_time on picks.extractions (environment, at desc);

-- What the rules before the model saved, and what they missed as far as samples tell. What the rules themselves read, while no model
-- answered, tells nothing of what they miss.
create view picks.prefilter_quality as
select environment, (at at time zone 'UTC')::date as day,
       count(*) as posts,
       count(*) filter (where worth) as worth,
       count(*) filter (where not worth and not sampled) as saved,
       count(*) filter (where not worth and sampled and provider <> 'rules') as sampled,
       count(*) filter (where not worth and sampled and provider <> 'rules' and picks > 0) as missed
from picks.extractions
group by environment, day;

-- The accounts whose posts are read. A row says what an operator decided about an account, and where its polls stand: the
-- copy of what Redis knows, for when Redis was wiped. Accounts of the configuration have a row once they were polled or
-- changed; what the row says goes before the configuration.
create table picks.watched_accounts (
    environment    text        not null check (environment in ('staging', 'production')),
    -- The handle in lower case.
    username       text        not null,
    -- The handle as its owner writes it.
    handle         text        not null,
    -- Null while only the configuration names it.
    added_by       text,
    added_at       timestamptz,
    removed_by     text,
    removed_at     timestamptz,
    enabled        boolean     not null default true,
    note           text,
    -- What is null follows the configuration.
    schedule       text,
    timezone       text,
    posts_per_poll integer,
    pages          integer,
    max_age_ms     bigint,
    -- Ticks of its own schedule up to here are done with.
    scheduled_to   timestamptz,
    -- What the account wrote before then a poll has dealt with: a poll that comes late reads on from there, however old that is. Null
    -- where it is watched anew, so that only what is fresh counts.
    read_to        timestamptz,
    last_poll      timestamptz,
    last_outcome   text check (last_outcome in ('polled', 'not_found', 'suspended', 'protected')),
    last_error     text,
    -- Polls in a row that could not read it, and how many ticks it is therefore passed over.
    failures       integer     not null default 0,
    passes_over    integer     not null default 0,
    -- Decimal digits without leading zeros.
    since_id       text,
    user_id        text,
    user_id_at     timestamptz,
    primary key (environment, username)
);

-- Results of games, however they came in.
create table picks.game_results (
    environment  text             not null check (environment in ('staging', 'production')),
    sport        text             not null,
    -- The names of both sides, letters and digits in lower case, in the order of the alphabet.
    event        text             not null,
    -- The day of the game where it was played.
    date         date             not null,
    -- Which game of both sides on that day.
    game         integer          not null default 1 check (game > 0),
    first        text             not null,
    second       text             not null,
    score_first  double precision,
    score_second double precision,
    -- Who won, where the scores do not say.
    winner       text,
    called_off   boolean          not null default false,
    finished_at  timestamptz,
    -- What players did: {"name": {"stat": number}}; null for one who did not play.
    players      jsonb            not null default '{}',
    source       text             not null,
    entered_by   text             not null,
    entered_at   timestamptz      not null default clock_timestamp(),
    primary key (environment, sport, event, date, game)
);

create index game_results_by_date on picks.game_results (environment, date);

-- How picks ended. A pick without a row is open; so is a parlay with a row whose legs are not all graded.
create table picks.results (
    environment  text        not null check (environment in ('staging', 'production')),
    pick_key     text        not null,
    state        text        not null check (state in ('open', 'won', 'lost', 'push', 'void', 'half_won', 'half_lost')),
    -- The grades of the legs of a parlay in their order, null where a leg is open.
    legs         jsonb       not null default '[]',
    closing_odds text,
    settled_at   timestamptz not null,
    settled_by   text        not null,
    source       text        not null check (source in ('stated', 'score', 'import', 'results')),
    note         text,
    -- What was opened again by hand stays open until somebody settles it by hand.
    held         boolean     not null default false,
    -- When what it is about was over: posts that were written later have no bet on it. Null where only the settlement tells.
    over_at      timestamptz,
    -- Grows with every settlement.
    revision     bigint      not null,
    primary key (environment, pick_key)
);

-- Every settlement there was, the last one of a pick being the one that holds.
create table picks.settlements (
    environment  text        not null check (environment in ('staging', 'production')),
    pick_key     text        not null,
    revision     bigint      not null,
    state        text        not null,
    legs         jsonb       not null,
    closing_odds text,
    settled_at   timestamptz not null,
    settled_by   text        not null,
    source       text        not null,
    note         text,
    primary key (environment, pick_key, revision)
);

-- What a settled pick came to for each account that named it, at its own odds and stake.
create table picks.settled_bets (
    environment   text             not null check (environment in ('staging', 'production')),
    pick_key      text             not null,
    -- The handle in lower case.
    account       text             not null,
    post_id       text             not null,
    posted_at     timestamptz      not null,
    -- Null for a parlay over several.
    sport         text,
    market        text             not null,
    grade         text             not null check (grade in ('won', 'lost', 'push', 'void', 'half_won', 'half_lost')),
    -- What a winning stake of one unit returns; null where the grade needs none and none is known.
    odds          double precision,
    odds_assumed  boolean          not null,
    closing       double precision,
    stake         double precision not null,
    stake_assumed boolean          not null,
    units         double precision not null,
    primary key (environment, pick_key, account)
);

create index settled_bets_by_account on picks.settled_bets (environment, account, posted_at desc);

-- Picks and where they stand; units and stake are those of the account that named the pick first.
create view picks.tracked as
select p.environment,
       p.number,
       p.pick_key,
       p.pick,
       p.kind as market,
       p.sport,
       p.source_post,
       p.author,
       p.first_seen,
       coalesce(post.created_at, p.first_seen) as posted_at,
       coalesce(r.state, 'open') as state,
       coalesce(r.legs, '[]') as legs,
       r.closing_odds,
       r.settled_at,
       r.settled_by,
       r.source,
       r.note,
       coalesce(r.revision, 0) as revision,
       b.odds,
       b.stake,
       b.units,
       (select count(distinct lower(s.author)) from picks.sightings s
        where s.environment = p.environment and s.pick_key = p.pick_key) as accounts,
       coalesce(r.held, false) as held,
       r.over_at,
       p.terms,
       p.read_by,
       p.planned is not null and p.confirmed_at is null as unconfirmed,
       p.confirmed_by,
       p.confirmed_at
from picks.picks p
left join picks.results r on r.environment = p.environment and r.pick_key = p.pick_key
left join picks.settled_bets b on b.environment = p.environment and b.pick_key = p.pick_key and b.account = lower(p.author)
left join picks.posts post on post.environment = p.environment and post.id = p.source_post;

-- The record of each account by sport and market in each day, week (from Monday), month and year, named as `perch picks record`
-- names them. A half counts half for the hit rate, what came back counts nothing; the closing-line value is the mean of what
-- the odds taken were better by, over the bets that have closing odds.
create view picks.account_periods as
select b.environment,
       b.account,
       b.sport,
       b.market,
       p.by,
       p.period,
       count(*) as bets,
       count(*) filter (where grade in ('won', 'half_won')) as w,
       count(*) filter (where grade in ('lost', 'half_lost')) as l,
       count(*) filter (where grade = 'push') as p,
       count(*) filter (where grade = 'void') as v,
       coalesce(sum(stake) filter (where grade <> 'void'), 0) as staked,
       sum(units) as won,
       sum(units) / nullif(sum(stake) filter (where grade <> 'void'), 0) as roi,
       (count(*) filter (where grade = 'won') + 0.5 * count(*) filter (where grade = 'half_won'))::double precision
           / nullif(count(*) filter (where grade in ('won', 'lost'))
                    + 0.5 * count(*) filter (where grade in ('half_won', 'half_lost')), 0) as hit_rate,
       avg(odds / closing - 1) filter (where not odds_assumed) as clv
from picks.settled_bets b
cross join lateral (values ('day', to_char(b.posted_at at time zone 'UTC', 'YYYY-MM-DD')),
                           ('week', to_char(b.posted_at at time zone 'UTC', 'IYYY"-W"IW')),
                           ('month', to_char(b.posted_at at time zone 'UTC', 'YYYY-MM')),
                           ('year', to_char(b.posted_at at time zone 'UTC', 'YYYY'))) as p(by, period)
group by b.environment, b.account, b.sport, b.market, p.by, p.period;

-- The same by month alone.
create view picks.account_record as
select environment, account, sport, market, period, bets, w, l, p, v, staked, won, roi, hit_rate, clv
from picks.account_periods
where by = 'month';

-- The streak of each account and its longest ones: wins in a row at the end, or losses when negative. Bets go by when they were
-- posted, those of one post by the number of the pick; what came back neither ends nor lengthens a streak.
create view picks.account_streaks as
with decided as (
    select b.environment, b.account, b.grade in ('won', 'half_won') as won, b.posted_at, p.number
    from picks.settled_bets b
    join picks.picks p on p.environment = b.environment and p.pick_key = b.pick_key
    where b.grade not in ('push', 'void')
), numbered as (
    select *,
           row_number() over (partition by environment, account order by posted_at, number) as n,
           row_number() over (partition by environment, account, won order by posted_at, number) as of_its_kind
    from decided
), runs as (
    select environment, account, won, count(*) as length, max(n) as last
    from numbered
    group by environment, account, won, n - of_its_kind
)
select environment,
       account,
       (array_agg(case when won then length else -length end order by last desc))[1] as streak,
       coalesce(max(length) filter (where won), 0) as longest_won,
       coalesce(max(length) filter (where not won), 0) as longest_lost
from runs
group by environment, account;

-- What a day came to, one row a day in UTC.
create table picks.daily_summaries (
    environment  text             not null check (environment in ('staging', 'production')),
    date         date             not null,
    posts_read   bigint           not null,
    posts_taken  bigint           not null,
    -- Posts left out, by reason.
    posts_left   jsonb            not null,
    picks_new    bigint           not null,
    picks_again  bigint           not null,
    -- Actions by kind and state.
    actions      jsonb            not null,
    replies      bigint           not null,
    -- Bets settled on that day, by grade.
    results      jsonb            not null,
    staked       double precision not null,
    units        double precision not null,
    -- By provider, where spend is recorded.
    spend        jsonb            not null default '{}',
    made_at      timestamptz      not null,
    primary key (environment, date)
);
