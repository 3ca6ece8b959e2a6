//! The bot that posts as personas: models write a stock of posts for each, and a schedule takes one after the other out of it.

mod bot;
mod checks;
mod commands;
mod health;
mod import;
mod origin;
mod personas_bot;
mod reviewing;
mod routes;
mod settings;
mod slots;
mod stock;
mod store;

perch_store::statements!();

/// The points at which a test lets the process die.
const CRASH_POINTS: &[&str] = &[
    // After a model answered, and after its posts are kept as drafts.
    "stock.answered",
    "stock.drafted",
    // After a post is reserved for a slot, after its job is enqueued, and after that is noted.
    "slot.reserved",
    "slot.enqueued",
    "slot.filled",
];

pub use bot::{Personas, PersonasError};
pub use health::{PersonaHealth, PersonaTrouble, health, troubles};
pub use import::{
    BotImport, ImportError, ImportOptions, ImportOutcome, ImportedPosts, OddRow, TemplateData, TemplateImport,
    import_template, read_template,
};
pub use origin::FromStock;
pub use personas_bot::PersonasBot;
pub use reviewing::{StockReviewError, approve_post, reject_post};
pub use settings::PersonasSettings;
pub use slots::{PersonasRun, run_personas};
pub use stock::{Replenished, SamplePost, replenish_stock, sample};
pub use store::{
    Admission, Draft, EvergreenPost, PersonaState, PersonaStats, PostState, Progress, ReadyPost, Reservation,
    SettledPosts, Slot, SlotState, SlotTable, StockCounts, StockDecision, StockFilter, StockPost, StockStore,
    StockTable, StoredDraft,
};
