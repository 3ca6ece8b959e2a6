-- The accounts whose posts are read. A row says what an operator decided about an account, and where its polls stand: the
-- copy of what Redis knows, for when Redis was wiped. Accounts of the configuration have a row once they were polled or
-- changed; what the row says goes before the configuration.
create table watched_accounts (
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

create index pick_sightings_by_author on pick_sightings (environment, lower(author), seen_at desc);

-- A number for each pick, short enough to be typed.
alter table picks add column number bigint generated always as identity;
create unique index picks_by_number on picks (environment, number);

-- Results of games, however they came in.
create table game_results (
    environment  text             not null check (environment in ('staging', 'production')),
    sport        text             not null,
    -- The names of both sides, letters and digits in lower case, in the order of the alphabet.
    event        text             not null,
    -- The day of the game where it was played.
    date         date             not null,
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
    primary key (environment, sport, event, date)
);

create index game_results_by_date on game_results (environment, date);

-- How picks ended. A pick without a row is open; so is a parlay with a row whose legs are not all graded.
create table pick_results (
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
    -- Grows with every settlement.
    revision     bigint      not null,
    primary key (environment, pick_key)
);

-- Every settlement there was, the last one of a pick being the one that holds.
create table pick_settlements (
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
create table settled_bets (
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

create index settled_bets_by_account on settled_bets (environment, account, posted_at desc);

-- Picks and where they stand; units and stake are those of the account that named the pick first.
create view picks_tracked as
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
       (select count(distinct lower(s.author)) from pick_sightings s
        where s.environment = p.environment and s.pick_key = p.pick_key) as accounts
from picks p
left join pick_results r on r.environment = p.environment and r.pick_key = p.pick_key
left join settled_bets b on b.environment = p.environment and b.pick_key = p.pick_key and b.account = lower(p.author)
left join posts post on post.environment = p.environment and post.id = p.source_post;

-- The record of each account by sport, market and month. A half counts half for the hit rate, what came back counts nothing;
-- the closing-line value is the mean of what the odds taken were better by.
create view account_record as
select environment,
       account,
       sport,
       market,
       to_char(posted_at at time zone 'UTC', 'YYYY-MM') as period,
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
       avg(odds / closing - 1) as clv
from settled_bets
group by environment, account, sport, market, to_char(posted_at at time zone 'UTC', 'YYYY-MM');

-- What a day came to, one row a day in UTC.
create table daily_summaries (
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
