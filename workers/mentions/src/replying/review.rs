//! The decisions of a person about a reply that waits.

use perch_base::Classified as _;
use perch_queue::{Client, EnqueueError};
use perch_safety::{BadPattern, Guard, GuardVerdict, Reason};
use perch_store::{Store, StoreError};

use super::hand_over::{HandOverError, hand_over, until};
use crate::{
    MentionsSettings,
    store::{MentionState, MentionStore as _, Review, ReviewOutcome, ReviewState},
};

/// A reply that was approved.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovedReply {
    /// The review as it stands now.
    pub review: Review,
    /// Findings of the guard that the person let pass.
    pub flags: Vec<Reason>,
}

/// Why a decision was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// There is no such review.
    #[error("there is no review {0}; `perch review list` shows those there are")]
    Unknown(i64),
    /// The review was decided before or has expired.
    #[error("review {} is {} already", .0.id, .0.state.as_str())]
    Closed(Box<Review>),
    /// There is no text to publish.
    #[error("review {0} has no text: the model was not asked, or declined; give one")]
    NoText(i64),
    /// The guard refuses the text, which nobody can let pass.
    #[error("the text may not be published: {}", said(.0))]
    Refused(Vec<Reason>),
    /// A word or phrase of the configuration.
    #[error("mentions.banned_topics or mentions.crisis_words: {0}")]
    Words(#[from] BadPattern),
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reply is approved, but its job was not accepted; approving it once more hands it over.
    #[error("the reply is approved, but its job was not accepted: {0}; approve it once more")]
    Enqueue(#[from] EnqueueError),
}

impl ReviewError {
    /// True when the same call may succeed later.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_unavailable(),
            Self::Enqueue(error) => error.disposition() != perch_base::Disposition::Never,
            _ => false,
        }
    }
}

fn said(reasons: &[Reason]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Approves a reply, as proposed or with `text`, and hands it over to publishing. The guard checks the text once more: what it refuses
/// stays refused, what it flags the person lets pass.
///
/// A reply that is approved already, and was not handed over, is handed over. It may go out for as long as if the mention had
/// been written when it was approved, because the person has just decided that it is not too late.
pub async fn approve(
    client: &Client,
    store: &Store,
    settings: &MentionsSettings,
    id: i64,
    text: Option<&str>,
    by: &str,
) -> Result<ApprovedReply, ReviewError> {
    let review = store.reviews().get(id).await?.ok_or(ReviewError::Unknown(id))?;
    if review.state == ReviewState::Approved && text.is_none_or(|text| review.approved.as_deref() == Some(text.trim()))
    {
        publish(client, store, settings, &review).await?;
        return Ok(ApprovedReply { review, flags: Vec::new() });
    }
    if review.state != ReviewState::Open {
        return Err(ReviewError::Closed(Box::new(review)));
    }
    let text = text.or(review.proposed.as_deref()).map(str::trim).ok_or(ReviewError::NoText(id))?.to_owned();
    let guard = Guard::new(&settings.rules())?;
    let flags = match guard.text(&text, review.author.as_deref()) {
        GuardVerdict::Pass => Vec::new(),
        GuardVerdict::Review(reasons) => reasons,
        GuardVerdict::Refuse(reasons) => return Err(ReviewError::Refused(reasons)),
    };
    let review = match store.reviews().approve(id, &text, by).await? {
        ReviewOutcome::Done(review) => *review,
        ReviewOutcome::Closed(review) => return Err(ReviewError::Closed(review)),
        ReviewOutcome::Unknown => return Err(ReviewError::Unknown(id)),
    };
    publish(client, store, settings, &review).await?;
    Ok(ApprovedReply { review, flags })
}

async fn publish(
    client: &Client,
    store: &Store,
    settings: &MentionsSettings,
    review: &Review,
) -> Result<(), ReviewError> {
    let Some(record) = store.mentions().get(&review.account, &review.mention_id).await? else { return Ok(()) };
    if record.state != MentionState::Decided {
        return Ok(());
    }
    let approved_at = record.decided_at.unwrap_or(record.mention.created_at);
    let until = until(&record, approved_at, settings.max_age);
    match hand_over(client, store, &record, until, None).await {
        Ok(_) => Ok(()),
        Err(HandOverError::Enqueue(error)) => Err(error.into()),
        Err(HandOverError::Store(error)) => Err(error.into()),
    }
}

/// Rejects a reply: the mention is not answered.
pub async fn reject(store: &Store, id: i64, note: Option<&str>, by: &str) -> Result<Review, ReviewError> {
    match store.reviews().reject(id, note, by).await? {
        ReviewOutcome::Done(review) => Ok(*review),
        ReviewOutcome::Closed(review) => Err(ReviewError::Closed(review)),
        ReviewOutcome::Unknown => Err(ReviewError::Unknown(id)),
    }
}
