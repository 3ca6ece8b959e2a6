-- A post with several picks is retweeted once: the retweet belongs to each of them.
create index actions_by_source on actions (environment, source_post) where kind = 'retweet';

-- What is to be done is kept before it is done.
alter table actions drop constraint actions_state_check;
alter table actions add constraint actions_state_check check (state in ('pending', 'simulated', 'published', 'failed'));

-- What was answered about a post, and to which job: its next attempt goes by the same answer.
alter table extractions add column answer jsonb, add column job_id text;
