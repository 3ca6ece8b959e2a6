//! The tables of the bot: the stock of posts, the slots, and how far each persona is.

mod admission;
mod evergreen;
mod import;
mod list;
mod model;
mod progress;
mod reviews;
mod settle;
mod slots;
mod states;
mod stats;
mod stock;

use perch_store::Store;

pub use admission::Admission;
pub use evergreen::EvergreenPost;
pub use import::{HistoryImport, ImportedPost};
pub use list::StockFilter;
pub use model::{Draft, PostState, Progress, Slot, SlotState, StockCounts, StockPost, StoredDraft};
pub use reviews::StockDecision;
pub use settle::SettledPosts;
pub use slots::{ReadyPost, Reservation};
pub use states::PersonaState;
pub use stats::PersonaStats;

/// The stock of posts.
#[derive(Debug, Clone, Copy)]
pub struct StockTable<'a>(pub(crate) &'a Store);

/// The slots, and how far each persona is.
#[derive(Debug, Clone, Copy)]
pub struct SlotTable<'a>(pub(crate) &'a Store);

/// The tables of the bot, on the store of the platform.
pub trait StockStore {
    /// The stock of posts.
    fn stock(&self) -> StockTable<'_>;

    /// The slots.
    fn slots(&self) -> SlotTable<'_>;
}

impl StockStore for Store {
    fn stock(&self) -> StockTable<'_> {
        StockTable(self)
    }

    fn slots(&self) -> SlotTable<'_> {
        SlotTable(self)
    }
}
