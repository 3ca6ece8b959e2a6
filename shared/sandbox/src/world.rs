//! The accounts and posts of the sandbox, and how they are read.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use crate::growth::{Metrics, metrics};

/// The first millisecond of snowflake ids. Source: X documentation, snowflake.
const SNOWFLAKE_EPOCH_MS: i64 = 1_288_834_974_657;
/// Posts kept; the oldest go first.
const POSTS_KEPT: usize = 20_000;
/// How many of an account's latest posts a new one may not repeat.
const REPEAT_WINDOW: usize = 100;
/// A restarted sandbox has forgotten its posts. Ids this recent from before its start are taken as posts that were.
const FORGOTTEN_FOR: TimeDelta = TimeDelta::days(7);

/// An account.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub id: u64,
    pub username: String,
    pub created_at: DateTime<Utc>,
}

/// What a post refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reference {
    None,
    Reply(u64),
    Retweet(u64),
}

/// A post.
#[derive(Debug, Clone)]
pub(crate) struct StoredPost {
    pub id: u64,
    pub author: u64,
    pub text: String,
    pub created_at: DateTime<Utc>,
    pub reference: Reference,
    pub image: Option<String>,
    /// Made through the API, not by the sandbox.
    pub made: bool,
    pub deleted: bool,
}

/// Which posts of a timeline, newest first.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slice {
    pub most: usize,
    pub after_id: Option<u64>,
    pub before_id: Option<u64>,
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    pub no_replies: bool,
    pub no_retweets: bool,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct World {
    accounts: Vec<Account>,
    posts: BTreeMap<u64, StoredPost>,
    /// How many posts that are there refer so to another.
    referring: HashMap<Reference, u64>,
    sequence: u64,
    started: DateTime<Utc>,
}

/// Why a post was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Duplicate,
    NoSuchPost(u64),
}

impl World {
    pub fn new(started: DateTime<Utc>) -> Self {
        Self { accounts: Vec::new(), posts: BTreeMap::new(), referring: HashMap::new(), sequence: 0, started }
    }

    /// The account of a username, made if there is none. Its id depends on the name alone.
    pub fn account(&mut self, username: &str) -> Account {
        if let Some(known) = self.find(username) {
            return known.clone();
        }
        // FNV-1a, so that ids stay the same over restarts.
        let hash = username
            .to_lowercase()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let created_at = self.started - TimeDelta::days(400 + i64::try_from(hash % 2_000).unwrap_or(0));
        let account = Account { id: 1_000_000_000 + hash % 900_000_000_000, username: username.to_owned(), created_at };
        self.accounts.push(account.clone());
        account
    }

    pub fn find(&self, username: &str) -> Option<&Account> {
        self.accounts.iter().find(|a| a.username.eq_ignore_ascii_case(username))
    }

    pub fn by_id(&self, id: u64) -> Option<&Account> {
        self.accounts.iter().find(|a| a.id == id)
    }

    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    fn mint(&mut self, at: DateTime<Utc>) -> u64 {
        let since = u64::try_from((at.timestamp_millis() - SNOWFLAKE_EPOCH_MS).max(1)).unwrap_or(1);
        self.sequence += 1;
        let mut id = (since << 22) | (self.sequence & 0x3f_ffff);
        while self.posts.contains_key(&id) {
            id += 1;
        }
        id
    }

    /// Stores a post as it is, without any check.
    pub fn store(&mut self, post: StoredPost) -> u64 {
        let id = self.mint(post.created_at);
        *self.referring.entry(post.reference).or_insert(0) += 1;
        self.posts.insert(id, StoredPost { id, ..post });
        if self.posts.len() > POSTS_KEPT
            && let Some((_, gone)) = self.posts.pop_first()
        {
            self.unrefer(gone.reference);
        }
        id
    }

    fn unrefer(&mut self, reference: Reference) {
        if let Some(count) = self.referring.get_mut(&reference) {
            *count = count.saturating_sub(1);
        }
    }

    /// Stores a post made through the API, unless it repeats one or replies to nothing.
    pub fn make(&mut self, post: StoredPost) -> Result<u64, Refusal> {
        if let Reference::Reply(to) = post.reference
            && !self.may_refer_to(to)
        {
            return Err(Refusal::NoSuchPost(to));
        }
        let latest = self.posts.values().rev().filter(|p| p.author == post.author && p.made).take(REPEAT_WINDOW);
        if latest.filter(|p| !p.deleted && !matches!(p.reference, Reference::Retweet(_))).any(|p| p.text == post.text) {
            return Err(Refusal::Duplicate);
        }
        Ok(self.store(post))
    }

    /// Whether a post is there to reply to or repost, or was there before the sandbox was restarted.
    pub fn may_refer_to(&self, id: u64) -> bool {
        let written_ms = i64::try_from(id >> 22).unwrap_or(i64::MAX).saturating_add(SNOWFLAKE_EPOCH_MS);
        let started = self.started.timestamp_millis();
        let forgotten = written_ms < started && written_ms > started - FORGOTTEN_FOR.num_milliseconds();
        self.posts.get(&id).map_or(forgotten, |post| !post.deleted)
    }

    /// A post that was not deleted.
    pub fn post(&self, id: u64) -> Option<&StoredPost> {
        self.posts.get(&id).filter(|p| !p.deleted)
    }

    /// Marks a post of its author as deleted; false when it is not there or not the author's.
    pub fn delete(&mut self, author: u64, id: u64) -> bool {
        match self.posts.get_mut(&id) {
            Some(post) if post.author == author && !post.deleted => {
                post.deleted = true;
                let reference = post.reference;
                self.unrefer(reference);
                true
            }
            _ => false,
        }
    }

    pub fn has_retweeted(&self, author: u64, id: u64) -> bool {
        self.posts.values().any(|p| p.author == author && p.reference == Reference::Retweet(id) && !p.deleted)
    }

    /// The posts of an account, and whether there are more.
    pub fn timeline(&self, author: u64, slice: &Slice) -> (Vec<&StoredPost>, bool) {
        self.page(slice, |post| post.author == author)
    }

    /// The posts of others that name an account, and whether there are more.
    pub fn mentions(&self, account: &Account, slice: &Slice) -> (Vec<&StoredPost>, bool) {
        let handle = format!("@{}", account.username.to_lowercase());
        self.page(slice, |post| post.author != account.id && names(&post.text, &handle))
    }

    fn page(&self, slice: &Slice, wanted: impl Fn(&StoredPost) -> bool) -> (Vec<&StoredPost>, bool) {
        let first = slice.after_id.map_or(0, |id| id.saturating_add(1));
        let end = slice.before_id.unwrap_or(u64::MAX).max(first);
        let mut found: Vec<&StoredPost> = self
            .posts
            .range(first..end)
            .rev()
            .map(|(_, post)| post)
            .filter(|p| !p.deleted && wanted(p))
            .filter(|p| slice.from.is_none_or(|from| p.created_at >= from))
            .filter(|p| slice.until.is_none_or(|until| p.created_at < until))
            .filter(|p| !(slice.no_replies && matches!(p.reference, Reference::Reply(_))))
            .filter(|p| !(slice.no_retweets && matches!(p.reference, Reference::Retweet(_))))
            .take(slice.most + 1)
            .collect();
        let more = found.len() > slice.most;
        found.truncate(slice.most);
        (found, more)
    }

    /// The posts made through the API, newest first, deleted ones too.
    pub fn made(&self) -> impl Iterator<Item = &StoredPost> {
        self.posts.values().rev().filter(|p| p.made)
    }

    /// The latest posts that the sandbox wrote itself.
    pub fn written(&self) -> impl Iterator<Item = &StoredPost> {
        self.posts.values().rev().filter(|p| !p.made)
    }

    pub fn metrics(&self, post: &StoredPost, now: DateTime<Utc>) -> Metrics {
        let of = |reference| self.referring.get(&reference).copied().unwrap_or(0);
        let (replies, reposts) = (of(Reference::Reply(post.id)), of(Reference::Retweet(post.id)));
        metrics(post.id, now - post.created_at, replies, reposts)
    }
}

fn names(text: &str, handle: &str) -> bool {
    let text = text.to_lowercase();
    text.match_indices(handle)
        .any(|(at, _)| !text[at + handle.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_780_000_000, 0).expect("a valid time")
    }

    fn draft(author: u64, text: &str) -> StoredPost {
        StoredPost {
            id: 0,
            author,
            text: text.to_owned(),
            created_at: now(),
            reference: Reference::None,
            image: None,
            made: true,
            deleted: false,
        }
    }

    #[test]
    fn a_repeated_text_is_refused_until_the_first_is_deleted() {
        let mut world = World::new(now());
        let bot = world.account("bot").id;
        let other = world.account("other").id;
        let first = world.make(draft(bot, "Lakers -3.5")).expect("it is new");
        assert_eq!(world.make(draft(bot, "Lakers -3.5")), Err(Refusal::Duplicate));
        assert!(world.make(draft(other, "Lakers -3.5")).is_ok());
        assert!(world.delete(bot, first));
        assert!(world.make(draft(bot, "Lakers -3.5")).is_ok());
    }

    #[test]
    fn a_reply_needs_a_post_that_is_or_was_there() {
        let mut world = World::new(now());
        let bot = world.account("bot").id;
        let reply = |to, text: &str| StoredPost { reference: Reference::Reply(to), ..draft(bot, text) };
        assert_eq!(world.make(reply(7, "to nothing")), Err(Refusal::NoSuchPost(7)));
        let hour_ago = now() - TimeDelta::hours(1);
        let forgotten = u64::try_from(hour_ago.timestamp_millis() - SNOWFLAKE_EPOCH_MS).expect("after the epoch") << 22;
        assert!(world.make(reply(forgotten, "to a post from before the restart")).is_ok());
    }

    #[test]
    fn ids_rise_with_time_and_mentions_need_the_whole_handle() {
        let mut world = World::new(now());
        let (bot, fan) = (world.account("bot"), world.account("fan").id);
        let early = world.store(StoredPost { created_at: now() - TimeDelta::hours(3), ..draft(fan, "hey @botany") });
        let late = world.store(draft(fan, "hey @Bot!"));
        assert!(early < late);
        let (found, more) = world.mentions(&bot, &Slice { most: 5, ..Slice::default() });
        assert_eq!((found.iter().map(|p| p.id).collect::<Vec<_>>(), more), (vec![late], false));
    }
}
