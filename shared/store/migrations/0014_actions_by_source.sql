-- A post with several picks is retweeted once: the retweet belongs to each of them.
create index actions_by_source on actions (environment, source_post) where kind = 'retweet';
