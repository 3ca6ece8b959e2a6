//! Reconciles the effect ledger with the records of acts after a server has lost some of either.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use perch_core::recovery::{Reconciled, Reconciler};
use perch_jobs::{DeletePost, Job as _, JobId, PostId, PublishPost, PublishThread, RetweetPost};
use perch_store::{
    ActionKind, ActionRecord, ActionState, HotRecord, HotStore, KnownEffect, PublishedPost, Store, StoreError,
    StoredEffect, UnrecordedEffect, request_digest,
};

use super::{
    act::Act,
    publish_post::PostAct,
    publish_thread::{PART, PartAct, part_number},
    record::action_of,
};

/// The reconciler for acts of jobs that publish.
pub fn reconciler() -> Arc<dyn Reconciler> {
    Arc::new(PublishedActs)
}

/// Reconciles the acts of jobs that publish.
#[derive(Debug, Clone, Copy)]
struct PublishedActs;

impl Reconciler for PublishedActs {
    fn reconcile<'a>(&'a self, store: &'a Store, hot: &'a HotStore) -> BoxFuture<'a, Result<Reconciled, StoreError>> {
        Box::pin(reconcile(store, hot))
    }
}

async fn reconcile(store: &Store, hot: &HotStore) -> Result<Reconciled, StoreError> {
    let effects = store.effects();
    let happened: Vec<KnownEffect> = effects.lost().await?.into_iter().filter_map(happened).collect();
    let mut reconciled = Reconciled { effects: effects.rebuild(&happened).await?, records: 0 };
    for unrecorded in effects.unrecorded().await? {
        let Some((action, post)) = record_of(&unrecorded) else { continue };
        let mut records = vec![HotRecord::of(&action)?];
        if let Some(post) = &post {
            records.push(HotRecord::of(post)?);
        }
        hot.put(&records).await?;
        reconciled.records += 1;
    }
    Ok(reconciled)
}

/// The effect of a recorded act; `None` where the record does not name its job.
fn happened(action: ActionRecord) -> Option<KnownEffect> {
    let target = action.source_post.as_ref().map_or("", PostId::as_str);
    let account = action.account.as_str();
    let (kind, digest) = match action.kind {
        ActionKind::Retweet => ("retweet", request_digest(&[account, target])),
        ActionKind::Comment => ("reply", request_digest(&[account, &action.text, target])),
        ActionKind::Post if part_number(&action.key).is_some_and(|number| number > 1) => {
            (PART, request_digest(&[account, &action.text, target]))
        }
        ActionKind::Post => ("post", request_digest(&[account, &action.text, ""])),
        ActionKind::Deletion => ("deletion", request_digest(&[account, target])),
    };
    Some(KnownEffect {
        kind,
        account: account.to_owned(),
        digest,
        job: action.job_id?,
        external_id: action.external_id,
        at: action.created_at,
        key: action.key,
    })
}

/// The records of an effect, as its job would have made them; `None` for a job that cannot be read.
fn record_of(unrecorded: &UnrecordedEffect) -> Option<(ActionRecord, Option<PublishedPost>)> {
    let UnrecordedEffect { effect, job_kind, payload } = unrecorded;
    match job_kind.as_str() {
        PublishPost::KIND => {
            Some(recorded(&PostAct::recorded(&serde_json::from_str::<PublishPost>(payload).ok()?), effect))
        }
        PublishThread::KIND => part(&serde_json::from_str::<PublishThread>(payload).ok()?, effect),
        DeletePost::KIND => Some(recorded(&serde_json::from_str::<DeletePost>(payload).ok()?, effect)),
        RetweetPost::KIND => Some(recorded(&serde_json::from_str::<RetweetPost>(payload).ok()?, effect)),
        _ => None,
    }
}

/// The records of a part of a thread, or of the deletion of one.
fn part(job: &PublishThread, effect: &StoredEffect) -> Option<(ActionRecord, Option<PublishedPost>)> {
    let said = |field: &str| effect.response.as_ref()?[field].as_str()?.parse::<PostId>().ok();
    if effect.kind == "deletion" {
        let account = job.account.clone();
        return Some(recorded(&DeletePost { account, post_id: said("deleted")?, effect_key: None }, effect));
    }
    let number = part_number(&effect.key)?;
    let text = job.parts.get(number.checked_sub(1)?)?;
    Some(recorded(&PartAct { job, number, text, parent: said("parent") }, effect))
}

fn recorded(act: &impl Act, effect: &StoredEffect) -> (ActionRecord, Option<PublishedPost>) {
    let at: DateTime<Utc> = effect.settled_at.unwrap_or(effect.intended_at);
    let job: JobId = effect.job_id;
    let action = ActionRecord {
        external_id: effect.external_id.clone(),
        ..action_of(act, &effect.key, ActionState::Published, at, job)
    };
    let id = effect.external_id.as_deref().and_then(|id| id.parse::<PostId>().ok());
    (action, id.and_then(|id| act.post(&id, at, job)))
}

#[cfg(test)]
mod tests {
    use perch_jobs::AccountId;

    use super::*;

    fn effect_of(act: &impl Act, key: &str) -> KnownEffect {
        let at = "2026-11-22T18:00:00Z".parse().expect("a time");
        happened(action_of(act, key, ActionState::Published, at, JobId::at(at))).expect("it names its job")
    }

    #[test]
    fn an_effect_restored_from_its_record_is_the_one_that_its_job_claims() {
        let account = AccountId::from_static("main");
        let other: PostId = "42".parse().expect("an id");
        for reply_to in [None, Some(other.clone())] {
            let post = PublishPost { reply_to, ..PublishPost::new(account.clone(), "Hello") };
            let act = PostAct::recorded(&post);
            let effect = effect_of(&act, "k");
            assert_eq!((effect.kind, effect.digest), (act.kind(), request_digest(&act.request())));
        }
        let retweet = RetweetPost { account, post_id: other, effect_key: None, source: None };
        let effect = effect_of(&retweet, "k");
        assert_eq!((effect.kind, effect.digest), (retweet.kind(), request_digest(&retweet.request())));
    }
}
