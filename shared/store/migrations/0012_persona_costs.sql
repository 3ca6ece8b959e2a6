-- What models have cost each persona on its latest day (UTC) with an answer, in USD: every answer, also one of which nothing was kept.
create table persona_costs (
    environment text             not null check (environment in ('staging', 'production')),
    persona     text             not null,
    day         date             not null,
    usd         double precision not null,
    primary key (environment, persona)
);
