//! The state behind all endpoints, and the handle on it that tests use.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use crate::{
    Endpoint, Fault, SandboxError, SandboxOptions,
    faults::Faults,
    feed,
    limits::Windows,
    world::{Reference, StoredPost, World},
};

/// A post to be written by an account of the sandbox.
#[derive(Debug, Clone, Default)]
pub struct NewPost {
    /// The text.
    pub text: String,
    /// When it was written; now if not given.
    pub created_at: Option<DateTime<Utc>>,
    /// The id of the post it replies to.
    pub reply_to: Option<String>,
    /// The URL of a picture.
    pub image: Option<String>,
}

impl From<&str> for NewPost {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }
}

/// A post that was made through the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadePost {
    /// Its id.
    pub id: String,
    /// The username of the account.
    pub account: String,
    /// The text.
    pub text: String,
    /// The id of the post it replies to.
    pub reply_to: Option<String>,
    /// The id of the post it reposts.
    pub retweet_of: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Whether it was deleted since.
    pub deleted: bool,
}

/// Everything the endpoints share. The lock is never held across an await.
#[derive(Debug)]
pub(crate) struct Inner {
    pub world: World,
    pub faults: Faults,
    pub windows: Windows,
    /// Calls by endpoint and by how they ended: a status, `dropped` or `held`.
    pub calls: BTreeMap<(Endpoint, String), u64>,
    bots: Vec<String>,
    watched: Vec<String>,
    seed: u64,
}

/// A handle on a running sandbox: what was posted, what was called, and faults. Clones share one state.
#[derive(Debug, Clone)]
pub struct SandboxState {
    inner: Arc<Mutex<Inner>>,
    changes: watch::Sender<u64>,
}

/// Posts an account has when the sandbox starts.
const BACKLOG: u64 = 10;

impl SandboxState {
    pub(crate) fn new(options: &SandboxOptions) -> Result<Self, SandboxError> {
        let now = Utc::now();
        let mut inner = Inner {
            world: World::new(now),
            faults: Faults::new(options.seed),
            windows: Windows::new(options.rate_limits),
            calls: BTreeMap::new(),
            bots: options.bot_accounts.clone(),
            watched: options.watched.clone(),
            seed: options.seed,
        };
        for username in options.bot_accounts.iter().chain(&options.watched) {
            let valid =
                (1..=15).contains(&username.len()) && username.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !valid {
                return Err(SandboxError::Username(username.clone()));
            }
            inner.world.account(username);
        }
        for username in &options.watched {
            inner.backlog(username, now);
        }
        Ok(Self { inner: Arc::new(Mutex::new(inner)), changes: watch::channel(0).0 })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everyone who waits that something changed.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|n| *n += 1);
    }

    pub(crate) fn record(&self, endpoint: Endpoint, outcome: &str) {
        *self.lock().calls.entry((endpoint, outcome.to_owned())).or_insert(0) += 1;
        self.changed();
    }

    /// Lets the next watched account write; `tick` decides which account and what.
    pub(crate) fn write_next(&self, tick: u64) {
        let mut inner = self.lock();
        let Some(count) = u64::try_from(inner.watched.len()).ok().filter(|n| *n > 0) else { return };
        let username = inner.watched[usize::try_from(tick % count).unwrap_or(0)].clone();
        let text = feed::post(inner.seed, &username, BACKLOG + tick / count);
        inner.write(&username, NewPost { text, ..NewPost::default() });
        drop(inner);
        self.changed();
    }

    /// Adds an account, if there is none of that name, and gives its id.
    pub fn add_account(&self, username: &str) -> String {
        self.lock().world.account(username).id.to_string()
    }

    /// Lets an account write a post, as if its owner had: no limits, faults or duplicate check. Gives the id.
    pub fn publish(&self, username: &str, post: impl Into<NewPost>) -> String {
        let id = self.lock().write(username, post.into());
        self.changed();
        id.to_string()
    }

    /// The posts made through the API, oldest first, deleted ones too.
    pub fn made(&self) -> Vec<MadePost> {
        let inner = self.lock();
        let mut made: Vec<MadePost> = inner.world.made().map(|post| inner.as_made(post)).collect();
        made.reverse();
        made
    }

    /// How many calls an endpoint had, however they ended.
    pub fn calls(&self, endpoint: Endpoint) -> u64 {
        self.lock().calls.iter().filter(|((e, _), _)| *e == endpoint).map(|(_, n)| n).sum()
    }

    /// How many calls of an endpoint ended so: a status such as `201`, `dropped` or `held`.
    pub fn calls_that_ended(&self, endpoint: Endpoint, outcome: &str) -> u64 {
        self.lock().calls.get(&(endpoint, outcome.to_owned())).copied().unwrap_or(0)
    }

    /// Adds a fault and gives its id. Faults strike in the order they were added.
    pub fn add_fault(&self, fault: Fault) -> u64 {
        let id = self.lock().faults.add(fault).id;
        self.changed();
        id
    }

    /// Removes every fault.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
        self.changed();
    }

    /// Replaces the rate limit of an endpoint for every caller, in requests per 15 minutes.
    pub fn set_limit(&self, endpoint: Endpoint, limit: u32) {
        self.lock().windows.set(endpoint, limit);
    }

    /// Waits until the state fulfils a condition; false when it did not within the time.
    pub async fn wait_until(&self, within: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let mut changes = self.changes.subscribe();
        let fulfilled = async {
            while !condition(self) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(within, fulfilled).await.is_ok()
    }
}

impl Inner {
    /// The posts an account wrote before the start: one older than a day, one reply, the others over the last hours.
    fn backlog(&mut self, username: &str, now: DateTime<Utc>) {
        for n in 0..BACKLOG {
            let age = if n == 0 {
                TimeDelta::hours(30)
            } else {
                TimeDelta::minutes(3 + 7 * i64::try_from(BACKLOG - n).unwrap_or(0))
            };
            let text = feed::post(self.seed, username, n);
            self.write(username, NewPost { text, created_at: Some(now - age), ..NewPost::default() });
        }
        let author = self.world.account(username).id;
        let last = self.world.written().find(|p| p.author == author).map(|p| p.id.to_string());
        let text = "Adding to this one, line still looks good".to_owned();
        self.write(
            username,
            NewPost { text, reply_to: last, created_at: Some(now - TimeDelta::minutes(2)), image: None },
        );
    }

    pub fn write(&mut self, username: &str, post: NewPost) -> u64 {
        let author = self.world.account(username).id;
        let reference = post.reply_to.and_then(|id| id.parse().ok()).map_or(Reference::None, Reference::Reply);
        self.world.store(StoredPost {
            id: 0,
            author,
            text: post.text,
            created_at: post.created_at.unwrap_or_else(Utc::now),
            reference,
            image: post.image,
            made: false,
            deleted: false,
        })
    }

    /// Whether posts may be made as that account.
    pub fn is_bot(&self, username: &str) -> bool {
        self.bots.iter().any(|bot| bot.eq_ignore_ascii_case(username))
    }

    pub fn username(&self, id: u64) -> String {
        self.world.by_id(id).map_or_else(|| id.to_string(), |a| a.username.clone())
    }

    fn as_made(&self, post: &StoredPost) -> MadePost {
        let (reply_to, retweet_of) = match post.reference {
            Reference::None => (None, None),
            Reference::Reply(to) => (Some(to.to_string()), None),
            Reference::Retweet(of) => (None, Some(of.to_string())),
        };
        MadePost {
            id: post.id.to_string(),
            account: self.username(post.author),
            text: post.text.clone(),
            reply_to,
            retweet_of,
            created_at: post.created_at,
            deleted: post.deleted,
        }
    }
}
