//! The decisions of a person about a post that waits, or is ready.

use perch_clients::text::{POST_UNITS, weighted_length};
use perch_core::personas::{PersonaLimits, PersonaStore as _};
use perch_safety::{Guard, GuardVerdict, Reason};
use perch_store::{Store, StoreError};

use crate::{
    PersonasSettings,
    stock::expires_at,
    store::{PostState, StockDecision, StockPost, StockStore as _},
};

/// Why a decision was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum StockReviewError {
    /// There is no such post.
    #[error("there is no post {0}; `perch personas posts` shows those there are")]
    Unknown(i64),
    /// It does not wait any more.
    #[error("post {} is {} already", .0.id, .0.state.as_str())]
    Closed(Box<StockPost>),
    /// The guard refuses the text, which nobody can let pass.
    #[error("the text may not be published: {}", said(.0))]
    Refused(Vec<Reason>),
    /// The text is too long.
    #[error("the text is {units} units long by X's weighted count; shorten it to {most}")]
    TooLong {
        /// How long it is.
        units: usize,
        /// How long a post of the account may be.
        most: usize,
    },
    /// The text is too similar to another post.
    #[error("the text is too similar to post {0} of {1}; X forbids such posts, also from several accounts")]
    Similar(i64, String),
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn said(reasons: &[Reason]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Approves a post, as it is or with `text`, for the stock of its persona. What the guard refuses stays refused; what it flags the person
/// lets pass. Answers the post and these flags.
pub async fn approve_post(
    store: &Store,
    guard: &Guard,
    (settings, limits): (&PersonasSettings, &PersonaLimits),
    id: i64,
    text: Option<&str>,
    by: &str,
) -> Result<(StockPost, Vec<Reason>), StockReviewError> {
    let stock = store.stock();
    let post = stock.get(id).await?.ok_or(StockReviewError::Unknown(id))?;
    let text = text.map(str::trim).filter(|text| *text != post.text);
    let account = store.personas().get(&post.persona).await?.map(|persona| persona.spec.account);
    let most = account.map_or(POST_UNITS, |account| limits.longest_post(&account).into());
    let units = weighted_length(text.unwrap_or(&post.text));
    if units > most {
        return Err(StockReviewError::TooLong { units, most });
    }
    let flags = match guard.long_post(text.unwrap_or(&post.text), most) {
        GuardVerdict::Pass => Vec::new(),
        GuardVerdict::Review(reasons) => reasons,
        GuardVerdict::Refuse(reasons) => return Err(StockReviewError::Refused(reasons)),
    };
    let expires = expires_at(settings, PostState::Ready);
    let decision = match text {
        Some(text) => stock.approve_as(id, text, expires, by).await?,
        None => stock.approve(id, expires, by).await?,
    };
    Ok((decided(decision, id)?, flags))
}

/// Rejects a post that waits for a person or is ready.
pub async fn reject_post(
    store: &Store,
    id: i64,
    reason: Option<&str>,
    by: &str,
) -> Result<StockPost, StockReviewError> {
    decided(store.stock().reject(id, reason, by).await?, id)
}

fn decided(decision: StockDecision, id: i64) -> Result<StockPost, StockReviewError> {
    match decision {
        StockDecision::Done(post) => Ok(*post),
        StockDecision::Closed(post) => Err(StockReviewError::Closed(post)),
        StockDecision::Similar(id, persona) => Err(StockReviewError::Similar(id, persona)),
        StockDecision::Unknown => Err(StockReviewError::Unknown(id)),
    }
}
