-- Posts that an account reads of itself, or that mention it, have a price of their own. Rows that are there fulfil the narrower rule
-- from before, so none is looked at.
alter table spend drop constraint spend_kind_check;
alter table spend add constraint spend_kind_check
    check (kind in ('post_read', 'own_read', 'user_read', 'post', 'post_with_link', 'summoned_reply', 'retweet', 'model'))
    not valid;

-- An edited post is asked for the picks of its earlier versions.
create index pick_sightings_by_post on pick_sightings (environment, post_id);
