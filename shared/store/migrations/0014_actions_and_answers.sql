-- A post with several picks is retweeted once: the retweet belongs to each of them.
create index actions_by_source on actions (environment, source_post) where kind = 'retweet';

-- What is to be done is kept before it is done.
alter table actions drop constraint actions_state_check;
alter table actions add constraint actions_state_check check (state in ('pending', 'simulated', 'published', 'failed'));

-- What was answered about a post, and to which job: its next attempt goes by the same answer.
alter table extractions add column answer jsonb, add column job_id text;

-- Actions as they are shown: what waits for a job that is dead or was taken away will not be done.
create view actions_shown as
select a.environment, a.key, a.kind, a.account, a.pick_key, a.source_post, a.text,
       case when a.state = 'pending' and j.id is not null then 'failed' else a.state end as state,
       a.external_id, coalesce(a.error, j.last_error, 'its job is ' || j.state) as error, a.why, a.job_id, a.created_at
from actions a
left join jobs j on a.state = 'pending' and j.environment = a.environment and j.id = a.job_id
                and j.state in ('dead', 'cancelled', 'discarded');
