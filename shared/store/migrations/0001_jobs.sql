-- Every table carries the environment in its key: staging and production may share a database and never meet.

-- One row a job: where it stands, as the last event that arrived says. With a history of failures alone a job that
-- never failed has no row, and one that failed and then succeeded keeps the state of its last failure.
create table jobs (
    environment  text        not null check (environment in ('staging', 'production')),
    id           text        not null,
    queue        text        not null,
    -- Null when the history was cut off before the envelope arrived, or when the envelope could not be read.
    kind         text,
    state        text        not null check (state in
                     ('delayed', 'waiting', 'running', 'done', 'dead', 'cancelled', 'discarded')),
    priority     text        not null default 'normal' check (priority in ('high', 'normal', 'low')),
    payload      jsonb,
    -- The envelope without its payload.
    envelope     jsonb,
    group_key    text,
    -- The job whose handler enqueued this one.
    parent       text,
    max_attempts integer,
    -- When it runs next, or was last meant to.
    run_at       timestamptz,
    created_at   timestamptz not null,
    -- Of the last attempt.
    started_at   timestamptz,
    finished_at  timestamptz,
    attempts     integer     not null default 0,
    replays      integer     not null default 0,
    worker       text,
    last_error   text,
    result       jsonb,
    traceparent  text,
    changed_at   timestamptz not null,
    -- The id of the stream entry that this row reflects. An older one never replaces it.
    version_ms   bigint      not null default 0,
    version_seq  bigint      not null default 0,
    -- The state of a job that is none of waiting, running and done: what people look for among the many that went well.
    aside        text        generated always as
                     (case when state in ('delayed', 'dead', 'cancelled', 'discarded') then state end) stored,
    primary key (environment, id),
    -- Times that every reader can hold.
    constraint jobs_times_are_readable check (
        run_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z'
        and created_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z'
        and started_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z'
        and finished_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z'
        and changed_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z')
-- A job is written when it is accepted and again when it is done. No index holds what changes in between, and each page of
-- the table keeps room for the second version of its rows, so that no index is written again (a heap-only tuple).
) with (fillfactor = 50);

create index jobs_by_queue on jobs (environment, queue, id);
create index jobs_aside on jobs (environment, aside, id) where aside is not null;
create index jobs_by_kind on jobs (environment, kind, id);
create index jobs_by_parent on jobs (environment, parent) where parent is not null;
-- A group may be of any length, which a B-tree would refuse.
create index jobs_by_group on jobs using hash (group_key) where group_key is not null;

-- Every event of every job, as the streams said it. Rows are only added.
create table job_events (
    environment text        not null check (environment in ('staging', 'production')),
    queue       text        not null,
    -- The id of the stream entry, and the place of the event in it.
    ms          bigint      not null,
    seq         bigint      not null,
    idx         integer     not null,
    job_id      text        not null,
    kind        text        not null,
    at          timestamptz not null,
    attempt     integer,
    worker      text,
    duration_ms bigint,
    error       text,
    next_run    timestamptz,
    trace       text,
    result      jsonb,
    actor       text,
    primary key (environment, queue, ms, seq, idx)
);

create index job_events_by_job on job_events (environment, job_id, ms, seq, idx);

-- One row an attempt: those that ended, and the one that runs.
create view job_attempts as
select ended.environment,
       ended.queue,
       ended.job_id,
       ended.attempt,
       ended.worker,
       coalesce(begun.at, ended.at - ended.duration_ms * interval '1 millisecond') as started_at,
       ended.at as finished_at,
       ended.duration_ms,
       ended.kind as outcome,
       ended.error,
       ended.next_run,
       coalesce(ended.trace, begun.trace) as trace,
       ended.ms,
       ended.seq,
       ended.idx
from job_events ended
left join lateral (
    select s.at, s.trace
    from job_events s
    where s.environment = ended.environment and s.job_id = ended.job_id and s.kind = 'started'
      and s.attempt = ended.attempt and (s.ms, s.seq, s.idx) < (ended.ms, ended.seq, ended.idx)
    order by s.ms desc, s.seq desc, s.idx desc
    limit 1
) begun on true
where ended.kind in ('succeeded', 'retried', 'snoozed', 'dead', 'cancelled', 'lost', 'released')
  and ended.attempt is not null
union all
select s.environment, s.queue, s.job_id, s.attempt, s.worker, s.at, null, null, 'running', null, null, s.trace,
       s.ms, s.seq, s.idx
from job_events s
where s.kind = 'started'
  and not exists (
      select 1
      from job_events later
      where later.environment = s.environment and later.job_id = s.job_id
        and (later.ms, later.seq, later.idx) > (s.ms, s.seq, s.idx)
  );
