//! The accounts and posts of the sandbox, and how they are read.

mod timeline;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use perch_readers::Counts;

pub(crate) use timeline::{Page, PagePosition, TimelineQuery};

use crate::{
    account::{Absence, Account, AccountStanding, Plan},
    audience::{Audience, Presented},
    growth,
    post::{Reference, StoredPost},
};

/// The first millisecond of snowflake ids. Source: X documentation, snowflake.
const SNOWFLAKE_EPOCH_MS: i64 = 1_288_834_974_657;
/// The most posts kept; the oldest are removed first.
const POSTS_KEPT: usize = 20_000;
/// The fewest followers of an account.
const FOLLOWERS: u64 = 500;
/// How many of an account's latest posts a new one is compared with, as duplicates are refused.
const REPEAT_WINDOW: usize = 100;
/// A restarted sandbox has lost its posts. Ids from at most this long before its start are taken for ids of lost posts.
const FORGOTTEN_FOR: TimeDelta = TimeDelta::days(7);

/// All accounts and posts.
#[derive(Debug)]
pub(crate) struct World {
    accounts: Vec<Account>,
    posts: BTreeMap<u64, StoredPost>,
    /// How many existing posts refer to another one, by kind.
    referring: HashMap<Reference, u64>,
    sequence: u64,
    started: DateTime<Utc>,
    plan: Plan,
    /// How long after it was made through the API a post cannot be answered yet, as X answers a read right after a write.
    parents_after: TimeDelta,
    audience: Audience,
}

/// Why a post was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Duplicate,
    /// Another account that the application posts as has made it, and X forbids the same content on several accounts of one operator.
    Copy,
    NoSuchPost,
    /// The plan allows replies only to users who have mentioned or quoted the account.
    NotSummoned,
    /// The plan allows no quotes.
    NoQuotes,
}

impl World {
    pub fn new(started: DateTime<Utc>, plan: Plan, audience: Audience) -> Self {
        Self {
            accounts: Vec::new(),
            posts: BTreeMap::new(),
            referring: HashMap::new(),
            sequence: 0,
            started,
            plan,
            parents_after: TimeDelta::zero(),
            audience,
        }
    }

    /// The account of a username, created if there is none. Its id depends on the name alone.
    pub fn account(&mut self, username: &str) -> Account {
        if let Some(known) = self.find(username) {
            return known.clone();
        }
        // FNV-1a, so that ids stay the same after a restart.
        let hash = username
            .to_lowercase()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let created_at = self.started - TimeDelta::days(400 + i64::try_from(hash % 2_000).unwrap_or(0));
        let account = Account {
            id: 1_000_000_000 + hash % 900_000_000_000,
            username: username.to_owned(),
            created_at,
            standing: AccountStanding::Open,
        };
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

    /// Sets an account protected, suspended, or open again.
    pub fn set_standing(&mut self, username: &str, standing: AccountStanding) {
        let id = self.account(username).id;
        if let Some(account) = self.accounts.iter_mut().find(|a| a.id == id) {
            account.standing = standing;
        }
    }

    fn is_open(&self, author: u64) -> bool {
        self.by_id(author).is_none_or(|account| account.standing == AccountStanding::Open)
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

    /// Stores a post without any check.
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

    /// Edits the text of a post as its author would: a version with a new id takes its place. None when the post does not exist or is not
    /// the newest version.
    pub fn edit(&mut self, id: u64, text: &str, at: DateTime<Utc>) -> Option<u64> {
        let before = self.posts.get(&id).filter(|post| !post.deleted && post.replaced_by.is_none())?.clone();
        let earlier = before.earlier.iter().copied().chain([id]).collect();
        let edited = self.store(StoredPost { text: text.to_owned(), created_at: at, earlier, ..before });
        if let Some(post) = self.posts.get_mut(&id) {
            post.replaced_by = Some(edited);
        }
        Some(edited)
    }

    fn unrefer(&mut self, reference: Reference) {
        if let Some(count) = self.referring.get_mut(&reference) {
            *count = count.saturating_sub(1);
        }
    }

    /// Stores a post made through the API, unless it is a duplicate, refers to a post that does not exist, or breaks a rule of the plan.
    pub fn make(&mut self, account: &Account, post: StoredPost) -> Result<u64, Refusal> {
        match post.reference {
            Reference::Reply(to) | Reference::Quote(to) if !self.may_refer_to(to) || self.is_too_young(to) => {
                return Err(Refusal::NoSuchPost);
            }
            Reference::Quote(_) if self.plan == Plan::SelfServe => return Err(Refusal::NoQuotes),
            Reference::Reply(to) if self.plan == Plan::SelfServe && !self.is_summoned(account, to) => {
                return Err(Refusal::NotSummoned);
            }
            _ => {}
        }
        let latest = self.posts.values().rev().filter(|p| p.author == post.author && p.made).take(REPEAT_WINDOW);
        if latest.filter(|p| !p.deleted && !matches!(p.reference, Reference::Retweet(_))).any(|p| p.text == post.text) {
            return Err(Refusal::Duplicate);
        }
        if matches!(post.reference, Reference::None | Reference::Quote(_)) && self.is_elsewhere(&post) {
            return Err(Refusal::Copy);
        }
        let id = self.store(post);
        self.show_to_readers(id);
        Ok(id)
    }

    /// Whether another account of the same operator has lately made a post with the same words.
    fn is_elsewhere(&self, post: &StoredPost) -> bool {
        let said = words(&post.text);
        if said.is_empty() {
            return false;
        }
        let others = self.made().filter(|other| other.author != post.author && !other.deleted).take(REPEAT_WINDOW);
        let own = |other: &&StoredPost| matches!(other.reference, Reference::None | Reference::Quote(_));
        others.filter(own).any(|other| words(&other.text) == said)
    }

    /// Whether the author of a post has mentioned or quoted the account in that conversation. It is true for posts lost in a restart and
    /// for the account's own posts.
    fn is_summoned(&self, account: &Account, to: u64) -> bool {
        let Some(target) = self.posts.get(&to) else { return true };
        let conversation = self.conversation(target);
        let handle = handle(account);
        let said = self.posts.values().filter(|p| p.author == target.author && !p.deleted);
        target.author == account.id
            || said.filter(|p| self.summons(p, account, &handle)).any(|p| self.conversation(p) == conversation)
    }

    fn summons(&self, post: &StoredPost, account: &Account, handle: &str) -> bool {
        let of_account = |id: u64| self.posts.get(&id).is_some_and(|target| target.author == account.id);
        match post.reference {
            Reference::Reply(id) | Reference::Quote(id) if of_account(id) => true,
            // A repost has the mentions of the original post, but mentions nobody itself.
            Reference::Retweet(_) => false,
            _ => names(&post.text, handle),
        }
    }

    /// The post that a conversation began with.
    pub fn conversation(&self, post: &StoredPost) -> u64 {
        let mut root = post.id;
        let mut next = Some(post);
        while let Some(Reference::Reply(to)) = next.map(|p| p.reference) {
            root = to;
            next = self.posts.get(&to);
        }
        root
    }

    fn is_too_young(&self, id: u64) -> bool {
        self.posts.get(&id).is_some_and(|post| post.made && Utc::now() - post.created_at < self.parents_after)
    }

    /// Sets how long after it was made through the API a post cannot be answered yet.
    pub fn show_parents_after(&mut self, after: TimeDelta) {
        self.parents_after = after;
    }

    /// Whether a post exists to reply to or repost, or may have been lost in a restart of the sandbox.
    pub fn may_refer_to(&self, id: u64) -> bool {
        let written_ms = i64::try_from(id >> 22).unwrap_or(i64::MAX).saturating_add(SNOWFLAKE_EPOCH_MS);
        let started = self.started.timestamp_millis();
        let forgotten = written_ms < started && written_ms > started - FORGOTTEN_FOR.num_milliseconds();
        self.posts.get(&id).map_or(forgotten, |post| !post.deleted && self.is_open(post.author))
    }

    /// A post that was not deleted.
    pub fn post(&self, id: u64) -> Option<&StoredPost> {
        self.posts.get(&id).filter(|p| !p.deleted)
    }

    /// A post as a stranger sees it.
    pub fn look(&self, id: u64) -> Result<&StoredPost, Absence> {
        let post = self.post(id).ok_or(Absence::Gone)?;
        match self.by_id(post.author).map(|account| account.standing) {
            Some(AccountStanding::Suspended) => Err(Absence::Gone),
            Some(AccountStanding::Protected) => Err(Absence::Hidden),
            Some(AccountStanding::Open) | None => Ok(post),
        }
    }

    /// Marks a post as deleted, as its author would; false when it does not exist.
    pub fn withdraw(&mut self, id: u64) -> bool {
        let author = self.posts.get(&id).map(|post| post.author);
        author.is_some_and(|author| self.delete(author, id))
    }

    /// Marks a post of this author as deleted; false when it does not exist or is not the author's.
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

    /// The posts made through the API, newest first, deleted ones too.
    pub fn made(&self) -> impl Iterator<Item = &StoredPost> {
        self.posts.values().rev().filter(|p| p.made)
    }

    /// The latest posts that the sandbox wrote itself.
    pub fn written(&self) -> impl Iterator<Item = &StoredPost> {
        self.posts.values().rev().filter(|p| !p.made)
    }

    /// What readers have done with a post so far. The replies, reposts and quotes in the sandbox itself are added.
    pub fn counts(&self, post: &StoredPost, now: DateTime<Utc>) -> Counts {
        let of = |reference| self.referring.get(&reference).copied().unwrap_or(0);
        let age = now - post.created_at;
        let read = post.reactions.as_ref().map(|reactions| self.audience.counts(reactions, age));
        let counts = read.unwrap_or_else(|| growth::usual(post.id, age));
        Counts {
            replies: counts.replies + of(Reference::Reply(post.id)),
            reposts: counts.reposts + of(Reference::Retweet(post.id)),
            quotes: counts.quotes + of(Reference::Quote(post.id)),
            ..counts
        }
    }

    /// The followers of an account: those from before the start, and those whom its posts made followers.
    pub fn followers(&self, account: &Account, now: DateTime<Utc>) -> u64 {
        let own = self.posts.values().filter(|post| post.author == account.id);
        let follows = |post: &StoredPost| {
            post.reactions.as_ref().map(|all| self.audience.counts(all, now - post.created_at).follows)
        };
        FOLLOWERS + account.id % 40_000 + own.filter_map(follows).sum::<u64>()
    }

    /// Lets the readers of its account react to a post that was just made; to a thread again with each part.
    fn show_to_readers(&mut self, id: u64) {
        let Some(post) = self.posts.get(&id) else { return };
        match post.reference {
            Reference::None | Reference::Quote(_) => self.react(id, false),
            Reference::Reply(to) if self.posts.get(&to).is_some_and(|parent| parent.author == post.author) => {
                let root = self.conversation(post);
                self.react(id, true);
                if self.posts.get(&root).is_some_and(|first| first.made && first.reactions.is_some()) {
                    self.react(root, false);
                }
            }
            Reference::Reply(_) | Reference::Retweet(_) => {}
        }
    }

    fn react(&mut self, id: u64, continues: bool) {
        let Some(post) = self.posts.get(&id) else { return };
        let Some(account) = self.by_id(post.author) else { return };
        let parts: Vec<String> = if continues { vec![post.text.clone()] } else { self.thread(post) };
        let followers = self.followers(account, post.created_at);
        let presented = Presented { id, author: post.author, parts: &parts, continues, at: post.created_at, followers };
        let reactions = self.audience.react(&presented);
        if let Some(post) = self.posts.get_mut(&id) {
            post.reactions = Some(reactions);
        }
    }

    /// The texts of a post and of the parts that its author hung on it, in order.
    fn thread(&self, first: &StoredPost) -> Vec<String> {
        let mut parts = vec![first.text.clone()];
        let mut last = first.id;
        for (id, post) in self.posts.range(first.id + 1..) {
            if post.author == first.author && !post.deleted && post.reference == Reference::Reply(last) {
                parts.push(post.text.clone());
                last = *id;
            }
        }
        parts
    }
}

/// The handle of an account as a text names it, in lower case.
fn handle(account: &Account) -> String {
    format!("@{}", account.username.to_lowercase())
}

/// The words of a text in lower case, without marks and spaces: what makes two texts the same content.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
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
        StoredPost::made(author, text, Reference::None, now())
    }

    fn world(plan: Plan) -> World {
        World::new(now(), plan, Audience::new(1, Vec::new(), 1.0))
    }

    #[test]
    fn a_repeated_text_is_refused_until_the_first_is_deleted() {
        let mut world = world(Plan::Enterprise);
        let (bot, other) = (world.account("bot"), world.account("other"));
        let first = world.make(&bot, draft(bot.id, "Lakers -3.5")).expect("it is new");
        assert_eq!(world.make(&bot, draft(bot.id, "Lakers -3.5")), Err(Refusal::Duplicate));
        assert_eq!(world.make(&other, draft(other.id, "LAKERS: 3.5!")), Err(Refusal::Copy));
        let answer = StoredPost { reference: Reference::Reply(first), ..draft(other.id, "Lakers -3.5") };
        assert!(world.make(&other, answer).is_ok(), "answers may be alike");
        assert!(world.delete(bot.id, first));
        assert!(world.make(&bot, draft(bot.id, "Lakers -3.5")).is_ok());
    }

    #[test]
    fn a_reply_needs_a_post_that_is_or_was_there_and_can_be_seen() {
        let mut world = world(Plan::Enterprise);
        let (bot, fan) = (world.account("bot"), world.account("fan").id);
        let reply = |to, text: &str| StoredPost { reference: Reference::Reply(to), ..draft(bot.id, text) };
        assert_eq!(world.make(&bot, reply(7, "to nothing")), Err(Refusal::NoSuchPost));
        let hour_ago = now() - TimeDelta::hours(1);
        let forgotten = u64::try_from(hour_ago.timestamp_millis() - SNOWFLAKE_EPOCH_MS).expect("after the epoch") << 22;
        assert!(world.make(&bot, reply(forgotten, "to a post from before the restart")).is_ok());
        let post = world.store(draft(fan, "hello"));
        world.set_standing("fan", AccountStanding::Protected);
        assert_eq!(world.make(&bot, reply(post, "to a hidden one")), Err(Refusal::NoSuchPost));
        assert_eq!(world.look(post).map(|p| p.id), Err(Absence::Hidden));
        world.set_standing("fan", AccountStanding::Suspended);
        assert_eq!(world.look(post).map(|p| p.id), Err(Absence::Gone));
        world.set_standing("fan", AccountStanding::Open);
        assert!(world.make(&bot, reply(post, "to one that is seen")).is_ok());
    }

    #[test]
    fn on_a_self_serve_plan_only_those_who_summoned_the_account_are_answered() {
        let mut world = world(Plan::SelfServe);
        let (bot, fan, capper) = (world.account("bot"), world.account("fan").id, world.account("capper").id);
        let pick = world.store(draft(capper, "Suns +4.5"));
        let own = world.store(draft(bot.id, "Tailing Suns +4.5"));
        let reply = |by, to, text: &str| StoredPost { reference: Reference::Reply(to), ..draft(by, text) };
        assert_eq!(world.make(&bot, reply(bot.id, pick, "Noted")), Err(Refusal::NotSummoned));

        let asked = world.store(reply(fan, pick, "@bot what do you think?"));
        let talked = world.store(reply(fan, pick, "I like it too"));
        let quoted = world.store(StoredPost { reference: Reference::Quote(own), ..draft(capper, "look at this") });
        let answered = world.store(reply(capper, own, "thanks"));
        for (to, why) in [
            (asked, "a mention"),
            (talked, "its author asked"),
            (quoted, "a quote"),
            (answered, "an answer"),
            (own, "own"),
        ] {
            assert!(world.make(&bot, reply(bot.id, to, why)).is_ok(), "{why}");
        }
        let elsewhere = world.store(draft(fan, "good morning"));
        assert_eq!(world.make(&bot, reply(bot.id, elsewhere, "hi")), Err(Refusal::NotSummoned));
        let quote = StoredPost { reference: Reference::Quote(asked), ..draft(bot.id, "this") };
        assert_eq!(world.make(&bot, quote), Err(Refusal::NoQuotes));
    }
}
