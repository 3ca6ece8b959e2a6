-- A job is written when it is accepted and again when it is done. No index holds what changes in between, and each page of
-- the table keeps room for the second version of its rows, so that no index is written again (a heap-only tuple).
drop index jobs_by_change;
drop index jobs_by_queue;
create index jobs_by_queue on jobs (environment, queue, id);
alter table jobs set (fillfactor = 50);

-- The state of a job that is none of waiting, running and done: what people look for among the many that went well.
-- Adding it rewrites the table, about 10 s for a million jobs, and holds the sync up for that time.
alter table jobs add column aside text
    generated always as (case when state in ('scheduled', 'dead', 'cancelled', 'discarded') then state end) stored;
create index jobs_aside on jobs (environment, aside, id) where aside is not null;
