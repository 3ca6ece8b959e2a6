-- What models have cost a persona on the last day (UTC) on which they cost anything, in USD: also answers of which no post was kept.
alter table personas.progress add column spent_on date;
alter table personas.progress add column spent_usd double precision not null default 0;
