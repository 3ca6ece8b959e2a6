//! The actions on a new pick: its post is retweeted, and a comment or a post about the pick is published.

use perch_base::{
    clock,
    settings::{GuardMode, XPlan},
};
use perch_core::job_id;
use perch_jobs::{AccountId, Post, PublishPost, PublishSource, RetweetPost};
use perch_publishing::stopped;
use perch_queue::{Client, EnqueueError, EnqueueOptions, Fail, worker::JobContext};
use perch_store::{ActionKind, ActionRecord, ActionState, HotRecord, StoreError};

use super::comment::{comment, effect_key};
use crate::{Picks, normal::part, store::PickRecord};

/// Whether a pick is published as a reply or as a post of its own, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    reply: bool,
    why: String,
}

/// Plans and enqueues the actions on the picks of a post.
pub(super) struct ActionPlan<'a> {
    bot: &'a Picks,
    cx: &'a JobContext,
    /// The account that acts.
    account: &'a AccountId,
    /// Its handle; empty when it is not known.
    handle: String,
    post: &'a Post,
}

impl<'a> ActionPlan<'a> {
    pub async fn of(bot: &'a Picks, cx: &'a JobContext, account: &'a AccountId, post: &'a Post) -> Self {
        let handle = own_handle(bot, account, post).await;
        Self { bot, cx, account, handle, post }
    }

    /// Enqueues the actions on a pick. Repeating it is safe: the effect keys and job ids stay the same.
    pub async fn carry_out(&self, record: &PickRecord) -> Result<(), Fail> {
        let (to_come, failed): (Vec<ActionRecord>, Vec<ActionRecord>) =
            self.actions(record).into_iter().partition(|action| action.state == ActionState::Pending);
        for action in &failed {
            self.bot.hot.put(&[HotRecord::of(action)?]).await?;
        }
        show(self.bot, &to_come.iter().collect::<Vec<_>>()).await?;
        for action in &to_come {
            enqueue(self.cx.client(), action, Some(self.cx.id())).await?;
        }
        Ok(())
    }

    /// The actions on a pick. If the guard stops its text, the action has the state failed, with the reason.
    pub fn actions(&self, record: &PickRecord) -> Vec<ActionRecord> {
        let said = self.said(record);
        let said = match self.unfit(&said.text) {
            None => said,
            Some(why) => ActionRecord { state: ActionState::Failed, error: Some(why), ..said },
        };
        let repeated = self.bot.settings.retweet.then(|| self.repeated(record));
        std::iter::once(said).chain(repeated).collect()
    }

    /// The comment on the pick, or the post about it.
    fn said(&self, record: &PickRecord) -> ActionRecord {
        let (settings, post) = (&self.bot.settings, self.post);
        let Choice { reply, why } = choose(self.bot.platform.x.plan, &self.handle, post);
        let template = if reply { &settings.comment } else { &settings.own_post };
        let text = comment(template, &record.pick, &post.author, &|pick| part(pick, post));
        let kind = if reply { ActionKind::Comment } else { ActionKind::Post };
        let key = effect_key(self.account, &post.id, &record.key);
        ActionRecord { text, why: Some(why), ..self.action(record, kind, key) }
    }

    /// Why a text may not be published. It contains words of a stranger, so the guard checks it even if the settings turn the guard off.
    fn unfit(&self, text: &str) -> Option<String> {
        let mode = match self.bot.platform.posting_of(self.account).guard {
            GuardMode::Off => GuardMode::Refused,
            mode => mode,
        };
        let stopped = stopped(&self.bot.guard, mode, text)?;
        Some(format!("the guard stopped the text of this pick: {}", stopped.reasons()))
    }

    /// The retweet of the post.
    fn repeated(&self, record: &PickRecord) -> ActionRecord {
        let retweet = RetweetPost {
            account: self.account.clone(),
            post_id: self.post.id.clone(),
            effect_key: None,
            source: None,
        };
        self.action(record, ActionKind::Retweet, retweet.key())
    }

    fn action(&self, record: &PickRecord, kind: ActionKind, key: String) -> ActionRecord {
        ActionRecord {
            job_id: Some(job_id(self.cx.enqueued_at(), &key)),
            key,
            kind,
            account: self.account.clone(),
            subject: Some(record.key.clone()),
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

/// Enqueues the job of an action on a pick, under the id that the action has.
pub(super) async fn enqueue(
    client: &Client,
    action: &ActionRecord,
    parent: Option<perch_jobs::JobId>,
) -> Result<(), EnqueueError> {
    let (Some(post_id), Some(subject)) = (action.source_post.clone(), action.subject.clone()) else {
        return Ok(());
    };
    let options = EnqueueOptions { id: action.job_id, parent, ..EnqueueOptions::default() };
    let account = action.account.clone();
    let source = PublishSource { post_id: post_id.clone(), subject, why: action.why.clone() };
    if action.kind == ActionKind::Retweet {
        let retweet = RetweetPost { account, post_id, effect_key: None, source: Some(source) };
        client.enqueue_with(&retweet, options).await?;
    } else {
        let publication = PublishPost {
            reply_to: (action.kind == ActionKind::Comment).then_some(post_id),
            effect_key: Some(action.key.clone()),
            source: Some(source),
            ..PublishPost::new(account, action.text.clone())
        };
        client.enqueue_with(&publication, options).await?;
    }
    Ok(())
}

/// Records the pending actions in Postgres, so that they are shown. While Postgres is down they are shown once they are done.
async fn show(bot: &Picks, actions: &[&ActionRecord]) -> Result<(), StoreError> {
    match bot.store.actions().intend(actions).await {
        Err(error) if error.is_unavailable() => {
            tracing::warn!(%error, "pending actions are not shown while Postgres is down");
            Ok(())
        }
        shown => shown,
    }
}

/// The handle of the account from the configuration, or else from X if it matters for this post. If neither knows it, it is empty, and
/// no post counts as mentioning the account.
async fn own_handle(bot: &Picks, account: &AccountId, post: &Post) -> String {
    let x = &bot.platform.x;
    let configured = x.accounts.get(account).map_or("", |account| account.username.as_str());
    if !configured.is_empty() || x.plan == XPlan::Enterprise || !post.text.contains('@') {
        return configured.to_owned();
    }
    bot.clients.own_handle(account).await.unwrap_or_else(|error| {
        tracing::warn!(%account, %error, "the handle of the account is unknown, so the post gets no reply");
        String::new()
    })
}

/// Chooses a comment if X allows one, otherwise a post of its own.
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

/// Whether a text mentions an account.
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
