//! Where envelopes lie: together, or in parts by the time of their ids.

use std::collections::BTreeMap;

use perch_jobs::JobId;

use crate::engine::{Engine, job_id};

type Hash = BTreeMap<String, String>;

/// Of all jobs, wherever they lie. Each must lie where its id, and the beginning and the width of the parts say.
pub async fn envelopes(engine: &Engine) -> BTreeMap<JobId, String> {
    let keys = engine.queue.keys();
    let mut pipe = redis::pipe();
    pipe.hgetall(keys.jobs()).hgetall(keys.parts());
    let (together, mut parts): (Hash, Hash) = engine.pipe(pipe).await;
    let (wide, narrow) = (parts.remove("from"), parts.remove("from_ms"));
    assert!(wide.is_none() || narrow.is_none(), "parts of two widths");
    let width = if narrow.is_some() { 10 } else { 9 };
    let from = wide.or(narrow).map_or(u64::MAX, |from| from.parse().expect("a number"));
    let made = |id: &str| u64::from_str_radix(&id[..width], 36).expect("letters and digits");
    let mut pipe = redis::pipe();
    for part in parts.keys() {
        pipe.hgetall(format!("{}{part}", keys.part()));
    }
    let apart: Vec<Hash> = if parts.is_empty() { Vec::new() } else { engine.pipe(pipe).await };
    assert!(together.keys().all(|id| made(id) <= from), "{together:?} lie together up to {from}");
    for (part, jobs) in parts.keys().zip(&apart) {
        assert!(!jobs.is_empty(), "part {part} is empty");
        assert_eq!(part.len(), width, "part {part}");
        assert!(jobs.keys().all(|id| id.starts_with(part) && made(id) > from), "part {part} has {jobs:?}, from {from}");
    }
    let named: Vec<String> = parts.keys().map(|part| format!("{}{part}", keys.part())).collect();
    let there = engine.keys().await.into_iter().filter(|key| key.starts_with(&keys.part()));
    assert!(there.into_iter().all(|key| named.contains(&key)), "a part is not among {named:?}");
    together.into_iter().chain(apart.into_iter().flatten()).map(|(id, envelope)| (job_id(&id), envelope)).collect()
}
