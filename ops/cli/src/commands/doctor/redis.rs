//! Findings about Redis.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use perch_base::Settings;
use perch_queue::Redis;
use redis::Value;

use super::check::{Check, clock};
use crate::{app::queues, error::chain};

/// The oldest Redis version that has every command of the engine.
const OLDEST: (u32, u32) = (6, 2);

/// What a Redis server reports about itself.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Facts {
    version: Option<String>,
    append_only: Option<bool>,
    snapshots: Option<bool>,
    policy: Option<String>,
    /// In a cluster, that of the server with the least memory left.
    memory: Memory,
    last_save_failed: bool,
    /// `appendfsync`: always, everysec or no.
    fsync: Option<String>,
}

/// The memory of a Redis, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Memory {
    used: Option<u64>,
    /// `maxmemory`; 0 when there is no limit.
    bound: Option<u64>,
    /// The memory of its machine.
    machine: Option<u64>,
}

impl Memory {
    fn of(info: &BTreeMap<String, String>) -> Self {
        let get = |name: &str| info.get(name).and_then(|value| value.parse().ok());
        Self { used: get("used_memory"), bound: get("maxmemory"), machine: get("total_system_memory") }
    }

    /// The memory it may use: `maxmemory`, or else that of its machine.
    fn room(self) -> Option<u64> {
        self.bound.filter(|bound| *bound > 0).or(self.machine.filter(|machine| *machine > 0))
    }

    fn percent(self) -> Option<u64> {
        Some(self.used?.saturating_mul(100) / self.room()?)
    }

    fn said(self) -> Option<String> {
        let (used, percent) = (mebibytes(self.used?), self.percent());
        Some(match (self.bound, self.room(), percent) {
            (Some(0) | None, Some(machine), Some(percent)) => {
                format!("{used} used, without a bound: {percent} % of the {} of its machine", mebibytes(machine))
            }
            (_, Some(bound), Some(percent)) => format!("{percent} % of {} used", mebibytes(bound)),
            _ => format!("{used} used"),
        })
    }
}

fn mebibytes(bytes: u64) -> String {
    let tenths = bytes / (1024 * 1024 / 10);
    if tenths >= 10_240 {
        format!("{}.{} GiB", tenths / 10_240, tenths % 10_240 / 1_024)
    } else {
        format!("{}.{} MiB", tenths / 10, tenths % 10)
    }
}

/// Findings about the Redis of these settings.
pub async fn checks(settings: &Settings) -> Vec<Check> {
    let redis = match reach(settings).await {
        Ok(redis) => redis,
        Err(check) => return vec![check],
    };
    let facts = facts(&redis).await;
    let mut checks = vec![version(&facts, redis.is_cluster())];
    checks.extend(skew(&redis).await.map(|ahead| clock("clock of Redis", "Redis", ahead)));
    checks.push(persistence(&facts));
    checks.push(eviction(&facts));
    checks.extend(prefix(&redis, settings.env.prefix()).await);
    checks
}

/// Whether the data of Redis survives a crash; an error when it does not answer.
pub async fn on_disk(settings: &Settings) -> Result<Check, Check> {
    Ok(persistence(&facts(&reach(settings).await?).await))
}

async fn reach(settings: &Settings) -> Result<Redis, Check> {
    let redis = match queues(settings) {
        Ok(queues) => queues.redis().clone(),
        Err(error) => return Err(Check::fail("Redis", chain(&error)).mend("set REDIS_URL in the environment")),
    };
    match redis.ping().await {
        Ok(()) => Ok(redis),
        Err(error) => Err(Check::fail("Redis", chain(&error))
            .mend("start Redis, and see that REDIS_URL has its address and password")),
    }
}

/// Logs a warning when this Redis can lose jobs.
pub async fn warn_at_start(redis: &Redis) {
    let facts = facts(redis).await;
    for check in [persistence(&facts), eviction(&facts)] {
        if matches!(check.level, super::check::Level::Warn | super::check::Level::Fail) {
            tracing::warn!(check = check.name, mend = check.mend.as_deref(), "{}", check.found);
        }
    }
}

async fn facts(redis: &Redis) -> Facts {
    let (mut said, mut fullest) = (BTreeMap::new(), Memory::default());
    for section in ["server", "memory", "persistence"] {
        let mut info = redis::cmd("INFO");
        info.arg(section);
        if let Ok(value) = redis.cmd::<Value>("read INFO", &info).await {
            for text in texts(&value) {
                let mut of_one = BTreeMap::new();
                read_info(&text, &mut of_one);
                let memory = Memory::of(&of_one);
                if memory.used.is_some() && memory.percent() >= fullest.percent() {
                    fullest = memory;
                }
                said.extend(of_one);
            }
        }
    }
    for name in ["appendonly", "appendfsync", "save", "maxmemory-policy"] {
        let mut get = redis::cmd("CONFIG");
        get.arg("GET").arg(name);
        // Managed Redis often forbids CONFIG; INFO has most of the same.
        if let Ok(value) = redis.cmd::<Value>("read CONFIG", &get).await {
            let pair = texts(&value);
            if let Some(at) = pair.iter().position(|text| text == name)
                && let Some(value) = pair.get(at + 1)
            {
                said.insert(format!("config:{name}"), value.clone());
            }
        }
    }
    Facts { memory: fullest, ..judge(&said) }
}

fn judge(said: &BTreeMap<String, String>) -> Facts {
    let get = |name: &str| said.get(name).map(String::as_str);
    Facts {
        version: get("redis_version").map(str::to_owned),
        append_only: get("config:appendonly").map(|v| v == "yes").or_else(|| get("aof_enabled").map(|v| v == "1")),
        snapshots: get("config:save").map(|v| !v.trim().is_empty()),
        policy: get("config:maxmemory-policy").or_else(|| get("maxmemory_policy")).map(str::to_owned),
        memory: Memory::of(said),
        last_save_failed: ["rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status"]
            .iter()
            .any(|name| get(name) == Some("err")),
        fsync: get("config:appendfsync").map(str::to_owned),
    }
}

/// All texts in a reply, from a single server or from the nodes of a cluster.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::BulkString(bytes) => vec![String::from_utf8_lossy(bytes).into_owned()],
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => vec![text.clone()],
        Value::Array(items) | Value::Set(items) => items.iter().flat_map(texts).collect(),
        Value::Map(pairs) => pairs.iter().flat_map(|(key, value)| [texts(key), texts(value)].concat()).collect(),
        Value::Int(n) => vec![n.to_string()],
        _ => Vec::new(),
    }
}

fn read_info(text: &str, into: &mut BTreeMap<String, String>) {
    let pairs = text.lines().filter_map(|line| line.trim().split_once(':'));
    into.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

fn version(facts: &Facts, is_cluster: bool) -> Check {
    let kind = if is_cluster { " (cluster)" } else { "" };
    let Some(version) = &facts.version else {
        return Check::ok("Redis", format!("answers{kind}; it does not say its version"));
    };
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if (major, minor) < OLDEST {
        Check::fail("Redis", format!("version {version} lacks commands that Perch needs"))
            .mend(format!("upgrade to {}.{} or later", OLDEST.0, OLDEST.1))
    } else {
        Check::ok("Redis", format!("version {version}{kind} answers"))
    }
}

fn persistence(facts: &Facts) -> Check {
    const NAME: &str = "Redis on disk";
    if facts.last_save_failed {
        return Check::fail(NAME, "its last write to disk failed")
            .mend("see the log of Redis; most often the disk is full");
    }
    match (facts.append_only, facts.snapshots) {
        (Some(true), _) if facts.fsync.as_deref() == Some("no") => Check::warn(
            NAME,
            "the append-only file reaches the disk when the system likes: a crash of the machine loses jobs",
        )
        .mend("write it every second: CONFIG SET appendfsync everysec, and the same in redis.conf"),
        (Some(true), _) => Check::ok(NAME, "the append-only file is on"),
        (Some(false), Some(true)) => Check::warn(NAME, "only snapshots: a crash loses all jobs since the last one")
            .mend("turn on the append-only file: CONFIG SET appendonly yes, and appendonly yes in redis.conf"),
        (Some(false), Some(false)) => Check::warn(NAME, "nothing is written: a restart of Redis loses every job")
            .mend("turn on the append-only file: CONFIG SET appendonly yes, and appendonly yes in redis.conf"),
        (Some(false), None) => Check::warn(NAME, "the append-only file is off: a crash of Redis loses jobs")
            .mend("turn on persistence (AOF) where this Redis is managed"),
        (None, _) => Check::info(NAME, "it does not say whether it writes to disk")
            .mend("see that persistence (AOF) is on where this Redis is managed"),
    }
}

/// Percent of memory from which an operator should act. A full Redis refuses new jobs.
const NEARLY_FULL: u64 = 80;
const FULL: u64 = 97;

fn eviction(facts: &Facts) -> Check {
    const NAME: &str = "Redis memory";
    let policy = "set the policy: CONFIG SET maxmemory-policy noeviction, and the same in redis.conf";
    let room = "raise maxmemory (CONFIG SET maxmemory, and the same in redis.conf) or give it a larger machine; what fills it shows in \
                `perch queues`: jobs that wait, dead letters (`perch dead stats`), and events that wait for Postgres (sync, below)";
    let figure = facts.memory.said();
    let with_figure =
        |text: &str| figure.as_ref().map_or_else(|| text.to_owned(), |figure| format!("{figure}; {text}"));
    let is_bounded = facts.memory.bound != Some(0);
    match facts.policy.as_deref() {
        Some(word) if word != "noeviction" && is_bounded => {
            let text = format!("the policy {word} throws jobs away when the memory is full");
            return Check::fail(NAME, with_figure(&text)).mend(policy);
        }
        Some(word) if word != "noeviction" => {
            let text = format!("the policy {word} would throw jobs away as soon as maxmemory is set");
            return Check::warn(NAME, with_figure(&text)).mend(policy);
        }
        _ => {}
    }
    let when_full = if is_bounded {
        "when it is full it refuses new jobs and keeps the others"
    } else {
        "when its machine has none left, the system may end it"
    };
    match facts.memory.percent() {
        Some(FULL..) => Check::fail(NAME, with_figure(&format!("it is full: {when_full}"))).mend(room),
        Some(NEARLY_FULL..) => Check::warn(NAME, with_figure(&format!("it is nearly full: {when_full}"))).mend(room),
        _ if facts.policy.is_some() => Check::ok(NAME, with_figure(&format!("noeviction: {when_full}"))),
        _ => Check::info(NAME, with_figure("it does not say its eviction policy"))
            .mend("see that it is noeviction where this Redis is managed"),
    }
}

/// How far the clock of Redis is ahead, in milliseconds, corrected for the round trip.
async fn skew(redis: &Redis) -> Option<i64> {
    let before = Utc::now();
    let answer: Value = redis.cmd("read TIME", &redis::cmd("TIME")).await.ok()?;
    let after = Utc::now();
    let parts: Vec<i64> = texts(&answer).iter().filter_map(|text| text.parse().ok()).collect();
    let [seconds, micros] = parts.get(..2)? else { return None };
    let there = DateTime::from_timestamp_micros(seconds * 1_000_000 + micros)?;
    let here = before + (after - before) / 2;
    Some((there - here).num_milliseconds())
}

/// Whether the user can reach keys outside the prefix. Reading a key that does not exist shows it without harm.
async fn prefix(redis: &Redis, prefix: &str) -> Option<Check> {
    let mut outside = redis::cmd("EXISTS");
    outside.arg("perch-doctor:outside");
    match redis.cmd::<i64>("look outside the prefix", &outside).await {
        Ok(_) => Some(
            Check::info("Redis access", format!("this user reaches keys outside {prefix} too"))
                .mend(format!("where Redis is shared, give Perch a user of its own with ~{prefix}*")),
        ),
        Err(error) if !error.is_unavailable() => {
            Some(Check::ok("Redis access", format!("this user reaches only keys it was given, such as {prefix}*")))
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::Level, *};

    fn said(pairs: &[(&str, &str)]) -> Facts {
        judge(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_redis_that_forgets_is_a_warning_and_one_that_throws_away_a_failure() {
        let careless = said(&[
            ("config:appendonly", "no"),
            ("config:save", ""),
            ("config:maxmemory-policy", "allkeys-lru"),
            ("maxmemory", "1048576"),
        ]);
        assert_eq!((persistence(&careless).level, eviction(&careless).level), (Level::Warn, Level::Fail));
        let careful = said(&[("config:appendonly", "yes"), ("config:maxmemory-policy", "noeviction")]);
        assert_eq!((persistence(&careful).level, eviction(&careful).level), (Level::Ok, Level::Ok));
    }

    #[test]
    fn where_config_is_forbidden_info_says_it() {
        let facts = said(&[("aof_enabled", "1"), ("maxmemory_policy", "volatile-lru"), ("maxmemory", "0")]);
        assert_eq!((persistence(&facts).level, eviction(&facts).level), (Level::Ok, Level::Warn));
        assert_eq!((persistence(&said(&[])).level, eviction(&said(&[])).level), (Level::Info, Level::Info));
    }

    #[test]
    fn an_append_only_file_that_is_not_written_through_or_cannot_be_is_found() {
        let lazy = said(&[("config:appendonly", "yes"), ("config:appendfsync", "no")]);
        let failed = said(&[("config:appendonly", "yes"), ("aof_last_bgrewrite_status", "err")]);
        assert_eq!((persistence(&lazy).level, persistence(&failed).level), (Level::Warn, Level::Fail));
        for fsync in ["everysec", "always"] {
            let well = said(&[("config:appendonly", "yes"), ("config:appendfsync", fsync)]);
            assert_eq!(persistence(&well).level, Level::Ok, "{fsync}");
        }
    }

    #[test]
    fn the_memory_is_told_with_its_figures_and_from_four_fifths_on_it_is_a_warning() {
        let with = |used: &str, bound: &str| {
            let facts = said(&[
                ("maxmemory_policy", "noeviction"),
                ("used_memory", used),
                ("maxmemory", bound),
                ("total_system_memory", "8589934592"),
            ]);
            let check = eviction(&facts);
            (check.level, check.found)
        };
        let half = with("536870912", "1073741824");
        assert!(half.0 == Level::Ok && half.1.starts_with("50 % of 1.0 GiB used"), "{half:?}");
        assert_eq!(with("900000000", "1073741824").0, Level::Warn);
        assert_eq!(with("1073741824", "1073741824").0, Level::Fail);
        let unbounded = with("209715200", "0");
        assert!(
            unbounded.0 == Level::Ok && unbounded.1.contains("200.0 MiB used, without a bound: 2 %"),
            "{unbounded:?}"
        );
        assert_eq!(with("8000000000", "0").0, Level::Warn);
    }

    #[test]
    fn an_old_redis_is_refused() {
        assert_eq!(version(&said(&[("redis_version", "6.0.16")]), false).level, Level::Fail);
        assert_eq!(version(&said(&[("redis_version", "7.0.15")]), false).level, Level::Ok);
    }

    #[test]
    fn every_finding_that_is_not_well_says_how_to_mend_it() {
        for facts in [said(&[]), said(&[("aof_enabled", "0"), ("maxmemory_policy", "allkeys-lru")])] {
            for check in [persistence(&facts), eviction(&facts)] {
                assert!(check.level == Level::Ok || check.mend.is_some(), "{check:?}");
            }
        }
    }
}
