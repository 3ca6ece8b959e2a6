-- What was migrated of the tables of bots. Each bot has a schema of its own name, and a list of migrations of its own, which is carried
-- out where the bot is.
create table bot_migrations (
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
create function perch_schema_of_bot(bot text) returns void
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

-- Environments apart by roles: a role that is bound to one environment neither sees nor writes a row of the other, whatever it
-- asks. Nothing changes until the first role is bound; the owner of the tables, and roles that are bound to nothing, are not held
-- to anything.
--
-- Which role is bound to which environment is what the policies of the table outbox say; those of the other tables follow.
create function perch_bound(who name) returns setof text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select substr(p.polname, 7)
    from pg_policy p
    where p.polrelid = 'public.outbox'::regclass and p.polname in ('perch_staging', 'perch_production')
      and exists (select from unnest(p.polroles) as r(role) where pg_has_role(who, r.role, 'usage'))
      -- A superuser, who has every role, and whoever may act as the owner are held to nothing.
      and not pg_has_role(who, (select relowner from pg_class where oid = 'public.outbox'::regclass), 'usage')
$$;

comment on function perch_bound is 'The environments that a role is bound to; none when it is bound to nothing.';

-- What is Perch's and has rows of both environments, in whatever schema. A table is told from those of others by its environment,
-- which is checked to be one of the two; a view by standing beside such a table.
create function perch_relations() returns table (name regclass, schema regnamespace, is_view boolean)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    with candidates as (
        select c.oid, c.relnamespace, c.relkind, a.attnum
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attname = 'environment' and not a.attisdropped
        where c.relowner = (select o.relowner from pg_class o where o.oid = 'public.outbox'::regclass)
    ), tables as (
        select c.oid, c.relnamespace
        from candidates c
        where c.relkind in ('r', 'p')
          and exists (select from pg_constraint k
                      where k.conrelid = c.oid and k.contype = 'c' and c.attnum = any (k.conkey)
                        and pg_get_constraintdef(k.oid) like '%''staging''%''production''%')
    )
    select oid::regclass, relnamespace::regnamespace, false from tables
    union all
    select oid::regclass, relnamespace::regnamespace, true
    from candidates
    where relkind = 'v' and relnamespace in (select relnamespace from tables)
$$;

create function perch_let_run(who name) returns void
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

create function perch_protect() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
-- It needs each table for itself for a moment, and whoever comes after it waits as long as it does.
set lock_timeout = '5s'
as $$
declare
    part   record;
    of_env text;
    policy text;
    roles  oid[];
    held   oid[];
    names  text;
begin
    for part in select name, is_view from public.perch_relations() loop
        if part.is_view then
            -- It asks as whoever asks it, so that the policies of its tables hold.
            execute format('alter view %s set (security_invoker = true)', part.name);
            continue;
        end if;
        if exists (select from pg_class where oid = part.name and not relrowsecurity) then
            execute format('alter table %s enable row level security', part.name);
        end if;
        if not exists (select from pg_policy where polrelid = part.name and polname = 'perch_everybody') then
            execute format('create policy perch_everybody on %s using (true) with check (true)', part.name);
        end if;
        foreach of_env in array array['staging', 'production'] loop
            policy := 'perch_' || of_env;
            select polroles into roles from pg_policy where polrelid = 'public.outbox'::regclass and polname = policy;
            select polroles into held from pg_policy where polrelid = part.name and polname = policy;
            continue when held is not distinct from roles;
            select string_agg(quote_ident(rolname), ', ') into names from pg_roles where oid = any (roles);
            if held is not null then
                execute format('drop policy %I on %s', policy, part.name);
            end if;
            if roles is not null then
                execute format('create policy %I on %s as restrictive to %s using (environment = %L) with check (environment = %L)',
                               policy, part.name, names, of_env, of_env);
            end if;
        end loop;
    end loop;
    -- What came with a later release is for all who run Perch.
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

comment on function perch_protect is 'Puts every table and view of Perch under the policies by environment.';

create function perch_bind_role(who name, environment text, enqueue_only boolean default false) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
    role  pg_roles%rowtype;
    owner name;
    other text;
    held  text;
begin
    if environment is null or environment not in ('staging', 'production') then
        raise exception 'environment "%" must be staging or production', left(environment, 80)
            using errcode = 'invalid_parameter_value';
    end if;
    select * into role from pg_roles where rolname = who;
    if not found then
        raise exception 'there is no role "%"', who using errcode = 'undefined_object';
    end if;
    select pg_get_userbyid(relowner) into owner from pg_class where oid = 'public.outbox'::regclass;
    if role.rolsuper or role.rolbypassrls or pg_has_role(who, owner, 'member') then
        raise exception 'role "%" cannot be held to an environment: it is a superuser, bypasses row-level security, or may act as "%", which owns the tables',
            who, owner using errcode = 'invalid_parameter_value';
    end if;
    if current_setting('server_version_num')::integer < 150000 and not enqueue_only then
        raise exception 'a role that runs Perch can be held to an environment from PostgreSQL 15 on: before, views ask as their owner'
            using errcode = 'feature_not_supported';
    end if;
    select b into other from public.perch_bound(who) as b where b <> environment limit 1;
    if found then
        raise exception 'role "%" is bound to %; release it first', who, other using errcode = 'invalid_parameter_value';
    end if;
    select string_agg(quote_ident(r.rolname), ', ') into held
    from pg_policy p
    join pg_roles r on r.oid = any (p.polroles) and r.rolname <> who
    where p.polrelid = 'public.outbox'::regclass and p.polname = 'perch_' || environment;
    execute format('drop policy if exists %I on public.outbox', 'perch_' || environment);
    execute format('create policy %I on public.outbox as restrictive to %s using (environment = %L) with check (environment = %L)',
                   'perch_' || environment, concat_ws(', ', held, quote_ident(who)), environment, environment);
    perform public.perch_protect();
    execute format('grant usage on schema public to %I', who);
    execute format('grant execute on function public.perch_enqueue to %I', who);
    if not enqueue_only then
        perform public.perch_let_run(who);
    end if;
end
$$;

comment on function perch_bind_role is
    'Holds a role to one environment and lets it run Perch there; with enqueue_only => true it may call perch_enqueue alone.';

create function perch_release_role(who name) returns void
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

comment on function perch_release_role is 'Takes from a role what it may do with Perch, and what holds it to an environment.';

revoke execute on function perch_let_run(name), perch_protect(), perch_bind_role(name, text, boolean),
    perch_release_role(name) from public;
