-- The timeline is the one that is written now. The last checkpoint, where it was read before, knows of a promotion only at the next
-- one, minutes later. A standby says nothing: what it will be shows when it is promoted. Nor does a provider whose Postgres writes no
-- log of this kind, or shows it to nobody, whatever it answers in place.
create or replace function perch_postgres() returns text
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
