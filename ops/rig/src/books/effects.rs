//! Checks that every effect happened once, and that the ledger says so.

use std::collections::{HashMap, HashSet};

use perch_sandbox::{Endpoint, MadePost, SandboxState};
use sqlx::{PgPool, Row as _};

use super::{DOUBLED, Findings, MISSING, jobs::Rows};
use crate::{
    error::RigError,
    journal::{Notes, Server},
    label::Label,
};

/// The numbers of effects.
#[derive(Debug, Default)]
pub struct Effects {
    /// Posts and replies that the sandbox holds.
    pub posts: usize,
    /// Retweets that the sandbox holds.
    pub retweets: usize,
    /// Repetitions that the sandbox refused, as X does for a while.
    pub refused: u64,
    /// Effects that the ledger holds as confirmed.
    pub confirmed: usize,
    /// Effects of dead jobs that the ledger holds in another state.
    pub open: usize,
    /// Published actions in Postgres.
    pub actions: usize,
}

struct Effect {
    key: String,
    kind: String,
    state: String,
    job: String,
    external_id: Option<String>,
    /// What its job was to post.
    text: Option<String>,
}

async fn ledger(pool: &PgPool) -> Result<Vec<Effect>, RigError> {
    let rows = sqlx::query(
        "select e.key, e.kind, e.state, e.job_id, e.external_id, j.payload->>'text' as text
         from effects e left join jobs j on j.environment = e.environment and j.id = e.job_id",
    )
    .fetch_all(pool)
    .await?;
    let effect = |row: &sqlx::postgres::PgRow| {
        Ok(Effect {
            key: row.try_get("key")?,
            kind: row.try_get("kind")?,
            state: row.try_get("state")?,
            job: row.try_get("job_id")?,
            external_id: row.try_get("external_id")?,
            text: row.try_get("text")?,
        })
    };
    rows.iter().map(effect).collect::<Result<_, sqlx::Error>>().map_err(RigError::from)
}

/// A text without the marks by which a sabotaged worker gets it past the duplicate check of X.
fn meant(text: &str) -> String {
    text.chars().filter(|c| *c != crate::sabotage::MARK).collect()
}

pub async fn check(
    pool: &PgPool,
    notes: &Notes,
    rows: &Rows,
    sandbox: &SandboxState,
    findings: &mut Findings,
) -> Result<Effects, RigError> {
    let made = &sandbox.made();
    let ledger = ledger(pool).await?;
    let mut happened: HashMap<String, Vec<&MadePost>> = HashMap::new();
    for post in made {
        let what = match &post.retweet_of {
            Some(of) => format!("retweet of {of} by {}", post.account),
            None => format!("{:?} by {} to {:?}", meant(&post.text), post.account, post.reply_to),
        };
        happened.entry(what).or_default().push(post);
    }
    for (what, posts) in happened.iter().filter(|(_, posts)| posts.len() > 1) {
        findings.add(DOUBLED, format!("{what}: {} times", posts.len()));
    }
    none_missing(notes, rows, made, findings);
    by_ledger(notes, &ledger, rows, made, findings);
    comments(pool, made, findings).await?;
    let actions = actions(pool, notes, &ledger, findings).await?;
    let retweets = made.iter().filter(|post| post.retweet_of.is_some()).count();
    let confirmed = ledger.iter().filter(|effect| effect.state == "confirmed").count();
    let refused = sandbox.calls_that_ended(Endpoint::CreatePost, "403");
    Ok(Effects { posts: made.len() - retweets, retweets, refused, confirmed, open: ledger.len() - confirmed, actions })
}

/// The effects that the outside world saw, as the notes name them: texts of posts, and ids of retweeted posts.
pub fn happened(sandbox: &SandboxState) -> HashSet<String> {
    sandbox.made().iter().map(|post| post.retweet_of.clone().unwrap_or_else(|| meant(&post.text))).collect()
}

/// Whether Postgres may have lost what it knew of a post.
fn may_be_forgotten(notes: &Notes, post: &MadePost) -> bool {
    let made = post.created_at.timestamp_millis();
    // The answer comes a while after the post, and is recorded after that.
    [0, 1_000, 2_000, 3_000].iter().any(|later| notes.may_have_lost(Server::Postgres, made + later))
}

/// Checks that the effect of every done job is there.
fn none_missing(notes: &Notes, rows: &Rows, made: &[MadePost], findings: &mut Findings) {
    let texts: HashSet<String> = made.iter().map(|post| meant(&post.text)).collect();
    let retweeted: HashSet<&str> = made.iter().filter_map(|post| post.retweet_of.as_deref()).collect();
    for (id, job) in &notes.accepted {
        let Some(effect) = &job.effect else { continue };
        let there = match job.label {
            Label::Retweet => retweeted.contains(effect.as_str()),
            _ => texts.contains(effect),
        };
        // A cancelled repetition gave way to the job that has the effect.
        let done = rows.get(&id.to_string()).is_some_and(|row| matches!(row.state.as_str(), "done" | "cancelled"));
        if done && !there {
            findings.add(MISSING, format!("{id}: {effect}"));
        }
    }
}

/// Checks that the ledger confirms exactly the effects that happened, or that the job is dead and its effect is still
/// open in the ledger.
fn by_ledger(notes: &Notes, ledger: &[Effect], rows: &Rows, made: &[MadePost], findings: &mut Findings) {
    let posts: HashMap<&str, &MadePost> =
        made.iter().filter(|post| post.retweet_of.is_none()).map(|post| (post.id.as_str(), post)).collect();
    let forgotten: HashSet<String> =
        made.iter().filter(|post| may_be_forgotten(notes, post)).map(|post| meant(&post.text)).collect();
    let mut confirmed = HashSet::new();
    for effect in ledger {
        let dead = rows.get(&effect.job).is_some_and(|row| row.state == "dead");
        match effect.state.as_str() {
            "confirmed" if effect.kind == "retweet" => {}
            "confirmed" => match effect.external_id.as_deref() {
                Some(id) if posts.contains_key(id) => {
                    if !confirmed.insert(id) {
                        findings.add("one post stands for two effects", format!("{} (post {id})", effect.key));
                    }
                }
                _ => findings.add("confirmed, and not at the sandbox", effect.key.clone()),
            },
            // Postgres lost the confirmation.
            _ if effect.text.as_ref().is_some_and(|text| forgotten.contains(text)) => {}
            state if !dead => {
                findings.add("an effect of a job that is not dead is open", format!("{} ({state})", effect.key));
            }
            _ => {}
        }
    }
    let is_open = |effect: &&Effect| matches!(effect.state.as_str(), "unknown" | "intended");
    let maybe: HashSet<&str> = ledger.iter().filter(is_open).filter_map(|effect| effect.text.as_deref()).collect();
    for (id, post) in posts.iter().filter(|(id, _)| !confirmed.contains(*id)) {
        if !maybe.contains(meant(&post.text).as_str()) && !may_be_forgotten(notes, post) {
            findings.add("at the sandbox, and not in the ledger", format!("{id}: {}", post.text));
        }
    }
    let retweeted = || made.iter().filter(|post| post.retweet_of.is_some());
    let retweets = retweeted().count();
    let forgotten = retweeted().filter(|post| may_be_forgotten(notes, post)).count();
    let in_state = |wanted: &str| ledger.iter().filter(|e| e.kind == "retweet" && e.state == wanted).count();
    let (least, maybe) = (in_state("confirmed"), in_state("unknown") + in_state("intended"));
    if !(least..=least + maybe + forgotten).contains(&retweets) {
        let told = format!("{retweets} there, {least} confirmed, {maybe} open");
        findings.add("retweets: sandbox and ledger disagree", told);
    }
}

/// Checks that each pick has its comment, unless a job on the way to it is dead.
async fn comments(pool: &PgPool, made: &[MadePost], findings: &mut Findings) -> Result<(), RigError> {
    let commented: HashSet<&str> = made.iter().filter_map(|post| post.reply_to.as_deref()).collect();
    let without: Vec<(String, String)> = sqlx::query_as(
        "select p.pick_key, p.source_post from picks.picks p
         where not exists (select 1 from effects e where e.state = 'confirmed'
                             and e.key like 'comment:%:' || p.source_post || ':%')
           and not exists (select 1 from jobs j where j.state = 'dead' and j.kind in ('extract_post', 'publish_post')
                             and p.source_post in (j.payload->'post'->>'id', j.payload->>'reply_to'))",
    )
    .fetch_all(pool)
    .await?;
    for (pick, post) in without.into_iter().filter(|(_, post)| !commented.contains(post.as_str())) {
        findings.add("a pick without its comment", format!("{pick} of post {post}"));
    }
    Ok(())
}

/// Checks that the published actions are the effects that the ledger confirms.
async fn actions(pool: &PgPool, notes: &Notes, ledger: &[Effect], findings: &mut Findings) -> Result<usize, RigError> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select key, (extract(epoch from created_at) * 1000)::bigint from actions where state = 'published'",
    )
    .fetch_all(pool)
    .await?;
    let actions: HashMap<&str, i64> = rows.iter().map(|(key, at)| (key.as_str(), *at)).collect();
    let confirmed: HashSet<&str> =
        ledger.iter().filter(|effect| effect.state == "confirmed").map(|effect| effect.key.as_str()).collect();
    for key in confirmed.iter().filter(|key| !actions.contains_key(*key)) {
        findings.add("confirmed, and no action is published", (*key).to_owned());
    }
    let unconfirmed = actions.iter().filter(|(key, _)| !confirmed.contains(*key));
    for (key, _) in unconfirmed.filter(|(_, at)| !notes.may_have_lost(Server::Postgres, **at)) {
        findings.add("an action is published that is not confirmed", (*key).to_owned());
    }
    Ok(actions.len())
}
