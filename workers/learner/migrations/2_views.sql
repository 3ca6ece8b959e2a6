-- Posts with their latest analytics, under the name and columns of the template.
create view learner.tweets with (security_invoker = true) as
select d.environment, d.id, d.bot_id, o.external_id as tweet_id, array_to_string(c.parts, E'\n\n') as content,
       d.arm, split_part(d.arm, '/', 1) as topic, split_part(d.arm, '/', 2) as form, split_part(d.arm, '/', 3) as hook,
       d.slot_at as scheduled_at, o.published_at as posted_at, o.state as status, o.simulated, d.policy, d.propensity,
       case when m.post_id is null then '{}'::jsonb else jsonb_strip_nulls(jsonb_build_object(
           'observed_at', m.observed_at, 'likes', m.likes, 'replies', m.replies, 'reposts', m.reposts, 'quotes', m.quotes,
           'bookmarks', m.bookmarks, 'impressions', coalesce(m.impressions, a.impressions), 'follows', a.follows,
           'url_clicks', a.url_clicks, 'profile_clicks', a.profile_clicks, 'shares', a.shares)) end as analytics,
       r.reward, c.usd as generation_cost, c.tokens as generation_tokens, c.model as generation_model, d.decided_at as created_at
from learner.decisions d
join learner.outcomes o on o.environment = d.environment and o.decision_id = d.id
left join learner.candidates c on c.environment = d.environment and c.id = d.candidate_id
left join learner.rewards r on r.environment = d.environment and r.decision_id = d.id
left join lateral (
    select * from public.post_metrics q where q.environment = d.environment and q.post_id = o.external_id
    order by q.observed_at desc limit 1
) m on true
left join lateral (
    select * from learner.post_analytics q where q.environment = d.environment and q.post_id = o.external_id
    order by q.observed_at desc limit 1
) a on true;

-- What readers did, by post: likes, replies, reposts and quotes.
create view learner.engagement with (security_invoker = true) as
select environment, id, bot_id, tweet_id, arm, topic, form, hook, posted_at, policy, reward, generation_cost,
       coalesce((analytics ->> 'likes')::bigint, 0) + coalesce((analytics ->> 'replies')::bigint, 0)
           + coalesce((analytics ->> 'reposts')::bigint, 0) + coalesce((analytics ->> 'quotes')::bigint, 0) as engagements,
       (analytics ->> 'impressions')::bigint as impressions, coalesce((analytics ->> 'follows')::bigint, 0) as follows
from learner.tweets
where status = 'published';

create view learner.by_bot with (security_invoker = true) as
select environment, bot_id, count(*) as posts, sum(engagements)::bigint as engagements, sum(impressions)::bigint as impressions,
       sum(follows)::bigint as follows, avg(reward) as mean_reward, sum(generation_cost) as cost
from learner.engagement group by environment, bot_id;

create view learner.by_topic with (security_invoker = true) as
select environment, bot_id, topic, count(*) as posts, sum(engagements)::bigint as engagements,
       sum(impressions)::bigint as impressions, sum(follows)::bigint as follows, avg(reward) as mean_reward
from learner.engagement group by environment, bot_id, topic;

create view learner.by_form with (security_invoker = true) as
select environment, bot_id, form, hook, count(*) as posts, sum(engagements)::bigint as engagements,
       sum(impressions)::bigint as impressions, sum(follows)::bigint as follows, avg(reward) as mean_reward
from learner.engagement group by environment, bot_id, form, hook;

-- By the hour of the day, in UTC.
create view learner.by_hour with (security_invoker = true) as
select environment, bot_id, extract(hour from posted_at at time zone 'UTC')::integer as hour, count(*) as posts,
       sum(engagements)::bigint as engagements, sum(impressions)::bigint as impressions, avg(reward) as mean_reward
from learner.engagement group by environment, bot_id, hour;

-- By the week, from Monday, in UTC.
create view learner.by_week with (security_invoker = true) as
select environment, bot_id, date_trunc('week', posted_at at time zone 'UTC')::date as week, count(*) as posts,
       sum(engagements)::bigint as engagements, sum(impressions)::bigint as impressions, sum(follows)::bigint as follows,
       avg(reward) as mean_reward, sum(generation_cost) as cost
from learner.engagement group by environment, bot_id, week;

-- The growth of each account from day to day.
create view learner.follower_growth with (security_invoker = true) as
select environment, account, day, followers, followers - lag(followers) over w as gained,
       followers - first_value(followers) over w as gained_since_start
from learner.followers
window w as (partition by environment, account order by day);

-- What an engagement costs: what models and X were paid for the bot, over what readers did, by the week.
create view learner.cost_per_engagement with (security_invoker = true) as
select w.environment, w.bot_id, w.week, w.posts, w.engagements, coalesce(s.usd, 0) as usd,
       coalesce(s.usd, 0) / nullif(w.engagements, 0) as usd_per_engagement
from learner.by_week w
left join lateral (
    select sum(micros) / 1e6::float8 as usd from public.spend q
    join public.personas p on p.environment = q.environment and p.account = q.account and p.name = w.bot_id
    where q.environment = w.environment and q.bot = 'learner'
      and date_trunc('week', q.at at time zone 'UTC')::date = w.week
) s on true;

-- The mean reward of what the policy chose against what it chose only to explore, by the week.
create view learner.learning_curve with (security_invoker = true) as
select r.environment, d.bot_id, date_trunc('week', o.published_at at time zone 'UTC')::date as week,
       avg(r.reward) filter (where not coalesce((d.decision ->> 'explored')::boolean, false)) as learned,
       count(*) filter (where not coalesce((d.decision ->> 'explored')::boolean, false)) as learned_posts,
       avg(r.reward) filter (where (d.decision ->> 'explored')::boolean) as uniform,
       count(*) filter (where (d.decision ->> 'explored')::boolean) as uniform_posts
from learner.rewards r
join learner.decisions d on d.environment = r.environment and d.id = r.decision_id
join learner.outcomes o on o.environment = r.environment and o.decision_id = r.decision_id
where r.reward is not null
group by r.environment, d.bot_id, week;

-- Each day of each bot, in UTC.
create view learner.daily_summaries with (security_invoker = true) as
select e.environment, e.bot_id, e.day, e.posts, e.engagements, e.impressions, e.follows, e.mean_reward, e.cost,
       f.followers, f.followers - b.followers as followers_gained
from (
    select environment, bot_id, (posted_at at time zone 'UTC')::date as day, count(*) as posts,
           sum(engagements)::bigint as engagements, sum(impressions)::bigint as impressions, sum(follows)::bigint as follows,
           avg(reward) as mean_reward, sum(generation_cost) as cost
    from learner.engagement group by environment, bot_id, day
) e
left join public.personas p on p.environment = e.environment and p.name = e.bot_id
left join learner.followers f on f.environment = e.environment and f.account = p.account and f.day = e.day
left join learner.followers b on b.environment = e.environment and b.account = p.account and b.day = e.day - 1;

-- Every change of a bot, a policy or a weight.
create view learner.audit_log with (security_invoker = true) as
select environment, id, at, actor, action, object as bot_id, details from public.audit_log where action like 'learn.%';

-- How each bot stands now.
create view learner.system_health with (security_invoker = true) as
select b.environment, b.bot_id, b.enabled, p.version as policy, s.last_slot_at, s.last_slot_state, o.last_published_at,
       c.ready_candidates, c.waiting_candidates, w.rewards_waiting, w.rewards_frozen,
       case when not b.enabled then 'paused' when s.last_slot_state in ('failed', 'missed') then 'degraded' else 'ok' end as status,
       clock_timestamp() as checked_at
from learner.bot_config b
left join learner.policies p on p.environment = b.environment and p.bot_id = b.bot_id and p.state = 'active'
left join lateral (
    select q.slot_at as last_slot_at, q.state as last_slot_state from learner.slots q
    where q.environment = b.environment and q.bot_id = b.bot_id and q.state <> 'planned' order by q.slot_at desc limit 1
) s on true
left join lateral (
    select max(q.published_at) as last_published_at from learner.outcomes q
    join learner.decisions d on d.environment = q.environment and d.id = q.decision_id
    where q.environment = b.environment and d.bot_id = b.bot_id
) o on true
left join lateral (
    select count(*) filter (where q.state = 'ready') as ready_candidates,
           count(*) filter (where q.state = 'in_review') as waiting_candidates
    from learner.candidates q where q.environment = b.environment and q.bot_id = b.bot_id and q.state in ('ready', 'in_review')
) c on true
left join lateral (
    select count(*) filter (where r.decision_id is null) as rewards_waiting, count(r.decision_id) as rewards_frozen
    from learner.outcomes q
    join learner.decisions d on d.environment = q.environment and d.id = q.decision_id
    left join learner.rewards r on r.environment = q.environment and r.decision_id = q.decision_id
    where q.environment = b.environment and d.bot_id = b.bot_id and q.state = 'published' and q.external_id is not null
) w on true;
