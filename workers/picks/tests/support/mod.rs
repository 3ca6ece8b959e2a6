//! What the tests over texts share.
#![allow(dead_code, reason = "no test file uses all of it")]

use chrono::{DateTime, Utc};
use perch_jobs::Post;

pub fn at(time: &str) -> DateTime<Utc> {
    time.parse().expect("a time")
}

/// A post of a Saturday at ten in the morning in New York.
pub fn post(text: &str) -> Post {
    Post {
        id: "1".parse().expect("an id"),
        author_id: "12".into(),
        author: "sharp_sally".into(),
        text: text.into(),
        created_at: at("2026-11-21T15:00:00Z"),
        media: Vec::new(),
    }
}
