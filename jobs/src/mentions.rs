//! The jobs of the bot that answers mentions.

use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use crate::{AccountId, Job, JobTypes, PostId, Priority, RetryPolicy, Unique, UniqueScope};

/// See [`is_own_key`](crate::is_own_key).
pub(crate) const OWN_KEYS: &[&str] = &["mention:", "mentions:", "reply:"];

/// Adds the job types of the bot that answers mentions.
pub fn mentions_types(types: JobTypes) -> JobTypes {
    types.with::<PollMentions>().with::<ReplyToMention>()
}

/// A post that mentions an account, in the shape in which it is handed on. Times are ISO 8601.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = MentionPost))]
#[serde(deny_unknown_fields)]
pub struct Mention {
    /// The id of the post.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: PostId,
    /// Its text in full.
    pub text: String,
    /// The id of the account that wrote it, a decimal number as text.
    #[schemars(regex(pattern = r"^[0-9]{1,19}$"))]
    pub author_id: String,
    /// The id of the post that began the conversation; its own id when it did.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub conversation_id: PostId,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was handed on.
    pub processed_at: DateTime<Utc>,
    /// The post that it answers or quotes.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub referenced_tweet_id: Option<PostId>,
}

/// Reads the new mentions of an account when they are due, and enqueues a `reply_to_mention` for each one to answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PollMentions {
    /// The account, by its name in the configuration. Default: one such job is started for each configured account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Reads at once, regardless of the interval and even while polling is stopped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub now: bool,
}

impl Job for PollMentions {
    const KIND: &'static str = "poll_mentions";
    const QUEUE: &'static str = ReplyToMention::QUEUE;
    const RETRY: RetryPolicy = RetryPolicy::new(4, Duration::from_secs(5), Duration::from_secs(900));
    const TIMEOUT: Duration = Duration::from_secs(120);
    const PRIORITY: Priority = Priority::High;

    fn schema() -> Schema {
        schema_for!(Self)
    }

    fn unique(&self) -> Option<Unique> {
        let what = if self.now { "fetch" } else { "poll" };
        let account = self.account.as_ref().map_or("*", AccountId::as_str);
        Some(Unique { key: format!("mentions:{what}:{account}"), scope: UniqueScope::Done })
    }

    fn group(&self) -> Option<String> {
        self.account.as_ref().map(|account| format!("mentions:{account}"))
    }
}

/// Has a model write a reply to a mention, and hands it to publishing or to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplyToMention {
    /// The account that replies.
    pub account: AccountId,
    /// The mention.
    pub mention: Mention,
}

impl ReplyToMention {
    /// The key of the effect: one reply for each account and mention, however often it is tried.
    pub fn effect_key(account: &AccountId, mention: &PostId) -> String {
        format!("reply:{account}:{mention}")
    }
}

impl Job for ReplyToMention {
    const KIND: &'static str = "reply_to_mention";
    const QUEUE: &'static str = "generation";
    const RETRY: RetryPolicy = RetryPolicy::new(6, Duration::from_secs(2), Duration::from_secs(600));

    fn schema() -> Schema {
        schema_for!(Self)
    }
    // Enough for two slow answers of a model and reading the conversation before.
    const TIMEOUT: Duration = Duration::from_secs(240);

    fn unique(&self) -> Option<Unique> {
        Some(Unique { key: format!("mention:{}:{}", self.account, self.mention.id), scope: UniqueScope::Done })
    }

    fn group(&self) -> Option<String> {
        Some(format!("account:{}", self.account))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mention_is_handed_on_in_the_shape_of_the_specification() {
        let given = json!({
            "id": "1849", "text": "@perch_bot who tonight?", "author_id": "12", "conversation_id": "1840",
            "created_at": "2026-11-21T09:30:00Z", "processed_at": "2026-11-21T09:31:00Z", "referenced_tweet_id": "1848",
        });
        let mention: Mention = serde_json::from_value(given.clone()).expect("a mention");
        assert_eq!(serde_json::to_value(&mention).expect("JSON"), given);
        let alone = Mention { referenced_tweet_id: None, ..mention };
        let written = serde_json::to_value(&alone).expect("JSON");
        assert_eq!(written["referenced_tweet_id"], json!(null));
        let schema = schemars::schema_for!(Mention).to_value();
        let valid = jsonschema::validator_for(&schema).expect("a JSON schema");
        assert!(valid.is_valid(&given) && valid.is_valid(&written), "{schema}");
        let mut stray = given;
        stray["lang"] = json!("en");
        assert!(!valid.is_valid(&stray) && serde_json::from_value::<Mention>(stray).is_err());
    }

    #[test]
    fn a_fetch_now_does_not_stand_behind_a_poll_that_waits() {
        let account = Some(AccountId::from_static("main"));
        let poll = PollMentions { account: account.clone(), now: false };
        let fetch = PollMentions { account, now: true };
        assert_ne!(poll.unique(), fetch.unique());
        assert_eq!(serde_json::to_value(PollMentions::default()).expect("JSON"), json!({}));
    }
}
