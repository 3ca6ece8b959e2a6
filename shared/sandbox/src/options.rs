use std::{sync::Arc, time::Duration};

use crate::{Actor, Plan};

/// The options of a sandbox.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// Usernames of the accounts that posts may be made as.
    pub bot_accounts: Vec<String>,
    /// Which of them may write long posts.
    pub long_posts: Vec<String>,
    /// Usernames of the accounts whose posts actors write.
    pub watched: Vec<String>,
    /// How often each watched account has a turn; `None` for no posts beyond those of the start.
    pub post_every: Option<Duration>,
    /// The seed. The same seed gives the same posts.
    pub seed: u64,
    /// Whether calls over X's rate limits are refused. The headers are sent either way.
    pub rate_limits: bool,
    /// The plan of the application at X, which decides whom the bots may reply to.
    pub plan: Plan,
    /// The topics by which the readers of the bots' posts tell them apart, besides their form and how they begin.
    pub topics: Vec<String>,
    /// How many times faster than real ones these readers react.
    pub reader_speed: f64,
    /// The actors of the bots. Without any, nobody writes posts and models have a single answer.
    pub actors: Vec<Arc<dyn Actor>>,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            bot_accounts: Vec::new(),
            long_posts: Vec::new(),
            watched: Vec::new(),
            post_every: None,
            seed: 1,
            rate_limits: true,
            plan: Plan::default(),
            topics: Vec::new(),
            reader_speed: 1.0,
            actors: Vec::new(),
        }
    }
}
