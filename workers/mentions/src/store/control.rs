//! The state of the polls of mentions and the places taken by replies, in Redis, shared by all processes.

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use chrono::{DateTime, NaiveDate, Utc};
use perch_jobs::{AccountId, Mention, PostId};
use perch_queue::Redis;
use perch_store::{Store, StoreError, move_forward};
use redis::Script;
use serde::Serialize;

static ROOM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/room.lua")));
static ROOM_KNOWN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/room_known.lua")));

/// How long the places taken in a conversation are kept in Redis; after that they are restored from Postgres.
const CONVERSATION_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// The same for the day of a user.
const DAY_KEPT: Duration = Duration::from_secs(2 * 86_400);

/// The state of the polls of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MentionPoll {
    /// When its mentions were last read.
    pub last: Option<DateTime<Utc>>,
    /// The earliest time of the next poll.
    pub next: Option<DateTime<Utc>>,
    /// When that was set.
    #[serde(skip)]
    pub set_at: Option<DateTime<Utc>>,
    /// The last mention that was processed.
    pub last_seen_id: Option<PostId>,
    /// Successful polls.
    pub polls: u64,
    /// Mentions that they read.
    pub read: u64,
    /// Failed polls, by cause.
    pub errors: BTreeMap<String, u64>,
    /// The last error of a poll.
    pub last_error: Option<String>,
    /// When it failed.
    pub failed_at: Option<DateTime<Utc>>,
}

/// The most that clocks differ. A time further ahead was set by a wrong clock: before a failover, or before the clock was set back.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

impl MentionPoll {
    /// The earliest time of the next poll as of `now`. A time that a wrong clock has set does not delay polls.
    pub fn next_by(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.next.filter(|_| self.set_at.is_none_or(|set| set <= now + CLOCKS_DIFFER))
    }
}

/// Whether a mention gets a place within the limits of replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyPlace {
    /// It has a place.
    Taken,
    /// The limit of replies in its conversation is reached.
    ConversationFull,
    /// The limit of replies to its author on that day is reached.
    UserFull,
    /// Redis has no record of the places taken; they have to be restored first.
    Unknown,
}

/// The run-time state of the bots that answer mentions. Each call is a round trip or two.
#[derive(Debug, Clone)]
pub struct MentionControl {
    redis: Redis,
    pub(super) store: Store,
    prefix: &'static str,
}

type Fields = BTreeMap<String, String>;

impl MentionControl {
    /// The state in the environment of `store`.
    pub fn new(redis: Redis, store: Store) -> Self {
        let prefix = store.env().prefix();
        Self { redis, store, prefix }
    }

    /// The state of the polls of an account.
    pub async fn poll(&self, account: &AccountId) -> Result<MentionPoll, StoreError> {
        let fields = self.fields(&self.key(account, "poll")).await?;
        let errors = self.fields(&self.key(account, "errors")).await?;
        Ok(MentionPoll {
            last: time(&fields, "last_ms"),
            next: time(&fields, "next_ms"),
            set_at: time(&fields, "set_ms").or_else(|| time(&fields, "last_ms")),
            last_seen_id: self.since_id(account).await?,
            polls: number(&fields, "polls").unwrap_or(0),
            read: number(&fields, "read").unwrap_or(0),
            errors: errors.into_iter().filter_map(|(cause, n)| Some((cause, n.parse().ok()?))).collect(),
            last_error: fields.get("last_error").cloned(),
            failed_at: time(&fields, "failed_ms"),
        })
    }

    /// Notes a successful poll, the mentions that it read, and when the next is due.
    pub async fn polled(
        &self,
        account: &AccountId,
        read: u64,
        at: DateTime<Utc>,
        next: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let key = self.key(account, "poll");
        let mut call = redis::cmd("HSET");
        call.arg(&key).arg("last_ms").arg(at.timestamp_millis());
        call.arg("next_ms").arg(next.timestamp_millis()).arg("set_ms").arg(at.timestamp_millis());
        self.redis.cmd::<i64>("note a poll", &call).await?;
        for (field, by) in [("polls", 1), ("read", read)] {
            let mut call = redis::cmd("HINCRBY");
            call.arg(&key).arg(field).arg(by);
            self.redis.cmd::<i64>("note a poll", &call).await?;
        }
        Ok(())
    }

    /// Notes a failed poll with its cause, and when the next is due.
    pub async fn poll_failed(
        &self,
        account: &AccountId,
        cause: &str,
        error: &str,
        at: DateTime<Utc>,
        next: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let error: String = error.chars().take(500).collect();
        let mut call = redis::cmd("HSET");
        call.arg(self.key(account, "poll")).arg("last_error").arg(error);
        call.arg("failed_ms").arg(at.timestamp_millis());
        self.redis.cmd::<i64>("note a poll that failed", &call).await?;
        let mut call = redis::cmd("HINCRBY");
        call.arg(self.key(account, "errors")).arg(cause).arg(1);
        self.redis.cmd::<i64>("note a poll that failed", &call).await?;
        self.set_next(account, at, next).await
    }

    /// Sets at this moment when the next poll is due.
    pub async fn set_next(
        &self,
        account: &AccountId,
        at: DateTime<Utc>,
        next: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut call = redis::cmd("HSET");
        call.arg(self.key(account, "poll")).arg("next_ms").arg(next.timestamp_millis());
        call.arg("set_ms").arg(at.timestamp_millis());
        self.redis.cmd::<i64>("set the time of the next poll", &call).await?;
        Ok(())
    }

    /// The last mention that was processed.
    pub async fn since_id(&self, account: &AccountId) -> Result<Option<PostId>, StoreError> {
        let key = self.key(account, "since_id");
        let text: Option<String> = self.redis.cmd("read a since_id", redis::cmd("GET").arg(key)).await?;
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// Moves the last processed mention forward, never back.
    pub async fn set_since_id(&self, account: &AccountId, id: &PostId) -> Result<(), StoreError> {
        move_forward(&self.redis, &self.key(account, "since_id"), id).await.map(|_| ())
    }

    /// How to continue with unread mentions older than those read last: the newest mention of that reading, and the next page.
    pub async fn backlog(&self, account: &AccountId) -> Result<Option<(PostId, String)>, StoreError> {
        let mut fields = self.fields(&self.key(account, "backlog")).await?;
        let newest = fields.get("newest").and_then(|id| id.parse().ok());
        Ok(newest.zip(fields.remove("page")))
    }

    /// Notes how to continue with unread mentions, or that there are none.
    pub async fn set_backlog(&self, account: &AccountId, rest: Option<(&PostId, &str)>) -> Result<(), StoreError> {
        let key = self.key(account, "backlog");
        let mut call = redis::cmd(if rest.is_some() { "HSET" } else { "DEL" });
        call.arg(key);
        if let Some((newest, page)) = rest {
            call.arg("newest").arg(newest.as_str()).arg("page").arg(page);
        }
        self.redis.cmd::<i64>("note where to read on", &call).await?;
        Ok(())
    }

    /// Takes a place for a mention in its conversation and in its author's day, if both have one left. A mention takes its place only
    /// once.
    pub async fn take_place(
        &self,
        account: &AccountId,
        mention: &Mention,
        in_conversation: u32,
        of_user: u32,
    ) -> Result<ReplyPlace, StoreError> {
        let [conversation, day] = self.place_keys(account, mention);
        let mut call = ROOM.prepare_invoke();
        call.key(conversation).key(day).arg(mention.id.as_str()).arg(in_conversation).arg(of_user);
        call.arg(millis(CONVERSATION_KEPT)).arg(millis(DAY_KEPT));
        let answer: String = self
            .redis
            .call("take a place for a reply", |mut conn| async move { call.invoke_async(&mut conn).await })
            .await?;
        Ok(match answer.as_str() {
            "taken" => ReplyPlace::Taken,
            "conversation" => ReplyPlace::ConversationFull,
            "user" => ReplyPlace::UserFull,
            _ => ReplyPlace::Unknown,
        })
    }

    /// Restores the places taken, as they are in Postgres.
    pub async fn restore_places(
        &self,
        account: &AccountId,
        mention: &Mention,
        in_conversation: &[String],
        of_user: &[String],
    ) -> Result<(), StoreError> {
        let [conversation, day] = self.place_keys(account, mention);
        let mut call = ROOM_KNOWN.prepare_invoke();
        call.key(conversation).key(day).arg(millis(CONVERSATION_KEPT)).arg(millis(DAY_KEPT));
        call.arg(in_conversation.len());
        for id in in_conversation.iter().chain(of_user) {
            call.arg(id);
        }
        self.redis
            .call::<(), _, _>(
                "tell the places of replies",
                |mut conn| async move { call.invoke_async(&mut conn).await },
            )
            .await?;
        Ok(())
    }

    /// The mentions that have a place in the conversation of a mention, or in its author's day.
    pub async fn place_holders(&self, account: &AccountId, mention: &Mention) -> Result<Vec<PostId>, StoreError> {
        let mut taken = Vec::new();
        for key in self.place_keys(account, mention) {
            let ids: Vec<String> =
                self.redis.cmd("read the places of replies", redis::cmd("SMEMBERS").arg(key)).await?;
            taken.extend(ids.iter().filter_map(|id| id.parse().ok()));
        }
        Ok(taken)
    }

    /// Gives back the places of mentions in the conversation of a mention and in its author's day.
    pub async fn leave_places(
        &self,
        account: &AccountId,
        mention: &Mention,
        leaving: &[PostId],
    ) -> Result<(), StoreError> {
        for key in self.place_keys(account, mention) {
            let mut call = redis::cmd("SREM");
            call.arg(key);
            for id in leaving {
                call.arg(id.as_str());
            }
            self.redis.cmd::<i64>("give back the places of replies", &call).await?;
        }
        Ok(())
    }

    async fn fields(&self, key: &str) -> Result<Fields, StoreError> {
        Ok(self.redis.cmd("read the state of mentions", redis::cmd("HGETALL").arg(key)).await?)
    }

    fn key(&self, account: &AccountId, what: &str) -> String {
        format!("{}mentions:{account}:{what}", self.prefix)
    }

    fn place_keys(&self, account: &AccountId, mention: &Mention) -> [String; 2] {
        let base = format!("{}{{mentions:{account}}}:", self.prefix);
        let day: NaiveDate = mention.created_at.date_naive();
        [format!("{base}conversation:{}", mention.conversation_id), format!("{base}user:{}:{day}", mention.author_id)]
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn number(fields: &Fields, name: &str) -> Option<u64> {
    fields.get(name)?.parse().ok()
}

fn time(fields: &Fields, name: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(fields.get(name)?.parse().ok()?)
}
