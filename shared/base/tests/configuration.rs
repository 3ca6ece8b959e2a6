//! What the loader accepts, and its errors for what it rejects.

use std::{fs, path::Path};

use perch_base::{ConfigError, Origin, Settings, settings::History};
use secrecy::ExposeSecret;
use tempfile::TempDir;

/// A copy of the shipped configuration that a test can change.
struct Config {
    dir: TempDir,
}

impl Config {
    fn shipped() -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let shipped = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config"));
        for file in ["base.toml", "staging.toml", "production.toml"] {
            fs::copy(shipped.join(file), dir.path().join(file)).expect("the shipped file can be copied");
        }
        Self { dir }
    }

    fn with(self, file: &str, from: &str, to: &str) -> Self {
        let path = self.dir.path().join(file);
        let text = fs::read_to_string(&path).expect("the file exists");
        assert!(text.contains(from), "{file} has no {from:?} any more");
        fs::write(&path, text.replacen(from, to, 1)).expect("the copy can be written");
        self
    }

    fn adding(self, file: &str, lines: &str) -> Self {
        let path = self.dir.path().join(file);
        let text = fs::read_to_string(&path).expect("the file exists");
        fs::write(&path, format!("{text}\n{lines}\n")).expect("the copy can be written");
        self
    }

    fn load(&self, vars: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        self.load_in("staging", vars)
    }

    fn load_in(&self, env: &str, vars: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let vars = [("APP_ENV", env)].into_iter().chain(vars.iter().copied());
        Settings::load_from(
            self.dir.path(),
            perch_jobs::types(),
            vars.map(|(name, value)| (name.to_owned(), value.to_owned())),
        )
    }

    fn settings(&self, vars: &[(&str, &str)]) -> Settings {
        self.load(vars).unwrap_or_else(|error| panic!("refused: {error}"))
    }

    /// The one problem, as `origin: key …`.
    fn problem(&self, vars: &[(&str, &str)]) -> String {
        let error = self.load(vars).expect_err("it must be refused");
        assert_eq!(error.problems().len(), 1, "{error}");
        error.problems()[0].to_string()
    }
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[test]
fn bounds_of_the_http_server_that_cannot_work_are_refused_by_name() {
    let config = Config::shipped();
    let cases = [
        (("PERCH__HTTP__BYTES_UNDER_WAY", "8000000"), "http.bytes_under_way is 8000000, too small for one body"),
        (("PERCH__HTTP__MAX_CONNECTIONS", "0"), "http.max_connections is 0"),
        (("PERCH__HTTP__REQUESTS_PER_KEY", "0"), "http.requests_per_key is 0"),
        (("PERCH__HTTP__IDLE_TIMEOUT", "1ms"), "http.idle_timeout is 1ms"),
        (
            ("PERCH__HTTP__METRICS_BIND", "127.0.0.1:8080"),
            "http.metrics_bind is 127.0.0.1:8080, the address of http.bind",
        ),
        (("PERCH__HTTP__METRICS_BIND", "somewhere"), "http.metrics_bind"),
    ];
    for (variable, wrong) in cases {
        says(&config.problem(&[variable]), &[wrong]);
    }
    let settings = config.settings(&[("PERCH__HTTP__METRICS_BIND", "[::]:9091")]);
    assert_eq!(settings.http.metrics_bind.map(|address| address.port()), Some(9091));
}

#[test]
fn an_environment_that_is_missing_or_unknown_is_refused() {
    let config = Config::shipped();
    let error = Settings::load_from(config.dir.path(), perch_jobs::types(), []).expect_err("nothing says which");
    assert!(matches!(error, ConfigError::MissingEnvironment));
    for env in ["prod", "Staging", "development"] {
        let error = config.load_in(env, &[]).expect_err("neither of the two");
        says(&error.to_string(), &[env, "\"staging\" or \"production\""]);
    }
}

#[test]
fn a_folder_without_the_files_is_refused_with_the_way_out() {
    let empty = TempDir::new().expect("a temporary folder");
    let vars = [("APP_ENV".to_owned(), "staging".to_owned())];
    let error = Settings::load_from(empty.path(), perch_jobs::types(), vars).expect_err("no files");
    says(&error.to_string(), &["base.toml", "PERCH_CONFIG_DIR"]);
}

#[test]
fn malformed_toml_is_refused_with_file_and_line_and_without_the_line_itself() {
    let config = Config::shipped();
    fs::write(config.dir.path().join("staging.toml"), "[x]\n\ntoken = hunter2-secret\n").expect("written");
    let error = config.load(&[]).expect_err("not TOML");
    assert!(matches!(error, ConfigError::Malformed { line: 3, .. }), "{error}");
    says(&error.to_string(), &["staging.toml, line 3"]);
    assert!(!format!("{error}{error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn an_unknown_key_is_refused_in_a_file_and_in_a_variable() {
    let config = Config::shipped().adding("staging.toml", "[http]\nmax_bach = 5");
    let text = config.problem(&[]);
    says(&text, &["staging.toml: http.max_bach is not a setting; allowed: ", "max_batch"]);

    let text = Config::shipped().problem(&[("PERCH__HTTP__MAX_BACH", "5")]);
    says(&text, &["variable PERCH__HTTP__MAX_BACH: http.max_bach is not a setting", "max_batch"]);
    let text = Config::shipped().problem(&[("PERCH__NOTHING", "5")]);
    says(&text, &["variable PERCH__NOTHING: nothing is not a setting"]);
    let text = Config::shipped().problem(&[("PERCH__HTTP____BIND", "5")]);
    says(&text, &["variable PERCH__HTTP____BIND: does not name a setting"]);
}

#[test]
fn a_credential_in_a_file_is_refused_unread_with_the_hint_to_use_the_environment() {
    let config = Config::shipped().with("staging.toml", "[x]\n", "[x]\ntoken = \"hunter2\"\n");
    let text = config.problem(&[]);
    says(&text, &["staging.toml: x.token is not a setting", "environment variables"]);
    assert!(!text.contains("hunter2"), "{text}");

    let config = Config::shipped().with("base.toml", "\"GROK_API_KEY\"", "\"xai-hunter2\"");
    let text = config.problem(&[]);
    says(&text, &["base.toml: models.providers.grok.api_key_env is not the name of an environment variable"]);
    assert!(!text.contains("hunter2"), "{text}");

    let text = Config::shipped().problem(&[("PERCH__X__BASE_URL", "https://me:hunter2@api.x.com")]);
    says(&text, &["x.base_url holds a user name or a password"]);
    assert!(!text.contains("hunter2"), "{text}");
    let text = Config::shipped().problem(&[("PERCH__X__BASE_URL", "https://me:hunter2@api.x.com:port")]);
    says(&text, &["variable PERCH__X__BASE_URL: x.base_url"]);
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_what_is_expected() {
    let text = Config::shipped().with("base.toml", "pool_size = 16", "pool_size = \"16\"").problem(&[]);
    says(&text, &["base.toml: redis.pool_size is the text \"16\"; allowed: a whole number"]);
    let text = Config::shipped().problem(&[("PERCH__ENGINE__LEASE", "12")]);
    says(&text, &["variable PERCH__ENGINE__LEASE: engine.lease is 12; allowed: a duration with its unit"]);
    let text = Config::shipped().problem(&[("PERCH__HTTP__BIND", "8080")]);
    says(&text, &["variable PERCH__HTTP__BIND: http.bind", "127.0.0.1:8080"]);
    let text = Config::shipped().problem(&[("PERCH__QUEUES__EXTRACTION__HISTORY", "some")]);
    says(&text, &["queues.extraction.history is \"some\"; allowed: full, failures"]);
    let text = Config::shipped().problem(&[("PERCH__X__ACCOUNTS", "{ main = { username = 5 } }")]);
    says(&text, &["variable PERCH__X__ACCOUNTS: x.accounts.main.username is 5; allowed: text"]);
    let text = Config::shipped().problem(&[("PERCH__SYNC", "5")]);
    says(&text, &["variable PERCH__SYNC: sync is 5; allowed: a table"]);
    let text = Config::shipped().with("base.toml", "[sync]", "[[sync]]").problem(&[]);
    says(&text, &["base.toml: sync.0 is a table"]);
}

#[test]
fn a_setting_that_nobody_sets_is_named() {
    let config = Config::shipped().with("base.toml", "max_connections = 10", "").with("base.toml", "batch = 5_000", "");
    let error = config.load(&[]).expect_err("two settings are missing");
    assert_eq!(error.problems().len(), 2, "{error}");
    says(&error.to_string(), &["base.toml: postgres.max_connections is not set", "base.toml: sync.batch is not set"]);

    let text = Config::shipped().adding("staging.toml", "[queues.lookups]\nprefetch = 1").problem(&[]);
    says(&text, &["staging.toml: queues.lookups.concurrency is not set"]);
}

#[test]
fn a_queue_needs_no_more_than_its_concurrency() {
    let config = Config::shipped().adding("base.toml", "[queues.lookups]\nconcurrency = 4");
    let settings = config.load(&[]).expect("a queue");
    let queue = &settings.queues[&"lookups".parse().expect("a name")];
    assert_eq!((queue.concurrency, queue.history, queue.dead_kept), (4, History::Full, 100_000));
}

#[test]
fn a_variable_with_a_slip_of_the_pen_makes_no_queue() {
    let text = Config::shipped().problem(&[("PERCH__QUEUES__EXTRACTOIN__CONCURRENCY", "3")]);
    says(&text, &["variable PERCH__QUEUES__EXTRACTOIN__CONCURRENCY: queues.extractoin is not a queue"]);
}

#[test]
fn the_history_of_a_dead_letter_is_kept_as_long_as_the_letter() {
    let text = Config::shipped().problem(&[("PERCH__SYNC__HISTORY_RETENTION", "7d")]);
    says(&text, &["sync.history_retention is 7days, and a dead letter may be older", "(30days), or 0s"]);
    Config::shipped().load(&[("PERCH__SYNC__HISTORY_RETENTION", "0s")]).expect("it is kept for good");
}

#[test]
fn every_problem_is_named_at_once_wherever_it_was_given() {
    let config = Config::shipped()
        .adding("staging.toml", "[sync]\nbatch = 0\nbach = 1\n[engine]\nlease = \"soon\"\nheartbeat = 3")
        .with("staging.toml", "log_format = \"text\"", "log_format = \"loud\"");
    let vars = [("PERCH__HTTP__MAX_BATCH", "0"), ("PORT", "http"), ("LIVE_POSTS", "yes"), ("X_API_KEY", "k")];
    let error = config.load(&vars).expect_err("much is wrong");
    let keys: Vec<&str> = error.problems().iter().map(|problem| problem.key.as_str()).collect();
    for key in [
        "sync.batch",
        "sync.bach",
        "engine.lease",
        "engine.heartbeat",
        "telemetry.log_format",
        "http.max_batch",
        "http.bind",
        "live_posts",
        "",
    ] {
        assert!(keys.contains(&key), "{key} is not among {error}");
    }
    assert_eq!(keys.len(), 9, "{error}");
}

#[test]
fn several_wrong_types_in_the_base_file_are_all_named() {
    let config = Config::shipped()
        .with("base.toml", "pool_size = 16", "pool_size = \"16\"")
        .with("base.toml", "lease = \"12s\"", "lease = 12")
        .with("base.toml", "timezone = \"UTC\"", "timezone = \"Mars/Olympus\"")
        .with("base.toml", "bind = \"127.0.0.1:8090\"", "bind = 8090")
        .with("base.toml", "base_url = \"https://api.x.com\"", "base_url = \"api.x.com\"");
    let error = config.load(&[]).expect_err("much is wrong");
    assert_eq!(error.problems().len(), 5, "{error}");
}

#[test]
fn a_value_out_of_its_range_is_refused_with_the_range() {
    for (name, value, key, allowed) in [
        ("PERCH__REDIS__POOL_SIZE", "0", "redis.pool_size is 0", "1 to 1024"),
        ("PERCH__TELEMETRY__TRACE_RATIO", "1.5", "telemetry.trace_ratio is 1.5", "0 to 1"),
        ("PERCH__TELEMETRY__TRACE_RATIO", "nan", "telemetry.trace_ratio is NaN", "0 to 1"),
        ("PERCH__HTTP__MAX_BODY_BYTES", "2048", "too small for a payload", "262144"),
        ("PERCH__ENGINE__HEARTBEAT", "6s", "engine.heartbeat is 6s", "less than half of engine.lease"),
        ("PERCH__ENGINE__IDLE_BLOCK", "1ms", "engine.idle_block is 1ms", "1s to 5m"),
        ("PERCH__QUEUES__EXTRACTION__CONCURRENCY", "0", "queues.extraction.concurrency is 0", "1 to 1000"),
        ("PERCH__QUEUES__EXTRACTION__RATE", "{count = 0, per = \"1s\"}", "queues.extraction.rate.count is 0", "1 to"),
        ("PERCH__X__TIMEOUT", "2m", "x.timeout is 2m", "1s to 40s"),
        ("PERCH__X__SETTLE", "1h", "x.settle is 1h", "0s to 10m"),
        ("PERCH__X__BASE_URL", "ftp://api.x.com", "x.base_url has the scheme ftp", "http or https"),
        ("PERCH__X__ACCOUNTS__MAIN__USERNAME", "@bot", "x.accounts.main.username is \"@bot\"", "without @"),
        ("PERCH__X__PRICES__OWN_READ", "-1", "x.prices.own_read is -1", "0 to"),
        (
            "PERCH__MODELS__PROVIDERS__GROK__REASONING_EFFORT",
            "Very low",
            "reasoning_effort is \"Very low\"",
            "none, low",
        ),
        ("PERCH__ANALYTICS__COLLECT_AFTER", "[\"6h\", \"1h\"]", "collect_after is not in ascending order", "later"),
        ("PERCH__TELEMETRY__LOG_FILTER", "perch=loudly", "telemetry.log_filter cannot be read", "level"),
        ("PERCH__TELEMETRY__OTLP_ENDPOINT", "collector:4318", "otlp_endpoint is not a URL", "http://collector:4318"),
        ("PERCH__SANDBOX__BIND", "127.0.0.1:8080", "sandbox.bind is 127.0.0.1:8080", "its own"),
    ] {
        let text = Config::shipped().problem(&[(name, value)]);
        says(&text, &[&format!("variable {name}: "), key, allowed]);
    }
}

#[test]
fn a_cron_entry_that_cannot_fire_is_refused() {
    for (name, value, wrong) in [
        ("SCHEDULE", "61 * * * *", "cron.sync_hot_state.schedule"),
        ("SCHEDULE", "* * *", "has 3 fields"),
        ("SCHEDULE", "0 0 31 2 *", "never comes"),
        ("TIMEZONE", "Mars/Olympus", "cron.sync_hot_state.timezone cannot be read"),
        ("KIND", "poll_everything", "cron.sync_hot_state.kind is \"poll_everything\", which no job has"),
        ("KIND", "publish_post", "cron.sync_hot_state.payload does not fit"),
        ("PAYLOAD", "{ token = 1 }", "cron.sync_hot_state.payload does not fit"),
    ] {
        let vars = [(format!("PERCH__CRON__SYNC_HOT_STATE__{name}"), value)];
        let text = Config::shipped().problem(&[(&vars[0].0, vars[0].1)]);
        if name != "KIND" || !wrong.contains("payload") {
            says(&text, &[&format!("variable PERCH__CRON__SYNC_HOT_STATE__{name}: ")]);
        }
        says(&text, &[wrong]);
    }
}

#[test]
fn a_cron_entry_for_a_queue_without_a_block_is_refused_with_the_missing_block() {
    let config = Config::shipped().with("base.toml", "[queues.sync_to_store]", "[queues.sync_to_shop]");
    let error = config.load(&[]).expect_err("the queue is gone");
    says(
        &error.to_string(),
        &[
            "queues.sync_to_store is not set",
            "cron.sync_hot_state.kind is \"sync_hot_state\", whose queue \"sync_to_store\"",
        ],
    );
}

#[test]
fn staging_never_sends_posts() {
    let text = Config::shipped().problem(&[("LIVE_POSTS", "true")]);
    says(&text, &["variable LIVE_POSTS: live_posts is true in staging; allowed: false"]);
    let text = Config::shipped().problem(&[("PERCH__LIVE_POSTS", "true")]);
    says(&text, &["variable PERCH__LIVE_POSTS: live_posts is true in staging"]);
    let rehearsal = Config::shipped().load_in("production", &[("LIVE_POSTS", "false")]).expect("a rehearsal is fine");
    assert!(!rehearsal.live_posts);
}

#[test]
fn production_needs_nothing_but_keys_and_has_no_account_of_the_sandbox() {
    let config = Config::shipped();
    let keys = [("X_MAIN_ACCESS_TOKEN", "hunter2"), ("X_MAIN_ACCESS_SECRET", "hunter2")];
    let settings = config.load_in("production", &keys).expect("X says whose tokens they are");
    assert_eq!(settings.x.accounts[&"main".parse().expect("a name")].username, "");
    let named = [keys[0], keys[1], ("X_MAIN_USERNAME", "my_bot")];
    let settings = config.load_in("production", &named).expect("it is said");
    assert_eq!(settings.x.accounts[&"main".parse().expect("a name")].username, "my_bot");
    let text = config.problem(&[("X_MAIN_USERNAME", "@my_bot")]);
    says(&text, &["variable X_MAIN_USERNAME: x.accounts.main.username is \"@my_bot\"", "without @"]);
}

#[test]
fn production_reaches_services_over_tls_or_on_its_own_machine() {
    let config = Config::shipped();
    let error = config.load_in("production", &[("PERCH__X__BASE_URL", "http://api.x.com")]).expect_err("no TLS");
    says(&error.to_string(), &["x.base_url has the scheme http; allowed: in production a URL with https"]);
    for local in ["http://127.0.0.1:8090", "http://localhost:8090/x", "http://[::1]:8090"] {
        config.load_in("production", &[("PERCH__X__BASE_URL", local)]).expect("this machine needs no TLS");
    }
}

#[test]
fn variables_override_files_as_toml_where_they_parse_and_as_text_where_not() {
    let settings = Config::shipped().settings(&[
        ("PERCH__HTTP__MAX_BATCH", "7"),
        ("PERCH__HTTP__BIND", "127.0.0.1:9000"),
        ("PERCH__ENGINE__LEASE", "20s"),
        ("PERCH__ANALYTICS__COLLECT_AFTER", "[\"1h\", \"2h\"]"),
        ("PERCH__QUEUES__PENDING_POSTS__GROUP_RATE", "{ count = 3, per = \"1m\" }"),
        ("PERCH__X__ACCOUNTS__MAIN__USERNAME", "1234"),
        ("PERCH__X__ACCOUNTS__SECOND__USERNAME", "second_bot"),
        ("PERCH__TELEMETRY__OTLP_ENDPOINT", ""),
        ("PERCH_CONFIG_DIR", "elsewhere"),
    ]);
    assert_eq!(settings.http.max_batch, 7);
    assert_eq!(settings.http.bind.port(), 9000);
    assert_eq!(settings.engine.lease.as_secs(), 20);
    assert_eq!(settings.analytics.collect_after.len(), 2);
    assert_eq!(settings.queues.iter().find_map(|(_, queue)| queue.group_rate).map(|rate| rate.count), Some(3));
    let names: Vec<&str> = settings.x.accounts.values().map(|account| account.username.as_str()).collect();
    assert_eq!(names, ["1234", "second_bot"]);
}

#[test]
fn the_well_known_variables_have_the_last_word_and_count_as_absent_when_empty() {
    let config = Config::shipped();
    let vars = [("PORT", "3000"), ("RUST_LOG", "warn"), ("PERCH__TELEMETRY__LOG_FILTER", "debug"), ("LIVE_POSTS", "")];
    let settings = config.settings(&vars);
    assert_eq!(settings.http.bind.to_string(), "0.0.0.0:3000");
    assert_eq!(settings.telemetry.log_filter, "warn");
    let settings = config.settings(&[("PORT", "3000"), ("PERCH__HTTP__BIND", "[::1]:8080")]);
    assert_eq!(settings.http.bind.to_string(), "[::]:3000");
    assert_eq!(config.settings(&[("PORT", ""), ("RUST_LOG", "")]).http.bind.port(), 8080);
}

const SECRETS: [(&str, &str); 10] = [
    ("REDIS_URL", "redis://worker:hunter2-a@10.0.0.1:6379"),
    ("DATABASE_URL", "postgres://app:hunter2-b@10.0.0.2/perch"),
    ("DATABASE_SESSION_URL", "postgres://app:hunter2-b@10.0.0.3/perch"),
    ("X_API_BEARER_TOKEN", "hunter2-c"),
    ("X_API_KEY", "hunter2-d"),
    ("X_API_SECRET", "hunter2-e"),
    ("X_MAIN_ACCESS_TOKEN", "hunter2-f"),
    ("X_MAIN_ACCESS_SECRET", "hunter2-g"),
    ("GROK_API_KEY", "hunter2-h\n"),
    ("OPENAI_API_KEY", ""),
];

#[test]
fn credentials_come_from_the_environment_and_empty_ones_are_absent() {
    let settings = Config::shipped().settings(&SECRETS);
    assert_eq!(settings.redis_url().expect("set").expose_secret(), "redis://worker:hunter2-a@10.0.0.1:6379");
    assert!(settings.database_url().is_ok() && settings.secrets.database_session_url.is_some());
    assert!(settings.secrets.x_bearer_token.is_some() && settings.secrets.x_consumer.is_some());
    let account = settings.secrets.x_accounts.values().next().expect("the tokens of main");
    assert_eq!(account.secret.expose_secret(), "hunter2-g");
    assert_eq!(settings.secrets.model_keys["grok"].expose_secret(), "hunter2-h");
    assert!(!settings.secrets.model_keys.contains_key("openai"));

    let error = Config::shipped().settings(&[]).redis_url().map(drop).expect_err("not set");
    says(&error.to_string(), &["REDIS_URL is not set"]);
}

#[test]
fn credentials_are_never_printed() {
    let config = Config::shipped();
    let settings = config.settings(&SECRETS);
    let printed = format!("{settings:?}{:#?}{}", settings.secrets, serde_json::json!(settings.file));
    assert!(!printed.contains("hunter2"), "{printed}");

    let mut wrong = SECRETS.to_vec();
    wrong.retain(|(name, _)| *name != "X_API_SECRET" && *name != "X_MAIN_ACCESS_TOKEN");
    wrong.extend([("REDIS_URL", "http://hunter2"), ("DATABASE_URL", "mysql://hunter2@db"), ("PORT", "0")]);
    wrong.push(("DATABASE_SESSION_URL", "hunter2"));
    let error = config.load(&wrong).expect_err("halves and wrong schemes");
    assert_eq!(error.problems().len(), 6, "{error}");
    says(&error.to_string(), &["variable X_API_KEY: is set and X_API_SECRET is not", "redis://", "postgres://"]);
    assert!(!format!("{error}{error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn a_problem_tells_a_file_from_a_variable() {
    let error = Config::shipped().load(&[("PERCH__SYNC__BATCH", "0")]).expect_err("out of range");
    assert_eq!(error.problems()[0].origin, Origin::Variable("PERCH__SYNC__BATCH".into()));
    let error = Config::shipped().with("base.toml", "batch = 5_000", "batch = 0").load(&[]).expect_err("out of range");
    assert!(matches!(&error.problems()[0].origin, Origin::File(path) if path.ends_with("base.toml")), "{error}");
}

#[test]
fn an_account_publishes_as_posting_says_unless_its_own_block_says_otherwise() {
    let own = r#"posting = { per_day = 20, quiet = { from = "22:30", to = "08:00", timezone = "America/New_York" } }"#;
    let config = Config::shipped().with("base.toml", "username = \"\"", &format!("username = \"\"\n{own}"));
    let settings = config.settings(&[("PERCH__POSTING__MIN_INTERVAL", "90s"), ("PERCH__POSTING__PER_DAY", "50")]);
    let main = settings.posting_of(&"main".parse().expect("a name"));
    assert_eq!((main.per_day, main.min_interval.as_secs(), main.replies_per_day), (20, 90, 0));
    let zone = main.quiet.timezone.map(chrono_tz::Tz::name);
    assert_eq!((main.quiet.from.to_string().as_str(), zone), ("22:30:00", Some("America/New_York")));
    let other = settings.posting_of(&"other".parse().expect("a name"));
    assert!(other.per_day == 50 && !other.quiet.are_set());
}

#[test]
fn an_account_has_long_posts_where_its_block_says_so() {
    let main = "main".parse().expect("a name");
    let config = Config::shipped();
    assert!(!config.settings(&[]).x.has_long_posts(&main));
    let settings = config.settings(&[("PERCH__X__ACCOUNTS__MAIN__LONG_POSTS", "true")]);
    assert!(settings.x.has_long_posts(&main) && !settings.x.has_long_posts(&"other".parse().expect("a name")));
}

#[test]
fn limits_of_posting_that_cannot_be_are_named() {
    let config = Config::shipped();
    let said = |name, value| config.problem(&[(name, value)]);
    let quiet = said("PERCH__POSTING__QUIET", r#"{ from = "25:00", to = "07:00" }"#);
    assert!(quiet.contains("posting.quiet.from") && quiet.contains("a time of day"), "{quiet}");
    assert!(said("PERCH__POSTING__MIN_INTERVAL", "25h").contains("posting.min_interval is 1day 1h"));
    assert!(said("PERCH__POSTING__PER_DAY", "10001").contains("posting.per_day is 10001; allowed: 0 to 10000"));
    let own = said("PERCH__X__ACCOUNTS__MAIN__POSTING__RETWEETS_PER_DAY", "10001");
    assert!(own.contains("x.accounts.main.posting.retweets_per_day"), "{own}");
}
