create table heartbeat.beats (
    environment text not null check (environment in ('staging', 'production')),
    job text not null,
    at timestamptz not null default now(),
    word text not null,
    primary key (environment, job)
);

comment on table heartbeat.beats is 'Each time the heartbeat bot ran.';
create index beats_at on heartbeat.beats (environment, at);
