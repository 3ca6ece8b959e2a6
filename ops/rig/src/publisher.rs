//! A publisher of posts with one safeguard switched off.
//!
//! It follows the protocol of the handler of Perch, with two differences that make faults visible. Between the
//! claim and the call it often waits, so that a worker is frozen or killed just there. And it gets every repetition
//! past the duplicate check of X, which would hide a duplicate for a while.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use perch_base::Settings;
use perch_clients::{
    EffectPermit, XClient, XError,
    x::{CreatePost, Search},
};
use perch_jobs::{PostId, PublishPost};
use perch_queue::{
    Fail, Redis,
    worker::{Data, HandlerResult, JobContext},
};
use perch_store::{
    ACT_WITHIN, ActionKind, ActionRecord, ActionState, Claim, EffectIntent, EffectState, Effects, Evidence, HotRecord,
    HotStore, Permit, PermitDeadline, PublishedPost, Store, StoredEffect, Takeover, request_digest,
};
use serde_json::json;

use crate::{
    error::RigError,
    sabotage::{MARK, Sabotage},
};

/// The publisher of a sabotaged worker.
pub struct Publisher {
    x: XClient,
    hot: HotStore,
    store: Store,
    timeout: Duration,
    settle: Duration,
    without: Sabotage,
}

impl Publisher {
    /// A publisher without one of its safeguards.
    pub fn new(settings: &Settings, redis: Redis, store: Store, without: Sabotage) -> Result<Self, RigError> {
        let limits = Arc::new(perch_clients::LocalLimits::new());
        Ok(Self {
            x: XClient::from_settings(settings, limits).map_err(RigError::setup)?,
            hot: HotStore::new(redis, settings.env),
            store,
            timeout: settings.x.timeout,
            settle: settings.x.settle,
            without,
        })
    }
}

/// A permit that expires as it should, or never.
struct Pass {
    key: String,
    term: Option<(PermitDeadline, JobContext)>,
}

impl EffectPermit for Pass {
    fn effect_key(&self) -> &str {
        &self.key
    }

    fn holds(&self) -> bool {
        self.term.as_ref().is_none_or(|(term, cx)| cx.holds_lease() && term.is_open())
    }
}

/// Publishes a post, once if nothing is switched off.
pub async fn publish(job: PublishPost, cx: JobContext, publisher: Data<Publisher>) -> HandlerResult {
    let key = job.effect_key.clone().unwrap_or_else(|| format!("publish:{}", cx.id()));
    Publishing { job: &job, cx: &cx, with: &publisher, key }.run().await
}

struct Publishing<'a> {
    job: &'a PublishPost,
    cx: &'a JobContext,
    with: &'a Publisher,
    key: String,
}

/// The most permits of one effect that Postgres can have lost.
const MOST_LOST: i64 = 6;

impl Publishing<'_> {
    async fn run(&self) -> HandlerResult {
        if self.with.without == Sabotage::Claim {
            return self.unclaimed().await;
        }
        match self.ledger().claim(&self.intent()).await? {
            Claim::Granted(permit) if self.in_doubt(permit.lost_at()) => {
                self.ledger().unknown(&permit, "the job was put back; X is asked first").await?;
                Err(Fail::Snooze(Duration::from_millis(1), "X is asked first".into()))
            }
            Claim::Granted(permit) => self.act(permit).await,
            Claim::Done(effect) => self.record(&effect).await,
            Claim::Unresolved { effect, takeover } => self.resolve(&effect, takeover).await,
            Claim::Busy { retry_after, .. } => Err(Fail::Snooze(retry_after, "another job is at it".into())),
            Claim::Superseded { .. } => Err(Fail::Retry("a later attempt has taken over".into())),
            Claim::DigestMismatch { .. } => Err(Fail::Dead("the key belongs to another post".into())),
        }
    }

    /// Whether the effect may have happened without a row in the ledger.
    fn in_doubt(&self, lost_at: Option<DateTime<Utc>>) -> bool {
        let is_lost = self.cx.recovered_at().is_some() || lost_at.is_some();
        is_lost && self.with.without != Sabotage::Asking
    }

    fn ledger(&self) -> Effects<'_> {
        self.with.store.effects()
    }

    fn intent(&self) -> EffectIntent {
        let PublishPost { account, text, reply_to, .. } = self.job;
        EffectIntent {
            key: self.key.clone(),
            kind: if reply_to.is_some() { "reply" } else { "post" }.to_owned(),
            account: account.to_string(),
            digest: request_digest(&[account.as_str(), text, reply_to.as_ref().map_or("", PostId::as_str)]),
            job: self.cx.id(),
            attempt: self.cx.attempt(),
            holder: self.cx.worker().to_owned(),
            live: true,
        }
    }

    /// Acts first and records it afterwards.
    async fn unclaimed(&self) -> HandlerResult {
        self.linger().await;
        let pass = Pass { key: self.key.clone(), term: None };
        let id = self.send(pass, self.cx.attempt()).await.map_err(Fail::from)?;
        if let Claim::Granted(permit) = self.ledger().claim(&self.intent()).await? {
            let effect = self.ledger().confirm(&permit, Some(id.as_str()), &json!({ "id": id })).await?;
            self.record(&effect).await?;
        }
        Ok(())
    }

    async fn act(&self, permit: Permit) -> HandlerResult {
        self.linger().await;
        let term = (self.with.without != Sabotage::Fence).then(|| (permit.deadline(), self.cx.clone()));
        let pass = Pass { key: self.key.clone(), term };
        match self.send(pass, u32::try_from(permit.fence()).unwrap_or(1)).await {
            Ok(id) => {
                let effect = self.ledger().confirm(&permit, Some(id.as_str()), &json!({ "id": id })).await?;
                self.record(&effect).await
            }
            Err(error) if error.outcome_known() => {
                self.ledger().fail(&permit, &error.to_string()).await?;
                Err(match error {
                    XError::RateLimited { after, .. } => Fail::Snooze(after, error.to_string()),
                    error => Fail::Retry(error.to_string()),
                })
            }
            Err(error) => {
                self.ledger().unknown(&permit, &error.to_string()).await?;
                Err(Fail::Retry(error.to_string()))
            }
        }
    }

    /// Every third job waits here; which one depends on its id alone.
    async fn linger(&self) {
        let id = self.cx.id().to_string();
        let lot: u32 = id.bytes().skip(10).map(u32::from).sum();
        if lot.is_multiple_of(3) {
            tokio::time::sleep(Duration::from_millis(u64::from(300 + lot % 1_200))).await;
        }
    }

    /// Sends the text; the nth permit to act has n - 1 invisible marks in it, and one more after a recovery.
    async fn send(&self, pass: Pass, n: u32) -> Result<PostId, XError> {
        let text = marked(&self.job.text, n.saturating_sub(1) + u32::from(self.cx.recovered_at().is_some()));
        let post = CreatePost { text, reply_to: self.job.reply_to.clone(), ..CreatePost::default() };
        self.with.x.create_post(pass, &self.job.account, &post).await.map(|created| created.id)
    }

    async fn resolve(&self, effect: &StoredEffect, takeover: Takeover) -> HandlerResult {
        if self.with.without == Sabotage::Reconciliation {
            let because = "reconciliation is switched off".to_owned();
            let permit = self.ledger().resolve_not_done(takeover, &Evidence::NotAsked { because }).await?;
            return self.act(permit).await;
        }
        let in_doubt = self.in_doubt(takeover.lost_at());
        let doubted = in_doubt.then(|| takeover.earliest());
        let search = self.look(effect, doubted).await.map_err(|error| Fail::Retry(error.to_string()))?;
        let needed = match effect.state {
            EffectState::Unknown if !in_doubt => self.with.settle,
            _ => ACT_WITHIN + self.with.timeout + self.with.settle,
        };
        let evidence = evidence(&search, takeover.quiet(), needed);
        if let Some(id) = &search.found {
            let response = json!({ "id": id, "found": true });
            let effect = self.ledger().resolve_confirmed(takeover, &evidence, Some(id.as_str()), &response).await?;
            return self.record(&effect).await;
        }
        // Without the fence nothing waits for a permit to expire: it never does.
        let wait = needed.saturating_sub(takeover.quiet());
        if !wait.is_zero() && self.with.without != Sabotage::Fence {
            self.ledger().resolve_later(takeover, &evidence).await?;
            return Err(Fail::Snooze(wait, "it may not show yet".into()));
        }
        let permit = self.ledger().resolve_not_done(takeover, &evidence).await?;
        self.act(permit).await
    }

    /// Looks for the text as each permit so far would have sent it.
    async fn look(&self, effect: &StoredEffect, doubted: Option<DateTime<Utc>>) -> Result<Search, XError> {
        let user = self.with.x.me(&self.job.account).await?;
        let since = doubted.unwrap_or(effect.created_at);
        // The number of permits is lost, too.
        let most = if doubted.is_some() { effect.fence + MOST_LOST } else { effect.fence };
        let mut marks = 0;
        loop {
            let text = marked(&self.job.text, marks);
            let (account, reply_to) = (&self.job.account, self.job.reply_to.as_ref());
            let search = self.with.x.find_recent_post(account, &user.id, &text, reply_to, since).await?;
            marks += 1;
            if search.found.is_some() || i64::from(marks) >= most {
                return Ok(search);
            }
        }
    }

    async fn record(&self, effect: &StoredEffect) -> HandlerResult {
        let job = self.job;
        let at = effect.settled_at.unwrap_or(effect.intended_at);
        let id = effect.external_id.clone().unwrap_or_default();
        let action = ActionRecord {
            key: self.key.clone(),
            kind: if job.reply_to.is_some() { ActionKind::Comment } else { ActionKind::Post },
            account: job.account.clone(),
            subject: job.source.as_ref().map(|source| source.subject.clone()),
            source_post: job.reply_to.clone(),
            text: job.text.clone(),
            state: ActionState::Published,
            external_id: Some(id.clone()),
            error: None,
            why: None,
            job_id: Some(effect.job_id),
            created_at: at,
        };
        let post = PublishedPost {
            post_id: id.parse().map_err(|error| Fail::Dead(format!("the ledger holds no post: {error}")))?,
            account: job.account.clone(),
            text: job.text.clone(),
            reply_to: job.reply_to.clone(),
            subject: job.source.as_ref().map(|source| source.subject.clone()),
            job_id: Some(effect.job_id),
            published_at: at,
        };
        self.with.hot.put(&[HotRecord::of(&action)?, HotRecord::of(&post)?]).await?;
        Ok(())
    }
}

fn marked(text: &str, marks: u32) -> String {
    let mut text = text.to_owned();
    text.extend((0..marks).map(|_| MARK));
    text
}

fn evidence(search: &Search, quiet: Duration, needed: Duration) -> Evidence {
    let Search { found, looked_at, since, complete } = search;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match found {
        Some(id) => Evidence::Found { id: id.to_string(), looked_at: *looked_at, since: *since },
        None => Evidence::NotFound {
            looked_at: *looked_at,
            since: *since,
            complete: *complete,
            quiet_ms: millis(quiet),
            needed_ms: millis(needed),
        },
    }
}
