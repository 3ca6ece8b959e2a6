use std::{collections::BTreeMap, time::Duration};

use schemars::Schema;
use serde_json::value::RawValue;

use crate::{
    CollectMetrics, ExtractPost, FetchResults, Job, JobKind, PollAccount, PollAccounts, PollDueAccounts, PollMentions,
    Priority, PublishPost, QueueName, ReplyToMention, RetryPolicy, RetweetPost, SummariseDay, SyncHotState, Unique,
    strict::{self, Strict},
};

/// A payload that does not fit its job type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("payload of {kind} at {path}: {reason}")]
pub struct PayloadError {
    /// The kind of the job.
    pub kind: String,
    /// Where in the payload, as a JSON path such as `$.post.id`.
    pub path: String,
    /// What is wrong there.
    pub reason: String,
}

/// What a payload says about its own job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Traits {
    unique: Option<Unique>,
    group: Option<String>,
}

/// The rules of one kind with its payload type erased, for callers that know the kind only by name.
#[derive(Debug, Clone)]
pub struct JobType {
    /// The kind.
    pub kind: JobKind,
    /// The queue its jobs wait in.
    pub queue: QueueName,
    /// How failed attempts are repeated.
    pub retry: RetryPolicy,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Which jobs go first.
    pub priority: Priority,
    check: fn(&RawValue) -> Result<Traits, PayloadError>,
    from_outside: fn(&RawValue) -> Result<(), PayloadError>,
    schema: fn() -> Schema,
}

impl JobType {
    /// The rules of `J`.
    pub fn of<J: Job>() -> Self {
        Self {
            kind: JobKind::from_static(J::KIND),
            queue: QueueName::from_static(J::QUEUE),
            retry: J::RETRY,
            timeout: J::TIMEOUT,
            priority: J::PRIORITY,
            check: |payload| {
                let job: J = read_payload(payload)?;
                Ok(Traits { unique: job.unique(), group: job.group() })
            },
            from_outside: |payload| read_payload::<J>(payload)?.check_from_outside(),
            schema: || schemars::schema_for!(J),
        }
    }

    /// Checks a payload against the type; answers the uniqueness lock and the group that it asks for.
    pub fn check(&self, payload: &RawValue) -> Result<(Option<Unique>, Option<String>), PayloadError> {
        (self.check)(payload).map(|t| (t.unique, t.group))
    }

    /// Refuses what only Perch itself may say in a payload. [`check`](Self::check) does not look at it.
    pub fn check_from_outside(&self, payload: &RawValue) -> Result<(), PayloadError> {
        // The keys of effects are all there is of it. Few payloads have one, so few are read for it.
        let text = payload.get();
        if text.contains("effect_key") || text.contains('\\') { (self.from_outside)(payload) } else { Ok(()) }
    }

    /// The JSON schema of the payload.
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }
}

/// Reads a payload as the job type `J`; the error names the JSON path that does not fit.
pub fn read_payload<J: Job>(payload: &RawValue) -> Result<J, PayloadError> {
    // Tracking the path costs more than reading, so only what does not fit is read with it.
    strict::from_str(payload.get()).or_else(|_| read_with_path(payload))
}

fn read_with_path<J: Job>(payload: &RawValue) -> Result<J, PayloadError> {
    let mut reader = serde_json::Deserializer::from_str(payload.get());
    serde_path_to_error::deserialize(Strict::new(&mut reader)).map_err(|error| {
        let path = error.path().to_string();
        PayloadError {
            kind: J::KIND.to_owned(),
            path: if path == "." { "$".to_owned() } else { format!("$.{path}") },
            reason: without_position(&error.into_inner().to_string()),
        }
    })
}

/// `serde_json` ends its messages with "at line 1 column 17", which the path already says better.
fn without_position(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(at) => message[..at].to_owned(),
        None => message.to_owned(),
    }
}

/// The job types that a deployment knows.
#[derive(Debug, Clone, Default)]
pub struct JobTypes(BTreeMap<JobKind, JobType>);

impl JobTypes {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The job types that Perch brings.
    pub fn perch() -> Self {
        Self::new()
            .with::<ExtractPost>()
            .with::<PollAccounts>()
            .with::<PollAccount>()
            .with::<PollDueAccounts>()
            .with::<PublishPost>()
            .with::<RetweetPost>()
            .with::<CollectMetrics>()
            .with::<PollMentions>()
            .with::<ReplyToMention>()
            .with::<FetchResults>()
            .with::<SummariseDay>()
            .with::<SyncHotState>()
    }

    /// Adds the type `J`.
    #[must_use]
    pub fn with<J: Job>(mut self) -> Self {
        let job_type = JobType::of::<J>();
        self.0.insert(job_type.kind.clone(), job_type);
        self
    }

    /// The type of that name.
    pub fn get(&self, kind: &str) -> Option<&JobType> {
        kind.parse::<JobKind>().ok().and_then(|kind| self.0.get(&kind))
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &JobType> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("test payloads are JSON")
    }

    #[test]
    fn a_payload_of_the_wrong_shape_is_refused_with_its_path() {
        let types = JobTypes::perch();
        let publish = types.get("publish_post").expect("publish_post is built in");
        let error = publish
            .check(&raw(r#"{"account":"main","text":"hi","source":{"post_id":7}}"#))
            .expect_err("post_id is text");
        assert_eq!(error.path, "$.source.post_id");
        assert!(error.reason.contains("expected a string"), "{error}");
    }

    #[test]
    fn a_field_that_no_payload_has_is_refused_by_name() {
        let types = JobTypes::perch();
        let publish = types.get("publish_post").expect("publish_post is built in");
        let error =
            publish.check(&raw(r#"{"account":"main","text":"hi","replyto":"1"}"#)).expect_err("replyto is unknown");
        assert!(error.to_string().contains("replyto"), "{error}");
    }

    #[test]
    fn a_retweet_is_one_of_a_kind_by_account_and_post_unless_it_brings_a_key() {
        let types = JobTypes::perch();
        let retweet = types.get("retweet_post").expect("retweet_post is built in");
        let key = |json: &str| {
            let (unique, group) = retweet.check(&raw(json)).expect("a payload of the type");
            assert_eq!(group.as_deref(), Some("account:main"));
            unique.map(|unique| unique.key)
        };
        assert_eq!(key(r#"{"account":"main","post_id":"1849"}"#).as_deref(), Some("retweet:main:1849"));
        let own = r#"{"account":"main","post_id":"1849","effect_key":"friday"}"#;
        assert_eq!(key(own).as_deref(), Some("friday"));
    }

    #[test]
    fn a_key_of_perchs_own_effects_is_refused_from_outside_however_it_is_spelled() {
        let types = JobTypes::perch();
        let publish = types.get("publish_post").expect("publish_post is built in");
        let check = |field: &str, key: &str| {
            let payload = raw(&format!(r#"{{"account":"main","text":"hi","{field}":"{key}"}}"#));
            publish.check(&payload).expect("a payload of the type");
            publish.check_from_outside(&payload).map_err(|error| error.path)
        };
        for key in
            ["reply:main:1849", "comment:main:1:a", "summary:2026-01-31", "retweet:main:1", "publish:01K", "sync"]
        {
            assert_eq!(check("effect_key", key), Err("$.effect_key".to_owned()), "{key}");
        }
        assert_eq!(check(r"effect\u005fkey", r"repl\u0079:main:1849"), Err("$.effect_key".to_owned()));
        for key in ["friday", "my-reply:1", "replying"] {
            assert_eq!(check("effect_key", key), Ok(()), "{key}");
        }
    }

    #[test]
    fn a_deeply_nested_payload_is_refused_and_does_not_overflow_the_stack() {
        let deep = format!("{}1{}", "[".repeat(120), "]".repeat(120));
        let types = JobTypes::perch();
        let error =
            types.get("sync_hot_state").expect("built in").check(&raw(&deep)).expect_err("an object is expected");
        assert_eq!(error.path, "$");
    }

    #[test]
    fn every_built_in_kind_has_a_schema_and_a_valid_retry_policy() {
        for job_type in JobTypes::perch().iter() {
            assert!(job_type.retry.validate().is_ok(), "{}", job_type.kind);
            assert!(
                job_type.schema().as_object().is_some_and(|schema| schema.contains_key("type")),
                "{}",
                job_type.kind
            );
        }
    }
}
