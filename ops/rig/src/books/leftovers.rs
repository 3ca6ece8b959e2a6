//! Checks what is left in Redis at the end: dead letters, counters, and nothing else.

use std::collections::{BTreeSet, HashSet};

use perch_queue::{Queue, Queues};

use super::Findings;
use crate::error::RigError;

/// The jobs that Redis still holds.
#[derive(Debug, Default)]
pub struct RedisContents {
    /// Ids with an envelope.
    pub jobs: HashSet<String>,
    /// Ids in the dead letters.
    pub dead: HashSet<String>,
}

pub async fn held(queues: &Queues) -> Result<RedisContents, RigError> {
    let mut held = RedisContents::default();
    for queue in queues.iter() {
        queue.scan(|some| held.jobs.extend(some.iter().map(ToString::to_string))).await?;
        let mut dead = redis::cmd("ZRANGE");
        dead.arg(queue.keys().dead()).arg(0).arg(-1);
        held.dead.extend(queue.redis().cmd::<Vec<String>>("read the dead", &dead).await?);
    }
    Ok(held)
}

async fn fields(queue: &Queue, key: &str) -> Result<Vec<String>, RigError> {
    Ok(queue.redis().cmd("read the fields of a hash", redis::cmd("HKEYS").arg(key)).await?)
}

/// Keys of a queue that always stay, and keys whose fields must all be ids of dead jobs.
const LASTING: [&str; 10] =
    ["dead", "events", "events_synced", "event_marks", "state", "wake", "workers", "worker_info", "cron", "cron_jobs"];
const OF_THE_DEAD: [&str; 6] = ["jobs", "attempts", "dead_attempts", "errors", "priority", "group"];

pub async fn check(queues: &Queues, held: &RedisContents, findings: &mut Findings) -> Result<(), RigError> {
    let names: BTreeSet<String> = keys(queues).await?;
    let bases: Vec<(&Queue, String)> = queues.iter().map(|queue| (queue, queue.keys().base().to_owned())).collect();
    for name in &names {
        let of_queue = bases.iter().find_map(|(queue, base)| Some((*queue, name.strip_prefix(base.as_str())?)));
        match of_queue {
            Some((_, suffix)) if LASTING.contains(&suffix) => {}
            Some((queue, suffix)) if OF_THE_DEAD.contains(&suffix) => {
                for id in fields(queue, name).await?.into_iter().filter(|id| !held.dead.contains(id)) {
                    findings.add("left behind by a finished job", format!("{name} {id}"));
                }
            }
            _ if name.starts_with("stg:") => {
                let redis = queues.redis();
                let ttl: i64 = redis.cmd("read a TTL", redis::cmd("PTTL").arg(name)).await?;
                if ttl < 0 && !is_lasting_elsewhere(name) {
                    findings.add("a key is left behind", name.clone());
                }
            }
            _ => findings.add("a key outside the prefix", name.clone()),
        }
    }
    Ok(())
}

/// Keys outside the queues that stay: the brakes, the identity of Postgres, the hot-state stream, its sync
/// cursor and how far its ids are ahead, and the last post read of each account.
fn is_lasting_elsewhere(name: &str) -> bool {
    let one_of =
        ["stg:postgres", "stg:{sync_to_store}:hot", "stg:{sync_to_store}:hot_synced", "stg:{sync_to_store}:hot_ahead"];
    let is_brake = name == "stg:brake" || name.starts_with("stg:brake:");
    is_brake || one_of.contains(&name) || name.contains("since") || name.ends_with(":intake")
}

async fn keys(queues: &Queues) -> Result<BTreeSet<String>, RigError> {
    let mut all = BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(&cursor).arg("COUNT").arg(1_000);
        let (next, found): (String, Vec<String>) = queues.redis().cmd("scan the keys", &scan).await?;
        all.extend(found);
        if next == "0" {
            return Ok(all);
        }
        cursor = next;
    }
}
