-- The post that this one says in other words.
alter table personas.posts add column evergreen_of bigint;

create index posts_evergreen on personas.posts (environment, evergreen_of) where evergreen_of is not null;
