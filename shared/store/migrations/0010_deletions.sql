-- Bots delete posts too.
alter table actions drop constraint actions_kind_check;
alter table actions add constraint actions_kind_check check (kind in ('comment', 'retweet', 'post', 'deletion'));
