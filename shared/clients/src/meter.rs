use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use perch_jobs::JobId;

/// Who pays for a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spender {
    /// The name of the bot.
    pub bot: &'static str,
    /// The account that it is for: one that is watched, or one that acts.
    pub account: Option<String>,
    /// The job.
    pub job: Option<JobId>,
}

/// What a call to X is charged as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Charge {
    /// For each post in the answer.
    PostRead,
    /// For each post in the answer, where an account reads its own posts or mentions.
    OwnRead,
    /// For each user in the answer.
    UserRead,
    /// For a post.
    Post,
    /// For a post with a link in it.
    PostWithLink,
    /// For a reply to a post that mentions or quotes the account.
    SummonedReply,
    /// For a retweet.
    Retweet,
}

/// Money reserved for one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// What for.
    pub charge: Charge,
    /// For how many units at most.
    pub most: u32,
    /// When.
    pub at: DateTime<Utc>,
}

/// A call that would exceed a budget. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverBudget {
    /// The reason: `the daily budget of 10.00 USD is used up`.
    pub what: String,
    /// How long until there is a new budget.
    pub after: Duration,
}

/// Records what calls to a paid service cost, and enforces its budgets.
///
/// An implementation that cannot reach its storage lets calls pass: the service has a cap of its own.
pub trait Meter: Send + Sync {
    /// Reserves money for a call with at most `most` units.
    fn reserve(&self, charge: Charge, most: u32) -> BoxFuture<'_, Result<Reservation, OverBudget>>;

    /// Records the real cost. Completes even if the returned future is dropped.
    fn settle<'a>(&'a self, reserved: Reservation, spender: &'a Spender, units: u32) -> BoxFuture<'a, ()>;

    /// As `settle`, without waiting, for a call whose future was dropped.
    fn abandoned(&self, reserved: Reservation, spender: &Spender, units: u32);
}

/// A meter that records nothing and has no budget.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unmetered;

impl Meter for Unmetered {
    fn reserve(&self, charge: Charge, most: u32) -> BoxFuture<'_, Result<Reservation, OverBudget>> {
        Box::pin(std::future::ready(Ok(Reservation { charge, most, at: Utc::now() })))
    }

    fn settle<'a>(&'a self, _: Reservation, _: &'a Spender, _: u32) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn abandoned(&self, _: Reservation, _: &Spender, _: u32) {}
}

/// The reservation for a call under way. If the call is dropped, it is settled as one with an unknown outcome.
pub(crate) struct OpenReservation<'a> {
    meter: &'a dyn Meter,
    spender: &'a Spender,
    open: Option<Reservation>,
    /// The units to settle for a call that is dropped.
    lost: u32,
}

impl<'a> OpenReservation<'a> {
    pub(crate) fn new(meter: &'a dyn Meter, spender: &'a Spender, open: Option<Reservation>, lost: u32) -> Self {
        Self { meter, spender, open, lost }
    }

    pub(crate) async fn settle(mut self, units: u32) {
        if let Some(reserved) = self.open.take() {
            self.meter.settle(reserved, self.spender, units).await;
        }
    }
}

impl Drop for OpenReservation<'_> {
    fn drop(&mut self) {
        if let Some(reserved) = self.open {
            self.meter.abandoned(reserved, self.spender, self.lost);
        }
    }
}
