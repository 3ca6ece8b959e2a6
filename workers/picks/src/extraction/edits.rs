//! Edited posts: all versions count as one post, and only one version is acted on. Changes in later versions are flagged for people,
//! since the bot does not take back what was published.

use std::time::Duration;

use perch_base::clock;
use perch_core::short_hash;
use perch_jobs::{ExtractPost, PostId};
use perch_queue::Fail;
use perch_store::{ActionKind, ActionRecord, ActionState, HotRecord};
use serde::Serialize;

use super::{comment::render_pick, sighting::NamedPick};
use crate::{
    Picks,
    normal::part,
    store::{PickBody, PicksStore as _, PostReading},
};

/// How long a version keeps its claim on the post. X allows edits for an hour, but the job of an edit may wait longer.
const CLAIMED_FOR: Duration = Duration::from_secs(7 * 86_400);

/// Whether a version of a post is the one that is acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PostVersion {
    /// This version is acted on.
    ActedOn,
    /// Another version is acted on; this is how the two differ.
    Other(Edit, PostReading),
}

/// How a version of a post differs from the one that is acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// Its picks are the same.
    SamePicks,
    /// Its picks differ. They are not published; a failed action flags this.
    OtherPicks,
}

/// Whether this version of a post is the one that is acted on: the first version that was found to have a pick.
pub(super) async fn standing(bot: &Picks, job: &ExtractPost, found: &[NamedPick]) -> Result<PostVersion, Fail> {
    let picks: Vec<String> = found.iter().map(NamedPick::key).collect();
    let mine = PostReading { version: job.post.id.clone(), picks };
    let acted = match known(bot, job).await? {
        Some(known) => known,
        None if found.is_empty() => return Ok(PostVersion::ActedOn),
        None => bot.marks.claim_post(job.first_id(), &mine, CLAIMED_FOR).await?,
    };
    if acted.version == mine.version {
        return Ok(PostVersion::ActedOn);
    }
    let is_same = mine.picks.iter().all(|key| acted.picks.contains(key)) && mine.picks.len() == acted.picks.len();
    Ok(PostVersion::Other(if is_same { Edit::SamePicks } else { Edit::OtherPicks }, acted))
}

/// The version of an edited post that is already acted on, from Redis, or from Postgres if Redis lost it. While Postgres is down,
/// Redis alone decides.
async fn known(bot: &Picks, job: &ExtractPost) -> Result<Option<PostReading>, Fail> {
    if job.earlier.is_empty() {
        return Ok(None);
    }
    if let Some(reading) = bot.marks.post_reading(job.first_id()).await? {
        return Ok(Some(reading));
    }
    match bot.store.picks().of_posts(&job.earlier).await {
        Ok(records) => {
            let version = records.first().map(|record| record.source_post.clone());
            Ok(version
                .map(|version| PostReading { version, picks: records.into_iter().map(|pick| pick.key).collect() }))
        }
        Err(error) if error.is_unavailable() => {
            tracing::warn!(%error, "Postgres is down; Redis alone decides which version of the post is acted on");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The key prefix of an action that flags a pick as removed by an edit.
const TAKEN_OUT: &str = "edit-out:";
/// The key prefix of an action that flags a pick as still in the post, or put back, after an edit.
const STILL_THERE: &str = "edit-still:";

/// Whether an action only flags an edit. Such an action was never carried out.
pub(super) fn is_flag(action: &ActionRecord) -> bool {
    let begins = [TAKEN_OUT, STILL_THERE];
    action.state == ActionState::Failed && begins.iter().any(|begins| action.key.starts_with(begins))
}

/// The flag that says that an edit removed a pick from the post that was read as `version`. The newest edit decides, in whatever order
/// the edits were read.
pub(super) fn taken_out(flags: Vec<ActionRecord>, version: &PostId) -> Option<ActionRecord> {
    let edit = |flag: &ActionRecord| flag.source_post.clone().filter(|edit| version.is_older_than(edit));
    let of_post = flags.into_iter().filter(|flag| flag.key.rsplit(':').nth(2) == Some(version.as_str()));
    let (_, last) = of_post.filter_map(|flag| Some((edit(&flag)?, flag))).max_by(|(a, _), (b, _)| a.by_age(b))?;
    last.key.starts_with(TAKEN_OUT).then_some(last)
}

/// Flags the picks that an edit changes or may have put back: each gets a failed action with the reason. A version older than the one
/// that is acted on is not an edit of it and flags nothing.
pub(super) async fn flag(bot: &Picks, job: &ExtractPost, found: &[NamedPick], acted: &PostReading) -> Result<(), Fail> {
    if !acted.version.is_older_than(&job.post.id) {
        return Ok(());
    }
    let flags = flags(job, found, acted);
    if flags.is_empty() {
        return Ok(());
    }
    let records = flags.iter().map(HotRecord::of).collect::<Result<Vec<_>, _>>()?;
    bot.hot.put(&records).await?;
    if flags.iter().any(|flag| !flag.text.is_empty() || flag.key.starts_with(TAKEN_OUT)) {
        tracing::warn!(
            post = %job.post.id, first = %job.first_id(), author = %job.post.author,
            "a post was edited after its picks were read; the edit is not published, see `perch picks show`"
        );
    }
    Ok(())
}

/// The flags of an edit: one for each pick that it removes, one at the first pick if it only adds picks, and one for each pick that
/// stays but may have been removed by an earlier edit.
fn flags(job: &ExtractPost, found: &[NamedPick], acted: &PostReading) -> Vec<ActionRecord> {
    let keys: Vec<String> = found.iter().map(NamedPick::key).collect();
    let is_new = |(at, _): &(usize, &NamedPick)| keys.get(*at).is_some_and(|key| !acted.picks.contains(key));
    let new: Vec<String> =
        found.iter().enumerate().filter(is_new).map(|(_, named)| in_words(job, named.pick())).collect();
    let new = new.join("; ");
    let is_in = |key: &String| keys.contains(key);
    let adds = !new.is_empty() && acted.picks.iter().all(is_in);
    let may_be_put_back = job.earlier.iter().any(|earlier| acted.version.is_older_than(earlier));
    let now = if new.is_empty() { "it does not have this pick any more".to_owned() } else { format!("it says {new}") };
    let flag_of = |(at, key): (usize, &String)| {
        if !is_in(key) {
            Some(ActionRecord { text: new.clone(), ..flagged(TAKEN_OUT, job, acted, key, &changed(&now)) })
        } else if adds && at == 0 {
            let now = changed(&format!("{now} as well"));
            Some(ActionRecord { text: new.clone(), ..flagged(STILL_THERE, job, acted, key, &now) })
        } else if may_be_put_back {
            Some(flagged(STILL_THERE, job, acted, key, "the post was edited after it was read, and has this pick"))
        } else {
            None
        }
    };
    acted.picks.iter().enumerate().filter_map(flag_of).collect()
}

fn changed(now: &str) -> String {
    format!(
        "the post was edited after it was read, and now {now}; nothing is published of the edit: correct by hand what is out"
    )
}

fn in_words(job: &ExtractPost, pick: &PickBody) -> String {
    render_pick(pick, &|pick| part(pick, &job.post))
}

fn flagged(begins: &str, job: &ExtractPost, acted: &PostReading, pick_key: &str, why: &str) -> ActionRecord {
    let (account, read_as, edit) = (&job.account, &acted.version, &job.post.id);
    ActionRecord {
        key: format!("{begins}{account}:{read_as}:{edit}:{}", short_hash(pick_key)),
        kind: ActionKind::Post,
        account: account.clone(),
        subject: Some(pick_key.to_owned()),
        source_post: Some(edit.clone()),
        text: String::new(),
        state: ActionState::Failed,
        external_id: None,
        error: Some(why.to_owned()),
        why: None,
        job_id: None,
        created_at: clock::now(),
    }
}
