-- Which Postgres this was when somebody last saw to it: its system identifier and timeline. A copy that was restored or promoted
-- says here what it came from, also where Redis has forgotten it.
create table known_postgres (
    environment text        not null check (environment in ('staging', 'production')) primary key,
    identity    text        not null,
    noted_at    timestamptz not null default clock_timestamp()
);
