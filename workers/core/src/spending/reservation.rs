//! Money that is reserved for a call of a model until its cost is known.

use chrono::{DateTime, Utc};
use perch_clients::Spender;
use tokio::runtime::Handle;

use super::{CallCost, HeldCall, Spending};

/// The money reserved for a call that is under way. When the attempt is dropped during the call, at its timeout for example, it is
/// settled as a call whose answer was lost.
#[derive(Debug)]
pub(crate) struct CostReservation(Option<OpenReservation>);

#[derive(Debug)]
struct OpenReservation {
    spending: Spending,
    provider: String,
    at: DateTime<Utc>,
    most: i64,
    spender: Spender,
    /// The assumed cost of the call where its answer is lost.
    lost: CallCost,
}

impl OpenReservation {
    async fn settle(self, used: Option<CallCost>) {
        let Self { spending, provider, at, most, spender, .. } = self;
        spending.settle(&provider, at, most, &spender, used).await;
    }
}

impl CostReservation {
    /// Reserves the most that a call may cost, in millionths of a US dollar.
    pub(crate) async fn set(
        spending: &Spending,
        provider: &str,
        most: i64,
        spender: &Spender,
        lost: CallCost,
    ) -> Result<Self, HeldCall> {
        let at = spending.reserve(provider, most).await?;
        let (spending, provider, spender) = (spending.clone(), provider.to_owned(), spender.clone());
        Ok(Self(Some(OpenReservation { spending, provider, at, most, spender, lost })))
    }

    /// The assumed cost of the call where its answer is lost.
    pub(crate) fn lost(&self) -> Option<CallCost> {
        self.0.as_ref().map(|open| open.lost.clone())
    }

    /// Records the cost of the call; `None` for a call that the provider refused.
    pub(crate) async fn settle(mut self, used: Option<CallCost>) {
        let Some(open) = self.0.take() else { return };
        // In a task of its own, so that it is completed even if the attempt is dropped now.
        if let Err(error) = tokio::spawn(open.settle(used)).await {
            tracing::error!(%error, "the cost of a call may not be recorded");
        }
    }
}

impl Drop for CostReservation {
    fn drop(&mut self) {
        if let Some(open) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            let lost = open.lost.clone();
            runtime.spawn(open.settle(Some(lost)));
        }
    }
}
