use chrono::{DateTime, Utc};
use perch_base::clock;
use perch_clients::{
    XError,
    x::{CreatePost, CreatedPost},
};
use perch_jobs::{PostId, PublishPost};
use perch_queue::{
    Fail,
    worker::{Data, HandlerResult, JobContext},
};
use perch_store::{Claim, EffectIntent, EffectState, Effects, Permit, StoredEffect, Takeover, request_digest};
use serde_json::{Value, json};

use super::{
    decide::{Aftermath, Resolution, Sending, aftermath, resolution, sending, unfit},
    permit::Permitted,
    record::{Published, record, record_refusal},
};
use crate::{Services, outcome::x_failed};

/// Publishes one post or reply, once, however often it runs.
pub async fn publish_post(job: PublishPost, cx: JobContext, services: Data<Services>) -> HandlerResult<Published> {
    if let Some(why) = unfit(&job.text) {
        return Err(Fail::Dead(why));
    }
    let key = job.effect_key.clone().unwrap_or_else(|| format!("publish:{}", cx.id()));
    let sending = sending(services.settings.live_posts, &services.settings.x.base_url);
    Publishing { job: &job, cx: &cx, services: &services, key, sending }.run().await
}

/// One attempt to publish one post.
pub(super) struct Publishing<'a> {
    pub(super) job: &'a PublishPost,
    pub(super) cx: &'a JobContext,
    pub(super) services: &'a Services,
    pub(super) key: String,
    sending: Sending,
}

impl Publishing<'_> {
    async fn run(&self) -> HandlerResult<Published> {
        match self.ledger().claim(&self.intent()).await? {
            Claim::Granted(permit) => self.act(permit).await,
            Claim::Done(effect) => record(self, &effect).await,
            Claim::Unresolved { effect, takeover } => self.resolve(&effect, takeover).await,
            Claim::Busy { effect, retry_after } => {
                Err(Fail::Snooze(retry_after, format!("job {} is publishing the same post", effect.job_id)))
            }
            Claim::Superseded { effect } => {
                Err(Fail::Retry(format!("attempt {} of this job has taken over; this one stops", effect.attempt)))
            }
            Claim::DigestMismatch { effect } => Err(Fail::Dead(format!(
                "the effect key {} belongs to another post, of job {}; enqueue this one with a key of its own",
                self.key, effect.job_id
            ))),
        }
    }

    fn ledger(&self) -> Effects<'_> {
        self.services.store.effects()
    }

    fn intent(&self) -> EffectIntent {
        let PublishPost { account, text, reply_to, .. } = self.job;
        let target = reply_to.as_ref().map_or("", PostId::as_str);
        EffectIntent {
            key: self.key.clone(),
            kind: if reply_to.is_some() { "reply" } else { "post" }.to_owned(),
            account: account.to_string(),
            digest: request_digest(&[account.as_str(), text, target]),
            job: self.cx.id(),
            attempt: self.cx.attempt(),
            holder: self.cx.worker().to_owned(),
        }
    }

    /// Publishes with a permit of the ledger, and settles it.
    async fn act(&self, permit: Permit) -> HandlerResult<Published> {
        if self.sending == Sending::Simulated {
            tracing::info!(account = %self.job.account, text = self.job.text, "simulated; live_posts is off");
            return self.confirm(&permit, None, &json!({ "simulated": true })).await;
        }
        if !self.cx.holds_lease() {
            let why = "the lease was lost before the post was sent; nothing was sent";
            self.ledger().fail(&permit, why).await?;
            return Err(Fail::Retry(why.to_owned()));
        }
        let PublishPost { account, text, reply_to, .. } = self.job;
        let post = CreatePost { text: text.clone(), reply_to: reply_to.clone() };
        match self.services.x.create_post(&Permitted(&permit), account, &post).await {
            Ok(CreatedPost { id, text }) => self.confirm(&permit, Some(&id), &json!({ "id": id, "text": text })).await,
            Err(error) => match aftermath(&error) {
                Aftermath::NotMade => self.not_made(&permit, error).await,
                Aftermath::Unknown => self.unknown(&permit, &error).await,
                Aftermath::Exists => self.look_for_duplicate(&permit, error).await,
            },
        }
    }

    /// Settles an effect that an earlier attempt left open, by what X says, and publishes if it did not happen.
    async fn resolve(&self, effect: &StoredEffect, takeover: Takeover) -> HandlerResult<Published> {
        let found = match resolution(self.sending, effect.state) {
            Resolution::NotDone => None,
            Resolution::Ask => self.find_since(effect.intended_at).await.map_err(x_failed)?,
        };
        let Some(post) = found else {
            let permit = self.ledger().resolve_not_done(takeover).await?;
            return self.act(permit).await;
        };
        tracing::info!(effect = self.key, %post, "an earlier attempt had published it");
        let response = json!({ "id": post, "found": true });
        let effect = self.ledger().resolve_confirmed(takeover, Some(post.as_str()), &response).await?;
        record(self, &effect).await
    }

    /// The post, if the account has made it since then.
    async fn find_since(&self, since: DateTime<Utc>) -> Result<Option<PostId>, XError> {
        let PublishPost { account, text, reply_to, .. } = self.job;
        let user = self.services.x.me(account).await?;
        self.services.x.find_recent_post(&user.id, text, reply_to.as_ref(), since).await
    }

    async fn confirm(&self, permit: &Permit, id: Option<&PostId>, response: &Value) -> HandlerResult<Published> {
        self.ledger().confirm(permit, id.map(PostId::as_str), response).await?;
        let stored = self.ledger().get(&self.key).await?;
        let effect = stored.ok_or_else(|| Fail::Retry(format!("the effect {} is gone from the ledger", self.key)))?;
        record(self, &effect).await
    }

    async fn not_made(&self, permit: &Permit, error: XError) -> HandlerResult<Published> {
        self.ledger().fail(permit, &error.to_string()).await?;
        let fail = x_failed(error);
        if let Fail::Dead(why) = &fail {
            record_refusal(self, why).await?;
        }
        Err(fail)
    }

    /// The next attempt asks X before it does anything, so this one may always be followed by another.
    async fn unknown(&self, permit: &Permit, error: &XError) -> HandlerResult<Published> {
        let why = error.to_string();
        self.ledger().unknown(permit, &why).await?;
        Err(Fail::Retry(why))
    }

    /// X refused the post as a duplicate: what is there already may be an earlier attempt's.
    async fn look_for_duplicate(&self, permit: &Permit, error: XError) -> HandlerResult<Published> {
        let first_claimed = self.ledger().get(&self.key).await?.map_or_else(clock::now, |effect| effect.created_at);
        match self.find_since(first_claimed).await {
            Ok(Some(post)) => self.confirm(permit, Some(&post), &json!({ "id": post, "found": true })).await,
            // X knows of the post before it shows it.
            Ok(None) if permit.fence() > 1 => self.unknown(permit, &error).await,
            Ok(None) => {
                let why =
                    format!("{error}; no such post of this job is there, so the text is another post's: change it");
                self.ledger().fail(permit, &why).await?;
                record_refusal(self, &why).await?;
                Err(Fail::Dead(why))
            }
            Err(looking) => {
                self.ledger().unknown(permit, &error.to_string()).await?;
                Err(match x_failed(looking) {
                    Fail::Dead(why) => Fail::Retry(why),
                    fail => fail,
                })
            }
        }
    }
}

/// True for an effect that was confirmed without sending anything.
pub(super) fn was_simulated(effect: &StoredEffect) -> bool {
    effect.state == EffectState::Confirmed && effect.external_id.is_none()
}
