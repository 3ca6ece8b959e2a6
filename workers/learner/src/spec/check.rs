//! Checks a learning poster before it is written. Every problem names its field.

use std::collections::BTreeSet;

use perch_core::personas::{FieldProblem, Topic};

use super::{ArmSpec, LearnerSpec, arm::MOST_ARMS};

/// Every problem of a learning poster whose persona has these topics; none when it may be written.
pub fn problems(spec: &LearnerSpec, topics: &[Topic]) -> Vec<FieldProblem> {
    let mut found = Vec::new();
    let mut refuse = |field: &str, reason: String| found.push(FieldProblem { field: field.to_owned(), reason });
    if spec.arms.len() > MOST_ARMS {
        refuse(
            "arms",
            format!("has {} entries; allowed: at most {MOST_ARMS}, because more cannot be told apart", spec.arms.len()),
        );
    }
    for (at, arm) in spec.arms.iter().enumerate() {
        if let Some(reason) = arm_problem(arm, &spec.arms[..at]) {
            refuse(&format!("arms[{at}]"), reason);
        }
    }
    if spec.arms_for(topics).len() < 2 {
        refuse("arms", "leave fewer than two kinds of posts; there is nothing to learn between them".into());
    }
    let mut range = |field: &str, value: u32, least: u32, most: u32| {
        if !(least..=most).contains(&value) {
            refuse(field, format!("is {value}; allowed: {least} to {most}"));
        }
    };
    range("posts_per_day", spec.posts_per_day.into(), 1, 24);
    range("min_gap_minutes", spec.min_gap_minutes.into(), 0, 720);
    range("candidates", spec.candidates.into(), 2, 12);
    range("parts", spec.parts.into(), 2, 12);
    let hours: BTreeSet<u8> = spec.hours.iter().copied().collect();
    if hours.is_empty() || hours.len() < spec.hours.len() || hours.iter().any(|hour| *hour > 23) {
        refuse("hours", "is to hold hours from 0 to 23, at least one, each once".into());
    } else if hours.len() < usize::from(spec.posts_per_day) {
        refuse(
            "posts_per_day",
            format!("is {}, with {} hours to post in; allow more hours", spec.posts_per_day, hours.len()),
        );
    }
    for (field, share) in
        [("brakes.guard_share", spec.brakes.guard_share), ("brakes.negative_share", spec.brakes.negative_share)]
    {
        if !(share > 0.0 && share <= 1.0) {
            refuse(field, format!("is {share}; allowed: above 0, up to 1"));
        }
    }
    if let Some(usd) = spec.brakes.usd_per_engagement.filter(|usd| !(*usd > 0.0 && *usd <= 1_000.0)) {
        refuse("brakes.usd_per_engagement", format!("is {usd}; allowed: above 0, up to 1000"));
    }
    found
}

/// The longest topic of an arm, in characters.
const TOPIC: usize = 400;

fn arm_problem(arm: &ArmSpec, before: &[ArmSpec]) -> Option<String> {
    let topic = arm.topic.as_deref().unwrap_or("any").trim();
    if topic.is_empty() || topic.chars().count() > TOPIC || topic.chars().any(char::is_control) {
        return Some(format!("has a topic that is empty, longer than {TOPIC} characters, or has control characters"));
    }
    before
        .iter()
        .any(|other| other.to_string() == arm.to_string())
        .then(|| format!("is {arm} a second time; name each once"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(spec: serde_json::Value) -> Vec<String> {
        let spec = serde_json::from_value(spec).expect("a learning poster");
        problems(&spec, &[]).into_iter().map(|problem| problem.to_string()).collect()
    }

    #[test]
    fn the_defaults_have_no_problem() {
        assert!(found(json!({})).is_empty());
    }

    #[test]
    fn every_problem_names_its_field() {
        for (spec, field) in [
            (json!({ "arms": [{ "hook": "question" }] }), "arms: "),
            (json!({ "arms": [{ "hook": "story" }, { "hook": "story" }] }), "arms[1]: "),
            (json!({ "arms": [{ "topic": " " }, {}] }), "arms[0]: "),
            (json!({ "posts_per_day": 0 }), "posts_per_day: "),
            (json!({ "posts_per_day": 3, "hours": [9, 10] }), "posts_per_day: "),
            (json!({ "hours": [] }), "hours: "),
            (json!({ "hours": [8, 9, 10, 24] }), "hours: "),
            (json!({ "candidates": 1 }), "candidates: "),
            (json!({ "parts": 13 }), "parts: "),
            (json!({ "min_gap_minutes": 721 }), "min_gap_minutes: "),
            (json!({ "brakes": { "guard_share": 0.0 } }), "brakes.guard_share: "),
            (json!({ "brakes": { "usd_per_engagement": -1.0 } }), "brakes.usd_per_engagement: "),
        ] {
            let problems = found(spec.clone());
            assert!(problems.iter().any(|problem| problem.starts_with(field)), "{spec}: {problems:?}");
        }
        let seven: Vec<_> = (0..7).map(|n| json!({ "topic": format!("t{n}") })).collect();
        assert!(found(json!({ "arms": seven }))[0].contains("at most 6"));
    }
}
