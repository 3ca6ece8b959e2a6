-- Who read a pick out of its post: a provider, or `rules`. Unknown for what was read before.
alter table picks add column read_by text;

-- What is to be done about a pick that only the rules have read, once a person or a model confirms it.
alter table picks add column planned jsonb;
alter table picks add column confirmed_by text, add column confirmed_at timestamptz;

create index picks_unconfirmed on picks (environment, first_seen desc) where planned is not null and confirmed_at is null;

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
       p.terms,
       p.read_by,
       p.planned is not null and p.confirmed_at is null as unconfirmed,
       p.confirmed_by,
       p.confirmed_at
from picks p
left join pick_results r on r.environment = p.environment and r.pick_key = p.pick_key
left join settled_bets b on b.environment = p.environment and b.pick_key = p.pick_key and b.account = lower(p.author)
left join posts post on post.environment = p.environment and post.id = p.source_post;
