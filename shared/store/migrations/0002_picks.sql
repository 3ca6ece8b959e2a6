-- The posts that were read.
create table posts (
    environment text        not null check (environment in ('staging', 'production')),
    id          text        not null,
    author_id   text        not null,
    author      text        not null,
    text        text        not null,
    created_at  timestamptz not null,
    media       jsonb       not null default '[]',
    read_at     timestamptz not null,
    version_ms  bigint      not null,
    version_seq bigint      not null,
    primary key (environment, id)
);

create index posts_by_time on posts (environment, created_at desc);
create index posts_by_author on posts (environment, author, created_at desc);

-- The picks that were found. The key is the identity of the bet: whoever posts it and at whatever odds.
create table picks (
    environment text             not null check (environment in ('staging', 'production')),
    pick_key    text             not null,
    -- As the model answered it, a parlay with its legs.
    pick        jsonb            not null,
    kind        text             not null,
    sport       text,
    event       text,
    selection   text,
    line        double precision,
    side        text,
    player      text,
    stat        text,
    odds        text,
    units       double precision,
    -- The post that had it first, and its author.
    source_post text             not null,
    author      text             not null,
    first_seen  timestamptz      not null,
    version_ms  bigint           not null,
    version_seq bigint           not null
);

create unique index picks_once on picks (environment, pick_key);
create index picks_by_time on picks (environment, first_seen desc);

-- Every post that named a pick, the first one included.
create table pick_sightings (
    environment text        not null check (environment in ('staging', 'production')),
    pick_key    text        not null,
    post_id     text        not null,
    author      text        not null,
    odds        text,
    units       double precision,
    seen_at     timestamptz not null,
    version_ms  bigint      not null,
    version_seq bigint      not null,
    primary key (environment, pick_key, post_id)
);

-- What the bots did about picks. The key is that of the effect.
create table actions (
    environment text        not null check (environment in ('staging', 'production')),
    key         text        not null,
    kind        text        not null check (kind in ('comment', 'retweet', 'post')),
    account     text        not null,
    pick_key    text,
    source_post text,
    text        text        not null,
    state       text        not null check (state in ('simulated', 'published', 'failed')),
    external_id text,
    error       text,
    job_id      text,
    created_at  timestamptz not null,
    version_ms  bigint      not null,
    version_seq bigint      not null,
    primary key (environment, key)
);

create index actions_by_time on actions (environment, created_at desc);
create index actions_by_pick on actions (environment, pick_key) where pick_key is not null;

-- The posts that were really published.
create table published_posts (
    environment  text        not null check (environment in ('staging', 'production')),
    post_id      text        not null,
    account      text        not null,
    text         text        not null,
    reply_to     text,
    pick_key     text,
    job_id       text,
    published_at timestamptz not null,
    version_ms   bigint      not null,
    version_seq  bigint      not null,
    primary key (environment, post_id)
);

create index published_posts_by_time on published_posts (environment, published_at desc);

-- The public metrics of published posts as a time series. Null is what the service did not say.
create table post_metrics (
    environment text        not null check (environment in ('staging', 'production')),
    post_id     text        not null,
    observed_at timestamptz not null,
    likes       bigint      not null,
    replies     bigint      not null,
    reposts     bigint      not null,
    quotes      bigint      not null,
    bookmarks   bigint,
    impressions bigint,
    version_ms  bigint      not null,
    version_seq bigint      not null,
    primary key (environment, post_id, observed_at)
);
