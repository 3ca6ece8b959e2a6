//! What is done about a new pick: the post that had it is retweeted, and something is said about the pick.

use perch_base::{
    clock,
    settings::{FileSettings, XPlan},
};
use perch_jobs::{AccountId, Post, PublishPost, PublishSource, RetweetPost};
use perch_picks::normal::part;
use perch_queue::{EnqueueOptions, Fail, worker::JobContext};
use perch_safety::Code;
use perch_store::{ActionKind, ActionRecord, ActionState, HotRecord, PickBody, PickRecord, StoreError};

use super::comment::{comment, effect_key, render_pick};
use crate::{Services, follow_up::job_id};

/// What is said about a pick, and why it is said so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    reply: bool,
    why: String,
}

/// Why nothing is said in public of a pick: its words are those of a stranger.
const UNFIT: [Code; 5] = [Code::Slur, Code::Profanity, Code::Threat, Code::Link, Code::Email];

/// Enqueues the actions on a pick. However often this runs, each effect has one key and each job one id.
pub(super) async fn have_done(
    services: &Services,
    cx: &JobContext,
    account: &AccountId,
    post: &Post,
    record: &PickRecord,
) -> Result<(), Fail> {
    let handle = own_handle(services, account, post).await;
    let about = About { settings: &services.settings, handle: &handle, cx, account, post, record };
    let (publication, said) = about.said();
    let said = match unfit(services, post, &record.pick) {
        None => Some(said),
        Some(why) => {
            let failed = ActionRecord { state: ActionState::Failed, error: Some(why), ..said };
            services.hot.put(&[HotRecord::of(&failed)?]).await?;
            None
        }
    };
    let repeated = services.settings.picks.retweet.then(|| about.repeated());
    let to_come: Vec<&ActionRecord> = said.iter().chain(repeated.iter().map(|(_, action)| action)).collect();
    show(services, &to_come).await?;
    if let Some(action) = &said {
        cx.enqueue_with(&publication, options(action)).await?;
    }
    if let Some((retweet, action)) = &repeated {
        cx.enqueue_with(retweet, options(action)).await?;
    }
    Ok(())
}

/// What the actions are about.
struct About<'a> {
    settings: &'a FileSettings,
    /// The handle of the account that acts; empty when it is not known.
    handle: &'a str,
    cx: &'a JobContext,
    account: &'a AccountId,
    post: &'a Post,
    record: &'a PickRecord,
}

impl About<'_> {
    /// What is said about the pick.
    fn said(&self) -> (PublishPost, ActionRecord) {
        let Self { settings, handle, account, post, record, .. } = *self;
        let Choice { reply, why } = choose(settings.x.plan, handle, post);
        let template = if reply { &settings.picks.comment } else { &settings.picks.own_post };
        let key = effect_key(account, &post.id, &record.key);
        let publication = PublishPost {
            account: account.clone(),
            text: comment(template, &record.pick, &post.author, &|pick| part(pick, post)),
            reply_to: reply.then(|| post.id.clone()),
            effect_key: Some(key.clone()),
            source: Some(self.source(Some(why.clone()))),
        };
        let kind = if reply { ActionKind::Comment } else { ActionKind::Post };
        let text = publication.text.clone();
        (publication, ActionRecord { text, why: Some(why), ..self.action(kind, key) })
    }

    /// The retweet of the post.
    fn repeated(&self) -> (RetweetPost, ActionRecord) {
        let retweet = RetweetPost {
            account: self.account.clone(),
            post_id: self.post.id.clone(),
            effect_key: None,
            source: Some(self.source(None)),
        };
        let action = self.action(ActionKind::Retweet, retweet.key());
        (retweet, action)
    }

    fn source(&self, why: Option<String>) -> PublishSource {
        PublishSource { post_id: self.post.id.clone(), pick_key: self.record.key.clone(), why }
    }

    fn action(&self, kind: ActionKind, key: String) -> ActionRecord {
        ActionRecord {
            job_id: Some(job_id(self.cx.enqueued_at(), &key)),
            key,
            kind,
            account: self.account.clone(),
            pick_key: Some(self.record.key.clone()),
            source_post: Some(self.post.id.clone()),
            text: String::new(),
            state: ActionState::Pending,
            external_id: None,
            error: None,
            why: None,
            created_at: clock::now(),
        }
    }
}

/// Shows the actions that are to come. While Postgres is away they are shown once they are done.
async fn show(services: &Services, actions: &[&ActionRecord]) -> Result<(), StoreError> {
    match services.store.picks().intend(actions).await {
        Err(error) if error.is_unavailable() => {
            tracing::warn!(%error, "the actions that are to come are not shown");
            Ok(())
        }
        shown => shown,
    }
}

fn unfit(services: &Services, post: &Post, pick: &PickBody) -> Option<String> {
    let verdict = services.replier.guard.text(&render_pick(pick, &|pick| part(pick, post)), None);
    let reason = verdict.reasons().iter().find(|reason| UNFIT.contains(&reason.code))?;
    Some(format!("nothing is said of this pick in public: {reason}"))
}

fn options(action: &ActionRecord) -> EnqueueOptions {
    EnqueueOptions { id: action.job_id, ..EnqueueOptions::default() }
}

/// The handle that the configuration says, or else X, where it makes a difference. While neither does, nobody counts as having
/// summoned the account.
async fn own_handle(services: &Services, account: &AccountId, post: &Post) -> String {
    let x = &services.settings.x;
    let configured = x.accounts.get(account).map_or("", |account| account.username.as_str());
    if !configured.is_empty() || x.plan == XPlan::Enterprise || !post.text.contains('@') {
        return configured.to_owned();
    }
    services.own_ids.handle(&services.x, account).await.unwrap_or_else(|error| {
        tracing::warn!(%account, %error, "whether the post mentions the account is not known; nobody is answered");
        String::new()
    })
}

/// A comment, where X allows one, and else a post of its own.
fn choose(plan: XPlan, handle: &str, post: &Post) -> Choice {
    match plan {
        XPlan::Enterprise => {
            Choice { reply: true, why: "a comment: on an enterprise plan any post may be answered".into() }
        }
        XPlan::SelfServe if mentions(&post.text, handle) => {
            Choice { reply: true, why: format!("a comment: the post mentions @{handle}, so X allows the reply") }
        }
        XPlan::SelfServe => {
            let whom = if handle.is_empty() { "the account".to_owned() } else { format!("@{handle}") };
            let rule =
                "a post of its own: on a self-serve plan X allows a reply only to a post that mentions or quotes";
            Choice { reply: false, why: format!("{rule} {whom}") }
        }
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
    fn who_is_not_known_to_have_summoned_the_account_is_not_answered_on_a_self_serve_plan() {
        let post = Post {
            id: "1".parse().expect("an id"),
            author_id: "12".into(),
            author: "sally".into(),
            text: "What do you say, @my_bot? Lakers -3.5".into(),
            created_at: clock::now(),
            media: Vec::new(),
        };
        assert!(choose(XPlan::SelfServe, "my_bot", &post).reply);
        let unknown = choose(XPlan::SelfServe, "", &post);
        assert!(!unknown.reply && unknown.why.ends_with("mentions or quotes the account"), "{}", unknown.why);
        assert!(choose(XPlan::Enterprise, "", &post).reply);
    }

    #[test]
    fn an_account_is_mentioned_by_its_whole_handle_only() {
        assert!(mentions("What do you think, @Perch_Bot?", "perch_bot"));
        assert!(!mentions("What do you think, @perch_bots?", "perch_bot"));
        assert!(!mentions("perch_bot", "perch_bot"));
        assert!(!mentions("@ nobody", ""));
    }
}
