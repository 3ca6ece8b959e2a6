-- What was migrated of the tables of bots. Each bot has a schema of its own name, and a list of migrations of its own, which is carried
-- out where the bot is.
create table if not exists bot_migrations (
    bot text not null,
    version bigint not null,
    description text not null,
    installed_on timestamptz not null default now(),
    checksum bytea not null,
    execution_time bigint not null,
    primary key (bot, version)
);

comment on table bot_migrations is 'The migrations of the tables of bots that were carried out; execution_time in nanoseconds.';

-- Makes the schema of a bot, unless it is there: to ask for that takes a right that whoever migrates may not have.
create or replace function perch_schema_of_bot(bot text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regnamespace(quote_ident(bot)) is null then
        execute format('create schema %I', bot);
    end if;
end
$$;

comment on function perch_schema_of_bot is 'Makes the schema in which the tables of a bot stand, unless it is there.';
revoke execute on function perch_schema_of_bot(text) from public;

-- Whoever runs Perch reads it, as _sqlx_migrations.
create or replace function perch_let_run(who name) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    part record;
begin
    execute format('grant select on public._sqlx_migrations, public.bot_migrations to %I', who);
    for part in select distinct schema from public.perch_relations() loop
        execute format('grant usage on schema %s to %I', part.schema, who);
    end loop;
    for part in select name from public.perch_relations() loop
        execute format('grant select, insert, update, delete on %s to %I', part.name, who);
    end loop;
end
$$;

create or replace function perch_release_role(who name) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
    part record;
begin
    -- What it may do goes before what holds it.
    execute format('revoke all on public._sqlx_migrations, public.bot_migrations from %I', who);
    execute format('revoke all on function public.perch_enqueue from %I', who);
    for part in select name from public.perch_relations() loop
        execute format('revoke all on %s from %I', part.name, who);
    end loop;
    for part in
        select p.polname as policy,
               string_agg(quote_ident(r.rolname), ', ') filter (where r.rolname <> who) as others
        from pg_policy p
        join pg_roles r on r.oid = any (p.polroles)
        where p.polrelid = 'public.outbox'::regclass and p.polname in ('perch_staging', 'perch_production')
        group by p.polname
    loop
        if part.others is null then
            execute format('drop policy %I on public.outbox', part.policy);
        else
            execute format('alter policy %I on public.outbox to %s', part.policy, part.others);
        end if;
    end loop;
    perform public.perch_protect();
end
$$;

do $$
declare
    part record;
begin
    for part in
        select r.rolname as who
        from pg_policy p
        join pg_roles r on r.oid = any (p.polroles)
        where p.polrelid = 'public.outbox'::regclass and p.polname in ('perch_staging', 'perch_production')
          and has_table_privilege(r.oid, 'public.outbox', 'select')
    loop
        perform public.perch_let_run(part.who);
    end loop;
end
$$;
