//! What all bots share: the scheduler, the relay, the recovery, the sync, and X and the language models within their budgets.

mod clients;
pub mod dead_causes;
pub mod dead_list;
mod follow_up;
pub mod job_list;
mod limits;
pub mod look_up;
mod model_text;
mod models;
mod outcome;
mod own_ids;
pub mod personas;
pub mod queue_list;
pub mod recovery;
pub mod relay;
pub mod scheduler;
pub mod spending;
mod started_polls;
mod sync_to_store;
pub mod worker_list;

perch_store::statements!();

pub use clients::{Clients, ClientsError};
pub use follow_up::{job_id, short_hash};
pub use model_text::{ModelText, text_in, text_of};
pub use models::{AskError, ModelReply, ProviderTrial, declined};
pub use outcome::x_failed;
pub use started_polls::StartedPolls;
pub use sync_to_store::{Synced, sync_hot_state};
