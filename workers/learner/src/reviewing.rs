//! The decisions of a person about a candidate that waits, or can be chosen.

use perch_safety::{Guard, GuardVerdict, Reason};
use perch_store::{Store, StoreError};

use crate::{
    settings::LearnerSettings,
    store::{Candidate, CandidateDecision, LearnerStore as _},
    writing::expires_at,
};

/// Why a decision was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// There is no such candidate.
    #[error("there is no candidate {0}; `perch learn candidates` shows those there are")]
    Unknown(i64),
    /// It does not wait any more.
    #[error("candidate {} is {} already", .0.id, .0.state.as_str())]
    Closed(Box<Candidate>),
    /// The guard refuses the text, which nobody can let pass.
    #[error("the text may not be published: {}", said(.0))]
    Refused(Vec<Reason>),
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn said(reasons: &[Reason]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Lets a candidate be chosen. What the guard refuses stays refused; what it flags the person lets pass. Answers the candidate and these
/// flags.
pub async fn approve(
    store: &Store,
    guard: &Guard,
    settings: &LearnerSettings,
    id: i64,
    by: &str,
) -> Result<(Candidate, Vec<Reason>), ReviewError> {
    let candidate = store.learner().candidate(id).await?.ok_or(ReviewError::Unknown(id))?;
    let mut flags = Vec::new();
    for part in &candidate.parts {
        match guard.post(part) {
            GuardVerdict::Pass => {}
            GuardVerdict::Review(reasons) => flags.extend(reasons),
            GuardVerdict::Refuse(reasons) => return Err(ReviewError::Refused(reasons)),
        }
    }
    Ok((decided(store.learner().approve(id, expires_at(settings), by).await?, id)?, flags))
}

/// Rejects a candidate that waits for a person or can be chosen.
pub async fn reject(store: &Store, id: i64, reason: Option<&str>, by: &str) -> Result<Candidate, ReviewError> {
    decided(store.learner().reject(id, reason, by).await?, id)
}

fn decided(decision: CandidateDecision, id: i64) -> Result<Candidate, ReviewError> {
    match decision {
        CandidateDecision::Done(candidate) => Ok(*candidate),
        CandidateDecision::Closed(candidate) => Err(ReviewError::Closed(candidate)),
        CandidateDecision::Unknown => Err(ReviewError::Unknown(id)),
    }
}
