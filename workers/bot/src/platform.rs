use std::sync::Arc;

use perch_base::Settings;
use perch_core::Clients;
use perch_queue::Client;
use perch_safety::Guard;
use perch_store::Store;

/// What the platform gives to a bot. Connections are made at first use.
#[derive(Debug, Clone)]
pub struct Platform {
    /// All settings; those of the bot are a section of them.
    pub settings: Arc<Settings>,
    /// Enqueues jobs, and knows the queues and Redis.
    pub client: Client,
    /// Postgres.
    pub store: Store,
    /// X and the language models, within their budgets.
    pub clients: Clients,
    /// Checks every text before it is published.
    pub guard: Arc<Guard>,
}
