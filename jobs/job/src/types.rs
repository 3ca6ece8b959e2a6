use std::{collections::BTreeMap, time::Duration};

use schemars::Schema;
use serde_json::value::RawValue;

use crate::{
    Job, JobKind, PayloadError, Priority, QueueName, RetryPolicy, Unique,
    strict::{self, Strict},
};

/// The uniqueness lock and the group of a job, which its payload determines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PayloadTraits {
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
    /// How failed attempts are retried.
    pub retry: RetryPolicy,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Which jobs go first.
    pub priority: Priority,
    check: fn(&RawValue) -> Result<PayloadTraits, PayloadError>,
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
                Ok(PayloadTraits { unique: job.unique(), group: job.group() })
            },
            from_outside: |payload| read_payload::<J>(payload)?.check_from_outside(),
            schema: J::schema,
        }
    }

    /// A type for an unknown kind, which accepts any payload.
    pub fn unknown(kind: JobKind, queue: QueueName) -> Self {
        Self {
            kind,
            queue,
            retry: RetryPolicy::new(10, Duration::from_secs(1), Duration::from_secs(60)),
            timeout: Duration::from_secs(120),
            priority: Priority::Normal,
            check: |_| Ok(PayloadTraits::default()),
            from_outside: |_| Ok(()),
            schema: || schemars::json_schema!(true),
        }
    }

    /// Checks a payload against the type. Returns the uniqueness lock and the group that it implies.
    pub fn check(&self, payload: &RawValue) -> Result<(Option<Unique>, Option<String>), PayloadError> {
        (self.check)(payload).map(|t| (t.unique, t.group))
    }

    /// Rejects a payload with values that only Perch itself may use; [`check`](Self::check) does not.
    pub fn check_from_outside(&self, payload: &RawValue) -> Result<(), PayloadError> {
        // Only effect keys are restricted. Few payloads have one, so others are not parsed for it.
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
    // Tracking the path costs more than reading, so only invalid payloads are read with it.
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

/// Removes the "at line 1 column 17" of `serde_json`; the path is more useful.
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
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
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
