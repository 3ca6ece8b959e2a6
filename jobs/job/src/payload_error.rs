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
