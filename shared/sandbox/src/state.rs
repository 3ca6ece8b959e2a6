//! The state shared by all endpoints, and the handle on it for tests.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    AccountStanding, Endpoint, Fault,
    faults::Faults,
    limits::Windows,
    media::Files,
    post::{Picture, Reference, Source, StoredPost},
    results::GameResult,
    world::World,
};

/// A post that an account of the sandbox is to write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewPost {
    /// The text. A repost has that of the original post.
    pub text: String,
    /// When it was written; now if not given.
    pub created_at: Option<DateTime<Utc>>,
    /// The id of the post it replies to.
    pub reply_to: Option<String>,
    /// The id of the post it quotes.
    pub quote_of: Option<String>,
    /// The id of the post it reposts.
    pub retweet_of: Option<String>,
    /// The URL of a picture.
    pub image: Option<String>,
    /// The text on a picture that the sandbox draws and serves itself.
    pub picture: Option<String>,
    /// The alternative text of the picture.
    pub alt_text: Option<String>,
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
    /// The alternative texts of the files that it carries, empty for one without.
    pub alt_texts: Vec<String>,
}

/// The state shared by all endpoints. Its lock is never held across an await.
#[derive(Debug)]
pub(crate) struct SharedState {
    pub world: World,
    pub faults: Faults,
    pub windows: Windows,
    /// Calls by endpoint and by how they ended: a status, `dropped` or `held`.
    pub calls: BTreeMap<(Endpoint, String), u64>,
    pub bots: Vec<String>,
    /// Those of them that may write long posts.
    pub long_posts: Vec<String>,
    pub watched: Vec<String>,
    pub seed: u64,
    /// Whether the watched accounts write posts.
    pub flows: bool,
    /// The results of games.
    pub results: Vec<GameResult>,
    /// The files uploaded for posts.
    pub files: Files,
}

/// A handle on a running sandbox: its posts, calls and faults. Clones share one state.
#[derive(Debug, Clone)]
pub struct SandboxState {
    inner: Arc<Mutex<SharedState>>,
    changes: watch::Sender<u64>,
}

impl SandboxState {
    pub(crate) fn new(inner: SharedState) -> Self {
        Self { inner: Arc::new(Mutex::new(inner)), changes: watch::channel(0).0 }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, SharedState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everyone who waits for a change.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|n| *n += 1);
    }

    pub(crate) fn record(&self, endpoint: Endpoint, outcome: &str) {
        *self.lock().calls.entry((endpoint, outcome.to_owned())).or_insert(0) += 1;
        self.changed();
    }

    /// Adds an account, if there is none of that name, and gives its id.
    pub fn add_account(&self, username: &str) -> String {
        self.lock().world.account(username).id.to_string()
    }

    /// Writes a post as an account, without limits, faults or a check for duplicates. Answers its id.
    pub fn publish(&self, username: &str, post: impl Into<NewPost>) -> String {
        let id = self.lock().write(username, post.into());
        self.changed();
        id.to_string()
    }

    /// Edits a post, as its author would, and answers the id of the new version; none when it does not exist.
    pub fn edit(&self, id: &str, text: &str) -> Option<String> {
        let edited = self.lock().world.edit(id.parse().ok()?, text, Utc::now());
        self.changed();
        edited.map(|id| id.to_string())
    }

    /// Deletes a post, as its author would; false when it does not exist.
    pub fn delete(&self, id: &str) -> bool {
        let deleted = id.parse().is_ok_and(|id| self.lock().world.withdraw(id));
        self.changed();
        deleted
    }

    /// Sets an account protected, suspended, or open again. An unknown account is created.
    pub fn set_standing(&self, username: &str, standing: AccountStanding) {
        self.lock().world.set_standing(username, standing);
        self.changed();
    }

    /// Lets an account write long posts.
    pub fn allow_long_posts(&self, username: &str) {
        self.lock().long_posts.push(username.to_owned());
    }

    /// Sets the results that `GET /sandbox/results` answers.
    pub fn set_results(&self, results: Vec<GameResult>) {
        self.lock().results = results;
    }

    /// Whether the watched accounts write posts.
    pub fn set_flow(&self, flows: bool) {
        self.lock().flows = flows;
    }

    /// Sets how long after it was made through the API a post cannot be answered yet: X refuses replies to posts that it does not show
    /// everywhere.
    pub fn show_parents_after(&self, after: TimeDelta) {
        self.lock().world.show_parents_after(after);
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

    /// How many calls of an endpoint had this outcome: a status such as `201`, `dropped` or `held`.
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

    /// Waits until the state meets a condition; false when it did not within the time.
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

/// Whether X would allow the handle: 1 to 15 letters, digits or underscores.
pub fn is_username(text: &str) -> bool {
    (1..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl SharedState {
    pub fn write(&mut self, username: &str, post: NewPost) -> u64 {
        let author = self.world.account(username).id;
        let target = |id: Option<String>| id.and_then(|id| id.parse().ok());
        let reference = match (target(post.reply_to), target(post.retweet_of), target(post.quote_of)) {
            (Some(to), _, _) => Reference::Reply(to),
            (None, Some(of), _) => Reference::Retweet(of),
            (None, None, Some(of)) => Reference::Quote(of),
            (None, None, None) => Reference::None,
        };
        let text = match reference {
            Reference::Retweet(of) => self.repeated(of),
            _ => post.text,
        };
        let source = post.picture.map(Source::Drawn).or(post.image.map(Source::At));
        let pictures = source.map(|source| Picture { source, alt_text: post.alt_text }).into_iter().collect();
        let created_at = post.created_at.unwrap_or_else(Utc::now);
        self.world.store(StoredPost { reference, pictures, ..StoredPost::new(author, text, created_at) })
    }

    /// The text of a repost.
    pub fn repeated(&self, of: u64) -> String {
        match self.world.post(of) {
            Some(post) => format!("RT @{}: {}", self.username(post.author), post.text),
            None => format!("RT {of}"),
        }
    }

    /// The text on a picture that the sandbox serves under this name.
    pub fn drawn(&self, file: &str) -> Option<String> {
        let id = file.strip_suffix(".png")?.parse().ok()?;
        match self.world.look(id).ok()?.pictures.first().map(|picture| &picture.source) {
            Some(Source::Drawn(text)) => Some(text.clone()),
            _ => None,
        }
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
            Reference::Reply(to) => (Some(to.to_string()), None),
            Reference::Retweet(of) => (None, Some(of.to_string())),
            Reference::None | Reference::Quote(_) => (None, None),
        };
        MadePost {
            id: post.id.to_string(),
            account: self.username(post.author),
            text: post.text.clone(),
            reply_to,
            retweet_of,
            created_at: post.created_at,
            deleted: post.deleted,
            alt_texts: post.pictures.iter().map(|picture| picture.alt_text.clone().unwrap_or_default()).collect(),
        }
    }
}
