use perch_store::{ActionRecord, Store, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::{BetRow, PickSighting, PicksStore as _, SettlementRow, TrackedPick};

/// A pick with its bets, settlements and actions.
#[derive(Debug, Serialize, ToSchema)]
pub struct PickDetails {
    /// The pick.
    #[serde(flatten)]
    pub pick: TrackedPick,
    /// The first post of each account that named it.
    #[schema(value_type = Vec<Object>)]
    pub named: Vec<PickSighting>,
    /// The bets of the accounts that named it, once it is settled, with their own or assumed `odds` and `stake`.
    #[schema(value_type = Vec<Object>)]
    pub bets: Vec<BetRow>,
    /// Every settlement, oldest first.
    #[schema(value_type = Vec<Object>)]
    pub settlements: Vec<SettlementRow>,
    /// The actions of the bots on it, oldest first: kind, state, text, and why each was chosen or failed.
    #[schema(value_type = Vec<Object>)]
    pub actions: Vec<ActionRecord>,
}

impl PickDetails {
    /// Reads what belongs to a pick.
    ///
    /// # Errors
    ///
    /// Postgres is away.
    pub async fn of(store: &Store, pick: TrackedPick) -> Result<Self, StoreError> {
        let tracking = store.tracking();
        Ok(Self {
            named: tracking.named_by(std::slice::from_ref(&pick.key)).await?,
            bets: tracking.bets_of(&pick.key).await?,
            settlements: tracking.history(&pick.key).await?,
            actions: store.picks().actions_of(&pick.key).await?,
            pick,
        })
    }
}
