//! Reads the conversation before a mention.

use perch_clients::XError;
use perch_jobs::{Mention, PostId};
use perch_safety::{Code, Guard, GuardVerdict, Reason};
use perch_store::StoreError;

use super::prompt::EarlierPost;
use crate::{
    Mentions,
    store::{MentionRecord, MentionStore as _},
};

/// The posts before a mention, oldest first. A reply without them is better than none, so an error is only logged.
pub(super) async fn earlier(bot: &Mentions, mention: &Mention) -> Vec<EarlierPost> {
    let mut posts = Vec::new();
    let mut next = mention.referenced_tweet_id.clone();
    while let Some(id) = next.take()
        && posts.len() < usize::from(bot.settings.context)
    {
        match read_two(bot, &id).await {
            Ok((found, before)) => {
                posts.extend(found);
                next = before;
            }
            Err(error) => {
                tracing::info!(mention = %mention.id, %error, "the conversation cannot be read; the reply goes without it");
                metrics::counter!("perch_conversations_unread_total").increment(1);
            }
        }
    }
    posts.truncate(usize::from(bot.settings.context));
    posts.reverse();
    posts
}

/// Reads a post together with the one before it, and the id of the one before those.
async fn read_two(bot: &Mentions, id: &PostId) -> Result<(Vec<EarlierPost>, Option<PostId>), XError> {
    let found = bot.clients.x.posts_in_full(std::slice::from_ref(id)).await?;
    let shown = |post: &perch_clients::x::XPost| {
        let author = post.author_id.as_deref().and_then(|id| found.includes.user(id));
        EarlierPost {
            author: author.map_or_else(|| "somebody".to_owned(), |user| format!("@{}", user.username)),
            author_id: post.author_id.clone(),
            text: perch_clients::x::unescape(post.full_text()).into_owned(),
        }
    };
    let Some(post) = found.data.first() else { return Ok((Vec::new(), None)) };
    let mut posts = vec![shown(post)];
    let before = post.replied_to().and_then(|id| found.includes.post(id));
    posts.extend(before.map(shown));
    let next = match before {
        Some(before) => before.replied_to().cloned(),
        None => None,
    };
    Ok((posts, next))
}

/// Whether the author of a mention sounded in need of help earlier in the conversation: in the posts that were read, or in other
/// mentions.
pub(super) async fn in_need(
    bot: &Mentions,
    record: &MentionRecord,
    earlier: &[EarlierPost],
) -> Result<Option<GuardVerdict>, StoreError> {
    let said = bot.store.mentions().said_before(&record.account, &record.mention).await?;
    Ok(crisis(&bot.guard, &record.mention.author_id, earlier, &said))
}

fn crisis(guard: &Guard, author_id: &str, earlier: &[EarlierPost], said: &[String]) -> Option<GuardVerdict> {
    let own = earlier.iter().filter(|post| post.author_id.as_deref() == Some(author_id)).map(|post| post.text.as_str());
    let mut found: Vec<Reason> = Vec::new();
    for text in own.chain(said.iter().map(String::as_str)) {
        for reason in guard.mention(text).reasons().iter().filter(|reason| reason.code == Code::Crisis) {
            if !found.contains(reason) {
                found.push(reason.clone());
            }
        }
    }
    (!found.is_empty()).then_some(GuardVerdict::Review(found))
}

#[cfg(test)]
mod tests {
    use perch_safety::Rules;

    use super::*;

    #[test]
    fn what_the_same_person_said_before_is_looked_at_and_what_others_said_is_not() {
        let guard = Guard::new(&Rules::default()).expect("the built-in lists");
        let post = |author: &str, text: &str| EarlierPost {
            author: format!("@{author}"),
            author_id: Some(author.to_owned()),
            text: text.to_owned(),
        };
        let cry = "lost everything, i want to die";
        assert_eq!(crisis(&guard, "12", &[post("13", cry), post("12", "who tonight?")], &[]), None);
        let found = crisis(&guard, "12", &[post("12", cry)], &[cry.to_owned()]).expect("it is noticed");
        assert!(found.says(Code::Crisis), "{found:?}");
        assert_eq!(crisis(&guard, "12", &[], &[cry.to_owned()]), Some(found), "what is said twice counts once");
    }
}
