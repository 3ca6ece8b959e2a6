//! Money that is set aside for a call of a model, until it is known what the call came to.

use chrono::{DateTime, Utc};
use perch_clients::Spender;
use tokio::runtime::Handle;

use super::{CallCost, HeldCall, Spending};

/// What was set aside for a call that is under way. An attempt that is dropped amid it, at its timeout for example, leaves it to
/// be settled as a call whose answer was lost.
#[derive(Debug)]
pub(crate) struct CostReservation(Option<OpenReservation>);

#[derive(Debug)]
struct OpenReservation {
    spending: Spending,
    provider: String,
    at: DateTime<Utc>,
    most: i64,
    spender: Spender,
    /// What the call is taken to have come to when nobody says.
    lost: CallCost,
}

impl OpenReservation {
    async fn settle(self, used: Option<CallCost>) {
        let Self { spending, provider, at, most, spender, .. } = self;
        spending.settle(&provider, at, most, &spender, used).await;
    }
}

impl CostReservation {
    /// Sets aside what a call costs at most.
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

    /// What the call is taken to have come to when its answer was lost.
    pub(crate) fn lost(&self) -> Option<CallCost> {
        self.0.as_ref().map(|open| open.lost.clone())
    }

    /// Writes down what it came to; nothing for a call that the provider turned away.
    pub(crate) async fn settle(mut self, used: Option<CallCost>) {
        let Some(open) = self.0.take() else { return };
        // In a task of its own: whoever drops the attempt now leaves the books in order.
        if let Err(error) = tokio::spawn(open.settle(used)).await {
            tracing::error!(%error, "what a call cost may not be written down");
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
