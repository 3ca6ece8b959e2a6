//! What the sources of a persona say.

use std::time::Duration;

use futures::future::join_all;
use perch_clients::sources::{Material, Sources};

/// How long each source may take; they are read at once.
const READING: Duration = Duration::from_secs(30);
/// The most entries of all sources.
const MOST: usize = 12;

/// What these addresses say now, read at once; each has its share of the entries. One that cannot be read in time is left out, and counted.
pub async fn material(sources: &Sources, addresses: &[String]) -> Vec<Material> {
    let each = MOST / addresses.len().max(1) + 1;
    let read = join_all(addresses.iter().map(|address| read(sources, address))).await;
    read.into_iter().flat_map(|material| material.into_iter().take(each)).take(MOST).collect()
}

async fn read(sources: &Sources, address: &str) -> Vec<Material> {
    match tokio::time::timeout(READING, sources.read(address)).await {
        Ok(Ok(material)) => material,
        Ok(Err(error)) => left_out(&error.to_string()),
        Err(_) => left_out("it took too long"),
    }
}

fn left_out(error: &str) -> Vec<Material> {
    metrics::counter!("perch_source_failures_total").increment(1);
    tracing::warn!(error, "a source of a persona cannot be read; its posts are written without it");
    Vec::new()
}
