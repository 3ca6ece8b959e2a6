-- What an account wrote before then a poll has dealt with: a poll that comes late reads on from there, however old that is. Null
-- where an account is watched anew, so that only what is fresh counts.
alter table watched_accounts add column read_to timestamptz;

update watched_accounts set read_to = last_poll where last_outcome = 'polled';

-- Pictures that could not be had, so that the post was read without them.
alter table extractions add column pictures_missing bigint not null default 0;

-- What the rules themselves read, while no model answered, tells nothing of what they miss.
create or replace view prefilter_quality as
select environment, (at at time zone 'UTC')::date as day,
       count(*) as posts,
       count(*) filter (where worth) as worth,
       count(*) filter (where not worth and not sampled) as saved,
       count(*) filter (where not worth and sampled and provider <> 'rules') as sampled,
       count(*) filter (where not worth and sampled and provider <> 'rules' and picks > 0) as missed
from extractions
group by environment, day;
