mod paid;
mod posting;

use std::time::Duration;

use perch_job::{JobTypes, QueueName};
use tracing_subscriber::EnvFilter;
use url::Url;

use crate::{
    CronSchedule, Environment,
    check::{Check, InvalidSetting},
    settings::{
        AnalyticsSettings, CronSettings, EngineSettings, FileSettings, History, HttpSettings, ModelSettings,
        PostgresSettings, QueueSettings, Rate, RedisSettings, SandboxSettings, TelemetrySettings, XSettings,
    },
};

const MILLIS_100: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// A slower model delays the others, and a job has time for several of them in turn.
const LONGEST_ANSWER: Duration = Duration::from_secs(85);

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A request must end before the timeout of its job, or the outcome of a post stays unknown: 5 s before that of a publishing job.
const LONGEST_X_CALL: Duration = Duration::from_secs(40);

/// The invalid settings of an engine and its queues, as sentences, for a program without configuration files.
pub fn engine_problems<'a>(
    engine: &EngineSettings,
    redis: &RedisSettings,
    queues: impl IntoIterator<Item = (&'a QueueName, &'a QueueSettings)>,
) -> Vec<String> {
    let mut check = Check::default();
    self::redis(&mut check, redis);
    self::engine(&mut check, engine, redis);
    for (name, queue) in queues {
        one_queue(&mut check, &format!("queues.{name}"), queue);
    }
    let sentence = |InvalidSetting { key, wrong, allowed }| format!("{key} {wrong}; allowed: {allowed}");
    check.0.into_iter().map(sentence).collect()
}

/// All invalid settings, by key.
pub(crate) fn validate(settings: &FileSettings, types: &JobTypes, env: Environment) -> Vec<InvalidSetting> {
    let mut check = Check::default();
    if env == Environment::Staging && settings.live_posts {
        check.refuse("live_posts", "is true in staging", "false; only APP_ENV=production sends posts");
    }
    redis(&mut check, &settings.redis);
    postgres(&mut check, &settings.postgres);
    http(&mut check, &settings.http, &settings.engine);
    telemetry(&mut check, &settings.telemetry);
    engine(&mut check, &settings.engine, &settings.redis);
    queues(&mut check, settings, types);
    cron(&mut check, settings, types);
    x(&mut check, &settings.x, env);
    posting::posting(&mut check, settings);
    models(&mut check, &settings.models, env);
    analytics(&mut check, &settings.analytics);
    check.range("sync.batch", settings.sync.batch, 1..=10_000);
    history_retention(&mut check, settings);
    sandbox(&mut check, &settings.sandbox, &settings.http);
    check.0
}

fn redis(check: &mut Check, redis: &RedisSettings) {
    check.range("redis.pool_size", redis.pool_size, 1..=1_024);
    check.duration("redis.connect_timeout", redis.connect_timeout, MILLIS_100..=MINUTE);
    check.duration("redis.command_timeout", redis.command_timeout, MILLIS_100..=MINUTE);
}

fn postgres(check: &mut Check, postgres: &PostgresSettings) {
    check.range("postgres.max_connections", postgres.max_connections, 1..=500);
    check.duration("postgres.acquire_timeout", postgres.acquire_timeout, MILLIS_100..=5 * MINUTE);
    check.duration("postgres.statement_timeout", postgres.statement_timeout, MILLIS_100..=60 * MINUTE);
}

fn http(check: &mut Check, http: &HttpSettings, engine: &EngineSettings) {
    check.range("http.max_body_bytes", http.max_body_bytes, KIB..=100 * MIB);
    if http.max_body_bytes < engine.max_payload_bytes {
        check.refuse(
            "http.max_body_bytes",
            format!("is {}, too small for a payload of engine.max_payload_bytes", http.max_body_bytes),
            format!("{} or more", engine.max_payload_bytes),
        );
    }
    check.range("http.max_batch", http.max_batch, 1..=100_000);
    check.range("http.rate_per_second", http.rate_per_second, 1..=100_000);
    check.range("http.rate_burst", http.rate_burst, 1..=1_000_000);
    check.range("http.requests_per_key", http.requests_per_key, 1..=100_000);
    if http.bytes_under_way < http.max_body_bytes {
        check.refuse(
            "http.bytes_under_way",
            format!("is {}, too small for one body of http.max_body_bytes", http.bytes_under_way),
            format!("{} or more", http.max_body_bytes),
        );
    }
    check.range("http.max_connections", http.max_connections, 8..=1_000_000);
    check.duration("http.idle_timeout", http.idle_timeout, SECOND..=HOUR);
    if http.metrics_bind.is_some_and(|address| address.port() != 0 && address == http.bind) {
        check.refuse(
            "http.metrics_bind",
            format!("is {}, the address of http.bind", http.bind),
            "an address of its own",
        );
    }
}

fn telemetry(check: &mut Check, telemetry: &TelemetrySettings) {
    if let Err(error) = EnvFilter::builder().parse(&telemetry.log_filter) {
        check.refuse(
            "telemetry.log_filter",
            format!("cannot be read: {error}"),
            "levels and target=level pairs with commas between them, such as info,perch_queue=debug",
        );
    }
    check.range("telemetry.trace_ratio", telemetry.trace_ratio, 0.0..=1.0);
    let endpoint = &telemetry.otlp_endpoint;
    if !endpoint.is_empty() {
        // Collectors usually listen without TLS in a private network, so http is allowed in production too.
        match Url::parse(endpoint) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => check.bare_url("telemetry.otlp_endpoint", &url),
            _ => check.refuse(
                "telemetry.otlp_endpoint",
                "is not a URL with http or https",
                "such as http://collector:4318, or empty",
            ),
        }
    }
}

fn engine(check: &mut Check, engine: &EngineSettings, redis: &RedisSettings) {
    check.range("engine.max_payload_bytes", engine.max_payload_bytes, KIB..=16 * MIB);
    check.duration("engine.max_schedule_ahead", engine.max_schedule_ahead, MINUTE..=3_660 * DAY);
    check.duration("engine.lease", engine.lease, SECOND..=10 * MINUTE);
    check.duration("engine.heartbeat", engine.heartbeat, MILLIS_100..=5 * MINUTE);
    let spelled = humantime::format_duration;
    let slowest = engine.heartbeat.saturating_add(redis.command_timeout.saturating_mul(2));
    if engine.heartbeat.saturating_mul(2) >= engine.lease {
        let (heartbeat, lease) = (spelled(engine.heartbeat), spelled(engine.lease));
        check.refuse(
            "engine.heartbeat",
            format!("is {heartbeat}, so one late heartbeat loses a lease of {lease}"),
            "less than half of engine.lease",
        );
    } else if slowest >= engine.lease {
        let (slowest, lease) = (spelled(slowest), spelled(engine.lease));
        check.refuse(
            "engine.lease",
            format!("is {lease}, but two renewals that time out take {slowest}"),
            "more than engine.heartbeat and twice redis.command_timeout",
        );
    }
    check.duration("engine.shutdown_grace", engine.shutdown_grace, Duration::ZERO..=HOUR);
    check.duration("engine.idle_block", engine.idle_block, SECOND..=5 * MINUTE);
    check.range("engine.errors_kept", engine.errors_kept, 1..=100);
    check.duration("engine.unknown_kind_wait", engine.unknown_kind_wait, Duration::ZERO..=31 * DAY);
}

fn queues(check: &mut Check, settings: &FileSettings, types: &JobTypes) {
    for (name, queue) in &settings.queues {
        one_queue(check, &format!("queues.{name}"), queue);
    }
    for job_type in types.iter().filter(|job_type| !settings.queues.contains_key(&job_type.queue)) {
        check.refuse(
            format!("queues.{}", job_type.queue),
            "is not set",
            format!("a block for the queue that {} jobs wait in", job_type.kind),
        );
    }
}

fn one_queue(check: &mut Check, key: &str, queue: &QueueSettings) {
    check.range(format!("{key}.concurrency"), queue.concurrency, 1..=1_000);
    check.range(format!("{key}.prefetch"), queue.prefetch, 0..=1_000);
    check.range(format!("{key}.global_concurrency"), queue.global_concurrency, 0..=100_000);
    check.range(format!("{key}.group_concurrency"), queue.group_concurrency, 0..=10_000);
    rate(check, &format!("{key}.group_rate"), queue.group_rate);
    rate(check, &format!("{key}.rate"), queue.rate);
    if queue.ledger && queue.history != History::Full {
        check.refuse(
            format!("{key}.ledger"),
            "is true, but the history of the queue would not say which jobs are done",
            "true together with history = \"full\"",
        );
    }
    check.range(format!("{key}.events_kept"), queue.events_kept, 100..=10_000_000);
    check.range(format!("{key}.events_max_bytes"), queue.events_max_bytes, MIB..=16_384 * MIB);
    check.range(format!("{key}.max_depth"), queue.max_depth, 0..=100_000_000);
    check.duration(format!("{key}.dead_retention"), queue.dead_retention, HOUR..=3_660 * DAY);
    check.range(format!("{key}.dead_kept"), queue.dead_kept, 1..=10_000_000);
}

fn rate(check: &mut Check, key: &str, rate: Option<Rate>) {
    if let Some(rate) = rate {
        check.range(format!("{key}.count"), rate.count, 1..=1_000_000);
        check.duration(format!("{key}.per"), rate.per, MILLIS_100..=31 * DAY);
    }
}

fn history_retention(check: &mut Check, settings: &FileSettings) {
    let retention = settings.sync.history_retention;
    if retention.is_zero() {
        return;
    }
    check.duration("sync.history_retention", retention, HOUR..=3_660 * DAY);
    let dead = settings.queues.values().map(|queue| queue.dead_retention).max().unwrap_or_default();
    if retention < dead {
        check.refuse(
            "sync.history_retention",
            format!("is {}, and a dead letter may be older", humantime::format_duration(retention)),
            format!("at least the longest dead_retention ({}), or 0s", humantime::format_duration(dead)),
        );
    }
}

fn cron(check: &mut Check, settings: &FileSettings, types: &JobTypes) {
    for (name, entry) in &settings.cron {
        let key = format!("cron.{name}");
        check.name(&key, name);
        if let Err(error) = CronSchedule::parse(&entry.schedule, entry.timezone) {
            check.refuse(
                format!("{key}.schedule"),
                error.to_string(),
                "five cron fields (minute hour day month weekday), or six with seconds first",
            );
        }
        job_of_cron(check, &key, entry, types, settings);
    }
}

fn job_of_cron(check: &mut Check, key: &str, entry: &CronSettings, types: &JobTypes, settings: &FileSettings) {
    let Some(job_type) = types.get(entry.kind.as_str()) else {
        let known: Vec<&str> = types.iter().map(|job_type| job_type.kind.as_str()).collect();
        check.refuse(
            format!("{key}.kind"),
            format!("is {:?}, which no job has", entry.kind.as_str()),
            known.join(", "),
        );
        return;
    };
    if !settings.queues.contains_key(&job_type.queue) {
        check.refuse(
            format!("{key}.kind"),
            format!("is {:?}, whose queue {:?} is not configured", entry.kind.as_str(), job_type.queue.as_str()),
            format!("a kind whose queue has a block, or a block [queues.{}]", job_type.queue),
        );
    }
    let refusal = match serde_json::value::to_raw_value(&entry.payload) {
        Ok(payload) => job_type.check(&payload).err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(reason) = refusal {
        check.refuse(
            format!("{key}.payload"),
            format!("does not fit: {reason}"),
            format!("a payload of {}", entry.kind),
        );
    }
}

fn x(check: &mut Check, x: &XSettings, env: Environment) {
    check.service_url("x.base_url", &x.base_url, env);
    check.duration("x.timeout", x.timeout, SECOND..=LONGEST_X_CALL);
    check.duration("x.settle", x.settle, Duration::ZERO..=10 * MINUTE);
    paid::x(check, x);
    for (account, settings) in &x.accounts {
        // A missing handle is reported with the credentials, which are not read yet.
        if env == Environment::Staging || !settings.username.is_empty() {
            check.handle(format!("x.accounts.{account}.username"), &settings.username);
        }
    }
}

fn models(check: &mut Check, models: &ModelSettings, env: Environment) {
    check.duration("models.rest", models.rest, Duration::ZERO..=HOUR);
    for (name, provider) in &models.providers {
        let key = format!("models.providers.{name}");
        check.name(&key, name);
        check.service_url(&format!("{key}.base_url"), &provider.base_url, env);
        if provider.model.trim().is_empty() {
            check.refuse(format!("{key}.model"), "is empty", "the name of a model of the provider");
        }
        paid::provider(check, &key, provider);
        let variable = &provider.api_key_env;
        let is_variable = variable.starts_with(|c: char| c.is_ascii_uppercase())
            && variable.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if !is_variable {
            // Not shown, because a wrong value here is usually the key itself.
            check.refuse(
                format!("{key}.api_key_env"),
                "is not the name of an environment variable",
                "the name of the variable that holds the key, such as GROK_API_KEY",
            );
        }
        check.duration(format!("{key}.timeout"), provider.timeout, SECOND..=LONGEST_ANSWER);
    }
}

fn analytics(check: &mut Check, analytics: &AnalyticsSettings) {
    let times = &analytics.collect_after;
    check.range("analytics.collect_after", times.len(), 1..=20);
    for (at, time) in times.iter().enumerate() {
        check.duration(format!("analytics.collect_after.{at}"), *time, SECOND..=90 * DAY);
    }
    if !times.is_sorted_by(|earlier, later| earlier < later) {
        check.refuse("analytics.collect_after", "is not in ascending order", "each time later than the one before");
    }
}

fn sandbox(check: &mut Check, sandbox: &SandboxSettings, http: &HttpSettings) {
    check.duration("sandbox.post_every", sandbox.post_every, MILLIS_100..=DAY);
    if !sandbox.url.is_empty() {
        match Url::parse(&sandbox.url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                check.bare_url("sandbox.url", &url);
            }
            _ => check.refuse("sandbox.url", "is not a URL of HTTP", "such as http://127.0.0.1:8090, or empty"),
        }
    }
    if !(1.0..=1_000_000.0).contains(&sandbox.reader_speed) {
        check.refuse("sandbox.reader_speed", format!("is {}", sandbox.reader_speed), "a number from 1 to 1000000");
    }
    check.range("sandbox.topics", sandbox.topics.len(), 0..=20);
    if sandbox.topics.iter().any(|topic| topic.trim().is_empty()) {
        check.refuse("sandbox.topics", "has an empty topic", "words that come in texts");
    }
    if sandbox.bind.port() != 0 && sandbox.bind == http.bind {
        check.refuse("sandbox.bind", format!("is {}, the address of http.bind", sandbox.bind), "an address of its own");
    }
}

#[cfg(test)]
mod tests {
    use perch_jobs::{Job as _, PublishPost, RetweetPost};

    use super::*;

    #[test]
    fn a_call_of_x_ends_before_any_job_that_publishes() {
        for timeout in [PublishPost::TIMEOUT, RetweetPost::TIMEOUT] {
            assert!(LONGEST_X_CALL + 5 * SECOND <= timeout);
        }
    }
}
