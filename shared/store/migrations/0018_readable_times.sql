-- Times that every reader can hold: finite, from year 1 to 9999. perch_enqueue took others as run_at, which meant "at once", and
-- as deadline, which meant "never". Looks at each job once, about a second for a million.
update jobs
set run_at = case when run_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z' then run_at end,
    started_at = case when started_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z' then started_at end,
    finished_at = case when finished_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z' then finished_at end,
    created_at = case when created_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z' then created_at else clock_timestamp() end,
    changed_at = case when changed_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z' then changed_at else clock_timestamp() end
where not (coalesce(run_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z', true)
           and coalesce(started_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z', true)
           and coalesce(finished_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z', true)
           and created_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z'
           and changed_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z');

-- Requests that wait for the relay, which could not read such an option.
with options as (
    select o.environment, o.id, option.name
    from outbox o
    cross join lateral jsonb_each_text(
        case when json_typeof(o.request -> 'options') = 'object' then (o.request -> 'options')::jsonb else '{}' end
    ) as option(name, value)
    where o.envelope is null and o.handed_over_at is null
      and option.name in ('run_at', 'deadline') and option.value !~ '^[0-9]{4}-[^ ]*$'
), odd as (
    select environment, id, array_agg(name) as names from options group by environment, id
)
update outbox o
set request = json_build_object('payload', o.request -> 'payload', 'options',
                                (o.request -> 'options')::jsonb - odd.names)
from odd
where o.environment = odd.environment and o.id = odd.id;

-- Not looked at in the rows that are there until the next migration, which holds up nobody while it does.
alter table jobs add constraint jobs_times_are_readable check (
    run_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z'
    and created_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z'
    and started_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z'
    and finished_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z'
    and changed_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z') not valid;
alter table outbox add constraint outbox_times_are_readable check (
    created_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z'
    and relay_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z'
    and handed_over_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z') not valid;
