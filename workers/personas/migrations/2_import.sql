-- Posts of another deployment: when they were imported, and what an import finds them by again.
alter table personas.posts add column imported_at timestamptz;
alter table personas.posts add column import_key text;

create unique index posts_by_import on personas.posts (environment, import_key) where import_key is not null;
