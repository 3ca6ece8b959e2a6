-- The outbox: jobs that Postgres keeps from the moment they are accepted until they are done. The rows of ledger queues are
-- written here before Redis gets them, and other services write theirs with perch_enqueue, inside their own transactions.
create table outbox (
    environment    text        not null check (environment in ('staging', 'production')),
    id             text        not null,
    queue          text        not null,
    kind           text        not null,
    -- As Redis gets it; null until the relay has made it of the request.
    envelope       text,
    -- What perch_enqueue was asked for: {"payload": …, "options": {…}}.
    request        json,
    on_conflict    text        not null default 'keep' check (on_conflict in ('reject', 'keep', 'replace')),
    created_at     timestamptz not null default clock_timestamp(),
    -- From then on the relay hands it over. Who accepts a job and hands it over at once leaves the relay out until later.
    relay_at       timestamptz not null default clock_timestamp(),
    -- When a relay first set about it, said before Redis hears of it: from then on Redis may have the job, also where the relay could
    -- not say so any more. Null until then: nobody but who accepted the job can have handed it over.
    begun_at       timestamptz,
    -- Null until Redis has it.
    handed_over_at timestamptz,
    primary key (environment, id),
    check (envelope is not null or request is not null),
    constraint outbox_times_are_readable check (
        created_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z'
        and relay_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z'
        and handed_over_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z')
);

create index outbox_waiting on outbox (environment, relay_at, id) where handed_over_at is null;

-- The kinds of jobs of the release that runs, for perch_enqueue to check requests against. Written by every scheduler at
-- its start.
create table job_kinds (
    environment       text    not null check (environment in ('staging', 'production')),
    kind              text    not null,
    queue             text    not null,
    max_attempts      integer not null,
    -- Names of the members of a payload: those it must have, and all it may have (null: any).
    required          text[]  not null,
    allowed           text[],
    max_payload_bytes bigint  not null,
    max_ahead         interval not null,
    primary key (environment, kind)
);

-- A ULID: 48 bits of milliseconds since 1970 and 80 random bits, in Crockford's base 32.
create function perch_ulid() returns text
language sql volatile parallel safe
as $$
    with bits as (
        select lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0')
               -- Two stretches of a random UUID without its version and variant bits.
               || substr(replace(gen_random_uuid()::text, '-', ''), 1, 12)
               || substr(replace(gen_random_uuid()::text, '-', ''), 1, 8) as hex
    ), padded as (
        -- 128 bits are 26 digits of 5 bits with two zero bits before them.
        select ('x00' || hex)::bit(136) as b, hex from bits
    )
    select string_agg(
               substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', substring(b from 6 + 5 * i + 1 for 5)::bit(5)::integer + 1, 1), ''
               order by i)
    from padded, generate_series(0, 25) as i
$$;

comment on function perch_ulid() is 'A new id of a job: a ULID.';

-- Enqueues a job of Perch inside the transaction of the caller: it is there when that commits and not when it does not. It runs with
-- the rights of its owner: no name in it is looked up in a schema where others may create. A role that is bound to an environment
-- enqueues there alone.
create function perch_enqueue(
    kind         text,
    payload      json,
    environment  text        default null,
    id           text        default null,
    run_at       timestamptz default null,
    priority     text        default null,
    max_attempts integer     default null,
    unique_key   text        default null,
    unique_scope text        default 'done',
    on_conflict  text        default 'keep',
    job_group    text        default null,
    deadline     timestamptz default null
) returns text
language plpgsql volatile
-- Who may call it needs no other right. No name in it is looked up where others could have put something of that name.
security definer
set search_path = pg_catalog, pg_temp
-- Times are written with the offset of the time zone, which is not always of whole minutes.
set timezone = 'UTC'
as $$
#variable_conflict use_variable
declare
    known      public.job_kinds%rowtype;
    of_env     text := environment;
    new_id     text := coalesce(upper(id), public.perch_ulid());
    -- Whoever called it, and not its owner, as whom it runs.
    caller     name := case current_setting('role') when 'none' then session_user else current_setting('role') end;
    bound_to   text[];
    names      text[];
    strays     text[];
    options    jsonb;
    given_kind text := kind;
    stored     jsonb;
begin
    select array_agg(b) into bound_to from public.perch_bound(caller) as b;
    if of_env is null and array_length(bound_to, 1) = 1 then
        of_env := bound_to[1];
    end if;
    if of_env is null then
        select min(k.environment) into of_env from public.job_kinds k having count(distinct k.environment) = 1;
        if of_env is null then
            raise exception 'perch_enqueue: environment must be ''staging'' or ''production''; this database serves both or neither'
                using errcode = 'invalid_parameter_value';
        end if;
    end if;
    if of_env <> all (bound_to) then
        raise exception 'perch_enqueue: role "%" may enqueue in % only', caller, array_to_string(bound_to, ', ')
            using errcode = 'insufficient_privilege';
    end if;
    select * into known from public.job_kinds k where k.environment = of_env and k.kind = given_kind;
    if not found then
        raise exception 'perch_enqueue: kind "%" is unknown in %', left(given_kind, 80), of_env
            using errcode = 'invalid_parameter_value',
                  hint = 'Known kinds: ' || coalesce(
                      (select string_agg(k.kind, ', ' order by k.kind) from public.job_kinds k where k.environment = of_env),
                      'none; start the scheduler of this environment once');
    end if;
    if new_id !~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$' then
        raise exception 'perch_enqueue: id "%" is not a ULID of 26 characters', left(new_id, 80)
            using errcode = 'invalid_parameter_value';
    end if;
    if payload is null or json_typeof(payload) <> 'object' then
        raise exception 'perch_enqueue: payload of % must be a JSON object', given_kind
            using errcode = 'invalid_parameter_value';
    end if;
    if octet_length(payload::text) > known.max_payload_bytes then
        raise exception 'perch_enqueue: payload of % is % bytes; the limit is %', given_kind, octet_length(payload::text),
            known.max_payload_bytes
            using errcode = 'invalid_parameter_value';
    end if;
    begin
        stored := payload::jsonb;
    exception when data_exception or program_limit_exceeded then
        raise exception 'perch_enqueue: payload of % cannot be stored: %', given_kind, sqlerrm
            using errcode = 'invalid_parameter_value';
    end;
    select coalesce(array_agg(n), '{}') into names from json_object_keys(payload) as n;
    select array_agg(n order by n) into strays from (select n from unnest(names) as n group by n having count(*) > 1) as twice;
    if strays is not null then
        raise exception 'perch_enqueue: payload of % has % more than once', given_kind, array_to_string(strays, ', ')
            using errcode = 'invalid_parameter_value';
    end if;
    select array_agg(r order by r) into strays from unnest(known.required) as r where r <> all (names);
    if strays is not null then
        raise exception 'perch_enqueue: payload of % lacks %', given_kind, array_to_string(strays, ', ')
            using errcode = 'invalid_parameter_value';
    end if;
    select array_agg(n order by n) into strays from unnest(names) as n where n <> all (known.allowed);
    if strays is not null then
        raise exception 'perch_enqueue: payload of % must not have %', given_kind, array_to_string(strays, ', ')
            using errcode = 'invalid_parameter_value',
                  hint = 'It may have: ' || array_to_string(known.allowed, ', ');
    end if;
    if priority not in ('high', 'normal', 'low') then
        raise exception 'perch_enqueue: priority "%" must be high, normal or low', left(priority, 80)
            using errcode = 'invalid_parameter_value';
    end if;
    if max_attempts not between 1 and 100 then
        raise exception 'perch_enqueue: max_attempts % must be 1 to 100', max_attempts
            using errcode = 'invalid_parameter_value';
    end if;
    if octet_length(unique_key) not between 1 and 256 or unique_key ~ E'[\\u0001-\\u001f\\u007f-\\u009f]' then
        raise exception 'perch_enqueue: unique_key must have 1 to 256 bytes and no line breaks or other control characters'
            using errcode = 'invalid_parameter_value';
    end if;
    if unique_scope not in ('queued', 'done') then
        raise exception 'perch_enqueue: unique_scope "%" must be queued or done', left(unique_scope, 80)
            using errcode = 'invalid_parameter_value';
    end if;
    if on_conflict not in ('reject', 'keep', 'replace') then
        raise exception 'perch_enqueue: on_conflict "%" must be reject, keep or replace', left(on_conflict, 80)
            using errcode = 'invalid_parameter_value';
    end if;
    if octet_length(job_group) not between 1 and 128 or job_group ~ E'[|\\u0001-\\u001f\\u007f-\\u009f]' then
        raise exception 'perch_enqueue: job_group must have 1 to 128 bytes and no |, line breaks or other control characters'
            using errcode = 'invalid_parameter_value';
    end if;
    if run_at not between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z' then
        raise exception 'perch_enqueue: run_at % is no time that a job can start at; leave it out to start at once', run_at
            using errcode = 'invalid_parameter_value';
    end if;
    if deadline not between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z' then
        raise exception 'perch_enqueue: deadline % is no time that can pass; leave it out for none', deadline
            using errcode = 'invalid_parameter_value';
    end if;
    if run_at > clock_timestamp() + known.max_ahead then
        raise exception 'perch_enqueue: run_at % is further ahead than %', run_at, known.max_ahead
            using errcode = 'invalid_parameter_value';
    end if;
    if deadline <= greatest(run_at, clock_timestamp()) then
        raise exception 'perch_enqueue: deadline % is not after the time at which the job may start', deadline
            using errcode = 'invalid_parameter_value';
    end if;
    options := jsonb_strip_nulls(jsonb_build_object(
        'run_at', run_at, 'priority', priority, 'max_attempts', max_attempts, 'unique_key', unique_key,
        'unique_scope', case when unique_key is not null then unique_scope end, 'group', job_group, 'deadline', deadline));
    insert into public.outbox as o (environment, id, queue, kind, request, on_conflict)
    values (of_env, new_id, known.queue, given_kind,
            json_build_object('payload', payload, 'options', options), on_conflict)
    on conflict do nothing;
    if found then
        insert into public.jobs as j (environment, id, queue, kind, state, priority, payload, envelope, group_key, max_attempts,
                               run_at, created_at, changed_at)
        values (of_env, new_id, known.queue, given_kind,
                case when run_at > clock_timestamp() then 'delayed' else 'waiting' end, coalesce(priority, 'normal'),
                stored, jsonb_build_object('kind', given_kind), job_group,
                coalesce(max_attempts, known.max_attempts), run_at, clock_timestamp(), clock_timestamp())
        on conflict do nothing;
        perform pg_notify('perch_outbox', of_env);
    end if;
    return new_id;
end
$$;

comment on function perch_enqueue is
    'Enqueues a job of Perch inside the transaction of the caller; answers its id. The same id twice adds nothing.';

revoke execute on function perch_enqueue(text, json, text, text, timestamptz, text, integer, text, text, text, text,
                                         timestamptz) from public;

-- Idempotency keys of requests for ledger queues. What Postgres says of them holds, whatever became of Redis.
create table idempotency_keys (
    environment text        not null check (environment in ('staging', 'production')),
    -- SHA-256 of the caller and the key, in hexadecimal.
    key_hash    text        not null check (length(key_hash) = 64),
    -- SHA-256 of the body that came with the key, in hexadecimal.
    request     text        not null check (length(request) = 64),
    -- Given before the job was enqueued, so that a repetition is the same job whatever became of the first.
    job_id      text        not null,
    -- Null while it is not known what was answered.
    answer      jsonb,
    expires_at  timestamptz not null,
    primary key (environment, key_hash)
);

create index idempotency_keys_by_expiry on idempotency_keys (environment, expires_at);
