//! Reading lists item by item: an item that cannot be read is left out, and the others are read. No I/O.

use perch_jobs::PostId;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value};

/// An item of a list that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableItem {
    /// Its id, as far as that can be read.
    pub id: Option<PostId>,
    /// What is wrong with it.
    pub reason: String,
}

/// A list in an answer. Null counts as empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LenientList<T> {
    pub(super) items: Vec<T>,
    pub(super) odd: Vec<UnreadableItem>,
}

impl<T> Default for LenientList<T> {
    fn default() -> Self {
        Self { items: Vec::new(), odd: Vec::new() }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for LenientList<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let mut listed = Self::default();
        for item in Option::<Vec<Value>>::deserialize(d)?.unwrap_or_default() {
            let id = item["id"].as_str().and_then(|id| id.parse().ok());
            match serde_json::from_value(item) {
                Ok(item) => listed.items.push(item),
                Err(error) => listed.odd.push(UnreadableItem { id, reason: error.to_string() }),
            }
        }
        Ok(listed)
    }
}

/// Normalizes an answer: removes members that are null, which mean the same as absent ones, and turns ids that come as numbers into
/// text.
pub(super) fn tidy(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().filter(|(_, value)| !value.is_null());
            let members = members.map(|(name, value)| {
                let value = if is_id(&name) { in_text(value) } else { value };
                (name, tidy(value))
            });
            Value::Object(members.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(tidy).collect(),
        value => value,
    }
}

fn is_id(name: &str) -> bool {
    name == "id" || name == "next_token" || name.ends_with("_id") || name.ends_with("_ids")
}

fn in_text(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_u64() => number.to_string().into(),
        Value::Array(items) => items.into_iter().map(in_text).collect(),
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::x::{XPost, types::Envelope};

    fn read(value: Value) -> Envelope<LenientList<XPost>> {
        serde_json::from_value(tidy(value)).expect("the list can be read")
    }

    #[test]
    fn null_says_as_much_as_nothing_and_ids_may_be_numbers() {
        let envelope = read(json!({
            "data": [{
                "id": 1849, "text": null, "author_id": 42, "referenced_tweets": null, "entities": null, "public_metrics": null,
                "edit_history_tweet_ids": [1848, 1849], "attachments": { "media_keys": null },
            }, {
                "id": "1850", "text": "hi", "referenced_tweets": [{ "type": "replied_to", "id": 1849 }],
            }],
            "includes": null, "errors": null, "meta": { "newest_id": 1850, "next_token": null },
        }));
        let posts = envelope.data.expect("two posts");
        assert_eq!(posts.odd, []);
        assert_eq!((posts.items[0].id.as_str(), posts.items[0].author_id.as_deref()), ("1849", Some("42")));
        assert_eq!(posts.items[1].replied_to(), Some(&posts.items[0].id));
        assert_eq!(envelope.meta.newest_id.as_ref().map(PostId::as_str), Some("1850"));
    }

    #[test]
    fn an_odd_item_is_set_aside_with_its_id() {
        let posts = read(json!({ "data": [
            { "id": "3", "text": "Nets ML" }, { "id": 2, "text": 7 }, null, { "id": "no digits" }, { "id": "1", "referenced_tweets": "none" },
        ] }))
        .data
        .expect("a list");
        assert_eq!(posts.items.iter().map(|post| post.id.as_str()).collect::<Vec<_>>(), ["3"]);
        let odd: Vec<Option<&str>> = posts.odd.iter().map(|odd| odd.id.as_ref().map(PostId::as_str)).collect();
        assert_eq!(odd, [Some("2"), None, None, Some("1")]);
    }

    /// A post with every field that is asked for.
    fn whole(id: u64) -> Value {
        json!({
            "id": id.to_string(), "text": "Nets ML -120", "author_id": "42", "created_at": "2026-12-01T05:38:00.000Z",
            "conversation_id": id.to_string(), "in_reply_to_user_id": "7", "edit_history_tweet_ids": [id.to_string()],
            "attachments": { "media_keys": ["3_1"] },
            "referenced_tweets": [{ "type": "replied_to", "id": "7" }],
            "entities": { "urls": [{ "url": "https://t.co/a", "expanded_url": "https://x.com" }], "mentions": [{ "username": "a", "id": "1" }] },
            "note_tweet": { "text": "Nets ML -120", "entities": { "urls": [] } },
            "public_metrics": { "retweet_count": 1, "reply_count": 1, "like_count": 1, "quote_count": 1, "impression_count": 9 },
        })
    }

    /// Puts something else at a place within a value, which is chosen by the draws.
    fn spoil(value: &mut Value, draws: &[usize], by: &Value) {
        let Some((draw, rest)) = draws.split_first() else {
            *value = by.clone();
            return;
        };
        match value {
            Value::Object(members) if !members.is_empty() => {
                let at = draw % members.len();
                members.values_mut().nth(at).into_iter().for_each(|inner| spoil(inner, rest, by));
            }
            Value::Array(items) if !items.is_empty() => {
                let at = draw % items.len();
                spoil(&mut items[at], rest, by);
            }
            _ => *value = by.clone(),
        }
    }

    proptest! {
        #[test]
        fn whatever_one_post_is_like_the_others_are_read(
            at in 0_usize..5, draws in prop::collection::vec(0_usize..20, 0..4),
            by in prop::sample::select(vec![
                json!(null), json!(7), json!(-1.5), json!("text"), json!([]), json!({}), json!([null]), json!(true),
                json!({ "of": ["another", "shape"] }), json!(1e300),
            ]),
        ) {
            let mut posts: Vec<Value> = (1..=5).map(whole).collect();
            spoil(&mut posts[at], &draws, &by);
            let listed = read(json!({ "data": posts })).data.expect("a list");
            prop_assert_eq!(listed.items.len() + listed.odd.len(), 5);
            for id in (1..=5).filter(|id| *id != at as u64 + 1) {
                prop_assert!(listed.items.iter().any(|post| post.id.as_str() == id.to_string()), "{}", id);
            }
        }
    }
}
