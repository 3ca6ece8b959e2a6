-- Two games of the same sides on one day are two results.
alter table game_results add column game integer not null default 1 check (game > 0);
alter table game_results drop constraint game_results_pkey;
alter table game_results add primary key (environment, sport, event, date, game);

-- What was opened again by hand stays open until somebody settles it by hand.
alter table pick_results add column held boolean not null default false;
update pick_results r set held = true
where state = 'open' and legs = '[]' and exists (
    select 1 from pick_settlements s
    where s.environment = r.environment and s.pick_key = r.pick_key and s.state <> 'open');

-- When what it is about was over: posts that were written later have no bet on it. Null where only the settlement tells.
alter table pick_results add column over_at timestamptz;

-- Odds that nobody took, or that shrank with a leg that fell out, are not held against the closing ones.
update settled_bets set closing = null where odds_assumed;
update settled_bets b set closing = null
from pick_results r
where r.environment = b.environment and r.pick_key = b.pick_key and b.market = 'parlay'
  and r.legs ?| array['push', 'void', 'half_won', 'half_lost'];

create or replace view picks_tracked as
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
        where s.environment = p.environment and s.pick_key = p.pick_key) as accounts,
       coalesce(r.held, false) as held,
       r.over_at,
       p.terms
from picks p
left join pick_results r on r.environment = p.environment and r.pick_key = p.pick_key
left join settled_bets b on b.environment = p.environment and b.pick_key = p.pick_key and b.account = lower(p.author)
left join posts post on post.environment = p.environment and post.id = p.source_post;

-- The record of each account by sport and market in each day, week (from Monday), month and year, named as `perch picks record`
-- names them. A half counts half for the hit rate, what came back counts nothing; the closing-line value is the mean of what
-- the odds taken were better by, over the bets that have closing odds.
create view account_periods as
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
from settled_bets b
cross join lateral (values ('day', to_char(b.posted_at at time zone 'UTC', 'YYYY-MM-DD')),
                           ('week', to_char(b.posted_at at time zone 'UTC', 'IYYY"-W"IW')),
                           ('month', to_char(b.posted_at at time zone 'UTC', 'YYYY-MM')),
                           ('year', to_char(b.posted_at at time zone 'UTC', 'YYYY'))) as p(by, period)
group by b.environment, b.account, b.sport, b.market, p.by, p.period;

-- The same by month alone.
create or replace view account_record as
select environment, account, sport, market, period, bets, w, l, p, v, staked, won, roi, hit_rate, clv
from account_periods
where by = 'month';

-- The streak of each account and its longest ones: wins in a row at the end, or losses when negative. Bets go by when they were
-- posted, those of one post by the number of the pick; what came back neither ends nor lengthens a streak.
create view account_streaks as
with decided as (
    select b.environment, b.account, b.grade in ('won', 'half_won') as won, b.posted_at, p.number
    from settled_bets b
    join picks p on p.environment = b.environment and p.pick_key = b.pick_key
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
