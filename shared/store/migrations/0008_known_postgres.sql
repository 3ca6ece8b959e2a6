-- Which Postgres this is: its system identifier and timeline. A copy that was restored or promoted has another, and says here what
-- it came from, also where Redis has forgotten it.
create table known_postgres (
    environment text        not null check (environment in ('staging', 'production')) primary key,
    -- The one that somebody has seen to last: what it lost before, if anything, is put back.
    identity    text        not null,
    -- The one that was noticed last, and when it was noticed to be another. What was said before that may be lost.
    seen        text        not null,
    changed_at  timestamptz
);

-- The timeline is the one that is written now. The last checkpoint, where it was read before, knows of a promotion only at the next
-- one, minutes later. A standby says nothing: what it will be shows when it is promoted. Nor does a provider whose Postgres writes no
-- log of this kind, or shows it to nobody, whatever it answers in place.
create function perch_postgres() returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    timeline bigint;
begin
    if pg_is_in_recovery() then return null; end if;
    -- The name of a file of the log begins with its timeline: eight hexadecimal digits.
    timeline := ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint;
    return (select system_identifier || ':' || timeline from pg_control_system());
exception
    when others then
        return null;
end
$$;

comment on function perch_postgres is 'Which Postgres this is; null where a provider keeps that to itself.';

create function perch_lost_at(env text) returns timestamptz
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select case when seen <> public.perch_postgres() then clock_timestamp() else changed_at end
    from public.known_postgres where environment = env
$$;

comment on function perch_lost_at is 'What was said before this time may be lost: another Postgres took over then. Null where none ever did.';
