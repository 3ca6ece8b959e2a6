//! What is done about a new pick: the post that had it is retweeted, and something is said about the pick.

use perch_base::settings::{FileSettings, XPlan};
use perch_jobs::{AccountId, Post, PublishPost, PublishSource, RetweetPost};
use perch_queue::{EnqueueError, EnqueueOptions, worker::JobContext};
use perch_store::PickRecord;

use super::comment::{comment, effect_key};
use crate::{Services, follow_up::job_id};

/// What is said about a pick, and why it is said so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    reply: bool,
    why: String,
}

/// Enqueues the actions on a pick. However often this runs, each effect has one key and each job one id.
pub(super) async fn have_done(
    services: &Services,
    cx: &JobContext,
    account: &AccountId,
    post: &Post,
    record: &PickRecord,
) -> Result<(), EnqueueError> {
    let settings = &services.settings;
    let Choice { reply, why } = choose(settings, account, post);
    let source = |why| PublishSource { post_id: post.id.clone(), pick_key: record.key.clone(), why };
    let key = effect_key(account, &post.id, &record.key);
    let template = if reply { &settings.picks.comment } else { &settings.picks.own_post };
    let said = PublishPost {
        account: account.clone(),
        text: comment(template, &record.pick, &post.author),
        reply_to: reply.then(|| post.id.clone()),
        effect_key: Some(key.clone()),
        source: Some(source(Some(why))),
    };
    cx.enqueue_with(&said, options(cx, &key)).await?;
    if settings.picks.retweet {
        let repeated = RetweetPost {
            account: account.clone(),
            post_id: post.id.clone(),
            effect_key: None,
            source: Some(source(None)),
        };
        cx.enqueue_with(&repeated, options(cx, &repeated.key())).await?;
    }
    Ok(())
}

fn options(cx: &JobContext, key: &str) -> EnqueueOptions {
    EnqueueOptions { id: Some(job_id(cx.enqueued_at(), key)), ..EnqueueOptions::default() }
}

/// A comment, where X allows one, and else a post of its own.
fn choose(settings: &FileSettings, account: &AccountId, post: &Post) -> Choice {
    let handle = settings.x.accounts.get(account).map_or("", |account| account.username.as_str());
    match settings.x.plan {
        XPlan::Enterprise => {
            Choice { reply: true, why: "a comment: on an enterprise plan any post may be answered".into() }
        }
        XPlan::SelfServe if mentions(&post.text, handle) => {
            Choice { reply: true, why: format!("a comment: the post mentions @{handle}, so X allows the reply") }
        }
        XPlan::SelfServe => Choice {
            reply: false,
            why: format!(
                "a post of its own: on a self-serve plan X allows a reply only to a post that mentions or quotes @{handle}"
            ),
        },
    }
}

/// Whether a text names an account.
fn mentions(text: &str, handle: &str) -> bool {
    let (text, handle) = (text.to_lowercase(), format!("@{}", handle.to_lowercase()));
    let ends = |at: usize| !text[at..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    handle.len() > 1 && text.match_indices(&handle).any(|(at, _)| ends(at + handle.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_mentioned_by_its_whole_handle_only() {
        assert!(mentions("What do you think, @Perch_Bot?", "perch_bot"));
        assert!(!mentions("What do you think, @perch_bots?", "perch_bot"));
        assert!(!mentions("perch_bot", "perch_bot"));
        assert!(!mentions("@ nobody", ""));
    }
}
