use std::{sync::Arc, time::Duration};

use crate::{Actor, Plan};

/// What a sandbox holds when it starts.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// Usernames of the accounts that posts may be made as.
    pub bot_accounts: Vec<String>,
    /// Usernames of the accounts that write by themselves, as far as an actor writes for them.
    pub watched: Vec<String>,
    /// How often each watched account has its turn; `None` leaves them with what they had at the start.
    pub post_every: Option<Duration>,
    /// The same seed writes the same posts.
    pub seed: u64,
    /// Whether calls over X's rate limits are refused. The headers are sent either way.
    pub rate_limits: bool,
    /// The plan of the application at X, which decides whom the bots may answer.
    pub plan: Plan,
    /// What the bots bring: who writes what, and what models answer. Without any, nobody writes and a model has one answer.
    pub actors: Vec<Arc<dyn Actor>>,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            bot_accounts: Vec::new(),
            watched: Vec::new(),
            post_every: None,
            seed: 1,
            rate_limits: true,
            plan: Plan::default(),
            actors: Vec::new(),
        }
    }
}
